//! What a tracker knows: for each info-hash the peers that announced it, in
//! bounded memory.
//!
//! [`Swarms`] holds the torrents of one address family. An announce costs one
//! look-up for the torrent and one for the peer, and both are laid out for the
//! processor's cache: an index of 8 octets a torrent, a torrent with its first
//! peers in one line of 64 octets, a peer in 8 octets (IPv4) or 24 (IPv6). The
//! leechers and the seeds of a large swarm are a hash table each, and the peers of
//! a reply are taken from random places of them, so that no list is built.
//!
//! A service with many threads keeps several `Swarms`, each under a short lock,
//! and chooses by [`Keyed::shard`]. Before it takes a batch of announces one by
//! one, it may have their memory fetched: [`Swarms::fetch_index`], then
//! [`Swarms::fetch_torrent`], then [`Swarms::fetch_peers`].

mod access;
mod index;
mod keyed;
mod peers;
mod policy;
mod slot;
mod store;
mod table;
#[cfg(test)]
mod tests;

pub use access::Access;
pub use keyed::{InfoHashValue, Keyed};
pub use policy::{INTERVAL_SECONDS_MAX, Policy};
pub use slot::{Slot, Slot4, Slot6};
pub use store::{Announce, Counts, Limits, Refusal, Swarms, Told};
