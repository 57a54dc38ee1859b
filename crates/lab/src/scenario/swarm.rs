//! `swarm`: a file gets from one seed to many peers. Alice joins late, one peer
//! gives nothing, a third of the peers leave and come back, and the seed leaves
//! once one copy is out.

mod finish;
mod plan;
mod run;

pub use plan::SwarmPlan;
pub(super) use run::start;

use crate::ladder::Arrow;
use crate::svg::mebi;
use crate::swarm::Role;
use crate::{LabError, Story};
use plan::PIECE_OCTETS;
use run::{Places, Running};

/// When Alice joins and when others leave, in shares of the bound.
const ALICE_JOINS: f64 = 0.08;
const CHURN_BEGINS: f64 = 0.18;
/// For how long they are away, in shares of the bound.
const AWAY: f64 = 0.05;
/// To collect n kinds by drawing at random takes about n (ln n + this) draws.
const EULER: f64 = 0.58;
/// How long anything may take, in bounds.
const BOUNDS_MAX: f64 = 8.0;

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
    finish::complete(story, plan, running, &places).await
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
    let page = running.page();
    story.figure("page", serde_json::json!({"url": page}), &format!("watch it: {page}"));
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
    let announced = |at: &usize| {
        let name = &seen.hosts[*at].name;
        story.messages().iter().any(|arrow| arrow.from == *name && arrow.text == "announce, started")
    };
    let own = places.others.iter().chain([&places.rider]).all(announced);
    story.check("the tracker saw each at its own address", own);
    let copies = seen.copies(|host| host.role != Role::Seed);
    let distinct = copies.iter().filter(|copies| **copies > 0).count();
    let rarest = seen.given[places.seed].iter().sum::<u64>() / u64::from(PIECE_OCTETS);
    story.check("each peer has a first piece", started);
    let text = format!("the seed gave {rarest} pieces' worth, and {distinct} different pieces are out");
    story.figure("seed_gave", serde_json::json!({"given": rarest, "different": distinct}), &text);
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
        .step("Alice joins late. The tracker tells her of the others; she has nothing to give until \
             one of them unchokes her without regard to that, or lets her have one of the few pieces that are allowed fast \
             (BEP 6).")
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
    let others = format!("{} peers", plan.peers);
    let told = arrows.iter().any(|arrow| arrow.to == "alice" && arrow.text == others);
    story.check("the tracker told her of all others", told);
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
    let until = running.view.seconds() + plan.bound() * AWAY;
    running.stop(&places.leaving).await;
    let seen = running.seen();
    let had: Vec<u32> = places.leaving.iter().map(|at| seen.hosts[*at].has.count()).collect();
    // To leave takes a while where the tracker does not hear of it at once.
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
            seen.distributed_copies(|host| host.role != Role::Seed) >= 1.0
        })
        .await;
    let seen = running.seen();
    let copies = seen.distributed_copies(|host| host.role != Role::Seed);
    let complete = seen.hosts.iter().filter(|host| host.completed.is_some()).count();
    running.stop(&[seed]).await;
    running.mark("the seed leaves");
    let sent = running.seen().hosts[seed].sent as f64 / plan.octets as f64;
    story.show(&running.matrix());
    let seconds = seen.seconds;
    let pieces = f64::from(seen.pieces);
    let at_random = pieces.ln() + EULER;
    story.figure(
        "seed_left",
        serde_json::json!({
            "seconds": seconds, "copies": copies, "sent_files": sent, "at_random_files": at_random,
            "complete": complete,
        }),
        &format!(
            "after {seconds:.1} s (F/us is {:.1} s); the seed sent {sent:.2} times the file, with each piece drawn at \
             random it would be {at_random:.1} times (ln {pieces:.0} + {EULER})",
            plan.octets as f64 / plan.seed_up() as f64
        ),
    );
    story.check("one copy is out", out && copies >= 1.0);
    story.check("rarest first: the seed sent less than half of that", sent * 2.0 < at_random);
    story.check("most lacked pieces still", complete * 2 < plan.peers);
    let carried = seconds * plan.seed_up() as f64;
    let share = sent * plan.octets as f64 / carried;
    story.check(&format!("the seed kept to its uplink: {:.0} % of it", share * 100.0), share < 1.02);
    Ok(())
}
