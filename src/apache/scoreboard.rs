//! httpd's scoreboard: what each thread of each child does. Read by children, from any thread; httpd writes it without a lock.

use std::ffi::{c_char, c_int};
use std::ptr::NonNull;

use crate::bindings as raw;

/// The scoreboard as it is read at a moment.
pub(crate) struct Scoreboard {
    pub(crate) server_limit: c_int,
    pub(crate) thread_limit: c_int,
    pub(crate) running_generation: c_int,
    /// Microseconds since the epoch.
    pub(crate) restart_time: i64,
    pub(crate) processes: Vec<Process>,
}

/// A place for a child.
pub(crate) struct Process {
    pub(crate) number: c_int,
    pub(crate) pid: i32,
    pub(crate) generation: c_int,
    pub(crate) quiescing: bool,
    pub(crate) workers: Vec<Worker>,
}

/// A thread of a child. Times are microseconds since the epoch.
pub(crate) struct Worker {
    pub(crate) number: c_int,
    pub(crate) generation: c_int,
    pub(crate) status: Status,
    pub(crate) access_count: u64,
    pub(crate) bytes_served: i64,
    pub(crate) start_time: i64,
    pub(crate) stop_time: i64,
    pub(crate) last_used: i64,
    pub(crate) client: Vec<u8>,
    pub(crate) request: Vec<u8>,
    pub(crate) vhost: Vec<u8>,
}

/// What a thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status(u8);

impl Status {
    /// As mod_status shows it; `?` for what is newer than this module.
    pub(crate) fn letter(self) -> char {
        const LETTERS: [(u32, char); 11] = [
            (raw::SERVER_DEAD, '.'),
            (raw::SERVER_READY, '_'),
            (raw::SERVER_STARTING, 'S'),
            (raw::SERVER_BUSY_READ, 'R'),
            (raw::SERVER_BUSY_WRITE, 'W'),
            (raw::SERVER_BUSY_KEEPALIVE, 'K'),
            (raw::SERVER_BUSY_LOG, 'L'),
            (raw::SERVER_BUSY_DNS, 'D'),
            (raw::SERVER_CLOSING, 'C'),
            (raw::SERVER_GRACEFUL, 'G'),
            (raw::SERVER_IDLE_KILL, 'I'),
        ];
        LETTERS.into_iter().find(|(number, _)| *number == u32::from(self.0)).map_or('?', |(_, letter)| letter)
    }
}

impl Scoreboard {
    /// Reads it; nothing where httpd keeps none.
    pub(crate) fn read() -> Option<Scoreboard> {
        // SAFETY: may be called at any time.
        if unsafe { raw::ap_exists_scoreboard_image() } == 0 {
            return None;
        }
        // SAFETY: there is an image; NULL or memory that stays as long as the child.
        let global = NonNull::new(unsafe { raw::ap_get_scoreboard_global() })?;
        // SAFETY: as above; plain numbers, copied.
        let global = unsafe { global.as_ptr().read_volatile() };
        let processes = (0..global.server_limit).filter_map(|number| Process::read(number, global.thread_limit));
        Some(Scoreboard {
            server_limit: global.server_limit,
            thread_limit: global.thread_limit,
            running_generation: global.running_generation,
            restart_time: global.restart_time,
            processes: processes.collect(),
        })
    }
}

impl Process {
    fn read(number: c_int, threads: c_int) -> Option<Process> {
        // SAFETY: a number below the limit; NULL or memory that stays as long as the child.
        let score = NonNull::new(unsafe { raw::ap_get_scoreboard_process(number) })?;
        // SAFETY: as above; plain numbers, copied. Another process may write one meanwhile: any value is a value.
        let score = unsafe { score.as_ptr().read_volatile() };
        Some(Process {
            number,
            pid: score.pid,
            generation: score.generation,
            quiescing: score.quiescing != 0,
            workers: (0..threads).map(|thread| Worker::read(number, thread)).collect(),
        })
    }
}

impl Worker {
    fn read(process: c_int, number: c_int) -> Worker {
        // SAFETY: numbers and arrays of characters, for which zeros are a value.
        let mut score: raw::worker_score = unsafe { std::mem::zeroed() };
        // SAFETY: a place for the copy; numbers below the limits.
        unsafe { raw::ap_copy_scoreboard_worker(&raw mut score, process, number) };
        Worker {
            number,
            generation: score.generation,
            status: Status(score.status),
            access_count: score.access_count,
            bytes_served: score.bytes_served,
            start_time: score.start_time,
            stop_time: score.stop_time,
            last_used: score.last_used,
            client: text(&score.client64),
            request: text(&score.request),
            vhost: text(&score.vhost),
        }
    }
}

/// A text that ends with its first NUL, or with its place: httpd writes it while we read.
fn text(place: &[c_char]) -> Vec<u8> {
    place.iter().map(|letter| letter.to_ne_bytes()[0]).take_while(|letter| *letter != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_letters_of_mod_status() {
        let letters: String = (0..12).map(|number| Status(number).letter()).collect();
        assert_eq!(letters, ".S_RWKLDCGI?");
    }

    #[test]
    fn a_text_that_fills_its_place_has_no_end() {
        let letters = |bytes: &[u8]| bytes.iter().map(|byte| c_char::from_ne_bytes([*byte])).collect::<Vec<_>>();
        assert_eq!(text(&letters(b"ab\0c")), b"ab");
        assert_eq!(text(&letters(b"abcd")), b"abcd");
    }
}
