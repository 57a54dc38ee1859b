//! BitTorrent rules without I/O: metainfo, peer wire, trackers, web seeds, DHT,
//! picker and choker. Bytes, time and randomness come in as arguments, actions go out.

pub mod bencode;
pub mod dht;
pub mod encryption;
pub mod ip_filter;
pub mod lsd;
pub mod metainfo;
pub mod percent;
pub mod torrent;
pub mod tracker;
pub mod utp;
pub mod web_seed;
pub mod wire;
