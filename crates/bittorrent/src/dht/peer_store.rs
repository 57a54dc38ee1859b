//! Peers that others announced to us (BEP 5, "announce_peer").

use super::bloom::FilterSums;
use super::contact::{Family, Holder};
use super::id::Id;
use super::krpc::Samples;
use rand_core::Rng;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Torrents we know peers of.
pub const TORRENTS_MAX: usize = 2_000;

/// Peers of one torrent and family. BEP 33 would allow 6,000; no reply holds
/// more than a hundred.
pub const PEERS_MAX: usize = 1_000;

/// Peers of all torrents.
pub const PEERS_IN_ALL_MAX: usize = 50_000;

/// Ports at one address that are peers of one torrent. BEP 33 demands one; but
/// several people may live behind one address. Its filters count addresses, so
/// they are not changed by this.
pub const PORTS_MAX: usize = 4;

/// Torrents that one address may announce.
pub const TORRENTS_OF_ADDRESS_MAX: usize = 200;

/// How long a peer is remembered after it was announced: programs announce
/// about every 15 to 30 minutes.
pub const PEER_LIFETIME: Duration = Duration::from_mins(45);

/// How long a sample of torrents stays the same (BEP 51).
pub const SAMPLE_INTERVAL: Duration = Duration::from_mins(1);

/// How often a full store looks for what is old: it walks through all.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(10);

/// Info-hashes in a sample: 400 octets.
pub const SAMPLE_MAX: usize = 20;

/// Who announced what.
#[derive(Debug, Clone)]
pub struct PeerStore {
    torrents: HashMap<Id, Torrent>,
    /// How many torrents each address announced.
    announcers: HashMap<Holder, usize>,
    peers: usize,
    sample: Vec<Id>,
    sampled: Option<Instant>,
    expired: Option<Instant>,
}

#[derive(Debug, Clone, Default)]
struct Torrent {
    v4: Vec<Peer>,
    v6: Vec<Peer>,
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    address: SocketAddr,
    seed: bool,
    announced: Instant,
}

impl Torrent {
    fn of(&self, family: Family) -> &[Peer] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut Vec<Peer> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Peer> {
        self.v4.iter().chain(&self.v6)
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl Default for PeerStore {
    fn default() -> Self {
        Self::new()
    }
}

impl PeerStore {
    /// Knows nobody.
    pub fn new() -> Self {
        Self {
            torrents: HashMap::new(),
            announcers: HashMap::new(),
            peers: 0,
            sample: Vec::new(),
            sampled: None,
            expired: None,
        }
    }

    /// Torrents with peers.
    pub fn torrents(&self) -> usize {
        self.torrents.len()
    }

    /// Peers of all torrents.
    pub fn peers(&self) -> usize {
        self.peers
    }

    /// Remembers a peer. Gives whether there was room: a full store gives up
    /// the torrent that lies farthest from `own`, which others are nearer to,
    /// and refuses a torrent farther still.
    pub fn announce(
        &mut self,
        now: Instant,
        own: &Id,
        info_hash: Id,
        address: SocketAddr,
        seed: bool,
    ) -> bool {
        let (family, ip) = (Family::of(&address), address.ip());
        let peer = Peer { address, seed, announced: now };
        if let Some(peers) = self.torrents.get_mut(&info_hash).map(|torrent| torrent.of_mut(family)) {
            if let Some(known) = peers.iter_mut().find(|known| known.address == address) {
                *known = peer;
                return true;
            }
            if peers.iter().filter(|known| known.address.ip() == ip).count() >= PORTS_MAX {
                // The oldest port of this address makes room for the new one.
                let same = peers.iter_mut().filter(|known| known.address.ip() == ip);
                if let Some(oldest) = same.min_by_key(|known| known.announced) {
                    *oldest = peer;
                }
                return true;
            }
        }
        if !self.make_room(now, own, &info_hash, &ip) {
            return false;
        }
        let peers = self.torrents.entry(info_hash).or_default().of_mut(family);
        let first = !peers.iter().any(|known| Holder::of(&known.address.ip()) == Holder::of(&ip));
        if peers.len() >= PEERS_MAX {
            return false;
        }
        peers.push(peer);
        self.peers += 1;
        if first {
            *self.announcers.entry(Holder::of(&ip)).or_default() += 1;
        }
        true
    }

    fn make_room(&mut self, now: Instant, own: &Id, info_hash: &Id, ip: &IpAddr) -> bool {
        let announced = self.announcers.get(&Holder::of(ip)).copied().unwrap_or(0);
        if announced >= TORRENTS_OF_ADDRESS_MAX {
            return false;
        }
        let is_full = |store: &Self| {
            store.peers >= PEERS_IN_ALL_MAX
                || (store.torrents.len() >= TORRENTS_MAX && !store.torrents.contains_key(info_hash))
        };
        if !is_full(self) {
            return true;
        }
        let lately = |at: Instant| now.saturating_duration_since(at) < EXPIRE_INTERVAL;
        if !self.expired.is_some_and(lately) {
            self.expire(now);
        }
        while is_full(self) {
            let farthest = self.torrents.keys().max_by_key(|torrent| own.distance(torrent)).copied();
            match farthest {
                Some(farthest) if own.distance(&farthest) > own.distance(info_hash) => self.remove(&farthest),
                _ => return false,
            }
        }
        true
    }

    fn remove(&mut self, info_hash: &Id) {
        if let Some(mut torrent) = self.torrents.remove(info_hash) {
            for family in Family::BOTH {
                let gone = std::mem::take(torrent.of_mut(family));
                self.forget(gone.iter(), &[]);
            }
        }
    }

    /// Counts peers of one torrent and family as gone; `left` stay.
    fn forget<'p>(&mut self, gone: impl Iterator<Item = &'p Peer>, left: &[Peer]) {
        let mut holders: Vec<Holder> = Vec::new();
        for peer in gone {
            self.peers = self.peers.saturating_sub(1);
            let holder = Holder::of(&peer.address.ip());
            let stays = left.iter().any(|peer| Holder::of(&peer.address.ip()) == holder);
            if !stays && !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        for holder in holders {
            if let Some(count) = self.announcers.get_mut(&holder) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.announcers.remove(&holder);
                }
            }
        }
    }

    /// Forgets peers that were not announced for [`PEER_LIFETIME`].
    pub fn expire(&mut self, now: Instant) {
        self.expired = Some(now);
        let mut torrents = std::mem::take(&mut self.torrents);
        for torrent in torrents.values_mut() {
            for family in Family::BOTH {
                let peers = torrent.of_mut(family);
                let is_old = |peer: &Peer| now.saturating_duration_since(peer.announced) >= PEER_LIFETIME;
                if peers.iter().any(is_old) {
                    let (gone, left) = peers.iter().partition(|peer| is_old(peer));
                    *peers = left;
                    let gone: Vec<Peer> = gone;
                    self.forget(gone.iter(), peers);
                }
            }
        }
        torrents.retain(|_, torrent| !torrent.is_empty());
        self.torrents = torrents;
    }

    /// Whether there are peers of the torrent, and room for another.
    pub fn has_room(&self, info_hash: &Id, family: Family) -> bool {
        self.torrents.get(info_hash).is_none_or(|torrent| torrent.of(family).len() < PEERS_MAX)
    }

    /// At most `count_max` peers of a torrent, any of them; with `no_seed` as
    /// few seeds as there are others (BEP 33).
    pub fn pick(
        &self,
        now: Instant,
        info_hash: &Id,
        family: Family,
        no_seed: bool,
        count_max: usize,
        rng: &mut impl Rng,
    ) -> Vec<SocketAddr> {
        let Some(torrent) = self.torrents.get(info_hash) else { return Vec::new() };
        let fresh = torrent
            .of(family)
            .iter()
            .filter(|peer| now.saturating_duration_since(peer.announced) < PEER_LIFETIME);
        let mut peers: Vec<Peer> = fresh.copied().collect();
        shuffle(&mut peers, rng);
        if no_seed {
            peers.sort_by_key(|peer| peer.seed);
        }
        peers.iter().take(count_max).map(|peer| peer.address).collect()
    }

    /// The filters of a torrent's peers (BEP 33); `None` where none are known.
    pub fn filters(&self, info_hash: &Id) -> Option<FilterSums> {
        let mut sums = FilterSums::default();
        for peer in self.torrents.get(info_hash)?.all() {
            let filter = if peer.seed { &mut sums.seeds } else { &mut sums.peers };
            filter.insert(&peer.address.ip());
        }
        Some(sums)
    }

    /// Some torrents, the same for [`SAMPLE_INTERVAL`] (BEP 51).
    pub fn sample(&mut self, now: Instant, rng: &mut impl Rng) -> Samples {
        let age = self.sampled.map_or(SAMPLE_INTERVAL, |sampled| now.saturating_duration_since(sampled));
        let mut left = SAMPLE_INTERVAL.saturating_sub(age);
        if left.is_zero() {
            let mut all: Vec<Id> = self.torrents.keys().copied().collect();
            // The order of a map's keys is not the generator's.
            all.sort_unstable();
            shuffle(&mut all, rng);
            all.truncate(SAMPLE_MAX);
            (self.sample, self.sampled, left) = (all, Some(now), SAMPLE_INTERVAL);
        }
        Samples {
            info_hashes: self.sample.clone(),
            count: u32::try_from(self.torrents.len()).unwrap_or(u32::MAX),
            interval_seconds: u32::try_from(left.as_secs()).unwrap_or(0),
        }
    }
}

/// Any order, each as likely up to the bias of a remainder.
fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for last in (1..items.len()).rev() {
        let other = rng.next_u32() as usize % (last + 1);
        items.swap(last, other);
    }
}

#[cfg(test)]
#[path = "peer_store/tests.rs"]
mod tests;
