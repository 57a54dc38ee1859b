//! The end of the story: without the seed the peers complete one another.

use super::run::{Places, Running};
use super::{BOUNDS_MAX, SwarmPlan};
use crate::swarm::Host;
use crate::{LabError, Story};
use std::time::Duration;

/// From so many on the free rider is told apart for certain: in a smaller swarm its
/// turn to be unchoked optimistically comes round too often.
const PEERS_RIDER_TOLD: usize = 16;
/// From so long a bound on it is the last for certain: tit for tat tells it apart
/// anew every ten seconds. In a shorter run it only comes after most others.
const BOUND_RIDER_LAST: Duration = Duration::from_mins(1);

pub(super) async fn complete(
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
    let shares: Vec<f64> = fair.clone().filter_map(Host::unchoked_share).collect();
    let mean = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
    let rider = seen.hosts[places.rider].unchoked_share().unwrap_or(1.0);
    let mut fair_ends: Vec<f64> = fair.filter_map(|host| host.completed).collect();
    fair_ends.sort_by(f64::total_cmp);
    let fair_last = fair_ends.last().copied().unwrap_or_default();
    let fair_half = fair_ends.get(fair_ends.len() / 2).copied().unwrap_or_default();
    let rider_end = seen.hosts[places.rider].completed.unwrap_or(f64::INFINITY);
    story.figure(
        "finish",
        serde_json::json!({
            "last_seconds": last, "last_who_gives_seconds": fair_last, "bound_seconds": plan.bound(),
            "rider_unchoked_share": rider, "others_unchoked_share": mean,
        }),
        &format!(
            "the last who gives after {fair_last:.1} s, the free rider after {rider_end:.1} s; the bound is {:.1} s",
            plan.bound()
        ),
    );
    story.check("everybody has the whole file", all);
    story.check("Alice too", seen.hosts[places.alice].completed.is_some());
    if plan.peers >= PEERS_RIDER_TOLD {
        let shares = format!("unchoked {:.0} % of the time, others {:.0} %", rider * 100.0, mean * 100.0);
        story.check(&format!("the free rider was choked: {shares}"), rider < 0.75 * mean);
        if plan.bound() >= BOUND_RIDER_LAST.as_secs_f64() {
            story.check("the free rider finished last", order.last() == Some(&places.rider));
        } else {
            story.check("the free rider finished after most who give", rider_end > fair_half);
        }
    } else {
        story.say(&format!(
            "in a swarm of less than {PEERS_RIDER_TOLD} peers the free rider's turn comes round often: that it is choked \
             and last is not checked"
        ));
    }
    let film = running.copy(places.seed)?;
    let same = takers.iter().all(|at| running.copy(*at).is_ok_and(|copy| copy.is_some() && copy == film));
    story.check("every copy is the seed's, octet for octet", same);
    let again = places.leaving.iter().map(|at| seen.hosts[*at].received).max().unwrap_or_default();
    story.check("who came back fetched hardly anything twice", (again as f64) < plan.octets as f64 * 1.1);
    story.check("nothing is quicker than the bound", last >= plan.bound());
    Ok(())
}
