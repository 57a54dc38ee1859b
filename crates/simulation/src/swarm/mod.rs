//! A swarm in simulated time: the [`bittorrent::torrent::Torrent`] of every host,
//! as it runs in production, over uplinks, downlinks and a delay.
//!
//! A [`Plan`] says who takes part; [`run`] gives the [`Outcome`]. The same plan,
//! its seed included, gives the same outcome and the same digest.
//!
//! Modelled: blocks, one after the other on each host's uplink, then the delay,
//! then one after the other on the downlink; messages, which take the delay only;
//! a tracker that hands out random hosts. Not modelled: TCP (a flow is as fast as
//! both links let it be at once), loss, the octets of headers and messages, the
//! time to hash and to write.

mod act;
mod bound;
mod carried;
mod host;
mod outcome;
mod plan;
mod run;
mod tracker;

pub use bound::{client_server_seconds, peer_to_peer_seconds};
pub use outcome::Outcome;
pub use plan::{Behaviour, HostPlan, Plan};
pub use run::run;
