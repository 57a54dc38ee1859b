//! What to tell a peer of our other peers, and when.

use super::pex::{PexFlags, PexMessage, PexPeer};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Seconds between two messages to one peer (BEP 11: "no more than 1 PEX message
/// per minute").
pub const PEX_INTERVAL_SECONDS: u64 = 60;

/// Contacts, added and dropped each, of a message (BEP 11: "should not exceed 50
/// entries").
pub const PEX_SENT_MAX: usize = 50;

/// Contacts of which a peer has been told and not yet told that they are gone.
const TOLD_MAX: usize = 1_000;

/// Keeps what one peer has been told. What goes out is the difference to what is
/// so: nothing stands there twice, nothing is added and dropped at once, and who
/// came and went between two messages is not spoken of.
#[derive(Debug)]
pub struct PexSender {
    /// Where the peer itself listens.
    peer: Option<SocketAddr>,
    told: BTreeSet<SocketAddr>,
    next: Instant,
}

impl PexSender {
    /// Begins with a peer that speaks `ut_pex` and itself listens there, if that
    /// is known: it is not told of itself.
    pub fn new(now: Instant, peer: Option<SocketAddr>) -> Self {
        Self { peer, told: BTreeSet::new(), next: now }
    }

    /// The next message, if one is due and there is something to tell.
    /// `connected` are the peers to whom a connection is established, by the
    /// address where they listen. Those with whom it ended lately may be among
    /// them once, if there are less than 25 (BEP 11, "filling underpopulated
    /// lists"): the next message takes them back.
    pub fn poll(&mut self, now: Instant, connected: impl IntoIterator<Item = PexPeer>) -> Option<PexMessage> {
        if now < self.next {
            return None;
        }
        let connected = connected.into_iter().filter(|contact| Some(contact.address) != self.peer);
        let connected: BTreeMap<SocketAddr, PexFlags> =
            connected.map(|contact| (contact.address, contact.flags)).collect();
        let gone = self.told.iter().filter(|address| !connected.contains_key(address));
        let dropped: Vec<SocketAddr> = gone.copied().take(PEX_SENT_MAX).collect();
        for address in &dropped {
            self.told.remove(address);
        }
        let room = PEX_SENT_MAX.min(TOLD_MAX.saturating_sub(self.told.len()));
        let new = connected.iter().filter(|(address, _)| !self.told.contains(address));
        let new = new.map(|(address, flags)| PexPeer { address: *address, flags: *flags });
        let added: Vec<PexPeer> = new.take(room).collect();
        self.told.extend(added.iter().map(|contact| contact.address));
        if added.is_empty() && dropped.is_empty() {
            return None;
        }
        self.next = now + Duration::from_secs(PEX_INTERVAL_SECONDS);
        Some(PexMessage { added, dropped })
    }

    /// When the next message may be sent.
    pub fn poll_timeout(&self) -> Instant {
        self.next
    }
}
