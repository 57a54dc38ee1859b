//! What a torrent left on the disk for its next start.

/// A resume file, which a crash or a disk may have damaged.
pub fn resume(input: &[u8]) {
    bittorrent_node::exercise_resume(input);
}
