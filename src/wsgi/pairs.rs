//! `Pairs`: an ordered list of byte keys and values in one allocation.
//!
//! Holds `environ` before it becomes a dict (or is sent to a daemon) and the headers of a response. Keys may repeat: what a repeat
//! means is the reader's business: in a dict the last wins.

/// An ordered list of (key, value) pairs of bytes; a value may be missing, which `environ` shows as `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

/// Where one pair lies in the arena: key `start..key_end`, value `key_end..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    key_end: usize,
    end: usize,
    has_value: bool,
}

impl Pairs {
    /// An empty list with room for `pairs` pairs of `bytes` bytes together.
    #[must_use]
    pub fn with_capacity(pairs: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), spans: Vec::with_capacity(pairs) }
    }

    /// Appends a pair.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8]) {
        self.push_built(|out| out.bytes(key), |out| out.bytes(value));
    }

    /// Appends a pair whose value may be missing.
    pub fn push_optional(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.push(key, value),
            None => self.push_valueless(|out| out.bytes(key)),
        }
    }

    /// Appends a pair whose key and value the closures write straight into the arena, key first.
    pub(super) fn push_built(&mut self, key: impl FnOnce(&mut Appender<'_>), value: impl FnOnce(&mut Appender<'_>)) {
        let start = self.bytes.len();
        key(&mut Appender { bytes: &mut self.bytes });
        let key_end = self.bytes.len();
        value(&mut Appender { bytes: &mut self.bytes });
        self.spans.push(Span { start, key_end, end: self.bytes.len(), has_value: true });
    }

    /// Appends a key without a value; the closure writes the key.
    pub(super) fn push_valueless(&mut self, key: impl FnOnce(&mut Appender<'_>)) {
        let start = self.bytes.len();
        key(&mut Appender { bytes: &mut self.bytes });
        let end = self.bytes.len();
        self.spans.push(Span { start, key_end: end, end, has_value: false });
    }

    /// The value of the last pair with this key, letter case of ASCII ignored: for header names.
    #[must_use]
    pub(super) fn get_ignore_case(&self, key: &[u8]) -> Option<&[u8]> {
        self.iter().rev().find_map(|(name, value)| name.eq_ignore_ascii_case(key).then_some(value))
    }

    /// The value of the last pair with exactly this key (a missing value is empty): what a dict would hold.
    #[must_use]
    pub(super) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        self.iter().rev().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Whether another list has the same keys in the same order.
    #[must_use]
    pub fn has_keys_of(&self, other: &Pairs) -> bool {
        let (own, its) = (self.entries(), other.entries());
        // From the end: what a server adds itself comes first, and is the same for all clients.
        own.len() == its.len() && own.rev().zip(its.rev()).all(|((own, _), (its, _))| own == its)
    }

    /// Removes every pair whose key is `lost`.
    pub(super) fn remove(&mut self, lost: impl Fn(&[u8]) -> bool) {
        let bytes = &self.bytes;
        self.spans.retain(|span| !lost(bytes.get(span.start..span.key_end).unwrap_or_default()));
    }

    /// All pairs in order; a missing value is shown as empty.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], &[u8])> + ExactSizeIterator {
        self.entries().map(|(key, value)| (key, value.unwrap_or_default()))
    }

    /// All pairs in order; a missing value is `None`.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> + ExactSizeIterator {
        self.spans.iter().map(|span| {
            let key = self.bytes.get(span.start..span.key_end).unwrap_or_default();
            let value = self.bytes.get(span.key_end..span.end).unwrap_or_default();
            (key, span.has_value.then_some(value))
        })
    }
}

/// Writes one side of a pair into the arena; can only append.
#[derive(Debug)]
pub(super) struct Appender<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Appender<'_> {
    /// Appends bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends each byte of an iterator.
    pub(super) fn each(&mut self, bytes: impl Iterator<Item = u8>) {
        self.bytes.extend(bytes);
    }

    /// Appends a number in decimal.
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        let mut rest: u64 = number.into();
        // u64::MAX has 20 digits.
        let mut digits = [0_u8; 20];
        let mut used = 0;
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            used += 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.bytes.extend_from_slice(digits.get(digits.len() - used..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_their_order_and_repeats() {
        let mut pairs = Pairs::default();
        pairs.push(b"b", b"1");
        pairs.push(b"a", b"");
        pairs.push(b"b", b"2");
        let all: Vec<_> = pairs.iter().collect();
        assert_eq!(all, [(&b"b"[..], &b"1"[..]), (b"a", b""), (b"b", b"2")]);
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let mut pairs = Pairs::default();
        pairs.push(b"Key", b"first");
        pairs.push(b"key", b"other case");
        pairs.push(b"Key", b"last");
        assert_eq!(pairs.get(b"Key"), Some(&b"last"[..]));
        assert_eq!(pairs.get(b"KEY"), None);
        assert_eq!(pairs.get_ignore_case(b"KEY"), Some(&b"last"[..]));
        assert_eq!(pairs.get(b"Ke"), None);
    }

    #[test]
    fn a_missing_value_is_none_in_entries_and_empty_elsewhere() {
        let mut pairs = Pairs::default();
        pairs.push_optional(b"none", None);
        pairs.push_optional(b"empty", Some(b""));
        assert_eq!(pairs.entries().collect::<Vec<_>>(), [(&b"none"[..], None), (b"empty", Some(&b""[..]))]);
        assert_eq!(pairs.get(b"none"), Some(&b""[..]));
    }

    #[test]
    fn what_is_removed_leaves_the_others_in_their_order() {
        let mut pairs = Pairs::default();
        for (key, value) in [("a", "1"), ("b", "2"), ("A", "3"), ("c", "4"), ("a", "5")] {
            pairs.push(key.as_bytes(), value.as_bytes());
        }
        pairs.remove(|key| key.eq_ignore_ascii_case(b"a"));
        assert_eq!(pairs.iter().collect::<Vec<_>>(), [(&b"b"[..], &b"2"[..]), (b"c", b"4")]);
    }

    #[test]
    fn builders_write_both_sides() {
        let mut pairs = Pairs::default();
        pairs.push_built(|key| key.each(b"abc".iter().map(u8::to_ascii_uppercase)), |value| value.number(8080_u16));
        pairs.push_valueless(|key| key.bytes(b"D"));
        assert_eq!(pairs.entries().collect::<Vec<_>>(), [(&b"ABC"[..], Some(&b"8080"[..])), (b"D", None)]);
    }

    #[test]
    fn numbers_of_every_width_are_written_in_full() {
        for number in [0, 1, 9, 10, 99, 65_535, u64::from(u32::MAX), u64::MAX] {
            let mut pairs = Pairs::default();
            pairs.push_built(|_| (), |value| value.number(number));
            assert_eq!(pairs.get(b""), Some(number.to_string().as_bytes()));
        }
    }

    #[test]
    fn keys_and_values_may_hold_any_byte() {
        let mut pairs = Pairs::default();
        pairs.push(b"\0\xff", b"\n\0");
        assert_eq!(pairs.iter().next(), Some((&b"\0\xff"[..], &b"\n\0"[..])));
    }
}
