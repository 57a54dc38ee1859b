//! Sockets: the only crate that opens one.
//!
//! A service is handed a [`Network`] and asks it for listeners, connections and
//! datagram sockets. What stands between the service and the wire (capture,
//! impairment, a source address of its own) is stacked inside the [`Network`];
//! the service cannot tell.

mod control;
mod datagrams;
mod network;
mod shutdown;
mod stream;
pub mod tls;

pub use control::{CONTROL_LINE_OCTETS_MAX, ControlListener, ControlStream};
pub use datagrams::Datagrams;
pub use network::{ListenOptions, Listener, Network};
pub use shutdown::{Hold, Shutdown};
pub use stream::Stream;
