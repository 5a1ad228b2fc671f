//! A test's own folder: ServerRoot, applications, logs. Removed at the end, kept when the test failed.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A temporary folder that httpd's children can read whoever they run as.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // A UNIX socket in it must fit into the 107 bytes of an address.
        let name = name.get(..40).unwrap_or(name);
        let path = std::env::temp_dir().join(format!("wsgi-{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let folder = Folder { path };
        for inner in ["apps", "conf", "htdocs", "logs", "run", "var"] {
            fs::create_dir(folder.join(inner)).unwrap();
        }
        folder.chmod("", 0o755);
        folder.chmod("var", 0o777);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn join(&self, relative: &str) -> PathBuf {
        self.path.join(relative)
    }

    /// Writes a file, making its folders.
    pub(crate) fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.join(relative);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The file as text; empty where it is not there.
    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read(self.join(relative)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Puts other files in the place of the site's own module and programs, as a package manager does.
    pub(crate) fn renew_module(&self) {
        self.renew(["mod_wsgi.so", "mod_wsgi-supervisor", "mod_wsgi-worker", "mod_wsgi-worker.so"], |bytes| bytes);
    }

    /// The same with these files of a build that speaks another language.
    pub(crate) fn renew_as_another_build(&self, names: impl IntoIterator<Item = impl AsRef<Path>>) {
        self.renew(names, |mut bytes| {
            const MARK: &[u8] = b"mod_wsgi-rs speaks ";
            let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(MARK)).collect();
            assert!(!places.is_empty(), "no mark of a build");
            for at in places {
                bytes[at + MARK.len()..][..16].copy_from_slice(b"another language");
            }
            bytes
        });
    }

    fn renew(&self, names: impl IntoIterator<Item = impl AsRef<Path>>, change: impl Fn(Vec<u8>) -> Vec<u8>) {
        for name in names {
            let file = self.join("modules").join(name);
            let next = file.with_extension("next");
            fs::write(&next, change(fs::read(&file).unwrap())).unwrap();
            fs::set_permissions(&next, fs::metadata(&file).unwrap().permissions()).unwrap();
            fs::rename(next, file).unwrap();
        }
    }

    /// As [`Folder::read`], without so many bytes at the beginning.
    pub(crate) fn read_from(&self, relative: &str, offset: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = fs::File::open(self.join(relative)) {
            file.seek(SeekFrom::Start(offset)).unwrap();
            file.read_to_end(&mut bytes).unwrap();
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn chmod(&self, relative: &str, mode: u32) {
        fs::set_permissions(self.join(relative), fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for reading: {}", self.path.display());
        } else {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|cause| panic!("{}: {cause}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
