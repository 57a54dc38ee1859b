//! The resolver's rules in the simulation: from the root through referrals to
//! the answer, and everything that goes wrong on the way.

mod bounds;
mod caching;
mod iteration;
mod network;
mod server;
mod trust;
