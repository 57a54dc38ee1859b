//! Announcing one torrent to its trackers, and hearing of peers from them.

mod over_udp;

use crate::details::TrackerAnswer;
use crate::http::{self, Get};
use crate::progress::Source;
use crate::search;
use crate::swarm::Swarm;
use bittorrent::metainfo::InfoHashV1;
use bittorrent::tracker::Event;
use bittorrent::tracker::announcer::{Announcer, Due, Schedule, TrackerUrl};
use bittorrent::tracker::http::{Announce, AnnounceReply, REPLY_OCTETS_MAX};
use over_udp::over_udp;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a tracker over HTTP may take.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);
/// Peers asked for.
const PEERS_WANTED: i32 = 200;
/// How long trackers may take to hear that we leave.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
/// How long one that was just asked may take to answer before that: who never
/// answered does not hold us up.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether more peers are wanted or all is here.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What came of an announce.
type Outcome = (Due, Result<Answer, String>);

/// What a tracker says.
struct Answer {
    schedule: Schedule,
    peers: Vec<SocketAddr>,
    seeds: Option<u32>,
    leechers: Option<u32>,
}

/// The announces of one torrent to trackers and in the hash table: begun, asked for and ended as it runs.
pub(crate) struct Announcing {
    swarm: Rc<Swarm>,
    tiers: Vec<Vec<TrackerUrl>>,
    tasks: JoinSet<()>,
    /// While it is announced: tells that the user asks. Dropped, it is left.
    demand: Option<watch::Sender<()>>,
}

impl Announcing {
    pub(crate) fn new(swarm: Rc<Swarm>, tiers: Vec<Vec<TrackerUrl>>) -> Self {
        Self { swarm, tiers, tasks: JoinSet::new(), demand: None }
    }

    /// Begins or leaves, if it is not as it should be. Who left is not announced
    /// again before all trackers were told.
    pub(crate) fn keep(&mut self, announced: bool) {
        if !announced {
            // Dropped, the tasks leave.
            self.demand = None;
        } else if self.demand.is_none() && self.tasks.is_empty() {
            let demand = self.demand.insert(watch::Sender::new(()));
            for hash in self.swarm.hashes.wire() {
                self.tasks.spawn_local(search::run(self.swarm.clone(), hash, demand.subscribe()));
            }
            self.begin(&self.tiers.clone());
        }
    }

    fn begin(&mut self, tiers: &[Vec<TrackerUrl>]) {
        let Some(demand) = &self.demand else { return };
        for hash in self.swarm.hashes.wire() {
            self.tasks.spawn_local(run(self.swarm.clone(), hash, tiers.to_vec(), demand.subscribe()));
        }
    }

    /// More trackers, which are announced to beside those that there are.
    pub(crate) fn add(&mut self, tiers: Vec<Vec<TrackerUrl>>) {
        self.begin(&tiers);
        self.tiers.extend(tiers);
    }

    /// Other trackers instead: those that there were hear that we leave first.
    pub(crate) fn replace(&mut self, tiers: Vec<Vec<TrackerUrl>>) {
        self.demand = None;
        self.tiers = tiers;
    }

    /// Whether it is announced now.
    pub(crate) fn is_begun(&self) -> bool {
        self.demand.is_some()
    }

    /// The trackers, tier by tier.
    pub(crate) fn tiers(&self) -> &[Vec<TrackerUrl>] {
        &self.tiers
    }

    /// Asks the trackers again, as soon as they allow it.
    pub(crate) fn demand(&self) {
        if let Some(demand) = &self.demand {
            demand.send_replace(());
        }
    }

    /// Resolves when one of its tasks has ended; never while there is none.
    pub(crate) async fn ended(&mut self) {
        if self.tasks.is_empty() {
            std::future::pending::<()>().await;
        }
        self.tasks.join_next().await;
    }

    /// Leaves, and waits until trackers know.
    pub(crate) async fn farewell(&mut self) {
        self.demand = None;
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Announces the torrent under one of its info-hashes until it is told to leave.
async fn run(
    swarm: Rc<Swarm>,
    hash: InfoHashV1,
    tiers: Vec<Vec<TrackerUrl>>,
    mut demand: watch::Receiver<()>,
) {
    let families = swarm.context().families();
    let seed = swarm.transferred().left == Some(0);
    let mut announcer = Announcer::new(tiers, &families, seed, &mut rand::rng());
    if announcer.is_empty() {
        return;
    }
    let mut completed = seed;
    let mut under_way: JoinSet<Outcome> = JoinSet::new();
    let mut looks = tokio::time::interval(LOOK_INTERVAL);
    // Until when, at present and at most.
    let mut leaving: Option<(Instant, Instant)> = None;
    loop {
        let now = Instant::now();
        while let Some(due) = announcer.poll_announce(now) {
            under_way.spawn_local(announce(swarm.clone(), hash, due));
        }
        if leaving.is_some() && under_way.is_empty() {
            return;
        }
        tokio::select! {
            Some(outcome) = under_way.join_next() => if let Ok((due, outcome)) = outcome {
                settle(&swarm, &mut announcer, due, outcome);
                if let Some((until, last)) = &mut leaving {
                    *until = *last;
                }
            },
            changed = demand.changed(), if leaving.is_none() => if changed.is_ok() {
                announcer.handle_demand(Instant::now());
            } else {
                let last = Instant::now() + STOP_PATIENCE;
                // What is on its way may be answered yet: that tracker is told as well.
                let until = if under_way.is_empty() { last } else { Instant::now() + ANSWER_PATIENCE };
                leaving = Some((until, last));
                if !completed && swarm.transferred().left == Some(0) {
                    announcer.handle_completed(Instant::now());
                }
                announcer.handle_stop(Instant::now());
            },
            _ = looks.tick(), if leaving.is_none() => {
                if !completed && swarm.transferred().left == Some(0) {
                    completed = true;
                    announcer.handle_completed(Instant::now());
                }
                if swarm.wants_peers() {
                    announcer.handle_want(Instant::now());
                }
            }
            () = tokio::time::sleep_until(leaving.map_or(now, |(until, _)| until).into()), if leaving.is_some() => return,
        }
    }
}

fn settle(swarm: &Swarm, announcer: &mut Announcer, due: Due, outcome: Result<Answer, String>) {
    let now = Instant::now();
    match outcome {
        Ok(Answer { schedule, peers, seeds, leechers }) => {
            tracing::debug!(tracker = %due.url, peers = peers.len(), "announced");
            let at = SystemTime::now();
            let next = at.checked_add(schedule.interval());
            let answer = TrackerAnswer { at, next, failure: None, peers: peers.len(), seeds, leechers };
            swarm.note_tracker(&due.url, answer);
            swarm.add_contacts(Source::Tracker, peers);
            announcer.handle_reply(now, due.tracker, due.family, schedule);
        }
        Err(why) => {
            tracing::debug!(tracker = %due.url, why, "not announced");
            let answer = TrackerAnswer {
                at: SystemTime::now(),
                next: None,
                failure: Some(why),
                peers: 0,
                seeds: None,
                leechers: None,
            };
            swarm.note_tracker(&due.url, answer);
            announcer.handle_failure(now, due.tracker, due.family, None);
        }
    }
}

async fn announce(swarm: Rc<Swarm>, hash: InfoHashV1, due: Due) -> Outcome {
    let outcome = match &due.url {
        TrackerUrl::Http { url, .. } => over_http(&swarm, hash, &due, url).await,
        TrackerUrl::Udp { host, port, path } => {
            over_udp(&swarm, hash, due.event, (host, *port), due.family, path).await
        }
    };
    (due, outcome)
}

async fn over_http(swarm: &Swarm, hash: InfoHashV1, due: &Due, url: &str) -> Result<Answer, String> {
    let context = swarm.context();
    let transferred = swarm.transferred();
    let announce = Announce {
        info_hash: hash.0,
        peer_id: context.peer_id.0,
        port: context.port(),
        uploaded: transferred.sent,
        downloaded: transferred.received,
        left: transferred.left,
        event: due.event,
        num_want: Some(wanted(due.event)),
        compact: Some(true),
        no_peer_id: true,
        key: Some(format!("{:08x}", context.key).into_bytes()),
        tracker_id: due.tracker_id.clone(),
    };
    let get = Get {
        url: &announce.url(url),
        range: None,
        family: Some(due.family),
        octets_max: REPLY_OCTETS_MAX,
        patience: HTTP_PATIENCE,
    };
    let response =
        http::get(&context.network, &context.names, get).await.map_err(|error| error.to_string())?;
    let reply = AnnounceReply::read(&response.body).map_err(|error| {
        if response.status.is_success() {
            error.to_string()
        } else {
            format!("HTTP status {}", response.status)
        }
    })?;
    let peers = reply.peers.iter().map(|peer| peer.address).collect();
    let schedule = Schedule::of_http(&reply);
    Ok(Answer { schedule, peers, seeds: reply.seeds, leechers: reply.leechers })
}

/// Who leaves wants nobody.
fn wanted(event: Event) -> i32 {
    if event == Event::Stopped { 0 } else { PEERS_WANTED }
}
