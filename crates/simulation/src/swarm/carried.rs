//! What is under way between two hosts.

use super::host::Host;
use bittorrent::torrent::{Octets, Send};
use std::time::Instant;

/// Something under way: all take the same delay, so they arrive as they left.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) at: Instant,
    pub(super) order: u64,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) connection: u32,
    pub(super) what: Carried,
}

#[derive(Debug)]
pub(super) enum Carried {
    Message(Send),
    Block {
        octets: Octets,
        wrong: bool,
    },
    /// The other end is gone.
    Closed,
}

/// Hands a message to a host.
pub(super) fn deliver(host: &mut Host, now: Instant, from: u32, send: Send) {
    let (torrent, key) = (&mut host.torrent, Host::key(from));
    match send {
        // Our own hosts send well-formed bitfields.
        Send::Bitfield(octets) => drop(torrent.handle_bitfield(now, key, &octets)),
        Send::HaveAll => torrent.handle_have_all(now, key),
        Send::HaveNone => torrent.handle_have_none(now, key),
        Send::Choke => torrent.handle_choke(now, key),
        Send::Unchoke => torrent.handle_unchoke(now, key),
        Send::Interested => torrent.handle_interested(now, key),
        Send::NotInterested => torrent.handle_not_interested(now, key),
        Send::Have { piece } => torrent.handle_have(now, key, piece),
        Send::Request(octets) => torrent.handle_request(now, key, octets),
        Send::Cancel(octets) => torrent.handle_cancel(now, key, octets),
        Send::Reject(octets) => torrent.handle_reject(now, key, octets),
        Send::AllowedFast { piece } => torrent.handle_allowed_fast(now, key, piece),
        Send::Suggest { piece } => torrent.handle_suggest(now, key, piece),
        Send::Serve(_) => {}
    }
}
