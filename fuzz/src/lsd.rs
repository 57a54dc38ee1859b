//! What neighbours say of their torrents (BEP 14).

use bittorrent::lsd::{Announce, DATAGRAM_OCTETS_MAX, GROUP_V4, INFO_HASHES_MAX};

/// A datagram of a neighbour: what is read stays within its bounds and reads the
/// same when it is written again.
pub fn lsd(input: &[u8]) {
    let Ok(announce) = Announce::decode(input) else { return };
    assert!(input.len() <= DATAGRAM_OCTETS_MAX);
    assert!((1..=INFO_HASHES_MAX).contains(&announce.info_hashes.len()) && announce.port != 0);
    let written = announce.encode(GROUP_V4).expect("what was read can be written");
    assert_eq!(Announce::decode(&written), Ok(announce));
}
