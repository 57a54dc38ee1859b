//! `lab distribute`: the lecture's plot of the time it takes to distribute a file
//! of F octets to N clients, by one server alone and by peers who send on what they
//! have. The formulas stand beside what the same rules reach in simulated time.
//!
//! Source: Kurose and Ross, Computer Networking, section 2.5.

mod counts;
mod figures;
mod plan;
mod simulated;
mod table;

pub use counts::{Counts, CountsError};
pub use plan::DistributePlan;

use crate::{LabError, Story, Telling};
use figures::{Architecture, Figure, Figures, Way};
use net::Shutdown;
use tokio::sync::mpsc;

/// Distributes the file in each way, tells how long that took and checks it, until
/// `stop` is requested. Returns whether it came to its end and all its checks held.
///
/// # Errors
/// When the plan cannot be carried out.
pub async fn distribute(telling: Telling, plan: DistributePlan, stop: &Shutdown) -> Result<bool, LabError> {
    plan.check()?;
    // No message between the hosts belongs to this story: there are too many.
    let (_, arrows) = mpsc::channel(1);
    let mut story = Story::begin("distribute", plan.seed, telling, arrows, |_| false);
    let told = tokio::select! {
        told = tell(&mut story, &plan) => told.map(|()| true),
        () = stop.requested() => Ok(false),
    };
    let passed = story.end(matches!(told, Ok(true))).await;
    told.map(|_| passed)
}

async fn tell(story: &mut Story, plan: &DistributePlan) -> Result<(), LabError> {
    let mut figures = Figures::default();
    formulas(story, plan).await;
    simulate(story, plan, &mut figures).await;
    compare(story, plan, &figures).await
}

async fn formulas(story: &mut Story, plan: &DistributePlan) {
    story
        .step(&format!(
            "How long does it take to get a file of F = {} to N clients? One server with an uplink of us = {} must send \
             N copies: at least max{{NF/us, F/dmin}}, with downlinks of dmin = {}. If the clients are peers who send on \
             what they have, ui = {} each: at least max{{F/us, F/dmin, NF/(us+Σui)}}.",
            plan::amount(plan.octets()),
            plan::rate(plan.server_up),
            plan::rate(plan.down),
            plan::rate(plan.peer_up),
        ))
        .await;
    story.figure(
        "plan",
        serde_json::json!({
            "file_octets": plan.octets(), "server_up": plan.server_up, "peer_up": plan.peer_up,
            "down": plan.down, "peer_seconds": plan.peer_seconds(),
        }),
        &format!("one client's uplink would need {:.1} s for a copy (F/u)", plan.peer_seconds()),
    );
    for count in plan.rows() {
        let [server, peers] = Architecture::ALL.map(|architecture| plan.bound(architecture, count));
        story.figure(
            "bound",
            serde_json::json!({"count": count, "client_server_seconds": server, "peer_to_peer_seconds": peers}),
            &format!("N = {count:>3}: client-server {server:>7.2} s, P2P {peers:>7.2} s"),
        );
    }
}

async fn simulate(story: &mut Story, plan: &DistributePlan, figures: &mut Figures) {
    if plan.simulation.is_empty() {
        return;
    }
    story
        .step(
            "The same in simulated time: every host runs the code that chooses pieces, unchokes and requests in \
             production.",
        )
        .await;
    for count in plan.simulation.iter() {
        for architecture in Architecture::ALL {
            // It takes the processor for a while; the signal to stop must be heard.
            let (of, seed) = (plan.rates(), plan.seed);
            let run = tokio::task::spawn_blocking(move || simulated::seconds(of, architecture, count, seed));
            let seconds = run.await.ok().flatten();
            note(story, plan, figures, Figure { way: Way::Simulation, architecture, count, seconds });
        }
    }
    check(story, plan, figures, Way::Simulation);
}

/// Notes a measurement and tells it.
fn note(story: &Story, plan: &DistributePlan, figures: &mut Figures, figure: Figure) {
    let bound = plan.bound(figure.architecture, figure.count);
    let ratio = figure.seconds.map(|seconds| seconds / bound);
    let text = match (figure.seconds, ratio) {
        (Some(seconds), Some(ratio)) => format!("{seconds:>7.2} s, {ratio:.3} of the bound"),
        _ => "never complete".to_owned(),
    };
    story.figure(
        "time",
        serde_json::json!({
            "by": figure.way, "architecture": figure.architecture, "count": figure.count,
            "seconds": figure.seconds, "bound_seconds": bound, "ratio": ratio,
        }),
        &format!("N = {:>3}: {:<13} {text}", figure.count, figure.architecture.name()),
    );
    figures.add(figure);
}

/// Checks all that was measured in one way.
fn check(story: &mut Story, plan: &DistributePlan, figures: &Figures, way: Way) {
    for (text, holds) in figures.checks(plan, way) {
        story.check(&text, holds);
    }
}

async fn compare(story: &mut Story, plan: &DistributePlan, figures: &Figures) -> Result<(), LabError> {
    story.step("Seconds until the last has all, and how many times the bound that is.").await;
    for line in table::lines(plan, figures) {
        story.say(&line);
    }
    Ok(())
}
