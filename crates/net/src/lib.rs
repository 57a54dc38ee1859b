//! Sockets: the only crate that opens one.
//!
//! A service is handed a [`Network`] and asks it for listeners, connections and
//! datagram sockets. What stands between the service and the wire (capture,
//! impairment, a source address of its own) is stacked inside the [`Network`];
//! the service cannot tell.
//!
//! * [`Listener`] and [`Stream`]: TCP, with bounds on how many connections are
//!   open at once, and TLS on top ([`tls`] makes the settings).
//! * [`Accepted`]: a connection that can be answered before anybody waits on it.
//! * [`Datagrams`]: UDP for clients and ordinary services, which replies from
//!   the address it was asked at.
//! * [`batch::DatagramBatch`]: UDP for the hot path, one thread a socket, one
//!   system call for up to 64 datagrams.
//! * [`Doors`]: what a service listens on, changed while its connections go on.
//! * [`Trains`]: UDP for bulk transfer, up to 64 KiB of datagrams by one system
//!   call, gathered from where they lie.
//! * [`Multicast`]: UDP to all neighbours.
//! * [`Layer`]: what stacks around a socket; [`Capture`] writes pcapng,
//!   [`Impairment`] makes a link slow, lossy or cut.
//! * [`Timeouts`] and [`within`]: a bound on each phase of a connection.
//! * [`ask`]: a question to a task that owns something, and its answer.
//! * [`Shutdown`]: asks everybody to stop and waits for what was promised.

mod ask;
mod backlog;
pub mod batch;
mod capture;
mod control;
mod datagrams;
mod delay;
mod doors;
mod gateway;
mod held;
mod impairment;
mod inherited;
mod layer;
mod listener;
mod message;
mod multicast;
mod network;
mod packet;
mod pcapng;
mod prefetch;
mod shutdown;
mod socks;
mod stream;
mod timeouts;
pub mod tls;
mod trains;

pub use ask::{answer_of, ask};
pub use backlog::Backlog;
pub use capture::{Capture, CaptureInterface};
pub use control::{CONTROL_LINE_OCTETS_MAX, ControlListener, ControlStream};
pub use datagrams::{Datagrams, Received};
pub use doors::{Doors, Listeners, Opened, Plan};
pub use gateway::{GATEWAY_SEARCH, Gateway, MappedProtocol};
pub use impairment::{Conditions, Impairment};
pub use inherited::Inherited;
pub use layer::{BoxedDuplex, Direction, Duplex, Ends, Layer, Passing, Role};
pub use listener::{Accepted, ListenBounds, ListenError, ListenOptions, Listener};
pub use multicast::{Multicast, multicast_addresses};
pub use network::{Network, system_addresses};
pub use prefetch::prefetch;
pub use shutdown::{Hold, Shutdown};
pub use socks::{Place, Proxy, ProxyError, RelayedDatagram};
pub use stream::{Stream, TlsFacts};
pub use timeouts::{Phase, Timeouts, within};
pub use trains::{Arrival, Arrivals, TRAIN_DATAGRAMS_MAX, TRAIN_OCTETS_MAX, TRAIN_PARTS_MAX, Train, Trains};
