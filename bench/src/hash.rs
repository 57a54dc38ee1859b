//! The hashes of pieces, by the crates that can make them: what we use must be
//! the fastest of those that are kept well.

use crate::row::{Figure, Row};
use ring::digest;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// Octets of one piece.
const PIECE_OCTETS: usize = 1 << 20;
const ROUNDS: usize = 7;
/// How long each round takes at least.
const ROUND: Duration = Duration::from_millis(300);

/// Runs the comparison and prints its rows.
pub(crate) fn run(json: bool) {
    let piece: Vec<u8> = (0..PIECE_OCTETS).map(|at| (at % 251) as u8).collect();
    let by_ring = |algorithm: &'static digest::Algorithm| {
        move |piece: &[u8]| {
            black_box(digest::digest(algorithm, piece));
        }
    };
    let sha1 = |piece: &[u8]| {
        black_box(Sha1::digest(piece));
    };
    let sha256 = |piece: &[u8]| {
        black_box(Sha256::digest(piece));
    };
    compare("SHA-1 of a piece of 1 MiB", &piece, sha1, by_ring(&digest::SHA1_FOR_LEGACY_USE_ONLY))
        .print(json);
    compare("SHA-256 of a piece of 1 MiB", &piece, sha256, by_ring(&digest::SHA256)).print(json);
}

/// In turn, so that both meet the same machine.
fn compare(what: &str, piece: &[u8], ours: impl Fn(&[u8]), ring: impl Fn(&[u8])) -> Row {
    let (mut rounds, mut ring_rounds) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        rounds.push(megabytes_per_second(piece, &ours));
        ring_rounds.push(megabytes_per_second(piece, &ring));
    }
    let peers = BTreeMap::from([("ring", Figure::median(ring_rounds))]);
    Row::more_is_better(what, "MB/s", Figure::median(rounds), peers, &[])
}

fn megabytes_per_second(piece: &[u8], hash: impl Fn(&[u8])) -> f64 {
    let (start, mut octets) = (Instant::now(), 0);
    while start.elapsed() < ROUND {
        hash(piece);
        octets += piece.len();
    }
    octets as f64 / 1e6 / start.elapsed().as_secs_f64()
}
