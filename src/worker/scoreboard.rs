//! `mod_wsgi.server_metrics()`: httpd's scoreboard is in memory that its children have by fork; so a child puts up what it shows, about
//! once a second, while requests come to groups with `server-metrics`.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::OnceLock;

use crate::board::read_notice;
use crate::metrics::{SCOREBOARD, Value};
use crate::os::memory::SeenWords;

static MEMORY: OnceLock<(SeenWords, usize)> = OnceLock::new();

/// The memory, and how long it is. This process can't write there, and keeps no descriptor that could.
///
/// # Errors
/// The system's, or it is no such memory.
pub(super) fn look_at(memory: Option<OwnedFd>, words: Option<usize>) -> io::Result<()> {
    if let Some((memory, words)) = memory.zip(words) {
        let _ = MEMORY.set((SeenWords::of(memory.as_fd(), words)?, words));
    }
    Ok(())
}

/// What was put up last; nothing where nothing was, or where it changes just now, three times in a row. For any thread.
pub(super) fn read() -> Option<Value> {
    let (memory, words) = MEMORY.get()?;
    let text = (0..3).find_map(|_| read_notice(&|place| memory.read(place), *words))?;
    Value::from_json(&serde_json::from_slice(&text).ok()?, &SCOREBOARD)
}
