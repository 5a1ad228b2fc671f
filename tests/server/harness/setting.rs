//! What a test body is repeated over: the mode that runs the application, httpd's MPM, the kind of interpreter.

/// Who runs the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// httpd's own child processes.
    Embedded,
    /// A daemon process group `site` that every request goes to; [`crate::harness::Site::daemon`] gives it other options.
    Daemon,
    /// Daemon process groups that the test itself configures.
    Groups,
}

impl Mode {
    /// Whether applications run in daemon processes.
    pub(crate) fn is_daemon(self) -> bool {
        self != Mode::Embedded
    }
}

/// httpd's multi-processing module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mpm {
    Event,
    Worker,
    Prefork,
}

impl Mpm {
    /// The name in `mod_mpm_<name>.so`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mpm::Event => "event",
            Mpm::Worker => "worker",
            Mpm::Prefork => "prefork",
        }
    }
}

/// Which interpreter serves an application that names no application group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interpreter {
    /// What the module does by default: one sub-interpreter per application, or the main one in a group of its own.
    Default,
    /// A sub-interpreter, by `WSGIApplicationGroup %{RESOURCE}`.
    Sub,
    /// The main interpreter, by `WSGIApplicationGroup %{GLOBAL}`.
    Main,
}

/// One way to run a test body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Setting {
    pub(crate) mode: Mode,
    pub(crate) mpm: Mpm,
    pub(crate) interpreter: Interpreter,
}

impl Setting {
    /// Embedded mode, event MPM, default interpreter.
    pub(crate) const EMBEDDED: Setting =
        Setting { mode: Mode::Embedded, mpm: Mpm::Event, interpreter: Interpreter::Default };

    /// As [`Setting::EMBEDDED`], in a daemon process group.
    pub(crate) const DAEMON: Setting = Setting { mode: Mode::Daemon, ..Setting::EMBEDDED };

    /// As [`Setting::DAEMON`], with groups that the test configures.
    pub(crate) const GROUPS: Setting = Setting { mode: Mode::Groups, ..Setting::EMBEDDED };

    pub(crate) const fn under(self, mpm: Mpm) -> Setting {
        Setting { mpm, ..self }
    }

    pub(crate) const fn in_sub(self) -> Setting {
        Setting { interpreter: Interpreter::Sub, ..self }
    }

    pub(crate) const fn in_main(self) -> Setting {
        Setting { interpreter: Interpreter::Main, ..self }
    }

    /// Configuration at server level that brings this setting about; `options` are the group's.
    pub(crate) fn lines(self, options: &str) -> String {
        let mode = match self.mode {
            Mode::Embedded | Mode::Groups => String::new(),
            Mode::Daemon => format!("WSGIDaemonProcess site {options}\nWSGIProcessGroup site\n"),
        };
        let interpreter = match self.interpreter {
            Interpreter::Default => "",
            Interpreter::Sub => "WSGIApplicationGroup %{RESOURCE}\n",
            Interpreter::Main => "WSGIApplicationGroup %{GLOBAL}\n",
        };
        mode + interpreter
    }
}
