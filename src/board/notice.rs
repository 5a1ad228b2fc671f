//! A text that children put up for workers, about once a second: what httpd's scoreboard shows.
//!
//! Nobody holds anything while it is written, so a process that dies leaves nothing locked: who reads compares a digest, and takes what
//! two have written at once for none.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CLOCK: usize = 0;
const LENGTH: usize = 1;
const DIGEST: usize = 2;
const TEXT: usize = 3;
/// A second in the clock's unit.
const TURN: u32 = 1000;

/// The place for it, for those who write.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'m>(&'m [AtomicU32]);

impl<'m> Notice<'m> {
    /// How many numbers a text of so many bytes takes.
    #[must_use]
    pub const fn words(bytes: usize) -> usize {
        TEXT + bytes.div_ceil(4)
    }

    #[must_use]
    pub const fn new(words: &'m [AtomicU32]) -> Notice<'m> {
        Notice(words)
    }

    /// Whether it is a second since somebody had the turn to write; then the caller has it. `now` is of a clock that all processes share.
    #[must_use]
    pub fn is_due(self, now: Duration) -> bool {
        let Some(clock) = self.0.get(CLOCK) else { return false };
        // Wraps after 49 days; 0 is "never".
        #[expect(clippy::cast_possible_truncation, reason = "differences are taken modulo the same")]
        let now = (now.as_millis() as u32).max(1);
        let last = clock.load(Ordering::Relaxed);
        (last == 0 || now.wrapping_sub(last) >= TURN)
            && clock.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Puts up a text; nothing changes where it is too long.
    pub fn write(self, text: &[u8]) {
        let (Some(length), Some(digest), Some(words)) = (self.0.get(LENGTH), self.0.get(DIGEST), self.0.get(TEXT..))
        else {
            return;
        };
        let (Ok(count), true) = (u32::try_from(text.len()), text.len().div_ceil(4) <= words.len()) else { return };
        for (word, bytes) in words.iter().zip(text.chunks(4)) {
            let mut four = [0; 4];
            four.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
            word.store(u32::from_le_bytes(four), Ordering::Relaxed);
        }
        length.store(count, Ordering::Relaxed);
        digest.store(digest_of(text), Ordering::Relaxed);
    }
}

/// The text that is up; none where there is none, or where it changes just now.
pub fn read_notice(read: &dyn Fn(usize) -> u32, words: usize) -> Option<Vec<u8>> {
    let length = usize::try_from(read(LENGTH)).ok()?;
    if length == 0 || Notice::words(length) > words {
        return None;
    }
    let mut text: Vec<u8> = (TEXT..Notice::words(length)).flat_map(|place| read(place).to_le_bytes()).collect();
    text.truncate(length);
    (digest_of(&text) == read(DIGEST)).then_some(text)
}

/// FNV-1a.
fn digest_of(text: &[u8]) -> u32 {
    text.iter().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(bytes: usize) -> Vec<AtomicU32> {
        (0..Notice::words(bytes)).map(|_| AtomicU32::new(0)).collect()
    }

    fn read(words: &[AtomicU32]) -> Option<Vec<u8>> {
        read_notice(&|place| words[place].load(Ordering::Relaxed), words.len())
    }

    #[test]
    fn what_was_written_last_is_read() {
        let words = memory(10);
        assert_eq!(read(&words), None);
        for text in ["0123456789", "abc", "12345678"] {
            Notice::new(&words).write(text.as_bytes());
            assert_eq!(read(&words).as_deref(), Some(text.as_bytes()));
        }
        Notice::new(&words).write(b"more than there is room for");
        assert_eq!(read(&words).as_deref(), Some(&b"12345678"[..]));
        Notice::new(&[]).write(b"x");
    }

    #[test]
    fn what_two_have_written_at_once_is_nothing() {
        let words = memory(8);
        Notice::new(&words).write(b"abcdefgh");
        words[TEXT].store(0, Ordering::Relaxed);
        assert_eq!(read(&words), None);
        words[LENGTH].store(u32::MAX, Ordering::Relaxed);
        assert_eq!(read(&words), None);
    }

    #[test]
    fn one_process_a_second_has_the_turn() {
        let words = memory(0);
        let due = |milliseconds| Notice::new(&words).is_due(Duration::from_millis(milliseconds));
        assert_eq!([0, 1, 999, 1001, 1002, 2001].map(due), [true, false, false, true, false, true]);
        let wrap = 1 << 32;
        assert_eq!([wrap - 1, wrap + 500, wrap + 1000].map(due), [true, false, true]);
    }
}
