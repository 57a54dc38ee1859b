//! The small Internet: many hosts on loopback addresses, each started from the
//! same kind of configuration as a real domain, and scenarios that tell how the
//! protocols work, every message an arrow between hosts.

mod distribute;
mod internet;
mod ladder;
mod reader;
mod scenario;
mod story;
mod svg;
mod swarm;
mod topology;

pub use distribute::{Counts, CountsError, DistributePlan, distribute};
pub use internet::{Internet, PASSWORD, Plan};
pub use ladder::{Arrow, Ladder, Names};
pub use reader::Reader;
pub use scenario::{Scenario, SwarmPlan, run, run_swarm};
pub use story::{Story, Telling};
pub use topology::{HostPlan, Ports, Topology, TopologyError};

/// Why the lab could not go on.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The topology is wrong.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// Another lab, or something else, has an address of this one.
    #[error(
        "{host} did not start: {error}. If another lab runs on this machine, end it first: each has the same addresses"
    )]
    Taken {
        /// The host.
        host: String,
        /// What it could not have.
        error: net::ListenError,
    },
    /// A host did not start.
    #[error("{host} did not start: {error}")]
    Start {
        /// The host.
        host: String,
        /// Why.
        error: host::HostError,
    },
    /// A host failed.
    #[error(transparent)]
    Host(#[from] host::HostError),
    /// A data folder failed.
    #[error(transparent)]
    Storage(#[from] storage::StorageError),
    /// A host could not be talked to.
    #[error("{what}: {source}")]
    Network {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A message could not be submitted.
    #[error("submission: {0}")]
    Submission(String),
    /// A dynamic update failed.
    #[error("update: {0}")]
    Update(#[from] dns_server::update_client::SendError),
    /// A node of a swarm failed, or its tracker.
    #[error("{0}")]
    Swarm(String),
    /// A plan cannot be carried out; says which option, and what it may be.
    #[error("{0}")]
    Plan(String),
    /// A look-up failed.
    #[error("look-up: {0}")]
    Lookup(#[from] dns_server::resolver::AskError),
}

impl LabError {
    /// Adds what was tried to an I/O error.
    pub(crate) fn network(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Network { what, source }
    }
}
