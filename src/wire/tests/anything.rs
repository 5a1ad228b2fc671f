//! Random bytes, damaged conversations, and what fuzzing found: `properties` holds for all.

use std::path::Path;

use super::*;

/// SplitMix64: numbers that look random, the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from_le_bytes(self.next().to_le_bytes()) % limit
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

#[test]
fn random_bytes_never_break_a_reader() {
    let before = child_stream(&[HELLO]);
    for seed in 0..200 {
        let mut random = Random(seed);
        let bytes: Vec<u8> = (0..random.below(200)).map(|_| random.byte()).collect();
        properties::hold(Sender::Child, &bytes);
        properties::hold(Sender::Worker, &bytes);
        // With a header that is in order, the payload is what is random.
        let kind = Kind::ALL[random.below(Kind::ALL.len())];
        let framed = raw(kind, &bytes);
        properties::hold(Sender::Child, &[&before[..], &framed].concat());
        properties::hold(Sender::Worker, &framed);
    }
}

#[test]
fn damaged_streams_never_break_a_reader() {
    let streams = [
        (Sender::Child, child_stream(&child_frames(&environ_bytes()))),
        (Sender::Worker, worker_stream(&worker_frames(&encoded_head()))),
    ];
    for seed in 0..200 {
        let mut random = Random(seed);
        for (sender, stream) in &streams {
            let mut bytes = stream.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[at] = random.byte(),
                    1 => bytes[at] ^= 1 << random.below(8),
                    2 => bytes.insert(at, random.byte()),
                    _ => drop(bytes.remove(at)),
                }
            }
            properties::hold(*sender, &bytes);
        }
    }
}

#[test]
fn what_fuzzing_found_stays_fixed() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (target, sender) in [("wire_child", Sender::Child), ("wire_worker", Sender::Worker)] {
        let inputs = std::fs::read_dir(corpus.join(target)).unwrap();
        let replayed = inputs.map(|input| properties::hold(sender, &std::fs::read(input.unwrap().path()).unwrap()));
        assert!(replayed.count() > 0, "no corpus for {target}");
    }
}
