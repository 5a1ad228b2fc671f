//! What a test body is repeated over: the mode that runs the application, httpd's MPM, the kind of interpreter.

/// Who runs the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// httpd's own child processes.
    Embedded,
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
    /// What the module does by default: one sub-interpreter per application.
    Default,
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

    pub(crate) const fn under(self, mpm: Mpm) -> Setting {
        Setting { mpm, ..self }
    }

    pub(crate) const fn in_main(self) -> Setting {
        Setting { interpreter: Interpreter::Main, ..self }
    }

    /// Configuration at server level that brings this setting about.
    pub(crate) fn lines(self) -> String {
        let mode = match self.mode {
            Mode::Embedded => "",
        };
        let interpreter = match self.interpreter {
            Interpreter::Default => "",
            Interpreter::Main => "WSGIApplicationGroup %{GLOBAL}\n",
        };
        format!("{mode}{interpreter}")
    }
}
