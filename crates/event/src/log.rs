//! The log: every event as one `tracing` line.

use crate::{Detail, Event, Observer, Told};

/// Writes events to `tracing`: summaries at `info` (refusals and failures at
/// `warn`), single messages at `debug`, because these carry names and addresses
/// of people.
#[derive(Debug)]
pub struct Log {
    detail: Detail,
}

impl Log {
    /// A log of this detail.
    pub fn new(detail: Detail) -> Self {
        Self { detail }
    }
}

impl Observer for Log {
    fn detail(&self) -> Detail {
        self.detail
    }

    fn observe(&self, told: &Told) {
        let (host, event) = (&*told.host, &told.event);
        // Counters of a hot path belong into the metrics; as lines they would
        // drown the rest.
        if event.is_counter() {
            return;
        }
        if event.detail() == Detail::Message {
            tracing::debug!(host, "{event}");
        } else if event.is_trouble() {
            tracing::warn!(host, "{event}");
        } else {
            tracing::info!(host, "{event}");
        }
    }
}

impl Event {
    /// Whether the event only adds to counters.
    fn is_counter(&self) -> bool {
        matches!(
            self,
            Event::Dns(crate::DnsEvent::Answered { .. })
                | Event::Bittorrent(
                    crate::BittorrentEvent::TrackerAnswered { .. }
                        | crate::BittorrentEvent::Seeded { .. }
                        | crate::BittorrentEvent::PieceVerified { .. }
                )
        )
    }

    /// Whether an operator should look at it.
    fn is_trouble(&self) -> bool {
        use crate::{BittorrentEvent, DnsEvent, HostEvent, MailEvent, SocketEvent};
        matches!(
            self,
            Event::Dns(DnsEvent::Refused { .. })
                | Event::Mail(
                    MailEvent::Refused { .. }
                        | MailEvent::Bounced { .. }
                        | MailEvent::Deferred { .. }
                        | MailEvent::Login { success: false, .. }
                )
                | Event::Bittorrent(BittorrentEvent::PieceFailed { .. } | BittorrentEvent::LeftOut { .. })
                | Event::Socket(SocketEvent::LimitReached { .. })
                | Event::Host(HostEvent::ReloadFailed { .. })
        )
    }
}
