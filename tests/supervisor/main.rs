//! The supervisor as a real process, with workers that are made up: what happens when they crash, ask to be replaced, lie, hang,
//! when httpd restarts, stops or dies.
//!
//! This program plays all other parts. Started by cargo it is the tests, and httpd's parent to a supervisor of each; started by the
//! supervisor as `(wsgi:name)` it is a worker (`worker.rs`), started by a test as `parent` it is a parent that will be killed.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that fails panics; clippy knows test functions, but not what they call"
)]

mod parent;
mod tests;
mod worker;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.first().map(String::as_str) {
        Some(name) if name.starts_with("(wsgi:") => return worker::main(),
        Some("parent") => return parent::doomed(),
        _ => {}
    }
    // As libtest understands it: words that names contain; options are not for us.
    let wanted: Vec<&String> = arguments.iter().skip(1).filter(|word| !word.starts_with('-')).collect();
    let chosen = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    let tests: Vec<_> = tests::ALL.iter().filter(|(name, _)| chosen(name)).collect();
    if arguments.iter().any(|word| word == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let failed = std::thread::scope(|scope| {
        let running: Vec<_> = tests
            .iter()
            .map(|(name, test)| {
                let run = move || {
                    let begun = Instant::now();
                    let good = catch_unwind(test).is_ok();
                    let word = if good { "ok" } else { "FAILED" };
                    println!("test {name} ... {word} ({:.1} s)", begun.elapsed().as_secs_f64());
                    good
                };
                std::thread::Builder::new().name((*name).to_owned()).spawn_scoped(scope, run).unwrap()
            })
            .collect();
        running.into_iter().map(|thread| thread.join()).filter(|good| !matches!(good, Ok(true))).count()
    });
    println!("{} passed, {failed} failed", tests.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
