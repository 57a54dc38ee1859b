//! Runs every fuzz target over its corpus and over seeded mutations of it. A
//! failure names the target and the seed that replays it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::Path;

/// Mutations tried for each target.
const MUTATIONS: u64 = 3_000;
/// The longest input tried, in octets.
const INPUT_OCTETS_MAX: usize = 16 * 1024;

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    let first_seed = std::env::var("UTOPIA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for target in fuzz::TARGETS {
        let corpus = corpus(target.name);
        for input in &corpus {
            (target.run)(input);
        }
        for seed in first_seed..first_seed + MUTATIONS {
            let input = mutated(&corpus, &mut ChaCha8Rng::seed_from_u64(seed));
            let replay = Replay { target: target.name, seed };
            (target.run)(&input);
            std::mem::forget(replay);
        }
    }
}

/// Says how to replay when the target panics.
struct Replay {
    target: &'static str,
    seed: u64,
}

impl Drop for Replay {
    fn drop(&mut self) {
        eprintln!("{} failed; replay with UTOPIA_SEED={} cargo test -p utopia-fuzz", self.target, self.seed);
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty: commit some inputs", folder.display());
    files.iter().map(|file| fs::read(file).expect("a file of the corpus")).collect()
}

/// One input of the corpus, changed in a few places, or two of them spliced.
fn mutated(corpus: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = corpus[random.random_range(0..corpus.len())].clone();
    if random.random_ratio(1, 4) {
        let other = &corpus[random.random_range(0..corpus.len())];
        input.truncate(random.random_range(0..=input.len()));
        input.extend_from_slice(&other[random.random_range(0..=other.len())..]);
    }
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=input.len());
        match random.random_range(0..5) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => input[at] = *[0, 1, 0x7f, 0x80, 0xc0, 0xff, b'\r', b'\n', b' ', b'"', b'(', b'{'].get(random.random_range(0..12)).unwrap_or(&0),
            2 => input.insert(at, random.random()),
            3 if at < input.len() => {
                input.remove(at);
            }
            _ => {
                let end = (at + random.random_range(0..64)).min(input.len());
                let piece = input[at..end].to_vec();
                let again = random.random_range(1..4);
                for _ in 0..again {
                    input.splice(at..at, piece.iter().copied());
                }
            }
        }
    }
    input.truncate(INPUT_OCTETS_MAX);
    input
}
