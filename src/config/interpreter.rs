//! What lines say of interpreters: outside `<WSGIInterpreterOptions>` for all, inside for some.
//!
//! Written by the parent while it reads its configuration; a child has it by fork, a worker gets its group's part with its settings.
//! Asked once for each interpreter, when it is made: only then is its name known.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// All that is said of interpreters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreters {
    /// Lines outside. In a daemon process group `python-path` and `switch-interval` stand for theirs.
    pub all: InterpreterOptions,
    /// One for each `<WSGIInterpreterOptions>`, in the order written.
    pub some: Vec<InterpreterOptions>,
}

/// Lines in one place, and for which interpreters they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterpreterOptions {
    /// The processes: a daemon process group's name, empty for httpd's children. None is all.
    pub process_group: Option<Vec<u8>>,
    /// The interpreter's name, empty for the main one. None is all.
    pub application_group: Option<Vec<u8>>,
    /// `WSGIPythonPath`, split at `:`, in order, without empty parts.
    pub python_path: Vec<Vec<u8>>,
    pub per_interpreter_gil: Option<bool>,
    pub free_threading: Option<bool>,
    pub switch_interval: Option<Duration>,
    pub restrict_stdin: Option<bool>,
    pub restrict_stdout: Option<bool>,
    pub restrict_signal: Option<bool>,
}

/// Whose GIL an interpreter can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gil {
    /// It is the main interpreter, whose GIL others may share.
    Main,
    /// This Python can give it one of its own.
    Possible,
    /// It shares the main interpreter's, or there is none.
    Shared,
}

/// What holds in one interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterpreterSettings {
    /// What goes in front of `sys.path`, one list after the other.
    pub paths: Vec<Vec<Vec<u8>>>,
    pub own_gil: bool,
    pub switch_interval: Option<Duration>,
    /// A switch interval for this interpreter that can't hold: it would hold for all that share the GIL.
    pub unusable_switch_interval: Option<Duration>,
    pub restrict_stdin: bool,
    pub restrict_stdout: bool,
    pub restrict_signal: bool,
}

impl Interpreters {
    /// The part that concerns processes of this group (empty: httpd's children).
    pub fn of_processes(&self, process_group: &[u8]) -> Interpreters {
        let some = self.some.iter().filter(|one| one.is_for(process_group)).cloned().collect();
        Interpreters { all: self.all.clone(), some }
    }

    /// What holds in an interpreter.
    pub fn settings(&self, process_group: &[u8], application_group: &[u8], gil: Gil) -> InterpreterSettings {
        let matching = self.matching(process_group, |name| name == application_group);
        let own_gil = gil == Gil::Possible && last(&matching, |one| one.per_interpreter_gil).unwrap_or(false);
        let is_for_one = |one: &&InterpreterOptions| one.application_group.is_some();
        let (own_interval, shared): (Vec<_>, Vec<_>) = matching.iter().copied().partition(is_for_one);
        let own_interval = last(&own_interval, |one| one.switch_interval);
        let shared = || last(&shared, |one| one.switch_interval);
        let alone = own_gil || gil == Gil::Main;
        InterpreterSettings {
            paths: matching.iter().map(|one| one.python_path.clone()).filter(|path| !path.is_empty()).collect(),
            own_gil,
            switch_interval: if alone { last(&matching, |one| one.switch_interval) } else { shared() },
            unusable_switch_interval: own_interval.filter(|_| !alone),
            restrict_stdin: last(&matching, |one| one.restrict_stdin).unwrap_or(false),
            restrict_stdout: last(&matching, |one| one.restrict_stdout).unwrap_or(false),
            restrict_signal: last(&matching, |one| one.restrict_signal).unwrap_or(true),
        }
    }

    /// Whether processes of this group run without the GIL, where their Python can.
    pub fn free_threading(&self, process_group: &[u8]) -> bool {
        last(&self.matching(process_group, |_| false), |one| one.free_threading).unwrap_or(false)
    }

    /// Whether an interpreter of processes of this group may have a GIL of its own, where their Python can.
    pub fn per_interpreter_gil(&self, process_group: &[u8]) -> bool {
        let outer = last(&self.matching(process_group, |_| false), |one| one.per_interpreter_gil).unwrap_or(false);
        let inner = |one: &InterpreterOptions| {
            one.is_for(process_group)
                && one.application_group.as_ref().is_some_and(|name| !name.is_empty())
                && one.per_interpreter_gil == Some(true)
        };
        outer || self.some.iter().any(inner)
    }

    /// Those for an interpreter: what is nearer to it comes later.
    fn matching(&self, process_group: &[u8], is_its_name: impl Fn(&[u8]) -> bool) -> Vec<&InterpreterOptions> {
        let matches = |one: &&InterpreterOptions| {
            one.is_for(process_group) && one.application_group.as_deref().is_none_or(&is_its_name)
        };
        let mut matching: Vec<&InterpreterOptions> = self.some.iter().filter(matches).collect();
        matching.sort_by_key(|one| [&one.process_group, &one.application_group].into_iter().flatten().count());
        matching.insert(0, &self.all);
        matching
    }
}

impl InterpreterOptions {
    fn is_for(&self, process_group: &[u8]) -> bool {
        self.process_group.as_deref().is_none_or(|name| name == process_group)
    }
}

/// What the last one says that says anything.
fn last<T>(matching: &[&InterpreterOptions], said: impl Fn(&InterpreterOptions) -> Option<T>) -> Option<T> {
    matching.iter().rev().find_map(|one| said(one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::Reader;

    /// Reads lines; those behind a section's line, up to an empty one, stand in it.
    fn read(lines: &[&str]) -> Interpreters {
        let mut reader = Reader::new();
        for line in lines {
            reader = reader.loads(line);
            reader.in_options = match *line {
                "" => false,
                line => reader.in_options || line.starts_with('<'),
            };
        }
        reader.server.process.interpreters
    }

    const ONE: &str = "<WSGIInterpreterOptions process-group=shop application-group=one>";
    const SHOP: &str = "<WSGIInterpreterOptions process-group=shop>";
    const NAMED: &str = "<WSGIInterpreterOptions application-group=one>";
    const ALL: &str = "<WSGIInterpreterOptions>";

    #[test]
    fn what_is_nearer_to_an_interpreter_counts() {
        let read = read(&[
            ONE,
            "WSGIRestrictStdin On",
            "",
            SHOP,
            "WSGIRestrictStdin Off",
            "WSGIRestrictStdout On",
            "",
            "WSGIRestrictStdout Off",
            "WSGIRestrictSignal Off",
        ]);
        for (process, application, wanted) in [
            ("shop", "one", (true, true, false)),
            ("shop", "two", (false, true, false)),
            ("shop", "", (false, true, false)),
            ("", "one", (false, false, false)),
        ] {
            let found = read.settings(process.as_bytes(), application.as_bytes(), Gil::Shared);
            let found = (found.restrict_stdin, found.restrict_stdout, found.restrict_signal);
            assert_eq!(found, wanted, "{process} {application}");
        }
    }

    #[test]
    fn of_two_that_are_equally_near_the_later_counts() {
        for (lines, on) in [
            (&[NAMED, "WSGIRestrictStdin On", "", SHOP, "WSGIRestrictStdin Off"][..], false),
            (&[SHOP, "WSGIRestrictStdin Off", "", NAMED, "WSGIRestrictStdin On"], true),
            (&[SHOP, "WSGIRestrictStdin On", "", ALL, "WSGIRestrictStdin Off"], true),
            (&[ALL, "WSGIRestrictStdin On", "", "WSGIRestrictStdin Off"], true),
        ] {
            assert_eq!(read(lines).settings(b"shop", b"one", Gil::Shared).restrict_stdin, on, "{lines:?}");
        }
    }

    #[test]
    fn global_is_the_children_and_the_main_interpreter() {
        let read = read(&[
            "<WSGIInterpreterOptions process-group=%{GLOBAL} application-group=%{GLOBAL}>",
            "WSGIRestrictStdin On",
        ]);
        assert!(read.settings(b"", b"", Gil::Main).restrict_stdin);
        assert!(!read.settings(b"shop", b"", Gil::Main).restrict_stdin);
        assert!(!read.settings(b"", b"one", Gil::Shared).restrict_stdin);
    }

    #[test]
    fn paths_add_up_from_outside_in() {
        let read =
            read(&[ONE, "WSGIPythonPath /e:/f", "", ALL, "WSGIPythonPath /c:", "", SHOP, "", "WSGIPythonPath /a:/b"]);
        let paths = |process: &[u8]| {
            let found = read.settings(process, b"one", Gil::Shared).paths;
            found.iter().map(|path| path.join(&b':')).map(|path| String::from_utf8(path).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(paths(b"shop"), ["/a:/b", "/c", "/e:/f"]);
        assert_eq!(paths(b""), ["/a:/b", "/c"]);
    }

    #[test]
    fn a_gil_of_its_own_takes_a_python_that_can_and_another_interpreter_than_the_main_one() {
        let read = read(&[NAMED, "WSGIPerInterpreterGIL Off", "", "WSGIPerInterpreterGIL On"]);
        for (name, gil, own) in [
            ("two", Gil::Possible, true),
            ("two", Gil::Shared, false),
            ("one", Gil::Possible, false),
            ("", Gil::Main, false),
        ] {
            assert_eq!(read.settings(b"", name.as_bytes(), gil).own_gil, own, "{name} {gil:?}");
        }
    }

    #[test]
    fn a_switch_interval_for_one_interpreter_holds_only_where_the_gil_is_its_own() {
        let read = read(&["WSGISwitchInterval 1", NAMED, "WSGISwitchInterval 2", "WSGIPerInterpreterGIL On"]);
        let found = |name: &[u8], gil| {
            let found = read.settings(b"", name, gil);
            let seconds = |interval: Option<Duration>| interval.map_or(0, |interval| interval.as_secs());
            (seconds(found.switch_interval), seconds(found.unusable_switch_interval))
        };
        assert_eq!(found(b"one", Gil::Possible), (2, 0));
        assert_eq!(found(b"one", Gil::Main), (2, 0));
        assert_eq!(found(b"one", Gil::Shared), (1, 2));
        assert_eq!(found(b"two", Gil::Shared), (1, 0));
    }

    #[test]
    fn free_threading_is_of_whole_processes() {
        let read = read(&[
            SHOP,
            "WSGIFreeThreading On",
            "",
            "<WSGIInterpreterOptions application-group=x>",
            "WSGIFreeThreading On",
        ]);
        assert!(read.free_threading(b"shop") && !read.free_threading(b""));
    }

    #[test]
    fn whether_any_interpreter_may_have_a_gil_of_its_own() {
        assert!(!read(&[SHOP, "WSGIPerInterpreterGIL On"]).per_interpreter_gil(b""));
        assert!(
            !read(&["<WSGIInterpreterOptions application-group=%{GLOBAL}>", "WSGIPerInterpreterGIL On"])
                .per_interpreter_gil(b"")
        );
        for section in [SHOP, ONE, NAMED, ALL] {
            assert!(read(&[section, "WSGIPerInterpreterGIL On"]).per_interpreter_gil(b"shop"), "{section}");
        }
    }

    #[test]
    fn processes_get_their_own_part_only() {
        let part = read(&[SHOP, "", NAMED, "", "<WSGIInterpreterOptions process-group=blog>"]).of_processes(b"shop");
        assert_eq!(part.some.len(), 2);
    }
}
