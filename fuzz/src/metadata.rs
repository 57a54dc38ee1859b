//! Peers that send a torrent's info dictionary, honest ones and others.

use bittorrent::metainfo::{
    AssemblyProgress, InfoHashV1, InfoHashes, METADATA_PATIENCE, METADATA_PIECE_OCTETS, MetadataAssembly,
    metadata_piece,
};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Instant;

/// Peers that take part; 0 is honest.
const PEERS: u8 = 4;
/// Octets of the longest metadata.
const OCTETS_MAX: usize = 4 * METADATA_PIECE_OCTETS;

/// Octets of the dictionary looked for: three pieces.
const INFO_OCTETS: u32 = 2 * METADATA_PIECE_OCTETS as u32 + 100;
/// The dictionary looked for.
static INFO: LazyLock<Vec<u8>> = LazyLock::new(|| (0..INFO_OCTETS).map(|at| at as u8).collect());

/// What four peers do, an octet each, with another that says how: whatever three of
/// them say, the dictionary comes from the honest one in the end.
pub fn metadata(input: &[u8]) {
    let v1 = Some(InfoHashV1::of(&INFO));
    let mut assembly = MetadataAssembly::with_octets_max(InfoHashes { v1, v2: None }, OCTETS_MAX);
    let mut now = Instant::now();
    let mut asked: BTreeSet<(u64, u32)> = BTreeSet::new();
    for step in input.as_chunks::<2>().0 {
        let [what, how] = *step;
        let peer = u64::from(what % PEERS);
        // The honest one says the truth and nothing else.
        let length = if peer == 0 { i64::from(INFO_OCTETS) } else { i64::from(how) * 1_021 - 2_000 };
        let piece = u32::from(how % 5);
        match what / PEERS % 6 {
            0 => drop(assembly.handle_length(peer, length)),
            1 => {
                if let Some(piece) = assembly.poll_request(now, peer) {
                    asked.insert((peer, piece));
                }
            }
            2 if peer != 0 => {
                let octets = vec![how; METADATA_PIECE_OCTETS * usize::from(how & 1) + usize::from(how)];
                if let Ok(AssemblyProgress::Complete(_)) = assembly.handle_piece(peer, piece, length, &octets)
                {
                    panic!("a lie has no such hash");
                }
            }
            2 | 3 => {
                let wanted = asked.iter().find(|(asker, _)| *asker == peer).copied();
                if let Some((_, piece)) = wanted {
                    asked.remove(&(peer, piece));
                    let octets = metadata_piece(&INFO, piece).unwrap_or_default();
                    let taken = assembly.handle_piece(peer, piece, i64::from(INFO_OCTETS), octets);
                    if let Ok(AssemblyProgress::Complete(whole)) = taken {
                        return assert_eq!(whole, *INFO);
                    }
                }
            }
            5 => {
                now += METADATA_PATIENCE / 4 * u32::from(how % 8);
                assembly.handle_timeout(now);
            }
            _ if peer != 0 => {
                asked.retain(|(asker, _)| *asker != peer);
                if how & 1 == 0 {
                    assembly.handle_gone(peer);
                } else {
                    assembly.handle_reject(peer, piece);
                }
            }
            _ => {}
        }
    }
    // The others leave; the honest one alone is enough.
    (1..u64::from(PEERS)).for_each(|peer| assembly.handle_gone(peer));
    assembly.handle_gone(0);
    assembly.handle_length(0, i64::from(INFO_OCTETS)).expect("a length");
    for _ in 0..3 {
        let piece = assembly.poll_request(now, 0).expect("a piece is missing");
        let octets = metadata_piece(&INFO, piece).expect("a piece");
        match assembly.handle_piece(0, piece, i64::from(INFO_OCTETS), octets).expect("no lie") {
            AssemblyProgress::Complete(whole) => return assert_eq!(whole, *INFO),
            AssemblyProgress::More | AssemblyProgress::Restarted => {}
        }
    }
    // What liars left behind may have spoilt that: then all comes from the honest one.
    for _ in 0..3 {
        let piece = assembly.poll_request(now, 0).expect("a piece is missing");
        let octets = metadata_piece(&INFO, piece).expect("a piece");
        if let Ok(AssemblyProgress::Complete(whole)) =
            assembly.handle_piece(0, piece, i64::from(INFO_OCTETS), octets)
        {
            return assert_eq!(whole, *INFO);
        }
    }
    panic!("the honest peer alone does not suffice");
}
