//! `ut_holepunch`: two peers behind NATs meet with a third one's help (BEP 55).

use std::net::{IpAddr, SocketAddr};

/// Why a rendezvous does not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolepunchFailure {
    /// The target's address is invalid.
    NoSuchPeer,
    /// The relay is not connected to the target.
    NotConnected,
    /// The target does not speak the extension.
    NoSupport,
    /// The target is the relay.
    NoSelf,
    /// A code that BEP 55 does not know.
    Other(u32),
}

impl HolepunchFailure {
    fn code(self) -> u32 {
        match self {
            Self::NoSuchPeer => 1,
            Self::NotConnected => 2,
            Self::NoSupport => 3,
            Self::NoSelf => 4,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u32) -> Self {
        match code {
            1 => Self::NoSuchPeer,
            2 => Self::NotConnected,
            3 => Self::NoSupport,
            4 => Self::NoSelf,
            code => Self::Other(code),
        }
    }
}

/// A message of `ut_holepunch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holepunch {
    /// To the relay: bring me together with this peer.
    Rendezvous(SocketAddr),
    /// From the relay: open a connection over uTP to this peer.
    Connect(SocketAddr),
    /// From the relay: that peer cannot be met.
    Error(SocketAddr, HolepunchFailure),
}

impl Holepunch {
    /// Reads one; None if it is none. The code of an error is read where there
    /// is one: old programs leave it out of the other messages.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let ([kind, family], rest) = payload.split_first_chunk()?;
        let (ip, rest): (IpAddr, _) = match family {
            0 => rest.split_first_chunk::<4>().map(|(address, rest)| ((*address).into(), rest))?,
            1 => rest.split_first_chunk::<16>().map(|(address, rest)| ((*address).into(), rest))?,
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk()?;
        let address = SocketAddr::new(ip, u16::from_be_bytes(*port));
        let code = match rest {
            [] => None,
            code => Some(u32::from_be_bytes(code.try_into().ok()?)),
        };
        match (kind, code) {
            (0, _) => Some(Self::Rendezvous(address)),
            (1, _) => Some(Self::Connect(address)),
            (2, Some(code)) => Some(Self::Error(address, HolepunchFailure::from_code(code))),
            _ => None,
        }
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, address, code) = match self {
            Self::Rendezvous(address) => (0, address, 0),
            Self::Connect(address) => (1, address, 0),
            Self::Error(address, failure) => (2, address, failure.code()),
        };
        let mut octets = vec![kind];
        match address.ip() {
            IpAddr::V4(address) => {
                octets.push(0);
                octets.extend_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                octets.push(1);
                octets.extend_from_slice(&address.octets());
            }
        }
        octets.extend_from_slice(&address.port().to_be_bytes());
        octets.extend_from_slice(&u32::to_be_bytes(code));
        octets
    }
}

/// What a relay knows of the peer that is to be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// It is connected.
    Connected {
        /// It speaks the extension.
        holepunch: bool,
    },
    /// It is not connected.
    NotConnected,
    /// It is the relay itself.
    Ourselves,
}

/// What a relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relay {
    /// It sends both a message.
    Introduce {
        /// To the peer that asked.
        to_initiator: Holepunch,
        /// To the peer that is to be met.
        to_target: Holepunch,
    },
    /// It answers the peer that asked.
    Refuse(Holepunch),
    /// It does nothing.
    Ignore,
}

/// The rules of a relay (BEP 55): `initiator`, whose endpoint as we see it is
/// given, sent `message`; `speaks` tells whether it named the extension in its
/// handshake, and `target` who is found under the address it asks for.
pub fn relay(message: &Holepunch, initiator: SocketAddr, speaks: bool, target: Target) -> Relay {
    let Holepunch::Rendezvous(wanted) = message else { return Relay::Ignore };
    if !speaks {
        return Relay::Ignore;
    }
    let invalid = wanted.port() == 0
        || wanted.ip().is_unspecified()
        || wanted.ip().is_multicast()
        || wanted.is_ipv4() != initiator.is_ipv4()
        || *wanted == initiator;
    let failure = match target {
        Target::Ourselves => HolepunchFailure::NoSelf,
        _ if invalid => HolepunchFailure::NoSuchPeer,
        Target::NotConnected => HolepunchFailure::NotConnected,
        Target::Connected { holepunch: false } => HolepunchFailure::NoSupport,
        Target::Connected { holepunch: true } => {
            return Relay::Introduce {
                to_initiator: Holepunch::Connect(*wanted),
                to_target: Holepunch::Connect(initiator),
            };
        }
    };
    Relay::Refuse(Holepunch::Error(*wanted, failure))
}
