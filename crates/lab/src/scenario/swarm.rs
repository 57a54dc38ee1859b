//! `swarm`: a file gets from one seed to many peers. Alice joins late, one peer
//! gives nothing, a third of the peers leave and come back, and the seed leaves
//! once one copy is out.

mod run;

use crate::ladder::Arrow;
use crate::svg::mebi;
use crate::{LabError, Story};
use bittorrent::torrent::{Settings as Rules, Slots};
use run::{Places, Running};
use simulation::swarm::peer_to_peer_seconds;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Peers beside the seed, Alice and the free rider among them.
pub(crate) const PEERS_MIN: usize = 6;
const PEERS_MAX: usize = 40;
/// From so many on the free rider is behind even those who were away for a while:
/// in a small swarm its turn to be unchoked optimistically comes round too often.
const PEERS_RIDER_LAST: usize = 12;
/// The largest file, in octets.
const FILE_OCTETS_MAX: u64 = 256 * 1024 * 1024;
/// Octets of a piece.
const PIECE_OCTETS: u32 = 32 * 1024;
/// The seed's uplink, in uplinks of a peer.
const SEED_TIMES: u64 = 2;
/// When Alice joins and when others leave, in shares of the bound.
const ALICE_JOINS: f64 = 0.08;
const CHURN_BEGINS: f64 = 0.18;
/// For how long they are away, in shares of the bound.
const AWAY: f64 = 0.05;
/// How often who is unchoked is decided anew in a bound: a film takes hours, this a
/// minute, so the lecture's rules run faster, and the same number of rounds is played.
const ROUNDS: f64 = 30.0;
/// How many times faster they run at most: a round must see blocks from each partner.
const FASTER_MAX: f64 = 20.0;
/// The shortest bound, in seconds.
const BOUND_MIN: f64 = 10.0;
/// How long anything may take, in bounds.
const BOUNDS_MAX: f64 = 8.0;

/// What the swarm is started from.
#[derive(Clone)]
pub struct SwarmPlan {
    /// Peers beside the seed, at least 6 and at most 40.
    pub peers: usize,
    /// Octets of the file, up to 256 MiB.
    pub octets: u64,
    /// Octets a second of a peer's uplink. The seed has twice as much; every downlink
    /// has half as much again.
    pub uplink: u64,
    /// Makes the file.
    pub seed: u64,
    /// Where each host gets a folder of its own.
    pub folder: PathBuf,
    /// Where the picture of the whole run is written.
    pub picture: Option<PathBuf>,
    /// Who is told what happens.
    pub observers: Vec<Arc<dyn event::Observer>>,
    /// Where everything on the wire is written, each host an interface.
    pub capture: Option<net::Capture>,
}

impl SwarmPlan {
    /// Sixteen peers and 16 MiB: a minute and a half.
    pub fn new(folder: PathBuf, seed: u64) -> Self {
        Self {
            peers: 16,
            octets: 16 * 1024 * 1024,
            uplink: 256_000,
            seed,
            folder,
            picture: None,
            observers: Vec::new(),
            capture: None,
        }
    }

    fn check(&self) -> Result<(), LabError> {
        if !(PEERS_MIN..=PEERS_MAX).contains(&self.peers) {
            return Err(LabError::Plan(format!(
                "--peers {}: between {PEERS_MIN} and {PEERS_MAX} can take part",
                self.peers
            )));
        }
        let least = u64::from(PIECE_OCTETS) * 16;
        if !(least..=FILE_OCTETS_MAX).contains(&self.octets) {
            return Err(LabError::Plan(format!(
                "--file-size {}: write between {least} and {FILE_OCTETS_MAX} octets",
                self.octets
            )));
        }
        if self.uplink < 8_000 {
            return Err(LabError::Plan(format!(
                "--uplink {}: write at least 8000 octets a second",
                self.uplink
            )));
        }
        if self.bound() < BOUND_MIN {
            return Err(LabError::Plan(format!(
                "this file takes at least {:.1} s, which is too short to be seen: write a larger --file-size or a \
                 smaller --uplink, for {BOUND_MIN:.0} s at least",
                self.bound()
            )));
        }
        Ok(())
    }

    /// The lecture's bound, in seconds: max{F/us, F/dmin, NF/(us+Σui)}. The free
    /// rider adds no uplink.
    fn bound(&self) -> f64 {
        let (octets, up) = (self.octets as f64, self.uplink as f64);
        let all_up = up * (self.peers - 1) as f64;
        peer_to_peer_seconds(octets, self.peers, self.seed_up() as f64, self.down() as f64, all_up)
    }

    /// The seed's uplink, in octets a second.
    fn seed_up(&self) -> u64 {
        self.uplink * SEED_TIMES
    }

    /// Everybody's downlink, in octets a second: half as much again as an uplink.
    fn down(&self) -> u64 {
        self.uplink * 3 / 2
    }

    /// The lecture's rules, sped up, with these slots.
    fn rules(&self) -> Rules {
        let defaults = Rules::default();
        let faster = |span: Duration| span.div_f64(self.faster());
        Rules {
            slots: Slots::Fixed(self.slots()),
            choke_interval: faster(defaults.choke_interval),
            optimistic_interval: faster(defaults.optimistic_interval),
            newcomer_span: faster(defaults.newcomer_span),
            snub_after: faster(defaults.snub_after),
            ..defaults
        }
    }

    /// How many times faster the lecture's rules run.
    fn faster(&self) -> f64 {
        (Rules::default().choke_interval.as_secs_f64() * ROUNDS / self.bound()).clamp(1.0, FASTER_MAX)
    }

    /// Peers that a leecher unchokes for what they send: four as in the lecture,
    /// less where that would be nearly all, above all while a third is away.
    fn slots(&self) -> u32 {
        ((self.peers as u32 - 3) / 2).clamp(1, 4)
    }
}

/// Messages that belong into the story: Alice's, and who asks the tracker.
pub(super) fn interesting(arrow: &Arrow) -> bool {
    arrow.from == "alice"
        || arrow.to == "alice"
        || arrow.protocol == "tracker" && arrow.text.contains("announce")
}

pub(super) async fn tell(story: &mut Story, plan: &SwarmPlan, running: &mut Running) -> Result<(), LabError> {
    let places = running.places();
    begin(story, plan, running, &places).await?;
    join(story, plan, running, &places).await?;
    alice(story, plan, running, &places).await?;
    churn(story, plan, running, &places).await?;
    seed_leaves(story, plan, running, &places).await?;
    complete(story, plan, running, &places).await
}

async fn begin(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    let server_alone = plan.peers as f64 * plan.octets as f64 / plan.seed_up() as f64;
    story
        .step(&format!(
            "A file of {} in pieces of 32 KiB is to get to {} peers. Each host has an address of its own and a last \
             mile: {} kB/s up ({} kB/s the seed's), {} kB/s down, a queue of 100 ms. The seed alone would need \
             {server_alone:.0} s (NF/us); if all send, it takes at least {:.0} s (NF/(us+Σui)).",
            mebi(plan.octets),
            plan.peers,
            plan.uplink / 1000,
            plan.seed_up() / 1000,
            plan.down() / 1000,
            plan.bound(),
        ))
        .await;
    story.say(&format!("watch it: {}", running.page()));
    let rules = plan.rules();
    story.say(&format!(
        "who is unchoked: the {} who send the most, anew every {:.1} s, and one more, optimistically, every {:.1} s: \
         the lecture's rules, {:.1} times faster",
        plan.slots(),
        rules.choke_interval.as_secs_f64(),
        rules.optimistic_interval.as_secs_f64(),
        plan.faster()
    ));
    let has = running.start(places.seed).await?;
    story.settle().await;
    story.figure(
        "plan",
        serde_json::json!({
            "peers": plan.peers, "octets": plan.octets, "pieces": has.pieces, "uplink": plan.uplink,
            "bound_seconds": plan.bound(), "server_alone_seconds": server_alone,
        }),
        &format!("{} pieces", has.pieces),
    );
    story.check("the seed has all of them", has.pieces > 0 && has.have_pieces == has.pieces);
    Ok(())
}

async fn join(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    story
        .step(&format!(
            "{} peers come, each with the torrent and nothing else. Each asks the tracker and connects to those it is \
             told of. The first piece is taken at random, then the rarest first.",
            plan.peers - 1
        ))
        .await;
    for at in places.others.iter().chain([&places.rider]) {
        running.start(*at).await?;
    }
    let everyone: Vec<usize> = places.others.clone();
    let started = running
        .wait(story, plan.bound() * BOUNDS_MAX, |seen| {
            everyone.iter().all(|at| seen.hosts[*at].first_piece.is_some())
        })
        .await;
    story.settle().await;
    let seen = running.seen();
    let copies = seen.copies(|host| host.role != crate::swarm::Role::Seed);
    let distinct = copies.iter().filter(|copies| **copies > 0).count();
    let rarest = seen.given[places.seed].iter().sum::<u64>() / u64::from(PIECE_OCTETS);
    story.check("each peer has a first piece", started);
    let text = format!("the seed gave {rarest} pieces' worth, and {distinct} different pieces are out");
    story.figure("rarest_first", serde_json::json!({"given": rarest, "different": distinct}), &text);
    story.check("hardly a piece was given twice", distinct as f64 >= 0.8 * rarest as f64);
    Ok(())
}

async fn alice(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    running.wait_until(story, plan.bound() * ALICE_JOINS).await;
    story
        .step("Alice joins late. The tracker tells her of the others; she has nothing to give until one of them unchokes her without regard to that.")
        .await;
    let joined = running.view.seconds();
    running.mark("Alice joins");
    running.start(places.alice).await?;
    let at = places.alice;
    let began = running
        .wait(story, plan.bound() * BOUNDS_MAX, move |seen| {
            seen.hosts[at].first_piece.is_some() && seen.is_unchoked(at)
        })
        .await;
    let arrows = story.gather().await;
    let unchoke = arrows.iter().position(|arrow| arrow.to == "alice" && arrow.text.contains("unchoke"));
    for arrow in arrows.iter().filter(|arrow| arrow.protocol == "tracker" || arrow.text == "handshake") {
        if arrow.from == "alice" || arrow.to == "alice" {
            story.draw(arrow.clone());
        }
    }
    if let Some(arrow) = unchoke.and_then(|at| arrows.get(at)) {
        story.draw(arrow.clone());
    }
    let told = arrows.iter().any(|arrow| arrow.to == "alice" && arrow.text.ends_with("peers"));
    story.check("the tracker told her of peers", told);
    story.check("somebody unchoked her", unchoke.is_some());
    story.check("she has a first piece", began);
    let after = running.seen().hosts[at].first_piece.map(|seconds| seconds - joined);
    story.figure(
        "alice_first_piece_seconds",
        after,
        &format!("her first piece came after {:.1} s", after.unwrap_or_default()),
    );
    Ok(())
}

async fn churn(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    running.wait_until(story, plan.bound() * CHURN_BEGINS).await;
    story
        .step(&format!(
            "{} peers, a third of all, are switched off. Pieces that only they had are rarer now. After {:.1} s they come \
             back and go on with what they had.",
            places.leaving.len(),
            plan.bound() * AWAY
        ))
        .await;
    running.mark("a third leaves");
    running.stop(&places.leaving).await;
    let seen = running.seen();
    let had: Vec<u32> = places.leaving.iter().map(|at| seen.hosts[*at].has.count()).collect();
    let until = running.view.seconds() + plan.bound() * AWAY;
    running.wait_until(story, until).await;
    story.show(&running.matrix());
    let mut resumed = Vec::new();
    for at in &places.leaving {
        resumed.push(running.start(*at).await?.have_pieces);
    }
    running.mark("they are back");
    story.settle().await;
    story.figure(
        "resumed",
        serde_json::json!({"had": had, "found": resumed}),
        &format!("pieces they left with: {had:?}; pieces they found on their disks: {resumed:?}"),
    );
    story.check(
        "each found every piece it had",
        had.iter().zip(&resumed).all(|(had, resumed)| had == resumed),
    );
    Ok(())
}

async fn seed_leaves(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    story
        .step("Once every piece has a copy among the peers who give, the seed leaves. What the free rider alone has would be lost.")
        .await;
    let seed = places.seed;
    let out = running
        .wait(story, plan.bound() * BOUNDS_MAX, |seen| {
            seen.distributed_copies(|host| host.role != crate::swarm::Role::Seed) >= 1.0
        })
        .await;
    let seen = running.seen();
    let copies = seen.distributed_copies(|host| host.role != crate::swarm::Role::Seed);
    let complete = seen.hosts.iter().filter(|host| host.completed.is_some()).count();
    running.stop(&[seed]).await;
    running.mark("the seed leaves");
    let sent = running.seen().hosts[seed].sent as f64 / plan.octets as f64;
    story.show(&running.matrix());
    let seconds = seen.seconds;
    story.figure(
        "seed_left",
        serde_json::json!({"seconds": seconds, "copies": copies, "sent_files": sent, "complete": complete}),
        &format!(
            "after {seconds:.1} s (F/us is {:.1} s); the seed sent {sent:.2} times the file",
            plan.octets as f64 / plan.seed_up() as f64
        ),
    );
    story.check("one copy is out", out && copies >= 1.0);
    story.check("nobody was complete yet", complete == 0);
    Ok(())
}

async fn complete(
    story: &mut Story,
    plan: &SwarmPlan,
    running: &mut Running,
    places: &Places,
) -> Result<(), LabError> {
    story
        .step("Without the seed the peers complete one another. Tit for tat: who gives is unchoked by those it gives to; the free rider lives on what is given away optimistically.")
        .await;
    let takers: Vec<usize> = places.takers();
    let waited = takers.clone();
    let all = running
        .wait(story, plan.bound() * BOUNDS_MAX, move |seen| {
            waited.iter().all(|at| seen.hosts[*at].completed.is_some())
        })
        .await;
    story.settle().await;
    story.show(&running.matrix());
    let seen = running.seen();
    let mut order = takers.clone();
    order.sort_by(|one, other| {
        let at = |at: &usize| seen.hosts[*at].completed.unwrap_or(f64::INFINITY);
        at(one).total_cmp(&at(other))
    });
    for at in &order {
        let host = &seen.hosts[*at];
        let share = host.unchoked_share().map_or(0.0, |share| share * 100.0);
        story.figure(
            "host",
            serde_json::json!({
                "name": host.name, "role": host.role, "joined": host.joined, "completed": host.completed,
                "sent": host.sent, "received": host.received, "wasted": host.wasted,
                "unchoked_share": host.unchoked_share(),
            }),
            &format!(
                "{:<8} complete after {:>5.1} s, sent {:>5.1} MB, unchoked {share:>3.0} % of the time",
                host.name,
                host.completed.unwrap_or(f64::INFINITY),
                host.sent as f64 / 1e6
            ),
        );
    }
    let last = order.last().and_then(|at| seen.hosts[*at].completed).unwrap_or(f64::INFINITY);
    let fair = takers.iter().filter(|at| **at != places.rider).map(|at| &seen.hosts[*at]);
    let shares: Vec<f64> = fair.clone().filter_map(crate::swarm::Host::unchoked_share).collect();
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    let rider = seen.hosts[places.rider].unchoked_share().unwrap_or(1.0);
    let fair_last = fair.filter_map(|host| host.completed).fold(0.0, f64::max);
    story.figure(
        "finish",
        serde_json::json!({
            "last_seconds": last, "last_who_gives_seconds": fair_last, "bound_seconds": plan.bound(),
            "rider_unchoked_share": rider, "others_unchoked_share": mean,
        }),
        &format!(
            "the last who gives after {fair_last:.1} s, the free rider after {last:.1} s; the bound is {:.1} s",
            plan.bound()
        ),
    );
    story.check("everybody has the whole file", all);
    story.check("Alice too", seen.hosts[places.alice].completed.is_some());
    story.check(
        &format!(
            "the free rider was choked: unchoked {:.0} % of the time, others {:.0} %",
            rider * 100.0,
            mean * 100.0
        ),
        rider < 0.75 * mean,
    );
    let completed = |at: usize| seen.hosts[at].completed.unwrap_or(f64::INFINITY);
    let stayed = places.others.iter().filter(|at| !places.leaving.contains(at));
    let stayed_last = stayed.map(|at| completed(*at)).fold(0.0, f64::max);
    story.check(
        "the free rider finished after all who were there as long as it and gave",
        completed(places.rider) > stayed_last,
    );
    if plan.peers >= PEERS_RIDER_LAST {
        story.check("the free rider finished last", order.last() == Some(&places.rider));
    }
    let film = running.copy(places.seed)?;
    let same = takers.iter().all(|at| running.copy(*at).is_ok_and(|copy| copy.is_some() && copy == film));
    story.check("every copy is the seed's, octet for octet", same);
    let again = places.leaving.iter().map(|at| seen.hosts[*at].received).max().unwrap_or_default();
    story.check("who came back fetched hardly anything twice", (again as f64) < plan.octets as f64 * 1.1);
    story.check("nothing is quicker than the bound", last >= plan.bound());
    Ok(())
}

pub(super) use run::start;
