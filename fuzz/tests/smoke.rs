//! Runs every fuzz target over its corpus and over seeded mutations of it. A
//! failure names the target and the seed that replays it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::path::{Path, PathBuf};

/// Mutations tried for each target, in a debug build within seconds.
const MUTATIONS: u64 = 600;
/// The longest input tried, in octets.
const INPUT_OCTETS_MAX: usize = 16 * 1024;
/// Octets of the largest file of the corpus.
const CORPUS_FILE_OCTETS_MAX: u64 = 8 * 1024;

#[test]
fn every_target_survives_its_corpus_and_mutations_of_it() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first_seed = number("UTOPIA_SEED").unwrap_or(1);
    let mutations = number("UTOPIA_MUTATIONS").unwrap_or(MUTATIONS);
    let wanted = std::env::var("UTOPIA_TARGET").ok();
    for target in
        fuzz::TARGETS.iter().filter(|target| wanted.as_deref().is_none_or(|wanted| wanted == target.name))
    {
        let corpus = corpus(target.name);
        for (file, input) in &corpus {
            let _replay = Replay { target: target.name, input: file.clone() };
            (target.run)(input);
        }
        for seed in first_seed..first_seed + mutations {
            let input = mutated(&corpus, &mut ChaCha8Rng::seed_from_u64(seed));
            let _replay = Replay { target: target.name, input: format!("UTOPIA_SEED={seed}") };
            (target.run)(&input);
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(folder.join("corpus")).expect("the corpus").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(
            folder.join("fuzz_targets").join(format!("{name}.rs")).exists(),
            "nothing reads corpus/{name}"
        );
        for file in fs::read_dir(entry.path()).expect("a folder").flatten() {
            let octets = file.metadata().expect("a file").len();
            assert!(octets <= CORPUS_FILE_OCTETS_MAX, "{} has {octets} octets", file.path().display());
        }
    }
}

/// Says how to replay when the target panics.
struct Replay {
    target: &'static str,
    input: String,
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{} failed at {}; replay with UTOPIA_TARGET={} UTOPIA_SEED=… UTOPIA_MUTATIONS=1 cargo test -p utopia-fuzz",
                self.target, self.input, self.target
            );
        }
    }
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty: commit some inputs", folder.display());
    let read = |file: &PathBuf| (file.display().to_string(), fs::read(file).expect("a file of the corpus"));
    files.iter().map(read).collect()
}

/// One input of the corpus, changed in a few places, or two of them spliced.
fn mutated(corpus: &[(String, Vec<u8>)], random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut input = corpus[random.random_range(0..corpus.len())].1.clone();
    if random.random_ratio(1, 4) {
        let other = &corpus[random.random_range(0..corpus.len())].1;
        input.truncate(random.random_range(0..=input.len()));
        input.extend_from_slice(&other[random.random_range(0..=other.len())..]);
    }
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=input.len());
        match random.random_range(0..5) {
            0 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            1 if at < input.len() => {
                input[at] = *[0, 1, 0x7f, 0x80, 0xc0, 0xff, b'\r', b'\n', b' ', b'"', b'(', b'{']
                    .get(random.random_range(0..12))
                    .unwrap_or(&0);
            }
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
