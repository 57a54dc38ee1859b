//! Announcing one torrent to its trackers, and hearing of peers from them.

use crate::context::Context;
use crate::details::TrackerAnswer;
use crate::http::{self, Get};
use crate::progress::Source;
use crate::search;
use crate::swarm::Swarm;
use bittorrent::metainfo::InfoHashV1;
use bittorrent::tracker::announcer::{Announcer, Due, Exchange, Progress, Schedule, TrackerUrl};
use bittorrent::tracker::http::{Announce, AnnounceReply, REPLY_OCTETS_MAX};
use bittorrent::tracker::udp::{self, Options, Reply};
use bittorrent::tracker::{Event, Family};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How long a tracker over HTTP may take.
const HTTP_PATIENCE: Duration = Duration::from_secs(30);
/// Repetitions of a request over UDP while other trackers wait to be asked.
const UDP_REPETITIONS_MAX: u32 = 2;
/// Peers asked for.
const PEERS_WANTED: i32 = 200;
/// Octets of the largest datagram of a tracker.
const DATAGRAM_OCTETS_MAX: usize = 8 * 1024;
/// How long trackers may take to hear that we leave.
const STOP_PATIENCE: Duration = Duration::from_secs(3);
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
    let mut leaving = false;
    loop {
        let now = Instant::now();
        while let Some(due) = announcer.poll_announce(now) {
            under_way.spawn_local(announce(swarm.clone(), hash, due));
        }
        if leaving && under_way.is_empty() {
            return;
        }
        tokio::select! {
            Some(outcome) = under_way.join_next() => if let Ok((due, outcome)) = outcome {
                settle(&swarm, &mut announcer, due, outcome);
            },
            changed = demand.changed(), if !leaving => if changed.is_ok() {
                announcer.handle_demand(Instant::now());
            } else {
                leaving = true;
                under_way.abort_all();
                if !completed && swarm.transferred().left == Some(0) {
                    announcer.handle_completed(Instant::now());
                }
                announcer.handle_stop(Instant::now());
            },
            _ = looks.tick(), if !leaving => {
                if !completed && swarm.transferred().left == Some(0) {
                    completed = true;
                    announcer.handle_completed(Instant::now());
                }
                if swarm.wants_peers() {
                    announcer.handle_want(Instant::now());
                }
            }
            () = tokio::time::sleep(STOP_PATIENCE), if leaving => return,
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
        TrackerUrl::Udp { host, port, path } => over_udp(&swarm, hash, &due, (host, *port), path).await,
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

async fn over_udp(
    swarm: &Swarm,
    hash: InfoHashV1,
    due: &Due,
    (host, port): (&str, u16),
    path: &str,
) -> Result<Answer, String> {
    let context: &Context = swarm.context();
    if context.network.is_proxied() {
        return Err("it is asked over UDP, which does not pass the proxy".to_owned());
    }
    let addresses = context.names.addresses(host, port).await.map_err(|error| error.to_string())?;
    let address = addresses.into_iter().find(|address| Family::of(*address) == due.family);
    let address = address.ok_or_else(|| format!("{host} has no address of this family"))?;
    let transferred = swarm.transferred();
    let announce = udp::Announce {
        connection_id: 0,
        transaction_id: 0,
        info_hash: hash.0,
        peer_id: context.peer_id.0,
        downloaded: transferred.received,
        // Unknown while there is no info dictionary: more than nothing.
        left: transferred.left.unwrap_or(1),
        uploaded: transferred.sent,
        event: due.event,
        ip: 0,
        key: context.key,
        num_want: wanted(due.event),
        port: context.port(),
        options: Options(&[]),
    };
    let socket = context.network.datagrams_towards(address).map_err(|error| error.to_string())?;
    let mut exchange = {
        let cache = context.trackers.borrow();
        let (now, path) = (Instant::now(), path.as_bytes());
        Exchange::announce(now, address, announce, path, UDP_REPETITIONS_MAX, &cache, &mut rand::rng())
    };
    let mut buffer = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        while let Some(datagram) = exchange.poll_transmit() {
            socket.send_to(&datagram, address).await.map_err(|error| error.to_string())?;
        }
        let Some(until) = exchange.poll_timeout() else { return Err("the exchange is over".to_owned()) };
        let received = tokio::time::timeout_at(until.into(), socket.receive_from(&mut buffer)).await;
        let (now, mut cache) = (Instant::now(), context.trackers.borrow_mut());
        let progress = match received {
            Ok(Ok((length, from))) => {
                let octets = buffer.get(..length).unwrap_or_default();
                exchange.handle_datagram(now, from, octets, &mut cache, &mut rand::rng())
            }
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => exchange.handle_timeout(now, &mut cache),
        };
        match progress {
            Progress::Continues => {}
            Progress::TimedOut => return Err("it does not answer".to_owned()),
            Progress::Answered(Reply::Error { message }) => {
                return Err(format!("it refuses: {}", String::from_utf8_lossy(message)));
            }
            Progress::Answered(reply) => {
                let schedule = Schedule::of_udp(&reply).ok_or("its answer is none to an announce")?;
                let (seeds, leechers) = match &reply {
                    Reply::Announce { seeds, leechers, .. } => (Some(*seeds), Some(*leechers)),
                    _ => (None, None),
                };
                let peers = reply.peers(due.family).collect();
                return Ok(Answer { schedule, peers, seeds, leechers });
            }
        }
    }
}
