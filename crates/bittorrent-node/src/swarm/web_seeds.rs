//! The web seeds of a torrent: which are asked, which rest, which are of no use.

use super::{State, Swarm};
use crate::progress::{Stage, WebSeedLine, WebSeedState};
use crate::web_seed::{Desk, Ended};
use bittorrent::metainfo::{Info, Layout};
use bittorrent::torrent::{PeerFacts, PeerKey, PieceSet, Send, Torrent};
use bittorrent::web_seed::{WEB_SEEDS_ACTIVE_MAX, WebSeed};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Web seeds that are known of one torrent; more are passed over.
const WEB_SEEDS_MAX: usize = 64;
/// Files that one web seed is known to lack; one that lacks more is of no use.
const LACKING_MAX: usize = 1_024;
/// How long a web seed rests after its first failure; each further one doubles it.
const REST: Duration = Duration::from_secs(5);
/// How long it rests at most, unless it asks for more.
const REST_MAX: Duration = Duration::from_mins(10);
/// How long it may ask to be left alone.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// All web seeds of a torrent. The keys by which the rules know them are the
/// first ones there are, and stay theirs.
#[derive(Debug, Default)]
pub(super) struct WebSeeds(Vec<Place>);

#[derive(Debug)]
struct Place {
    seed: WebSeed,
    /// While it is asked.
    desk: Option<Rc<Desk>>,
    failures: u32,
    /// Not before that.
    next: Option<Instant>,
    /// Why it was not asked any longer, last time.
    failure: Option<String>,
    /// It is never asked again.
    gone: bool,
    lacking: BTreeSet<usize>,
    /// Octets that came before it rested last.
    received_before: u64,
}

impl WebSeeds {
    pub(super) fn new(seeds: Vec<WebSeed>) -> Self {
        let mut known: Vec<Place> = Vec::new();
        for seed in seeds {
            if known.len() < WEB_SEEDS_MAX && known.iter().all(|place| place.seed != seed) {
                known.push(Place::new(seed));
            }
        }
        Self(known)
    }

    /// Those that have the files, as metainfo names them (BEP 19): where the link
    /// that told of them is not kept, the metainfo is.
    pub(super) fn of_files(&self) -> Vec<String> {
        let address = |place: &Place| match &place.seed {
            WebSeed::Files(address) => Some(address.clone()),
            WebSeed::Script(_) => None,
        };
        self.0.iter().filter_map(address).collect()
    }

    /// The first key that is none of theirs.
    pub(super) fn first_free_key(&self) -> u32 {
        self.0.len() as u32
    }

    /// The desk of a web seed that is asked.
    pub(super) fn desk(&self, key: PeerKey) -> Option<&Rc<Desk>> {
        self.0.get(key.0 as usize)?.desk.as_ref()
    }

    /// It sent wrong octets: it is asked no more, and if that is a web seed.
    pub(super) fn ban(&mut self, key: PeerKey) -> Option<&WebSeed> {
        let place = self.0.get_mut(key.0 as usize)?;
        place.gone = true;
        place.failure = Some("banned: it sent wrong octets".to_owned());
        place.close();
        Some(&place.seed)
    }

    /// Ends the asking of one.
    pub(super) fn close(&self, key: PeerKey) {
        if let Some(place) = self.0.get(key.0 as usize) {
            place.close();
        }
    }

    pub(super) fn close_all(&self) {
        self.0.iter().for_each(Place::close);
    }

    /// Does what the rules want done with one.
    pub(super) fn hand(&self, key: PeerKey, send: &Send) {
        let Some(desk) = self.desk(key) else { return };
        match send {
            Send::Request(octets) => desk.ask(*octets),
            Send::Cancel(octets) => desk.cancel(*octets),
            // It takes and wants nothing.
            _ => {}
        }
    }

    /// What is shown of them.
    pub(super) fn show(&self, now: Instant, torrent: Option<&Torrent>) -> Vec<WebSeedLine> {
        let line = |(key, place): (usize, &Place)| {
            let key = PeerKey(key as u32);
            let asked = place.desk.as_ref();
            let view = torrent.filter(|_| asked.is_some());
            let view = view.and_then(|torrent| torrent.peers(now).find(|view| view.key == key));
            let state = match (asked, place.gone, place.next.is_some_and(|next| next > now)) {
                (Some(_), ..) => WebSeedState::Active,
                (None, true, _) => WebSeedState::Gone,
                (None, false, true) => WebSeedState::Resting,
                (None, false, false) => WebSeedState::Spare,
            };
            WebSeedLine {
                url: place.seed.address().to_owned(),
                state,
                failure: place.failure.clone(),
                received_per_second: view.map_or(0.0, |view| view.received_per_second),
                received_octets: place.received_before + asked.map_or(0, |desk| desk.received_octets()),
            }
        };
        self.0.iter().enumerate().map(line).collect()
    }

    /// One that can be asked from now on.
    fn next(&mut self, now: Instant) -> Option<(PeerKey, &mut Place)> {
        let active = self.0.iter().filter(|place| place.desk.is_some()).count();
        if active >= WEB_SEEDS_ACTIVE_MAX {
            return None;
        }
        let ready =
            |place: &Place| place.desk.is_none() && !place.gone && place.next.is_none_or(|next| next <= now);
        let mut all = self.0.iter_mut().enumerate();
        let (key, place) = all.find(|(_, place)| ready(place))?;
        Some((PeerKey(key as u32), place))
    }
}

impl Place {
    fn new(seed: WebSeed) -> Self {
        Self {
            seed,
            desk: None,
            failures: 0,
            next: None,
            failure: None,
            gone: false,
            lacking: BTreeSet::new(),
            received_before: 0,
        }
    }

    fn close(&self) {
        if let Some(desk) = &self.desk {
            desk.close();
        }
    }

    /// It is not asked any longer.
    fn end(&mut self, now: Instant, ended: Ended) {
        let Some(desk) = self.desk.take() else { return };
        self.received_before += desk.received_octets();
        if desk.received_octets() > 0 {
            self.failures = 0;
        }
        match ended {
            Ended::Ours => {}
            Ended::Later { why, after } => {
                let rest = REST * (1 << self.failures.min(10));
                self.failures += 1;
                let asked = after.unwrap_or_default().min(RETRY_AFTER_MAX);
                self.next = Some(now + rest.min(REST_MAX).max(asked));
                self.failure = Some(why);
            }
            Ended::Lacks { file, why } => {
                self.failure = Some(why);
                self.gone |= file.is_none() || self.lacking.len() >= LACKING_MAX;
                self.lacking.extend(file);
            }
        }
    }

    /// The pieces it has, where that is not all.
    fn holdings(&self, layout: &Layout) -> Option<PieceSet> {
        if self.lacking.is_empty() {
            return None;
        }
        let mut holds = PieceSet::full(layout.piece_count());
        for file in &self.lacking {
            for piece in layout.file_pieces(*file) {
                holds.remove(piece);
            }
        }
        Some(holds)
    }
}

impl Swarm {
    /// The info dictionary, once the files have been looked at.
    pub(crate) fn info(&self) -> Option<Arc<Info>> {
        self.content().map(|content| content.info().clone())
    }

    /// A web seed that is to be asked from now on, while something is missing.
    pub(super) fn next_web_seed(&self, now: Instant) -> Option<Rc<Desk>> {
        let mut borrowed = self.state.borrow_mut();
        let state: &mut State = &mut borrowed;
        if state.stage != Stage::Downloading {
            return None;
        }
        let active = state.active.as_mut()?;
        let layout = active.content.info().layout();
        loop {
            let (key, place) = state.web_seeds.next(now)?;
            let holds = place.holdings(layout);
            if holds.as_ref().is_some_and(PieceSet::is_empty) {
                place.gone = true;
                continue;
            }
            let facts = PeerFacts { web_seed: true, upload_only: true, ..PeerFacts::default() };
            // There is no room: peers enough.
            active.torrent.add_peer(now, key, facts).ok()?;
            let desk = Rc::new(Desk::new(place.seed.clone(), key));
            place.desk = Some(desk.clone());
            match holds {
                None => active.torrent.handle_have_all(now, key),
                // As many bits as pieces: well formed.
                Some(holds) => drop(active.torrent.handle_bitfield(now, key, &holds.to_bitfield())),
            }
            active.torrent.handle_unchoke(now, key);
            self.act(now, state);
            return Some(desk);
        }
    }

    /// A web seed is not asked any longer.
    pub(crate) fn web_seed_ended(&self, now: Instant, desk: &Desk, ended: Ended) {
        let mut state = self.state.borrow_mut();
        if ended != Ended::Ours {
            tracing::debug!(seed = %desk.seed, ?ended, torrent = %state.name, "web seed");
        }
        if let Some(place) = state.web_seeds.0.get_mut(desk.key.0 as usize) {
            place.end(now, ended);
        }
        if let Some(active) = &mut state.active {
            active.torrent.remove_peer(now, desk.key);
        }
        self.act(now, &mut state);
        self.stir.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(count: usize) -> Vec<WebSeed> {
        (0..count).map(|number| WebSeed::Files(format!("http://w{number}.test/"))).collect()
    }

    #[test]
    fn so_many_are_known_and_so_many_asked_at_once() {
        let now = Instant::now();
        let mut twice = seeds(WEB_SEEDS_MAX + 10);
        twice.extend(seeds(5));
        let mut all = WebSeeds::new(twice);
        assert_eq!(all.first_free_key() as usize, WEB_SEEDS_MAX);
        for number in 0..WEB_SEEDS_ACTIVE_MAX as u32 {
            let (key, place) = all.next(now).expect("one more");
            assert_eq!(key, PeerKey(number));
            place.desk = Some(Rc::new(Desk::new(place.seed.clone(), key)));
        }
        assert!(all.next(now).is_none());
        assert!(all.ban(PeerKey(3)).is_some() && all.ban(PeerKey(999)).is_none());
        all.0[3].end(now, Ended::Ours);
        assert_eq!(all.next(now).map(|(key, _)| key.0), Some(WEB_SEEDS_ACTIVE_MAX as u32));
    }

    #[test]
    fn one_in_trouble_rests_ever_longer_or_as_long_as_it_asks() {
        let mut now = Instant::now();
        let mut all = WebSeeds::new(seeds(1));
        let mut fail = |now: Instant, after: Option<Duration>| {
            let (key, place) = all.next(now).expect("it is ready");
            place.desk = Some(Rc::new(Desk::new(place.seed.clone(), key)));
            place.end(now, Ended::Later { why: "503".to_owned(), after });
            place.next.expect("it rests").duration_since(now)
        };
        for seconds in [5, 10, 20, 40, 80, 160, 320, 600, 600] {
            assert_eq!(fail(now, None), Duration::from_secs(seconds));
            now += Duration::from_secs(seconds);
        }
        assert_eq!(fail(now, Some(Duration::from_mins(15))), Duration::from_mins(15));
        now += Duration::from_mins(15);
        assert_eq!(fail(now, Some(Duration::MAX)), RETRY_AFTER_MAX);
        assert!(all.next(now).is_none());
    }

    #[test]
    fn one_that_lacks_too_many_files_is_of_no_use() {
        let now = Instant::now();
        let mut all = WebSeeds::new(seeds(1));
        for file in 0..=LACKING_MAX {
            let (key, place) = all.next(now).expect("it has others");
            place.desk = Some(Rc::new(Desk::new(place.seed.clone(), key)));
            place.end(now, Ended::Lacks { file: Some(file), why: "HTTP status 404".to_owned() });
        }
        assert!(all.next(now).is_none());
    }
}
