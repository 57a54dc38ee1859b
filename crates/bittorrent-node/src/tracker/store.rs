//! The swarms of both address families, in shards under short locks.

use bittorrent::tracker::swarm::{
    Announce, Counts, InfoHashValue, Keyed, Limits, Refusal, Slot, Slot4, Slot6, Swarms, Told,
};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Torrents looked through under one lock while sweeping.
const SWEPT_TORRENTS_MAX: usize = 2_000;

/// The torrents of one address family.
#[derive(Debug)]
pub(super) struct Shards<S: Slot>(Box<[Shard<S>]>);

/// Apart from its neighbours in the processor's cache.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<S: Slot>(Mutex<Swarms<S>>);

impl<S: Slot> Shards<S> {
    fn new(count: usize, limits: Limits, keyed: Keyed, epoch: Instant) -> Self {
        Self((0..count).map(|_| Shard(Mutex::new(Swarms::new(limits, keyed, epoch)))).collect())
    }

    /// How many shards there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One of them, for as short as possible.
    pub(super) fn lock(&self, shard: usize) -> MutexGuard<'_, Swarms<S>> {
        self.0[shard].0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that holds a torrent.
    fn of(&self, at: InfoHashValue) -> MutexGuard<'_, Swarms<S>> {
        self.lock(at.shard(self.0.len()))
    }

    /// One announce, for who has no batch of them.
    pub(super) fn announce(
        &self,
        now: Instant,
        at: InfoHashValue,
        info_hash: &[u8; 20],
        announce: &Announce<S>,
        out: &mut [u8],
    ) -> Result<Told, Refusal> {
        self.of(at).announce(now, at, info_hash, announce, out)
    }

    fn set_limits(&self, limits: Limits) {
        for shard in 0..self.0.len() {
            self.lock(shard).set_limits(limits);
        }
    }

    /// Forgets what is over among the next of every `parts` torrents.
    fn sweep(&self, now: Instant, parts: usize) {
        for shard in 0..self.0.len() {
            let mut left = self.lock(shard).torrents() / parts + 1;
            while left > 0 {
                let some = left.min(SWEPT_TORRENTS_MAX);
                self.lock(shard).sweep(now, some);
                left -= some;
            }
        }
    }

    fn sizes(&self) -> (usize, usize) {
        (0..self.0.len()).fold((0, 0), |(torrents, peers), shard| {
            let swarms = self.lock(shard);
            (torrents + swarms.torrents(), peers + swarms.peers())
        })
    }
}

/// All that the tracker knows.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) keyed: Keyed,
    pub(super) four: Shards<Slot4>,
    pub(super) six: Shards<Slot6>,
}

/// How much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sizes {
    /// Torrents with peers over IPv4.
    pub torrents_ipv4: usize,
    /// Peers over IPv4.
    pub peers_ipv4: usize,
    /// Torrents with peers over IPv6.
    pub torrents_ipv6: usize,
    /// Peers over IPv6.
    pub peers_ipv6: usize,
}

impl Store {
    pub(super) fn new(shards: usize, limits: Limits, epoch: Instant) -> Self {
        let keyed = Keyed::new(rand::random(), rand::random());
        Self {
            keyed,
            four: Shards::new(shards, limits, keyed, epoch),
            six: Shards::new(shards, limits, keyed, epoch),
        }
    }

    /// How many shards each family has.
    pub(super) fn shards(&self) -> usize {
        self.four.len()
    }

    /// Other limits from here on, for each shard; what is stored stays.
    pub(super) fn set_limits(&self, limits: Limits) {
        self.four.set_limits(limits);
        self.six.set_limits(limits);
    }

    /// What is known of a torrent over both families; `closely` counts partial
    /// seeds too.
    pub(super) fn scrape(&self, info_hash: &[u8; 20], closely: bool) -> Counts {
        let at = self.keyed.info_hash(info_hash);
        if closely {
            let four = self.four.of(at).scrape_closely(at, info_hash);
            return four.of_both(self.six.of(at).scrape_closely(at, info_hash));
        }
        let four = self.four.of(at).scrape(at, info_hash);
        four.of_both(self.six.of(at).scrape(at, info_hash))
    }

    /// Forgets what is over; all of it when called `parts` times.
    pub(super) fn sweep(&self, now: Instant, parts: usize) {
        self.four.sweep(now, parts);
        self.six.sweep(now, parts);
    }

    pub(super) fn sizes(&self) -> Sizes {
        let (torrents_ipv4, peers_ipv4) = self.four.sizes();
        let (torrents_ipv6, peers_ipv6) = self.six.sizes();
        Sizes { torrents_ipv4, peers_ipv4, torrents_ipv6, peers_ipv6 }
    }
}
