//! What can be set about one torrent. The defaults are the lecture's rules.

use super::seeding::SeedingGoal;
use std::time::Duration;

/// How many peers are unchoked, besides the optimistic ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// So many (4 by default, BEP 3).
    Fixed(u32),
    /// As many as the uplink feeds: one for every so many octets a second that
    /// are sent, and one to find out whether there is room for more.
    ByRate {
        /// Octets a second that a slot should have.
        octets_per_second: u32,
        /// Slots at least.
        min: u32,
        /// Slots at most.
        max: u32,
    },
}

/// Whom a seed unchokes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeedPolicy {
    /// Those who take the most, rotated: whoever was unchoked less than an
    /// optimistic interval ago keeps its slot, so the slowest of the others goes.
    #[default]
    UploadRate,
    /// Each peer in turn for an optimistic interval.
    RoundRobin,
}

/// The settings of one torrent.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Peers that a leecher unchokes for what they send. Default 4.
    pub slots: Slots,
    /// Peers that a seed unchokes. By default one for each 128 KiB a second that
    /// it sends, 4 to 32: a fast seed that fed four only would make a club of
    /// them, whose members trade among themselves while the uplinks of all others
    /// are idle.
    pub seed_slots: Slots,
    /// Peers that are unchoked without regard to what they send. Default 1.
    pub optimistic_slots: u32,
    /// Peers that a leecher unchokes on top, one after the other, while its uplink
    /// carries clearly less than it did. Default 8.
    pub spare_slots: u32,
    /// How often it is decided who is unchoked. Default 10 s.
    pub choke_interval: Duration,
    /// How often another peer is unchoked optimistically. Default 30 s.
    pub optimistic_interval: Duration,
    /// How many times as likely a newcomer is chosen. Default 3.
    pub newcomer_weight: u32,
    /// For how long a peer is a newcomer. Default 60 s.
    pub newcomer_span: Duration,
    /// After how long without a block a peer that unchokes us snubs us. Default
    /// 60 s.
    pub snub_after: Duration,
    /// Whom a seed unchokes.
    pub seed_policy: SeedPolicy,
    /// Pieces chosen at random before rarity counts. Default 1.
    pub random_first_pieces: u32,
    /// Pieces in their order, for a player that has no deadlines to tell.
    pub sequential: bool,
    /// For how long the requests on their way should keep a peer busy beyond the
    /// round trip. Default 1 s.
    pub request_queue_span: Duration,
    /// Requests on their way to one peer at least. Default 4.
    pub requests_min: u32,
    /// Requests on their way to one peer at most. Default 500.
    pub requests_max: u32,
    /// Requests that wait for one another to be sent together, at most, and at most
    /// an eighth of those on their way. Default 4.
    pub requests_together: u32,
    /// After how long without a block requests are given up. Default 20 s.
    pub request_timeout: Duration,
    /// Octets handed to the service for one peer and not yet sent, at least.
    /// Default 32 KiB; more when the peer takes more in a tenth of a second.
    pub serve_ahead_octets: u32,
    /// As a seed, serve pieces that nobody else has before others, each to one
    /// peer, and turn down requests for others meanwhile. Default on.
    pub spread_first: bool,
    /// Show pieces one by one (BEP 16).
    pub super_seeding: bool,
    /// Disconnect peers with whom nothing is to be exchanged (both have all).
    pub disconnect_useless: bool,
    /// When a seed has done enough.
    pub seeding_goal: SeedingGoal,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: Slots::Fixed(4),
            seed_slots: Slots::ByRate { octets_per_second: 128 * 1024, min: 4, max: 32 },
            optimistic_slots: 1,
            spare_slots: 8,
            choke_interval: Duration::from_secs(10),
            optimistic_interval: Duration::from_secs(30),
            newcomer_weight: 3,
            newcomer_span: Duration::from_mins(1),
            snub_after: Duration::from_mins(1),
            seed_policy: SeedPolicy::UploadRate,
            random_first_pieces: 1,
            sequential: false,
            request_queue_span: Duration::from_secs(1),
            requests_min: 4,
            requests_max: 500,
            requests_together: 4,
            request_timeout: Duration::from_secs(20),
            serve_ahead_octets: 32 * 1024,
            spread_first: true,
            super_seeding: false,
            disconnect_useless: true,
            seeding_goal: SeedingGoal::default(),
        }
    }
}

impl Settings {
    /// The same for a peer that takes and sends nothing to anybody: a free rider,
    /// or one that may not send.
    #[must_use]
    pub fn without_upload(self) -> Self {
        Self {
            slots: Slots::Fixed(0),
            seed_slots: Slots::Fixed(0),
            optimistic_slots: 0,
            spare_slots: 0,
            ..self
        }
    }

    /// Whether anybody is ever unchoked.
    pub fn uploads(&self) -> bool {
        let none = Slots::Fixed(0);
        self.slots != none || self.seed_slots != none || self.optimistic_slots > 0
    }
}
