//! Environ keys by their bytes.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::object::Stored;

/// Header names come from clients: no more distinct keys than this are kept.
const MOST: usize = 512;
/// Values are kept up to this length in bytes.
const LONGEST: usize = 256;

/// The interned `str` for each key, as long as an interpreter lives, and its value where that is the same again and again: most of what
/// an environ says is said by every request.
#[derive(Default)]
pub(super) struct Keys(HashMap<Box<[u8]>, Entry, BuildHasherDefault<Quick>>);

pub(super) struct Entry {
    key: Stored,
    /// The hash of the value before this one: what is seen twice is kept.
    seen: u64,
    value: Option<(Box<[u8]>, Stored)>,
}

impl Keys {
    pub(super) fn get(&self, name: &[u8]) -> Option<&Stored> {
        self.0.get(name).map(|entry| &entry.key)
    }

    pub(super) fn entry(&mut self, name: &[u8]) -> Option<&mut Entry> {
        self.0.get_mut(name)
    }

    /// All that is kept, to be released.
    pub(super) fn into_values(self) -> impl Iterator<Item = Stored> {
        self.0.into_values().flat_map(|entry| [Some(entry.key), entry.value.map(|(_, value)| value)]).flatten()
    }

    /// Keeps one more key, if there is room.
    pub(super) fn keep(&mut self, name: &[u8], key: impl FnOnce() -> Stored) {
        if self.0.len() < MOST {
            self.0.insert(name.into(), Entry { key: key(), seen: 0, value: None });
        }
    }
}

impl Entry {
    pub(super) fn key(&self) -> &Stored {
        &self.key
    }

    /// The value of these bytes, if it is the one that is kept.
    pub(super) fn value(&self, bytes: &[u8]) -> Option<&Stored> {
        self.value.as_ref().filter(|(kept, _)| **kept == *bytes).map(|(_, value)| value)
    }

    /// Whether these bytes, which were seen now, should be kept from now on.
    pub(super) fn is_again(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > LONGEST {
            return false;
        }
        let mut hasher = Quick::default();
        hasher.write(bytes);
        std::mem::replace(&mut self.seen, hasher.finish()) == self.seen
    }

    /// Keeps a value; the one before is to be released.
    pub(super) fn keep(&mut self, bytes: &[u8], value: Stored) -> Option<Stored> {
        self.value.replace((bytes.into(), value)).map(|(_, before)| before)
    }
}

/// Hashes short texts in a few steps: every request looks some forty keys up. Whoever makes keys collide gains nothing, since few are kept.
#[derive(Default)]
struct Quick(u64);

impl Quick {
    fn step(&mut self, word: u64) {
        // An odd number with its bits well spread: 2^64 by the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.step(u64::from_le_bytes(*word)));
        match bytes.last_chunk::<8>() {
            // Some bytes of it were there before, which does no harm.
            Some(last) => self.step(u64::from_le_bytes(*last)),
            None => self.step(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))),
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.step(number as u64);
    }

    fn finish(&self) -> u64 {
        // The upper bits are the better ones, and the table looks at the lower first.
        self.0 ^ (self.0 >> 32)
    }
}
