//! All torrents of one address family.

use super::index::Index;
use super::keyed::{InfoHashValue, Keyed};
use super::peers::{Peers, Put, Wish};
use super::slot::{Slot, State, TICK_SECONDS};
use crate::tracker::Event;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How much a [`Swarms`] may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Torrents, at most 2^31.
    pub torrents_max: usize,
    /// Peers of all torrents.
    pub peers_max: usize,
    /// Peers of one torrent, at most 2^24.
    pub peers_per_torrent_max: usize,
}

impl Limits {
    /// Within what places and counts can say.
    fn representable(self) -> Self {
        Self {
            torrents_max: self.torrents_max.min(1 << 31),
            peers_per_torrent_max: self.peers_per_torrent_max.min(1 << 24),
            ..self
        }
    }
}

/// An announce, as far as it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Announce<S: Slot> {
    /// Where others reach the peer; one with port 0 is told of peers and not
    /// stored.
    pub peer: S::Address,
    /// Why it announces.
    pub event: Event,
    /// Whether nothing is left for it to download.
    pub seed: bool,
    /// How many peers it is to be told of, at most.
    pub wanted: usize,
    /// How long it is kept if it does not announce again; at most 36 hours count.
    pub lifetime: Duration,
    /// Random bits, by which the peers it is told of are chosen.
    pub random: u64,
}

impl<S: Slot> Announce<S> {
    /// Whether it wants no more pieces: a seed, or a partial seed (BEP 21).
    #[inline]
    fn is_upload_only(&self) -> bool {
        self.seed || self.event == Event::Paused
    }

    #[inline]
    fn wish(&self, now_tick: u64) -> Wish<S> {
        // Who begins with a magnet link does not know what is left, and some say
        // that nothing is: they get the files only if they are told of seeds.
        let upload_only = self.is_upload_only() && self.event != Event::Started;
        Wish { asker: S::at(self.peer), upload_only, now_tick, peers: self.wanted, random: self.random }
    }
}

/// What the answer to an announce says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Peers that have all pieces; the asker counts.
    pub seeds: u32,
    /// Peers that have not.
    pub leechers: u32,
    /// How many compact peers were written.
    pub peers: usize,
    /// Whether the peer is stored: not when it stopped, or there was no room.
    pub stored: bool,
}

/// What a scrape says of a torrent (BEP 48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Peers that have all pieces.
    pub seeds: u32,
    /// Peers that have not, partial seeds included.
    pub leechers: u32,
    /// Peers that ended a download, since the torrent became known here.
    pub completed: u32,
    /// Peers that want pieces: leechers without partial seeds (BEP 21).
    pub downloaders: u32,
}

impl Counts {
    /// The larger of each number: who announces over IPv4 and over IPv6 is
    /// counted once.
    pub fn of_both(self, other: Self) -> Self {
        Self {
            seeds: self.seeds.max(other.seeds),
            leechers: self.leechers.max(other.leechers),
            completed: self.completed.max(other.completed),
            downloaders: self.downloaders.max(other.downloaders),
        }
    }
}

/// Why an announce is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// `torrents_max` are known, and this is another one.
    #[error("the tracker is full")]
    TorrentsMax,
}

/// One torrent; with its first peers it fills one line of the cache.
#[derive(Debug)]
#[repr(align(64))]
struct Torrent<S: Slot> {
    info_hash: [u8; 20],
    completed: u32,
    peers: Peers<S>,
}

/// All torrents of one address family, or one shard of them.
#[derive(Debug)]
pub struct Swarms<S: Slot> {
    limits: Limits,
    keyed: Keyed,
    /// When ticks begin.
    epoch: Instant,
    index: Index,
    torrents: Vec<Torrent<S>>,
    /// Peers of all torrents.
    peers: usize,
    /// Where [`Swarms::sweep`] goes on.
    cursor: usize,
}

impl<S: Slot> Swarms<S> {
    /// Nobody has announced. `keyed` must be what the [`InfoHashValue`]s come
    /// from.
    pub fn new(limits: Limits, keyed: Keyed, epoch: Instant) -> Self {
        Self {
            limits: limits.representable(),
            keyed,
            epoch,
            index: Index::default(),
            torrents: Vec::new(),
            peers: 0,
            cursor: 0,
        }
    }

    /// Other limits from here on; what is stored stays, also where it is more.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits.representable();
    }

    /// Torrents known.
    pub fn torrents(&self) -> usize {
        self.torrents.len()
    }

    /// Peers stored.
    pub fn peers(&self) -> usize {
        self.peers
    }

    /// First stage of fetching what an announce will read: its index entry.
    #[inline]
    pub fn fetch_index(&self, at: InfoHashValue, fetch: impl Fn(*const u8)) {
        fetch(self.index.address(at.tag()));
    }

    /// Second stage: the torrent. Gives what the third stage needs.
    #[inline]
    pub fn fetch_torrent(&self, at: InfoHashValue, fetch: impl Fn(*const u8)) -> Option<u32> {
        // That one tag stands for two torrents is so rare that the wrong one may be fetched.
        let place = self.index.find(at.tag(), |_| true)?;
        fetch(self.torrents.as_ptr().wrapping_add(place as usize).cast());
        Some(place)
    }

    /// Third stage: its peers, where they do not lie within the torrent.
    #[inline]
    pub fn fetch_peers(&self, place: u32, announce: &Announce<S>, fetch: impl Fn(*const u8)) {
        if let Some(torrent) = self.torrents.get(place as usize) {
            torrent.peers.fetch(&announce.wish(0), &self.keyed, fetch);
        }
    }

    #[inline]
    fn place(&self, at: InfoHashValue, info_hash: &[u8; 20]) -> Option<usize> {
        let torrents = &self.torrents;
        self.index
            .find(at.tag(), |place| {
                torrents.get(place as usize).is_some_and(|torrent| torrent.info_hash == *info_hash)
            })
            .map(|place| place as usize)
    }

    fn tick(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_secs() / TICK_SECONDS
    }

    /// Takes an announce and writes compact peers for the asker into `out`.
    ///
    /// # Errors
    /// When the torrent is new and there is no room for one more.
    #[inline]
    pub fn announce(
        &mut self,
        now: Instant,
        at: InfoHashValue,
        info_hash: &[u8; 20],
        announce: &Announce<S>,
        out: &mut [u8],
    ) -> Result<Told, Refusal> {
        let asker = S::at(announce.peer);
        let stopped = announce.event == Event::Stopped;
        let place = match self.place(at, info_hash) {
            Some(place) => place,
            None if stopped || asker.is_empty() => return Ok(Told::default()),
            None => self.add_torrent(at, info_hash)?,
        };
        let now_tick = self.tick(now);
        let Self { torrents, keyed, limits, peers: peers_stored, epoch, .. } = self;
        let torrent = &mut torrents[place];
        if stopped {
            if !asker.is_empty() && torrent.peers.remove(&asker, keyed).is_some() {
                *peers_stored -= 1;
            }
            let (peers, seeds) = torrent.peers.counts();
            return Ok(Told { seeds, leechers: peers - seeds, ..Told::default() });
        }
        let wish = announce.wish(now_tick);
        let mut stored = false;
        if !asker.is_empty() {
            let lifetime = announce.lifetime.as_secs().min(LIFETIME_SECONDS_MAX);
            let deadline = now.saturating_duration_since(*epoch).as_secs().saturating_add(lifetime);
            let state = State::new(deadline / TICK_SECONDS, announce.seed, announce.is_upload_only());
            let room = limits.peers_max.saturating_sub(*peers_stored);
            let peers_max = if room == 0 { 0 } else { limits.peers_per_torrent_max as u32 };
            let put = torrent.peers.put(asker.with_state(state), keyed, peers_max);
            stored = put != Put::Full;
            *peers_stored += usize::from(put == Put::Added);
            let was_seed = matches!(put, Put::Updated(before) if before.is_seed());
            if announce.event == Event::Completed && announce.seed && !was_seed && stored {
                torrent.completed = torrent.completed.saturating_add(1);
            }
        }
        let written = torrent.peers.select(&wish, out);
        let (peers, seeds) = torrent.peers.counts();
        Ok(Told { seeds, leechers: peers - seeds, peers: written, stored })
    }

    fn add_torrent(&mut self, at: InfoHashValue, info_hash: &[u8; 20]) -> Result<usize, Refusal> {
        let place = self.torrents.len();
        if place >= self.limits.torrents_max {
            return Err(Refusal::TorrentsMax);
        }
        self.torrents.push(Torrent { info_hash: *info_hash, completed: 0, peers: Peers::default() });
        self.index.insert(at.tag(), place as u32);
        Ok(place)
    }

    /// What is known of a torrent; zeros when nothing is.
    pub fn scrape(&self, at: InfoHashValue, info_hash: &[u8; 20]) -> Counts {
        let Some(torrent) = self.place(at, info_hash).and_then(|place| self.torrents.get(place)) else {
            return Counts::default();
        };
        let (peers, seeds) = torrent.peers.counts();
        Counts { seeds, leechers: peers - seeds, completed: torrent.completed, downloaders: peers - seeds }
    }

    /// As [`Swarms::scrape`], with partial seeds told from downloaders; looks
    /// at each peer.
    pub fn scrape_closely(&self, at: InfoHashValue, info_hash: &[u8; 20]) -> Counts {
        let counts = self.scrape(at, info_hash);
        let Some(torrent) = self.place(at, info_hash).and_then(|place| self.torrents.get(place)) else {
            return counts;
        };
        let downloaders = torrent.peers.iter().filter(|peer| !peer.state().is_upload_only()).count();
        Counts { downloaders: downloaders as u32, ..counts }
    }

    /// Forgets peers that are over, and torrents that nobody has, among the
    /// next `torrents`; a service calls it so that all are seen once a minute
    /// or so. Gives how many peers it forgot.
    pub fn sweep(&mut self, now: Instant, torrents: usize) -> usize {
        let now_tick = self.tick(now);
        let mut forgotten = 0;
        for _ in 0..torrents.min(self.torrents.len()) {
            if self.cursor >= self.torrents.len() {
                self.cursor = 0;
            }
            let Some(torrent) = self.torrents.get_mut(self.cursor) else { break };
            forgotten += torrent.peers.expire(now_tick, &self.keyed);
            if torrent.peers.counts().0 == 0 {
                self.remove_torrent(self.cursor);
            } else {
                self.cursor += 1;
            }
        }
        self.peers -= forgotten;
        if self.torrents.len() * 4 < self.torrents.capacity() {
            self.torrents.shrink_to(self.torrents.len() * 2);
        }
        forgotten
    }

    /// Removes a torrent; the last one takes its place.
    fn remove_torrent(&mut self, place: usize) {
        let removed = self.torrents.swap_remove(place);
        self.index.remove(self.keyed.info_hash(&removed.info_hash).tag(), place as u32);
        if let Some(moved) = self.torrents.get(place) {
            let tag = self.keyed.info_hash(&moved.info_hash).tag();
            self.index.moved(tag, self.torrents.len() as u32, place as u32);
        }
    }
}

/// Deadlines can be told from the past within so many seconds.
const LIFETIME_SECONDS_MAX: u64 = 36 * 3_600 - TICK_SECONDS;
