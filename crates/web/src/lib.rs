//! Pages and their API: the status page (what runs where, with lines to copy),
//! the same as JSON, the metrics, and what is published as torrents. No page runs foreign code: the content
//! security policy allows only what this server itself serves.

mod config;
mod live;
mod page;
mod server;
mod status;
mod torrents;

pub use config::Config;
pub use live::{Painter, live};
pub use server::{Parts, Prepared, Server, StatusSource};
pub use status::{Row, Service, Status, TorrentsStatus, TryLine};
