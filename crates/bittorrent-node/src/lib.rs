//! The tracker: bytes between sockets and the rules of bittorrent.

pub mod tracker;
