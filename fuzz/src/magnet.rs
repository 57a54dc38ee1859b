//! Magnet links, which come from pages of strangers.

use bittorrent::metainfo::{FileSelection, MAGNET_ADDRESSES_MAX, MAGNET_OCTETS_MAX, Magnet};

/// A link; as a selection of files too.
pub fn magnet(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(selection) = text.parse::<FileSelection>() {
        assert_eq!(selection.to_string().parse().as_ref(), Ok(&selection));
        assert!(selection.ranges().is_sorted_by(|one, next| *one.end() < *next.start()));
        assert!(selection.ranges().iter().all(|range| selection.contains(*range.end() as usize)));
    }
    let Ok(magnet) = text.parse::<Magnet>() else { return };
    assert!(text.len() <= MAGNET_OCTETS_MAX);
    assert!(!magnet.hashes.is_empty() || magnet.mutable.is_some());
    let counts = [magnet.trackers.len(), magnet.web_seeds.len(), magnet.peers.len()];
    assert!(counts.iter().all(|count| *count <= MAGNET_ADDRESSES_MAX));
    let written = magnet.to_string();
    if written.len() <= MAGNET_OCTETS_MAX {
        assert_eq!(written.parse().as_ref(), Ok(&magnet));
    }
}
