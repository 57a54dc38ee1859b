//! Trackers (BEP 3, 7, 12, 15, 21, 23, 41, 48): who has which torrent.
//!
//! * [`udp`] and [`http`]: the two protocols, each from both sides.
//! * [`swarm`]: what a tracker knows, in bounded memory.
//! * [`announcer`]: when a client asks which of its torrent's trackers.

pub mod announcer;
pub mod http;
pub mod swarm;
pub mod udp;

/// Why a client announces (BEP 3; BEP 15; BEP 21).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Event {
    /// One of its regular announces.
    #[default]
    None,
    /// It has just got the last piece; never sent when it began with all.
    Completed,
    /// Its first announce.
    Started,
    /// It leaves.
    Stopped,
    /// It has all it wants, but not all pieces: a partial seed, which says so in
    /// every announce (BEP 21).
    Paused,
}

/// Octets of what a tracker says that are kept.
pub const TEXT_OCTETS_MAX: usize = 512;

/// What a tracker says to people: not too long, and nothing that a terminal obeys.
pub fn in_words(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets.get(..TEXT_OCTETS_MAX).unwrap_or(octets));
    text.chars().filter(|letter| !letter.is_control()).collect()
}

/// The address family of peers; a tracker keeps them apart (BEP 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// IPv4: a compact peer has 6 octets.
    V4,
    /// IPv6: a compact peer has 18 octets.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: std::net::SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Octets of a compact peer: its address and port (BEP 23, BEP 7).
    pub fn peer_octets(self) -> usize {
        match self {
            Self::V4 => 6,
            Self::V6 => 18,
        }
    }
}

/// The address in a compact peer; `None` when it has not exactly the octets of
/// its family or its port is 0, to which nothing can connect.
pub fn read_peer(family: Family, octets: &[u8]) -> Option<std::net::SocketAddr> {
    let (port, address): (u16, std::net::IpAddr) = match family {
        Family::V4 => {
            let (address, port) = octets.split_first_chunk::<4>()?;
            (u16::from_be_bytes(port.try_into().ok()?), (*address).into())
        }
        Family::V6 => {
            let (address, port) = octets.split_first_chunk::<16>()?;
            (u16::from_be_bytes(port.try_into().ok()?), (*address).into())
        }
    };
    (port != 0).then_some((address, port).into())
}

/// Appends a compact peer.
pub fn write_peer(peer: std::net::SocketAddr, out: &mut Vec<u8>) {
    match peer.ip() {
        std::net::IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
        std::net::IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
    }
    out.extend_from_slice(&peer.port().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tracker_says_commands_no_terminal() {
        assert_eq!(in_words(b"\x1b[2Jno \xffsuch torrent\r\n\x9b"), "[2Jno \u{fffd}such torrent\u{fffd}");
        assert_eq!(in_words(&[b'a'; 10_000]).len(), TEXT_OCTETS_MAX);
    }
}
