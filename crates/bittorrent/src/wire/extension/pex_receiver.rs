//! Which contacts to take from a peer.

use super::pex::{PexMessage, PexPeer};
use super::pex_sender::PEX_INTERVAL_SECONDS;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use thiserror::Error;

/// Messages that may come at once, after a pause or in the crowding of a slow
/// connection.
const BURST: u32 = 4;

/// Contacts of one peer that are kept, so that they are not taken twice.
const KNOWN_MAX: usize = 1_000;

/// A peer that exchanges peers beyond all measure (BEP 11: "clients may
/// disconnect peers that egregiously violate these constraints").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PexViolation {
    /// More than one message a minute, over several minutes.
    #[error("messages of ut_pex more often than one a minute")]
    TooOften,
}

/// Judges what one peer tells of others.
#[derive(Debug)]
pub struct PexReceiver {
    known: BTreeSet<SocketAddr>,
    /// When the allowance will be whole again.
    whole: Instant,
}

impl PexReceiver {
    /// Begins with a peer.
    pub fn new(now: Instant) -> Self {
        Self { known: BTreeSet::new(), whole: now }
    }

    /// Takes a message; gives the contacts that are new, at most
    /// [`PEX_CONTACTS_MAX`](super::PEX_CONTACTS_MAX), each address once whatever
    /// its ports, without those that cannot be a peer's. They are a stranger's
    /// word: to be tried along with those of other sources only.
    ///
    /// # Errors
    /// When messages come too often.
    pub fn handle_message(
        &mut self,
        now: Instant,
        message: &PexMessage,
    ) -> Result<Vec<PexPeer>, PexViolation> {
        let interval = Duration::from_secs(PEX_INTERVAL_SECONDS);
        let whole = self.whole.max(now) + interval;
        if whole > now + interval * BURST {
            return Err(PexViolation::TooOften);
        }
        self.whole = whole;
        for address in &message.dropped {
            self.known.remove(address);
        }
        let mut hosts = BTreeSet::new();
        let mut new = Vec::new();
        for contact in &message.added {
            let contradicted = message.dropped.contains(&contact.address);
            if contradicted || !is_possible(contact.address) || !hosts.insert(contact.address.ip()) {
                continue;
            }
            if self.known.len() < KNOWN_MAX && self.known.insert(contact.address) {
                new.push(*contact);
            }
        }
        Ok(new)
    }

    /// The contacts that the peer has, as far as it has told.
    pub fn known(&self) -> impl Iterator<Item = &SocketAddr> {
        self.known.iter()
    }
}

fn is_possible(address: SocketAddr) -> bool {
    let broadcast = matches!(address.ip(), IpAddr::V4(address) if address.is_broadcast());
    address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast() && !broadcast
}
