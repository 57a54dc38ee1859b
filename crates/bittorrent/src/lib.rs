//! BitTorrent rules without I/O: metainfo, peer wire, trackers, DHT, picker and
//! choker. Bytes, time and randomness come in as arguments, actions go out.

pub mod bencode;
pub mod dht;
