//! The scenarios: what each tells, and how it is run.

mod alice_to_bob;
mod register;
mod resolve;
mod smtp;
mod sockets;
mod swarm;

pub use swarm::SwarmPlan;

use crate::ladder::Arrow;
use crate::story::{Story, Telling};
use crate::{Internet, LabError, Plan};
use dns::Name;
use dns::resolver::Question;
use dns_server::resolver::{AskOptions, Exchanged, ask};
use domain::base::iana::Rtype;
use net::Shutdown;

/// A story that the lab can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A UDP and a TCP service, and their clients.
    Sockets,
    /// A client speaks SMTP by hand.
    Smtp,
    /// Alice's mail to Bob, in six steps; then Bob's server is down for a while.
    AliceToBob,
    /// A name is resolved, again from the cache, and after it expired.
    Resolve,
    /// Network Utopia registers its name and can be found.
    Register,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Self; 5] = [Self::Sockets, Self::Smtp, Self::AliceToBob, Self::Resolve, Self::Register];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Smtp => "smtp",
            Self::AliceToBob => "alice-to-bob",
            Self::Resolve => "resolve",
            Self::Register => "register",
        }
    }

    /// What it tells, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Sockets => "a UDP and a TCP service, and their clients",
            Self::Smtp => "a client speaks SMTP by hand",
            Self::AliceToBob => "Alice's mail to Bob, step by step, even while his server is down",
            Self::Resolve => "how a name is looked up, again from the cache, and after it expired",
            Self::Register => "a start-up registers its name and can be found",
        }
    }

    /// Messages that belong into the story.
    fn interesting(self) -> fn(&Arrow) -> bool {
        match self {
            Self::Sockets => |arrow| matches!(arrow.protocol, "UDP" | "TCP"),
            Self::Smtp => |arrow| arrow.protocol == "SMTP",
            Self::AliceToBob => |arrow| matches!(arrow.protocol, "SMTP" | "IMAP" | "DNS"),
            Self::Resolve | Self::Register => |arrow| arrow.protocol == "DNS",
        }
    }
}

/// Starts the Internet, tells the scenario and switches everything off; earlier
/// when `stop` is requested. Returns whether it came to its end and all its checks
/// held.
///
/// # Errors
/// When a host does not start or cannot be talked to.
pub async fn run(
    scenario: Scenario,
    telling: Telling,
    plan: Plan,
    stop: &Shutdown,
) -> Result<bool, LabError> {
    let seed = plan.seed;
    let (mut internet, arrows) = Internet::start(plan).await?;
    let mut story = Story::begin(scenario.name(), seed, telling, arrows, scenario.interesting());
    let tell = async {
        match scenario {
            Scenario::Sockets => sockets::tell(&mut story, &internet).await,
            Scenario::Smtp => smtp::tell(&mut story, &internet).await,
            // The longest of them: all would be as large.
            Scenario::AliceToBob => Box::pin(alice_to_bob::tell(&mut story, &mut internet)).await,
            Scenario::Resolve => resolve::tell(&mut story, &internet).await,
            Scenario::Register => register::tell(&mut story, &internet).await,
        }
    };
    let told = tokio::select! {
        told = tell => told.map(|()| true),
        () = stop.requested() => Ok(false),
    };
    internet.stop().await;
    let passed = story.end(matches!(told, Ok(true))).await;
    told.map(|_| passed)
}

/// Asks a resolver of the lab as a stub on `host` does.
async fn look_up(
    internet: &Internet,
    host: &str,
    resolver: &str,
    name: &str,
    rtype: Rtype,
) -> Result<Exchanged, LabError> {
    let server = internet.at(resolver, internet.topology().ports.dns);
    let question = Question { name: name_of(name), rtype };
    Ok(ask(&internet.network(host), server, &question, AskOptions::default()).await?)
}

/// A name that stands in this program.
fn name_of(text: &str) -> Name {
    dns::master::name(text).unwrap_or_else(Name::root_bytes)
}

/// Whether a message went from one host to another.
fn is_between(arrow: &Arrow, from: &str, to: &str) -> bool {
    arrow.from == from && arrow.to == to
}

/// Starts the swarm, tells its scenario and switches everything off; earlier when
/// `stop` is requested. Returns whether it came to its end and all its checks held.
///
/// # Errors
/// When the plan cannot be carried out, or a host does not start.
pub async fn run_swarm(telling: Telling, plan: SwarmPlan, stop: &Shutdown) -> Result<bool, LabError> {
    let (mut running, arrows) = swarm::start(&plan)?;
    let mut story = Story::begin("swarm", plan.seed, telling, arrows, swarm::interesting);
    let told = tokio::select! {
        told = swarm::tell(&mut story, &plan, &mut running) => told.map(|()| true),
        () = stop.requested() => Ok(false),
    };
    let finished = running.finish(&plan).await;
    let passed = story.end(matches!(told, Ok(true))).await;
    told.and(finished).map(|()| passed)
}
