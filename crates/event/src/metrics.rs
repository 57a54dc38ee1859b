//! The metrics: events counted, in the OpenMetrics text format that Prometheus
//! reads.

use crate::{BittorrentEvent, Detail, DnsEvent, Event, MailEvent, Observer, SocketEvent, Told};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Label: how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Label: which zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Zone {
    zone: String,
}

/// Label: which limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    limit: &'static str,
}

/// Label: which service, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    service: &'static str,
    outcome: &'static str,
}

/// Counts events. Only summaries are counted, so metrics cost a hot path no
/// more than one event a batch.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    dns_answers: Family<Outcome, Counter>,
    dns_zone_serial: Family<Zone, Gauge>,
    dns_updates: Counter,
    dns_transfers: Family<Outcome, Counter>,
    mail_messages: Family<Outcome, Counter>,
    mail_octets: Counter,
    tracker_requests: Family<Outcome, Counter>,
    torrent_pieces: Family<Outcome, Counter>,
    torrent_octets: Counter,
    torrents_completed: Counter,
    torrents_seeded: Gauge,
    torrent_connections: Gauge,
    torrent_sent_octets: Counter,
    tracker_completed: Counter,
    logins: Family<Login, Counter>,
    limits: Family<Limit, Counter>,
}

impl Metrics {
    /// All counters at zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("utopia"),
            dns_answers: Family::default(),
            dns_zone_serial: Family::default(),
            dns_updates: Counter::default(),
            dns_transfers: Family::default(),
            mail_messages: Family::default(),
            mail_octets: Counter::default(),
            tracker_requests: Family::default(),
            torrent_pieces: Family::default(),
            torrent_octets: Counter::default(),
            torrents_completed: Counter::default(),
            torrents_seeded: Gauge::default(),
            torrent_connections: Gauge::default(),
            torrent_sent_octets: Counter::default(),
            tracker_completed: Counter::default(),
            logins: Family::default(),
            limits: Family::default(),
        };
        let r = &mut metrics.registry;
        r.register(
            "dns_answers",
            "Answers of the authoritative server, by outcome",
            metrics.dns_answers.clone(),
        );
        r.register("dns_zone_serial", "SOA serial of each zone served", metrics.dns_zone_serial.clone());
        r.register("dns_updates", "Dynamic updates applied", metrics.dns_updates.clone());
        r.register("dns_transfers", "Zone transfers, by direction", metrics.dns_transfers.clone());
        r.register("mail_messages", "Messages, by what became of them", metrics.mail_messages.clone());
        r.register("mail_accepted_octets", "Octets of accepted messages", metrics.mail_octets.clone());
        r.register(
            "tracker_requests",
            "Requests to the tracker, by what became of them",
            metrics.tracker_requests.clone(),
        );
        r.register(
            "torrent_pieces",
            "Pieces checked against their hash, by outcome",
            metrics.torrent_pieces.clone(),
        );
        r.register(
            "torrent_verified_octets",
            "Octets of pieces that match their hash",
            metrics.torrent_octets.clone(),
        );
        r.register(
            "torrents_completed",
            "Torrents of which everything came to be here",
            metrics.torrents_completed.clone(),
        );
        r.register("torrents_seeded", "Published torrents that are seeded", metrics.torrents_seeded.clone());
        r.register(
            "torrent_connections",
            "Connections to peers of published torrents",
            metrics.torrent_connections.clone(),
        );
        r.register(
            "torrent_sent_octets",
            "Octets of published torrents sent to peers",
            metrics.torrent_sent_octets.clone(),
        );
        r.register(
            "tracker_completed",
            "Downloads whose end was announced to the tracker",
            metrics.tracker_completed.clone(),
        );
        r.register("logins", "Logins, by service and outcome", metrics.logins.clone());
        r.register("limits_reached", "Connections turned away, by the limit reached", metrics.limits.clone());
        metrics
    }

    /// The metrics as OpenMetrics text.
    pub fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }

    fn message(&self, outcome: &'static str) {
        self.mail_messages.get_or_create(&Outcome { outcome }).inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Metrics {
    fn detail(&self) -> Detail {
        Detail::Summary
    }

    fn observe(&self, told: &Told) {
        match &told.event {
            Event::Dns(DnsEvent::Answered { queries, name_errors, truncated, refused }) => {
                let counts = [
                    ("all", queries),
                    ("nxdomain", name_errors),
                    ("truncated", truncated),
                    ("refused", refused),
                ];
                for (outcome, count) in counts {
                    self.dns_answers.get_or_create(&Outcome { outcome }).inc_by(u64::from(*count));
                }
            }
            Event::Dns(DnsEvent::ZoneLoaded { zone, serial, .. }) => {
                self.dns_zone_serial.get_or_create(&Zone { zone: zone.clone() }).set(i64::from(*serial));
            }
            Event::Dns(DnsEvent::Updated { zone, serial, .. }) => {
                self.dns_updates.inc();
                self.dns_zone_serial.get_or_create(&Zone { zone: zone.clone() }).set(i64::from(*serial));
            }
            Event::Dns(DnsEvent::Transferred { sent, .. }) => {
                let outcome = if *sent { "sent" } else { "received" };
                self.dns_transfers.get_or_create(&Outcome { outcome }).inc();
            }
            Event::Mail(MailEvent::Accepted { octets, .. }) => {
                self.mail_octets.inc_by(*octets);
                self.message("accepted");
            }
            Event::Mail(MailEvent::Delivered { .. }) => self.message("delivered"),
            Event::Mail(MailEvent::Relayed { .. }) => self.message("relayed"),
            Event::Mail(MailEvent::Deferred { .. }) => self.message("deferred"),
            Event::Mail(MailEvent::Bounced { .. }) => self.message("bounced"),
            Event::Mail(MailEvent::Refused { .. }) => self.message("refused"),
            Event::Mail(MailEvent::Login { service, success, .. }) => {
                let outcome = if *success { "success" } else { "failure" };
                self.logins.get_or_create(&Login { service, outcome }).inc();
            }
            Event::Bittorrent(BittorrentEvent::TrackerAnswered {
                connects,
                announces,
                completed,
                scrapes,
                refused,
            }) => {
                let counts = [
                    ("connect", connects),
                    ("announce", announces),
                    ("scrape", scrapes),
                    ("refused", refused),
                ];
                for (outcome, count) in counts {
                    self.tracker_requests.get_or_create(&Outcome { outcome }).inc_by(u64::from(*count));
                }
                self.tracker_completed.inc_by(u64::from(*completed));
            }
            Event::Bittorrent(BittorrentEvent::Seeded { torrents, connections, sent_octets }) => {
                self.torrents_seeded.set((*torrents).cast_signed());
                self.torrent_connections.set((*connections).cast_signed());
                self.torrent_sent_octets.inc_by(*sent_octets);
            }
            Event::Bittorrent(BittorrentEvent::PieceVerified { octets, .. }) => {
                self.torrent_octets.inc_by(u64::from(*octets));
                self.torrent_pieces.get_or_create(&Outcome { outcome: "good" }).inc();
            }
            Event::Bittorrent(BittorrentEvent::PieceFailed { .. }) => {
                self.torrent_pieces.get_or_create(&Outcome { outcome: "bad" }).inc();
            }
            Event::Bittorrent(BittorrentEvent::Completed { .. }) => {
                self.torrents_completed.inc();
            }
            Event::Socket(SocketEvent::LimitReached { limit, .. }) => {
                self.limits.get_or_create(&Limit { limit }).inc();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Stream;
    use std::sync::Arc;

    #[test]
    fn what_is_told_is_counted() {
        let stream = Stream::new();
        let metrics = Arc::new(Metrics::new());
        stream.observe(metrics.clone());
        let reporter = stream.reporter("ns1.utopia.test");
        reporter.tell(DnsEvent::Answered { queries: 64, name_errors: 3, truncated: 1, refused: 0 });
        reporter.tell(MailEvent::Delivered { id: "1".to_owned() });
        reporter.tell(BittorrentEvent::TrackerAnswered {
            connects: 1,
            announces: 9,
            completed: 2,
            scrapes: 0,
            refused: 0,
        });
        reporter.tell(BittorrentEvent::Seeded { torrents: 2, connections: 5, sent_octets: 7 });
        reporter.tell(BittorrentEvent::PieceVerified { torrent: "00".into(), piece: 3, octets: 512 });
        reporter.tell(BittorrentEvent::Completed { torrent: "00".into() });
        let text = metrics.text();
        assert!(text.contains(r#"utopia_dns_answers_total{outcome="all"} 64"#), "{text}");
        assert!(text.contains(r#"utopia_tracker_requests_total{outcome="announce"} 9"#), "{text}");
        assert!(text.contains(r#"utopia_torrent_pieces_total{outcome="good"} 1"#), "{text}");
        assert!(text.contains("utopia_torrent_verified_octets_total 512"), "{text}");
        assert!(text.contains("utopia_torrents_completed_total 1"), "{text}");
        assert!(text.contains("utopia_torrents_seeded 2"), "{text}");
        assert!(text.contains("utopia_torrent_sent_octets_total 7"), "{text}");
        assert!(text.contains("utopia_tracker_completed_total 2"), "{text}");
        assert!(text.contains(r#"utopia_mail_messages_total{outcome="delivered"} 1"#), "{text}");
    }

    #[test]
    fn messages_are_not_built_for_metrics_alone() {
        let stream = Stream::new();
        stream.observe(Arc::new(Metrics::new()));
        let reporter = stream.reporter("x");
        assert!(reporter.wants(Detail::Summary));
        assert!(!reporter.wants(Detail::Message));
        reporter.tell_with(Detail::Message, || -> DnsEvent { unreachable!("nobody wants it") });
    }
}
