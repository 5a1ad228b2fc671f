//! What an administrator may write: the table of directives, what each line does, and the settings that come out.
//!
//! `hooks` registers [`DIRECTIVES`] with httpd and calls [`apply`] for each line: the parent does so while it reads its
//! configuration (`httpd -t` too), a child while it reads an `.htaccess` file. `embedded` and `python` read the results,
//! [`ServerConfig`] and [`DirConfig`], after httpd merged them with `merge`; once all is read, the parent calls [`check_groups`] and [`lint`].
//!
//! Nothing here knows httpd: what a directive needs from it comes in through [`Surroundings`]. No clock, no files, no
//! environment, no statics that change.
#![forbid(unsafe_code)]

mod alone;
mod check;
mod daemon;
mod dir;
mod directive;
mod group;
mod interpreter;
mod lint;
mod place;
mod process;
mod proxies;
mod python_home;
mod reference;
mod refusal;
mod script;
mod server;
mod table;
mod words;

pub use alone::{Alone, alone};
pub use check::check_groups;
pub use daemon::{DaemonGroup, DaemonOptions};
pub use dir::{DirConfig, HeadMapping};
pub use directive::{Arguments, Context, Directive, Kind, Merge, OptionRow, Range, Standing, apply};
pub use interpreter::{Gil, InterpreterOptions, InterpreterSettings, Interpreters};
pub use lint::{Facts, Installation, Python, Seen, SocketDirectory, Step, lint};
pub use place::{Level, Pattern, Place, Surroundings};
pub use process::{HashSeed, ImportOrigin, ImportScript, ProcessConfig};
pub use proxies::{Network, PROXY_HEADERS};
pub use python_home::{OLDEST_PYTHON, PythonVersion, environment_setting, environment_version};
pub use reference::reference;
pub use refusal::Refusal;
pub use script::{HandlerScript, Script};
pub use server::{Alias, AliasPattern, Chosen, SectionGroup, ServerConfig, all_daemons, imports_of};
pub use table::DIRECTIVES;
pub use words::{Words, split};

#[cfg(test)]
mod testing;
