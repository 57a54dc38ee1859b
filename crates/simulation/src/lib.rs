//! A network of links and hosts in simulated time, seeded and replayable.
//!
//! The rules of floor 1 (resolution, choking, rate adaptation, …) run here as
//! they run in production: a [`Node`] is handed datagrams, stream octets and
//! the time, and says what it sends and when it wants to be woken. A
//! [`Simulation`] carries that over [`Link`]s with a rate, a delay, loss,
//! reordering and partition, in the order of simulated time. Nothing else is
//! random but its seed: the same seed gives the same [`Trace`].
//!
//! Datagrams are modelled one by one: each may be lost, delayed, reordered,
//! dropped at a full queue. Streams are a simple model of TCP: reliable, in
//! order, opened in one round trip; loss and partition only delay octets (a
//! retransmission after [`RETRANSMISSION`], doubled each time) until the stream
//! breaks. Not modelled: congestion control, receive windows, fragmentation
//! and path MTU, ICMP, the headers' octets, routes that share a link between
//! pairs of hosts, processing time.

mod link;
mod node;
mod replay;
mod run;
mod streams;
pub mod swarm;
mod trace;

pub use link::Link;
pub use node::{Node, StreamEvent, StreamId, Transmit};
pub use replay::seeds;
pub use run::{NodeId, Simulation};
pub use streams::{ATTEMPTS_MAX, RETRANSMISSION};
pub use trace::Trace;
