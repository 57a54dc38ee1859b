//! BitTorrent services: downloading, seeding and tracking.
//!
//! An [`Engine`] runs all torrents of a host on one thread: their state is never
//! locked. What may wait for a disk (hashing, writing, checking) happens on a
//! few threads for all of them.

mod announce;
mod content;
mod context;
mod control;
mod details;
pub mod dht;
mod discovery;
mod engine;
mod exercise;
mod filter;
mod handshake;
mod http;
pub mod http_file;
mod keystream;
mod lsd;
mod names;
mod original;
mod own_addresses;
mod port_mapping;
mod progress;
pub mod publish;
mod reach;
pub mod rpc;
mod rules;
mod schedule;
mod search;
pub mod session;
pub mod stream;
mod swarm;
mod throttle;
pub mod tracker;
mod transport;
mod uplink;
pub mod utp;
mod web_seed;
mod words;

pub use control::{ControlError, Data, Handle, Rates};
pub use details::{Details, TrackerAnswer, TrackerLine};
pub use discovery::{DhtSettings, Discovery};
pub use engine::{Abilities, Engine, EngineError, Limits, Settings, What};
pub use exercise::exercise_kept;
pub use filter::{FilterError, LIST_OCTETS_MAX, read_ip_filter};
pub use http::{HttpError, fetch};
pub use lsd::LsdSettings;
pub use names::Names;
pub use original::{Hidden, LeftOut, Making, ORIGINAL_FILES_MAX, Original, OriginalError, OriginalFile};
pub use port_mapping::{Mapped, PortMapping};
pub use progress::{PeerLine, Progress, Source, Stage, WebSeedLine, WebSeedState};
pub use rules::{Rules, Seeding};
pub use schedule::{NoSchedule, Schedule, TimedRates};
pub use swarm::Options;
pub use transport::{Protocol, Protocols};
pub use words::octets;
