//! Scripts that workers named. They run code that nobody vouches for: what is kept of their words is bounded in number and in bytes.

use std::collections::BTreeSet;

use super::event::Script;

/// Of all names together: a thousand of usual length.
const MOST_BYTES: usize = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Scripts {
    all: BTreeSet<Script>,
    bytes: usize,
}

impl Scripts {
    /// Answers whether it is a new one, and was kept. The first one always is.
    pub(super) fn add(&mut self, script: &Script, most: usize) -> bool {
        let bytes = self.bytes.saturating_add(script.0.len()).saturating_add(script.1.len());
        let room = self.all.is_empty() || (self.all.len() < most && bytes <= MOST_BYTES);
        let new = room && self.all.insert(script.clone());
        if new {
            self.bytes = bytes;
        }
        new
    }

    pub(super) fn to_vec(&self) -> Vec<Script> {
        self.all.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let script =
            |number: u32, length: usize| ([&number.to_be_bytes(), vec![b'x'; length].as_slice()].concat(), vec![b'y']);
        let mut few = Scripts::default();
        let kept: Vec<u32> = [1, 2, 1, 3, 4].into_iter().filter(|number| few.add(&script(*number, 10), 3)).collect();
        assert_eq!((kept, few.to_vec().len()), (vec![1, 2, 3], 3));
        let mut long = Scripts::default();
        let kept = (0..1000).filter(|number| long.add(&script(*number, 16_000), 1000)).count();
        assert_eq!((kept, long.to_vec().len()), (16, 16));
        assert!(long.add(&script(1000, 1), 1000), "where there is room for it");
        assert!(Scripts::default().add(&script(0, MOST_BYTES), 1));
    }
}
