//! What happens to a host as a whole.

use crate::{Detail, Event};
use std::fmt;

/// Something that happened to a host.
#[derive(Debug, Clone)]
pub enum HostEvent {
    /// All services are up.
    Ready,
    /// The configuration was read again.
    Reloaded,
    /// The configuration could not be read again; the old one stays in force.
    ReloadFailed {
        /// Why, in words.
        reason: String,
    },
    /// The host is finishing what it promised.
    Stopping,
    /// The host has stopped.
    Stopped,
}

impl HostEvent {
    /// How fine this event is.
    pub fn detail(&self) -> Detail {
        Detail::Summary
    }
}

impl From<HostEvent> for Event {
    fn from(event: HostEvent) -> Self {
        Event::Host(event)
    }
}

impl fmt::Display for HostEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostEvent::Ready => f.write_str("ready"),
            HostEvent::Reloaded => f.write_str("configuration read again"),
            HostEvent::ReloadFailed { reason } => write!(f, "configuration kept as it was: {reason}"),
            HostEvent::Stopping => f.write_str("stopping"),
            HostEvent::Stopped => f.write_str("stopped"),
        }
    }
}
