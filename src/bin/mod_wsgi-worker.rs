//! A process of a daemon group. Started by `mod_wsgi-supervisor`, never by hand.

fn main() -> std::process::ExitCode {
    mod_wsgi::worker::main().into()
}
