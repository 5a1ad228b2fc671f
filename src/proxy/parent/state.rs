//! What the parent remembers from one configuration to the next: text and descriptors, since the module is unloaded in between.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::executables::Programs;
use super::sockets::{Retired, Sockets};
use super::supervisor::Supervisor;
use crate::apache::process::{self, Kept};
use crate::apache::{Level, log_main};

/// A configuration's end, for the next to begin with.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// 0: there was none.
    pub(super) generation: u32,
    pub(super) next_ordinal: u64,
    pub(super) supervisor: Option<Supervisor>,
    pub(super) groups: Vec<Remembered>,
    pub(super) retired: Vec<Retired>,
    /// The build that the supervisor was started by.
    pub(super) build: String,
    /// The programs of supervisor and workers.
    pub(super) programs: Programs,
}

/// A group and its sockets.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) name: Vec<u8>,
    pub(super) digest: String,
    pub(super) sockets: Sockets,
    pub(super) board: OwnedFd,
}

impl Remembered {
    /// Its sockets for the next configuration, and its board, which supervisor and workers of another build read otherwise.
    pub(super) fn used_on(self, same_build: bool) -> (Sockets, Option<OwnedFd>) {
        (self.sockets, Some(self.board).filter(|_| same_build))
    }
}

/// The same as text; descriptors follow apart, the supervisor's channel first, then the groups' sockets and board, group by
/// group, then the programs.
#[derive(Serialize, Deserialize)]
struct Written {
    generation: u32,
    next_ordinal: u64,
    supervisor: Option<i32>,
    groups: Vec<WrittenGroup>,
    retired: Vec<Retired>,
    build: String,
    programs: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenGroup {
    name: Vec<u8>,
    digest: String,
    secret: [u8; 32],
    ordinal: u64,
    paths: Vec<PathBuf>,
    files: Vec<(u64, u64)>,
}

impl Memory {
    /// Takes what the configuration before left; empty for the first.
    pub(super) fn take() -> Memory {
        match process::take_kept() {
            Some(kept) => Memory::unpack(kept).unwrap_or_else(|error| {
                // Another build of the module wrote it.
                log_main(
                    Level::Warning,
                    format_args!(
                        "mod_wsgi has changed and begins anew; daemon processes from before end by themselves: {error}"
                    ),
                );
                Memory::default()
            }),
            None => Memory::default(),
        }
    }

    /// Nothing to go on with?
    pub(super) fn is_empty(&self) -> bool {
        self.supervisor.is_none() && self.groups.is_empty() && self.retired.is_empty()
    }

    /// Leaves it for the next configuration.
    pub(super) fn keep(self) {
        match self.pack() {
            Ok(kept) => process::keep(kept),
            Err(error) => {
                log_main(Level::Alert, format_args!("daemon processes can't be kept over the restart: {error}"));
            }
        }
    }

    fn pack(self) -> serde_json::Result<Kept> {
        let (supervisor, mut descriptors) = match self.supervisor.map(Supervisor::into_kept) {
            Some((pid, channel)) => (Some(pid), vec![channel]),
            None => (None, Vec::new()),
        };
        let groups = self.groups.into_iter().map(|group| {
            let Sockets { secret, ordinal, paths, files, listening } = group.sockets;
            descriptors.extend(listening);
            descriptors.push(group.board);
            WrittenGroup { name: group.name, digest: group.digest, secret, ordinal, paths, files }
        });
        let groups = groups.collect();
        let (programs, opened): (_, Vec<OwnedFd>) = self.programs.into_iter().unzip();
        descriptors.extend(opened);
        let written = Written {
            generation: self.generation,
            next_ordinal: self.next_ordinal,
            supervisor,
            groups,
            retired: self.retired,
            build: self.build,
            programs,
        };
        Ok(Kept { bytes: serde_json::to_vec(&written)?, descriptors })
    }

    fn unpack(kept: Kept) -> Result<Memory, String> {
        let written: Written = serde_json::from_slice(&kept.bytes).map_err(|error| error.to_string())?;
        let mut descriptors = kept.descriptors.into_iter();
        let supervisor = match written.supervisor {
            Some(pid) => {
                let channel = descriptors.next().ok_or("a channel is missing")?;
                Supervisor::again(pid, channel).map_err(|error| error.to_string())?
            }
            None => None,
        };
        let groups = written.groups.into_iter().map(|group| {
            let listening: Vec<OwnedFd> = descriptors.by_ref().take(group.paths.len()).collect();
            let whole = listening.len() == group.paths.len();
            let WrittenGroup { name, digest, secret, ordinal, paths, files } = group;
            let sockets = Sockets { secret, ordinal, paths, files, listening };
            let board = descriptors.next().filter(|_| whole).ok_or("a socket is missing")?;
            Ok(Remembered { name, digest, sockets, board })
        });
        let groups = groups.collect::<Result<_, &str>>()?;
        Ok(Memory {
            generation: written.generation,
            next_ordinal: written.next_ordinal,
            supervisor,
            groups,
            retired: written.retired,
            build: written.build,
            programs: written.programs.into_iter().zip(descriptors).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn what_was_kept_is_found_again() {
        let group = |name: &str, count: usize| Remembered {
            name: name.into(),
            digest: "digest".to_owned(),
            sockets: Sockets {
                secret: [7; 32],
                ordinal: 5,
                files: vec![(1, 2); count],
                paths: (0..count).map(|slot| format!("/run/{name}.{slot}").into()).collect(),
                listening: (0..count).map(|_| File::open("/dev/null").unwrap().into()).collect(),
            },
            board: File::open("/dev/zero").unwrap().into(),
        };
        let memory = Memory {
            generation: 3,
            next_ordinal: 9,
            supervisor: None,
            groups: vec![group("one", 2), group("two", 1)],
            retired: vec![Retired { path: "/run/old".into(), since: SystemTime::now() }],
            build: "b".to_owned(),
            programs: [("worker", "/dev/null"), ("supervisor", "/bin/sh")]
                .map(|(name, path)| (name.to_owned(), File::open(path).unwrap().into()))
                .into(),
        };
        let found = Memory::unpack(memory.pack().unwrap()).unwrap();
        assert_eq!((found.generation, found.next_ordinal, found.build.as_str()), (3, 9, "b"));
        let groups: Vec<_> =
            found.groups.iter().map(|one| (one.name.as_slice(), one.sockets.listening.len())).collect();
        assert_eq!(groups, [(&b"one"[..], 2), (b"two", 1)]);
        let Sockets { secret, ordinal, files, .. } = &found.groups[0].sockets;
        assert_eq!((*secret, *ordinal, files.as_slice()), ([7; 32], 5, &[(1, 2), (1, 2)][..]));
        assert_eq!(found.retired[0].path, PathBuf::from("/run/old"));
        let is_program = |name| File::from(found.programs[name].try_clone().unwrap()).metadata().unwrap().is_file();
        assert!(is_program("supervisor") && !is_program("worker"));
        assert!(Memory::default().is_empty() && !found.is_empty());
    }

    #[test]
    fn what_another_build_wrote_is_not_understood() {
        let kept = Kept { bytes: b"{\"generation\":1}".to_vec(), descriptors: Vec::new() };
        assert!(Memory::unpack(kept).is_err());
    }
}
