//! The BitTorrent node: bytes between sockets, storage and the rules of
//! bittorrent.

pub mod dht;
