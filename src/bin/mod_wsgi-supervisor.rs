//! `mod_wsgi-supervisor`: started by httpd's parent, never by hand. All of it is in the room `supervisor`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mod_wsgi::supervisor::main()
}
