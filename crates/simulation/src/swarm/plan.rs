//! Who takes part in a swarm.

use bittorrent::torrent::Settings;
use std::time::Duration;

/// How a host behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// By the rules.
    #[default]
    Fair,
    /// It takes and never sends.
    FreeRider,
    /// Half of the blocks it sends are wrong.
    Liar,
}

/// One host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPlan {
    /// Has everything from the beginning.
    pub is_seed: bool,
    /// Octets a second it can send; `None`: any number.
    pub up: Option<u64>,
    /// Octets a second it can receive; `None`: any number.
    pub down: Option<u64>,
    /// How it behaves.
    pub behaviour: Behaviour,
    /// When it joins.
    pub joins: Duration,
    /// When it leaves and comes back with what it had.
    pub away: Option<(Duration, Duration)>,
}

impl HostPlan {
    /// A host that has everything.
    pub fn seed(up: u64) -> Self {
        Self { is_seed: true, ..Self::leecher(up) }
    }

    /// A host that wants everything.
    pub fn leecher(up: u64) -> Self {
        Self {
            is_seed: false,
            up: Some(up),
            down: None,
            behaviour: Behaviour::Fair,
            joins: Duration::ZERO,
            away: None,
        }
    }

    /// The same host with a bounded downlink.
    #[must_use]
    pub fn with_down(self, down: u64) -> Self {
        Self { down: Some(down), ..self }
    }

    /// The same host, behaving otherwise.
    #[must_use]
    pub fn behaving(self, behaviour: Behaviour) -> Self {
        Self { behaviour, ..self }
    }

    /// Whether it ever sends.
    pub fn sends(&self) -> bool {
        self.behaviour != Behaviour::FreeRider && self.up != Some(0)
    }
}

/// A swarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Decides everything random.
    pub seed: u64,
    /// Pieces of the file.
    pub pieces: u32,
    /// Octets of each piece.
    pub piece_octets: u32,
    /// Time of a message from host to host.
    pub delay: Duration,
    /// Hosts that a host learns of when it joins.
    pub neighbours: usize,
    /// Who takes part; at most [`Plan::HOSTS_MAX`].
    pub hosts: Vec<HostPlan>,
    /// Everybody's settings.
    pub settings: Settings,
    /// Seeds leave once every piece has a copy among the others that send.
    pub seeds_leave: bool,
    /// Simulated time after which the run ends, complete or not.
    pub span_max: Duration,
}

impl Plan {
    /// Hosts at most.
    pub const HOSTS_MAX: usize = 100_000;

    /// A swarm of these hosts and a file of `pieces` pieces of 256 KiB.
    pub fn new(seed: u64, pieces: u32, hosts: Vec<HostPlan>) -> Self {
        Self {
            seed,
            pieces,
            piece_octets: 256 * 1024,
            delay: Duration::from_millis(10),
            neighbours: 50,
            hosts,
            settings: Settings::default(),
            seeds_leave: false,
            span_max: Duration::from_hours(24),
        }
    }

    /// The same file from one server to `clients` that do not send: every client
    /// has a slot.
    pub fn client_server(seed: u64, pieces: u32, server_up: u64, clients: Vec<HostPlan>) -> Self {
        let slots = u32::try_from(clients.len()).unwrap_or(u32::MAX);
        let mut hosts = vec![HostPlan::seed(server_up)];
        hosts.extend(clients.into_iter().map(|client| client.behaving(Behaviour::FreeRider)));
        let mut plan = Self::new(seed, pieces, hosts);
        plan.neighbours = plan.hosts.len();
        plan.settings.seed_slots = bittorrent::torrent::Slots::Fixed(slots);
        // One copy each, to each client: none spares another.
        plan.settings.spread_first = false;
        plan
    }
}
