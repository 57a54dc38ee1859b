//! Ladder diagrams: every message between hosts as an arrow.

use event::{BittorrentEvent, Detail, DnsEvent, Event, MailEvent, Observer, SocketEvent, Told};
use serde::Serialize;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::sync::mpsc;

/// Arrows waiting to be drawn; further ones are dropped and counted.
const ARROWS_WAITING_MAX: usize = 10_000;

/// One message from one host to another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Arrow {
    /// Seconds since the scenario began.
    pub seconds: f64,
    /// The sending host.
    pub from: String,
    /// The receiving host.
    pub to: String,
    /// `DNS`, `SMTP`, `IMAP`, `tracker`, `peer`, `UDP`, `TCP` or `TLS`.
    pub protocol: &'static str,
    /// What it says.
    pub text: String,
    /// Whether it never arrived.
    pub lost: bool,
}

/// Who has which address.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<IpAddr, String>);

impl Names {
    /// Notes that `name` has `address`.
    pub fn add(&mut self, address: IpAddr, name: &str) {
        self.0.insert(address, name.to_owned());
    }

    /// The host with this address, or the address itself for a stranger.
    pub fn of(&self, address: SocketAddr) -> String {
        self.0.get(&address.ip()).cloned().unwrap_or_else(|| address.ip().to_string())
    }
}

/// Observes the hosts and hands out arrows.
pub struct Ladder {
    names: Names,
    began: SystemTime,
    arrows: mpsc::Sender<Arrow>,
}

impl Ladder {
    /// A ladder and the end from which its arrows are read.
    pub fn new(names: Names) -> (Arc<Self>, mpsc::Receiver<Arrow>) {
        let (arrows, reader) = mpsc::channel(ARROWS_WAITING_MAX);
        (Arc::new(Self { names, began: SystemTime::now(), arrows }), reader)
    }

    /// The request and the reply that a tracker tells of at once, or the message
    /// between peers that an event tells of.
    fn torrent_arrows(&self, told: &Told, event: &BittorrentEvent) -> Vec<Arrow> {
        let arrow = |from: String, to: String, protocol, text: String| Arrow {
            seconds: self.seconds(told),
            from,
            to,
            protocol,
            text,
            lost: false,
        };
        let host = || told.host.to_string();
        match event {
            BittorrentEvent::Announced { from, reason, peers, .. } => {
                let peer = self.names.of(*from);
                let request =
                    if reason.is_empty() { "announce".to_owned() } else { format!("announce, {reason}") };
                let reply = arrow(host(), peer.clone(), "tracker", format!("{peers} peers"));
                vec![arrow(peer, host(), "tracker", request), reply]
            }
            // Who was connected to tells it for both.
            BittorrentEvent::PeerJoined { peer, incoming: true, .. } => {
                vec![arrow(self.names.of(*peer), host(), "peer", "handshake".to_owned())]
            }
            BittorrentEvent::Unchoked { peer, optimistic, .. } => {
                let text = if *optimistic { "unchoke, optimistically" } else { "unchoke" };
                vec![arrow(host(), self.names.of(*peer), "peer", text.to_owned())]
            }
            BittorrentEvent::Choked { peer, .. } => {
                vec![arrow(host(), self.names.of(*peer), "peer", "choke".to_owned())]
            }
            _ => Vec::new(),
        }
    }

    /// The arrow that an event tells of, if it tells of a message.
    fn arrow(&self, told: &Told) -> Option<Arrow> {
        let (from, to, protocol, text) = match &told.event {
            Event::Dns(
                event @ (DnsEvent::Query { from, to, .. }
                | DnsEvent::Response { from, to, .. }
                | DnsEvent::UpdateRequest { from, to, .. }
                | DnsEvent::UpdateReply { from, to, .. }
                | DnsEvent::Notify { from, to, .. }),
            ) => (*from, *to, "DNS", event.to_string()),
            Event::Dns(DnsEvent::TimedOut { server, question }) => {
                return Some(Arrow {
                    seconds: self.seconds(told),
                    from: told.host.to_string(),
                    to: self.names.of(*server),
                    protocol: "DNS",
                    text: format!("query {question}"),
                    lost: true,
                });
            }
            Event::Mail(
                event @ (MailEvent::Command { from, to, .. } | MailEvent::Reply { from, to, .. }),
            ) => (*from, *to, "SMTP", event.to_string()),
            Event::Mail(MailEvent::Data { from, to, octets, lines }) => {
                (*from, *to, "SMTP", format!("{} … ({octets} octets)", lines.join(" / ")))
            }
            Event::Mail(
                event @ (MailEvent::ImapCommand { from, to, .. } | MailEvent::ImapResponse { from, to, .. }),
            ) => (*from, *to, "IMAP", event.to_string()),
            Event::Socket(SocketEvent::Message { from, to, transport, text }) => {
                let protocol = match *transport {
                    "udp" => "UDP",
                    "tls" => "TLS",
                    _ => "TCP",
                };
                (*from, *to, protocol, text.clone())
            }
            _ => return None,
        };
        Some(Arrow {
            seconds: self.seconds(told),
            from: self.names.of(from),
            to: self.names.of(to),
            protocol,
            text,
            lost: false,
        })
    }

    fn seconds(&self, told: &Told) -> f64 {
        told.at.duration_since(self.began).unwrap_or_default().as_secs_f64()
    }
}

impl Observer for Ladder {
    fn detail(&self) -> Detail {
        Detail::Message
    }

    fn observe(&self, told: &Told) {
        let arrows = match &told.event {
            Event::Bittorrent(event) => self.torrent_arrows(told, event),
            _ => Vec::from_iter(self.arrow(told)),
        };
        for arrow in arrows {
            // A full ladder drops: the scenario must not wait for its picture.
            let _ = self.arrows.try_send(arrow);
        }
    }
}

impl Arrow {
    /// The arrow as one line of a terminal, `width` columns wide.
    pub fn line(&self, width: usize) -> String {
        let head = format!("{:>7.3}  ", self.seconds);
        let names = format!("{} {} {}", self.from, if self.lost { "──✗" } else { "──▶" }, self.to);
        let text = format!("{}  {}", self.protocol, self.text);
        let names_width = names.chars().count().max(46);
        let room = width.saturating_sub(head.len() + names_width + 3).max(20);
        let shortened: String = if text.chars().count() > room {
            text.chars().take(room - 1).chain(['…']).collect()
        } else {
            text
        };
        format!("{head}{names:<names_width$}   {shortened}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_between_hosts_is_an_arrow_between_their_names() {
        let mut names = Names::default();
        names.add(IpAddr::from([127, 10, 0, 1]), "ns1.utopia.test");
        let (ladder, mut arrows) = Ladder::new(names);
        let stream = event::Stream::new();
        stream.observe(ladder);
        stream.reporter("ns1.utopia.test").tell(DnsEvent::Query {
            from: "127.9.9.9:5000".parse().expect("an address"),
            to: "127.10.0.1:5300".parse().expect("an address"),
            id: 1,
            question: "utopia.test. A".to_owned(),
            recursive: false,
        });
        let arrow = arrows.try_recv().expect("an arrow");
        assert_eq!((arrow.from.as_str(), arrow.to.as_str()), ("127.9.9.9", "ns1.utopia.test"));
        assert!(arrow.line(120).contains("127.9.9.9 ──▶ ns1.utopia.test"));
        assert!(arrow.line(60).chars().count() <= 90);
    }

    #[test]
    fn a_full_ladder_drops_arrows_instead_of_waiting() {
        let (ladder, mut reader) = Ladder::new(Names::default());
        let stream = event::Stream::new();
        stream.observe(ladder);
        let reporter = stream.reporter("x");
        for _ in 0..=ARROWS_WAITING_MAX {
            reporter.tell(SocketEvent::Message {
                from: "127.0.0.1:1".parse().expect("an address"),
                to: "127.0.0.1:2".parse().expect("an address"),
                transport: "udp",
                text: "hello".to_owned(),
            });
        }
        let mut drawn = 0;
        while reader.try_recv().is_ok() {
            drawn += 1;
        }
        assert_eq!(drawn, ARROWS_WAITING_MAX);
    }
}
