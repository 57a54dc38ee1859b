//! Pages and their API: the status page (what runs where, with lines to copy),
//! the same as JSON, and the metrics. No page runs foreign code: the content
//! security policy allows only what this server itself serves.

mod config;
mod page;
mod server;
mod status;

pub use config::Config;
pub use server::{Prepared, Server, StatusSource};
pub use status::{Row, Service, Status, TryLine};
