//! Replies as a tracker writes them, in the canonical form.

use crate::tracker::swarm::Counts;
use crate::tracker::{Family, read_peer};
use std::io::Write as _;
use std::net::IpAddr;

/// The reply to an announce.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    /// Seconds until the next announce.
    pub interval_seconds: u32,
    /// Seconds it must wait at least.
    pub min_interval_seconds: u32,
    /// Peers that have all pieces.
    pub seeds: u32,
    /// Peers that have not.
    pub leechers: u32,
    /// The address the client is seen at (BEP 24).
    pub external_ip: IpAddr,
    /// Compact peers over IPv4.
    pub peers: &'a [u8],
    /// Compact peers over IPv6.
    pub peers6: &'a [u8],
    /// Whether they are sent in that form (BEP 23), or as dictionaries; these
    /// have no peer ids, which are not stored.
    pub compact: bool,
}

/// Appends the reply to an announce.
pub fn write_announced(reply: &Announced<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"d");
    integer("complete", reply.seeds, out);
    match reply.external_ip {
        IpAddr::V4(ip) => string("external ip", &ip.octets(), out),
        IpAddr::V6(ip) => string("external ip", &ip.octets(), out),
    }
    integer("incomplete", reply.leechers, out);
    integer("interval", reply.interval_seconds, out);
    integer("min interval", reply.min_interval_seconds, out);
    if reply.compact {
        string("peers", reply.peers, out);
        if !reply.peers6.is_empty() {
            string("peers6", reply.peers6, out);
        }
    } else {
        out.extend_from_slice(b"5:peersl");
        for (family, peers) in [(Family::V4, reply.peers), (Family::V6, reply.peers6)] {
            for peer in peers.chunks_exact(family.peer_octets()) {
                if let Some(peer) = read_peer(family, peer) {
                    out.extend_from_slice(b"d");
                    string("ip", peer.ip().to_string().as_bytes(), out);
                    integer("port", u32::from(peer.port()), out);
                    out.extend_from_slice(b"e");
                }
            }
        }
        out.extend_from_slice(b"e");
    }
    out.extend_from_slice(b"e");
}

/// Appends the reply that says why there is none.
pub fn write_failure(reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"d");
    string("failure reason", reason.as_bytes(), out);
    out.extend_from_slice(b"e");
}

/// Appends the reply to a scrape; the torrents must be in order, each once.
pub fn write_scraped<'h>(torrents: impl Iterator<Item = (&'h [u8; 20], Counts)>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"d5:filesd");
    for (info_hash, counts) in torrents {
        out.extend_from_slice(b"20:");
        out.extend_from_slice(info_hash);
        out.extend_from_slice(b"d");
        integer("complete", counts.seeds, out);
        integer("downloaded", counts.completed, out);
        integer("downloaders", counts.downloaders, out);
        integer("incomplete", counts.leechers, out);
        out.extend_from_slice(b"e");
    }
    out.extend_from_slice(b"ee");
}

fn integer(key: &str, value: u32, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{}:{key}i{value}e", key.len());
}

fn string(key: &str, value: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "{}:{key}{}:", key.len(), value.len());
    out.extend_from_slice(value);
}
