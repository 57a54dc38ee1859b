//! One host: its services started together from one configuration, and ended
//! together. `utopia up` runs one of them, the lab runs many.

mod certificate;
mod configuration;
pub mod control;
mod error;
mod host;
mod mail;
mod ports;
mod provision;
mod requests;
mod services;
mod shared;
mod systemd;
mod torrents;
mod try_lines;
mod zone;

pub use certificate::ca_file;
pub use configuration::{Configuration, ConfigurationError, TlsConfig, reference};
pub use error::HostError;
pub use host::{Host, ReloadOutcome, Setup};
pub use ports::Ports;
pub use provision::{Provisioned, configuration_file, new_password, provision_domain, provision_loopback};
pub use requests::offline;
pub use systemd::{notify_ready, notify_reloading, notify_stopping};
