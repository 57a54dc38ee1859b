//! `lab distribute`: the lecture's plot of the time it takes to distribute a file
//! of F octets to N clients, by one server alone and by peers who send on what they
//! have. The formulas stand beside what our rules reach in simulated time, and real
//! nodes on loopback over shaped links: in one table, and in one picture.
//!
//! Source: Kurose and Ross, Computer Networking, section 2.5.

mod counts;
mod figures;
mod picture;
mod plan;
mod real;
mod simulated;
mod table;

pub use counts::{Counts, CountsError};
pub use plan::DistributePlan;

use crate::svg::mebi;
use crate::{LabError, Story, Telling};
use figures::{Architecture, Figure, Figures, Way};
use net::Shutdown;
use storage::files;
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
    let told = tell(&mut story, &plan, stop).await;
    let passed = story.end(told.is_ok() && !stop.is_requested()).await;
    told.map(|()| passed)
}

async fn tell(story: &mut Story, plan: &DistributePlan, stop: &Shutdown) -> Result<(), LabError> {
    let mut figures = Figures::default();
    formulas(story, plan).await;
    simulate(story, plan, &mut figures, stop).await;
    measure(story, plan, &mut figures, stop).await?;
    if stop.is_requested() {
        return Ok(());
    }
    compare(story, plan, &figures).await
}

async fn formulas(story: &mut Story, plan: &DistributePlan) {
    story
        .step(&format!(
            "How long does it take to get a file of F = {} to N clients? One server with an uplink of us = {} must send \
             N copies: at least max{{NF/us, F/dmin}}, with downlinks of dmin = {}. If the clients are peers who send on \
             what they have, ui = {} each: at least max{{F/us, F/dmin, NF/(us+Σui)}}.",
            mebi(plan.octets()),
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

async fn simulate(story: &mut Story, plan: &DistributePlan, figures: &mut Figures, stop: &Shutdown) {
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
            if stop.is_requested() {
                return;
            }
            // It takes the processor for a while; the signal to stop must be heard.
            let (of, seed) = (plan.rates(), plan.seed);
            let run = tokio::task::spawn_blocking(move || simulated::seconds(of, architecture, count, seed));
            let seconds = run.await.ok().flatten();
            note(story, plan, figures, Figure { way: Way::Simulation, architecture, count, seconds });
        }
    }
    check(story, plan, figures, Way::Simulation);
}

async fn measure(
    story: &mut Story,
    plan: &DistributePlan,
    figures: &mut Figures,
    stop: &Shutdown,
) -> Result<(), LabError> {
    if plan.real.is_empty() || stop.is_requested() {
        return Ok(());
    }
    let bounds = |count| Architecture::ALL.map(|architecture| plan.bound(architecture, count));
    let least: f64 = plan.real.iter().flat_map(bounds).sum();
    story
        .step(&format!(
            "And in earnest: a tracker, the server and N others are real nodes, each on an address of its own behind a \
             last mile of its own. The server's clients take and give nothing, peers play by the rules. This takes {least:.0} s \
             at least."
        ))
        .await;
    let mut same = true;
    for count in plan.real.iter() {
        for architecture in Architecture::ALL {
            let bound = plan.bound(architecture, count);
            let look = |complete, seconds| live(story, architecture, (complete, count), (seconds, bound));
            let run = real::run(plan, architecture, count, stop, look).await?;
            if stop.is_requested() {
                return Ok(());
            }
            same &= run.same;
            note(story, plan, figures, Figure { way: Way::Real, architecture, count, seconds: run.seconds });
        }
    }
    story.check("real run: every copy is the server's, octet for octet", same);
    check(story, plan, figures, Way::Real);
    Ok(())
}

/// Shows how far a run is.
fn live(
    story: &Story,
    architecture: Architecture,
    (complete, count): (usize, usize),
    (seconds, bound): (f64, f64),
) {
    story.draw_live(&format!(
        "   N = {count:>3}: {:<13} {seconds:>7.1} s of {bound:.1} s at least, {complete} of {count} have all",
        architecture.name()
    ));
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
    if let Some(file) = &plan.svg {
        files::write_atomically(file, picture::draw(plan, figures).as_bytes(), files::PUBLIC)?;
        story.say("");
        story.say(&format!("the picture: {}", file.display()));
    }
    Ok(())
}
