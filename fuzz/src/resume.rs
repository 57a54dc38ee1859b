//! What a torrent left on the disk for its next start.

/// A resume file, the notes of a move and of names, and a session's torrent, which a crash or a disk may have damaged.
pub fn resume(input: &[u8]) {
    bittorrent_node::exercise_kept(input);
}
