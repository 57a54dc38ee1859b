//! What is known of each peer, and the table of all.

use super::piece_set::Holdings;
use super::requests::Pipeline;
use super::uploads::UploadQueue;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

/// Peers of one torrent at most.
pub const PEERS_MAX: usize = 16_384;
/// Pieces a peer may suggest or allow fast that are remembered (BEP 6).
pub const HINTS_MAX: usize = 64;
/// For how long a piece that a peer rejected is not asked of it again.
pub const REFUSED_SPAN: Duration = Duration::from_secs(5);
/// The same for a peer that is asked for nothing else: a fast seed that had pieces
/// to send which nobody had has sent them by then, and would be idle.
const REFUSED_SPAN_IDLE: Duration = Duration::from_millis(50);

/// Names a peer: what the service chose, never given out twice at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerKey(pub u32);

/// What the handshakes told about a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFacts {
    /// It speaks the fast extension (BEP 6).
    pub fast: bool,
    /// Requests it queues (BEP 10, reqq; 250 is what libtorrent assumes).
    pub requests_max: u32,
    /// Pieces it may ask for while choked (BEP 6, allowed fast set).
    pub allowed_fast: Vec<u32>,
    /// The round trip as the transport measured it.
    pub round_trip: Option<Duration>,
    /// It takes nothing any more, as a partial seed does (BEP 21).
    pub upload_only: bool,
    /// It is a web seed (BEP 17, 19): it is asked for long runs of octets, many
    /// blocks at a time, and does not count among the seeds.
    pub web_seed: bool,
}

impl Default for PeerFacts {
    fn default() -> Self {
        Self {
            fast: true,
            requests_max: 250,
            allowed_fast: Vec::new(),
            round_trip: None,
            upload_only: false,
            web_seed: false,
        }
    }
}

/// One peer.
#[derive(Debug, Clone)]
#[expect(clippy::struct_field_names, reason = "choking and interest have two sides")]
pub(crate) struct Peer {
    pub(crate) key: PeerKey,
    pub(crate) facts: PeerFacts,
    pub(crate) joined: Instant,
    pub(crate) holds: Holdings,
    /// Missing pieces that it has.
    pub(crate) interesting: u32,
    pub(crate) am_interested: bool,
    pub(crate) am_choking: bool,
    pub(crate) peer_interested: bool,
    pub(crate) peer_choking: bool,
    /// Since when we unchoke it.
    pub(crate) unchoked: Option<Instant>,
    /// When we choked it last.
    pub(crate) choked: Instant,
    pub(crate) pipeline: Pipeline,
    pub(crate) uploads: UploadQueue,
    /// Octets since the choker's last round.
    pub(crate) round_in: u64,
    pub(crate) round_out: u64,
    /// Octets in and out of the round before.
    pub(crate) last_round: (u64, u64),
    pub(crate) total_in: u64,
    pub(crate) total_out: u64,
    pub(crate) allowed: Vec<u32>,
    pub(crate) suggested: Vec<u32>,
    pub(crate) refused: Vec<u32>,
    pub(crate) refused_at: Instant,
    /// The piece it was last asked for.
    pub(crate) current: Option<u32>,
    /// The picker's epoch at which nothing was found for it.
    pub(crate) nothing_at: Option<u64>,
    /// When it may be looked again what it can take over from others.
    pub(crate) next_look: Instant,
    /// It took part in a bad piece.
    pub(crate) suspect: bool,
    pub(crate) faults: u32,
    /// Requests of it that were turned down since it asked for a novel piece last.
    pub(crate) turned_down: usize,
    /// When the first of these came.
    pub(crate) turned_down_since: Option<Instant>,
    /// The piece for which another was proposed to it last.
    pub(crate) proposed_for: Option<u32>,
    /// It is in the round of those who are served.
    pub(crate) is_queued: bool,
    /// The service was told to disconnect it.
    pub(crate) is_dismissed: bool,
}

impl Peer {
    fn new(now: Instant, key: PeerKey, facts: PeerFacts) -> Self {
        Self {
            key,
            joined: now,
            holds: Holdings::None,
            interesting: 0,
            am_interested: false,
            am_choking: true,
            peer_interested: false,
            peer_choking: true,
            unchoked: None,
            choked: now,
            pipeline: Pipeline::new(now, facts.round_trip),
            uploads: UploadQueue::new(now),
            round_in: 0,
            round_out: 0,
            last_round: (0, 0),
            total_in: 0,
            total_out: 0,
            allowed: Vec::new(),
            suggested: Vec::new(),
            refused: Vec::new(),
            refused_at: now,
            current: None,
            nothing_at: None,
            next_look: now,
            suspect: false,
            faults: 0,
            turned_down: 0,
            turned_down_since: None,
            proposed_for: None,
            is_queued: false,
            is_dismissed: false,
            facts,
        }
    }

    /// It is asked again for pieces that it rejected, once it is time. Whether it is.
    pub(crate) fn forget_refusals(&mut self, now: Instant) -> bool {
        let forgets = self.refusals_are_over(now);
        if forgets {
            self.refused.clear();
            self.nothing_at = None;
        }
        forgets
    }

    /// Whether it is time to ask it again.
    pub(crate) fn refusals_are_over(&self, now: Instant) -> bool {
        let span = if self.is_turned_away() { REFUSED_SPAN_IDLE } else { REFUSED_SPAN };
        !self.refused.is_empty() && now.saturating_duration_since(self.refused_at) >= span
    }

    /// Whether it serves us, but is asked for nothing after what it rejected.
    pub(crate) fn is_turned_away(&self) -> bool {
        let idle = self.am_interested && !self.peer_choking && self.pipeline.len() == 0;
        idle && !self.refused.is_empty()
    }
}

/// Keys are small numbers of our own service: mixing their bits is enough.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.write_u32(u32::from(*octet));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0.rotate_left(5) ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 32;
    }
}

/// All peers, by slot: a small number that other parts keep in place of the key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Peers {
    places: Vec<Option<Box<Peer>>>,
    vacant: Vec<u32>,
    slots: HashMap<PeerKey, u32, BuildHasherDefault<KeyHasher>>,
}

impl Peers {
    /// Adds a peer; `None` when the key is in use or there is no room.
    pub(crate) fn add(&mut self, now: Instant, key: PeerKey, facts: PeerFacts) -> Option<u32> {
        if self.slots.contains_key(&key) || self.slots.len() >= PEERS_MAX {
            return None;
        }
        let slot = self.vacant.pop().unwrap_or(self.places.len() as u32);
        let peer = Some(Box::new(Peer::new(now, key, facts)));
        match self.places.get_mut(slot as usize) {
            Some(place) => *place = peer,
            None => self.places.push(peer),
        }
        self.slots.insert(key, slot);
        Some(slot)
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Peer>> {
        let peer = self.places.get_mut(slot as usize)?.take()?;
        self.slots.remove(&peer.key);
        self.vacant.push(slot);
        Some(peer)
    }

    pub(crate) fn slot(&self, key: PeerKey) -> Option<u32> {
        self.slots.get(&key).copied()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&Peer> {
        self.places.get(slot as usize)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Peer> {
        self.places.get_mut(slot as usize)?.as_deref_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Peer)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(slot, peer)| peer.as_deref().map(|peer| (slot as u32, peer)))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Peer)> {
        let places = self.places.iter_mut().enumerate();
        places.filter_map(|(slot, peer)| peer.as_deref_mut().map(|peer| (slot as u32, peer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_used_once_slots_again_and_there_is_a_bound() {
        let now = Instant::now();
        let mut peers = Peers::default();
        for key in 0..PEERS_MAX as u32 {
            assert_eq!(peers.add(now, PeerKey(key * 7), PeerFacts::default()), Some(key));
        }
        assert_eq!(peers.add(now, PeerKey(1), PeerFacts::default()), None, "no room");
        assert!(peers.remove(5).is_some_and(|peer| peer.key == PeerKey(35)));
        assert!(peers.remove(5).is_none() && peers.slot(PeerKey(35)).is_none());
        assert_eq!(peers.add(now, PeerKey(7), PeerFacts::default()), None, "in use");
        assert_eq!(peers.add(now, PeerKey(1), PeerFacts::default()), Some(5));
        assert_eq!(peers.len(), PEERS_MAX);
        assert_eq!(peers.iter().count(), PEERS_MAX);
    }
}
