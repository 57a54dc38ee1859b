//! Requests that need more than the zones' current version: updates, NOTIFY,
//! transfers and whatever is signed.

use super::keeper::{Command, Job, UpdateFailure};
use super::settings::ZoneSettings;
use super::{Shared, tell};
use bytes::Bytes;
use dns::answer::{Answerer, MESSAGE_OCTETS_MAX, Query, Transport, Verdict};
use dns::transfer::{self, Outgoing};
use dns::tsig::{self, SIGNATURE_OCTETS_MAX, Signer, Verified};
use dns::update::Update;
use dns::zone::key;
use domain::base::Message;
use domain::base::iana::{Opcode, OptRcode, Rcode, Rtype};
use event::{Detail, DnsEvent};
use net::batch::{Incoming, LateReplies};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A request and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) octets: Bytes,
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) transport: Transport,
}

impl Request {
    pub(super) fn datagram(incoming: &Incoming<'_>) -> Self {
        Self {
            octets: Bytes::copy_from_slice(incoming.octets),
            peer: incoming.peer(),
            local: incoming.local(),
            transport: Transport::Datagram,
        }
    }
}

/// Handles a request that came over UDP; there is at most one reply.
pub(super) async fn handle_datagram(shared: &Arc<Shared>, request: Request, late: &LateReplies) {
    let (local, peer) = (request.local, request.peer);
    let (replies, mut waiting) = mpsc::channel::<Vec<u8>>(1);
    let sending = async move {
        if let Some(reply) = waiting.recv().await {
            late.send(&reply, local, peer).await;
        }
    };
    tokio::join!(handle(shared, request, replies), sending);
}

/// Handles a request; replies go out one by one.
pub(super) async fn handle(shared: &Arc<Shared>, request: Request, replies: mpsc::Sender<Vec<u8>>) {
    let settings = shared.settings.load_full();
    let mut octets = request.octets.to_vec();
    let signer = match tsig::verify(&settings.keys, &mut octets, super::now_seconds()) {
        Verified::Unsigned => None,
        Verified::Signed(signer) => Some(signer),
        Verified::Rejected(reply) => {
            shared.refuse(request.peer, "the signature (TSIG) is wrong: compare keys and clocks".to_owned());
            let _ = replies.send(reply).await;
            return;
        }
    };
    let mut exchange = Exchange {
        shared,
        octets,
        peer: request.peer,
        local: request.local,
        transport: request.transport,
        signer,
        replies,
    };
    let opcode = Message::from_slice(&exchange.octets).map(|message| message.header().opcode());
    match opcode {
        Ok(Opcode::UPDATE) => exchange.update().await,
        Ok(Opcode::NOTIFY) => exchange.notify().await,
        Ok(_) => exchange.query().await,
        Err(_) => {}
    }
}

struct Exchange<'a> {
    shared: &'a Arc<Shared>,
    octets: Vec<u8>,
    peer: SocketAddr,
    local: SocketAddr,
    transport: Transport,
    signer: Option<Box<Signer>>,
    replies: mpsc::Sender<Vec<u8>>,
}

impl Exchange<'_> {
    /// Sends a reply, signed where the request was. Returns whether somebody
    /// still listens.
    async fn reply(&mut self, reply: Vec<u8>) -> bool {
        let reply = match &mut self.signer {
            None => Some(reply),
            Some(signer) => signer.sign(reply, super::now_seconds()),
        };
        match reply {
            Some(reply) => self.replies.send(reply).await.is_ok(),
            None => false,
        }
    }

    async fn reply_code(&mut self, rcode: Rcode) {
        let reply = transfer::header_reply(&self.octets, rcode);
        self.reply(reply).await;
    }

    fn zone_settings(&self, apex: &[u8]) -> Option<Arc<ZoneSettings>> {
        self.shared.settings.load().zones.get(apex).cloned()
    }

    /// RFC 2136 section 3.
    async fn update(&mut self) {
        let rcode = match Update::read(&self.octets) {
            Err(rcode) => rcode,
            Ok(update) => match self.apply(update).await {
                Ok(()) => Rcode::NOERROR,
                Err(UpdateFailure::Refused(rcode)) => rcode,
                Err(UpdateFailure::Storage(_)) => Rcode::SERVFAIL,
            },
        };
        if self.shared.reporter.wants(Detail::Message) {
            tell::update(&self.shared.reporter, self.peer, self.local, &self.octets, rcode);
        }
        self.reply_code(rcode).await;
    }

    async fn apply(&mut self, update: Update) -> Result<(), UpdateFailure> {
        let zone = key::display(update.zone().octets());
        let refuse = |rcode, reason: String| {
            self.shared.refuse(self.peer, reason);
            Err(UpdateFailure::Refused(rcode))
        };
        let Some(settings) = self.zone_settings(update.zone().octets()).filter(|zone| zone.is_primary())
        else {
            return refuse(Rcode::NOTAUTH, format!("an update of {zone}, for which we are not primary"));
        };
        let key = self.signer.as_ref().map(|signer| signer.key());
        if !settings.may_update(key) {
            return refuse(
                Rcode::REFUSED,
                format!("an update of {zone} without a key that may; see allow_update"),
            );
        }
        let by = key.map_or_else(String::new, |key| format!("{} with key {}", self.peer, key.name()));
        let command = |reply| Command::Update(Box::new(Job { update, by, reply }));
        let stopping = || UpdateFailure::Storage("the server is stopping".to_owned());
        net::ask(&self.shared.keeper, command).await.unwrap_or_else(|| Err(stopping()))
    }

    /// RFC 1996 section 3.
    async fn notify(&mut self) {
        let mut header = self.octets.clone();
        // Read as a query: the same header and question.
        if let Some(flags) = header.get_mut(2) {
            *flags = 0;
        }
        if let Some(counts) = header.get_mut(6..12) {
            counts.fill(0);
        }
        let mut question = Query::default();
        if question.read(&header) != Verdict::Answer || question.rtype != Rtype::SOA {
            return self.reply_code(Rcode::FORMERR).await;
        }
        let apex = question.name.octets();
        let key = self.signer.as_ref().map(|signer| signer.key());
        let Some(settings) = self.zone_settings(apex).filter(|zone| !zone.is_primary()) else {
            self.shared.refuse(
                self.peer,
                format!("a NOTIFY for {}, for which we are not secondary", key::display(apex)),
            );
            return self.reply_code(Rcode::NOTAUTH).await;
        };
        if !settings.is_primary_server(self.peer.ip(), key) {
            self.shared
                .refuse(self.peer, format!("a NOTIFY for {} from no primary of it", key::display(apex)));
            return self.reply_code(Rcode::REFUSED).await;
        }
        self.shared.notified(apex, transfer::notified_serial(&self.octets));
        self.reply_code(Rcode::NOERROR).await;
    }

    /// Transfers, and queries that are signed.
    async fn query(&mut self) {
        let mut query = Query::default();
        let verdict = query.read(&self.octets);
        match verdict {
            Verdict::Drop => {}
            Verdict::Defer if !query.signed => self.transfer(&query).await,
            verdict => {
                let answerer = &mut Answerer::new(self.shared.settings.load().payload_octets_max);
                let size = match self.transport {
                    Transport::Datagram => {
                        let payload = query.edns.map_or(512, |edns| {
                            edns.payload.min(self.shared.settings.load().payload_octets_max)
                        });
                        usize::from(payload.max(512)) - SIGNATURE_OCTETS_MAX.min(256)
                    }
                    Transport::Stream => MESSAGE_OCTETS_MAX - SIGNATURE_OCTETS_MAX,
                };
                let mut reply = vec![0; size];
                let zones = self.shared.zones.load_full();
                let written =
                    answerer.answer(&zones, &self.octets, &query, verdict, self.transport, &mut reply);
                if let Some(written) = written {
                    reply.truncate(written.length);
                    self.reply(reply).await;
                }
            }
        }
    }

    /// RFC 5936, and RFC 1995 as far as it lets us answer with the whole zone.
    async fn transfer(&mut self, query: &Query) {
        let apex = query.name.octets();
        let rcode = match self.zone_settings(apex) {
            None => OptRcode::NOTAUTH,
            Some(settings) => {
                let key = self.signer.as_ref().map(|signer| signer.key());
                let zone = self.shared.zones.load().get(apex).cloned();
                match zone {
                    _ if !settings.may_transfer(self.peer.ip(), key) => {
                        let reason = format!("a transfer of {}; see allow_transfer", key::display(apex));
                        self.shared.refuse(self.peer, reason);
                        OptRcode::REFUSED
                    }
                    None => OptRcode::SERVFAIL,
                    Some(zone) => match self.send_zone(query, zone).await {
                        Ok(()) => return,
                        Err(rcode) => rcode,
                    },
                }
            }
        };
        let mut reply = vec![0; 1_024];
        let answerer = Answerer::new(self.shared.settings.load().payload_octets_max);
        if let Some(written) = answerer.error(&self.octets, query, rcode, &mut reply) {
            reply.truncate(written.length);
            self.reply(reply).await;
        }
    }

    async fn send_zone(&mut self, query: &Query, zone: Arc<dns::zone::Zone>) -> Result<(), OptRcode> {
        let mut outgoing = Outgoing::new(zone.clone(), &self.octets, query.question_end);
        let is_incremental = query.rtype == Rtype::IXFR;
        if is_incremental {
            let theirs = transfer::requested_serial(&self.octets).ok_or(OptRcode::FORMERR)?;
            let is_current = !dns::zone::serial_is_newer(zone.soa().serial, theirs);
            if is_current || self.transport == Transport::Datagram {
                self.reply(outgoing.soa_only()).await;
                return Ok(());
            }
        } else if self.transport == Transport::Datagram {
            // AXFR is a matter of TCP (RFC 5936 section 4.2).
            return Err(OptRcode::FORMERR);
        }
        while let Some(message) = outgoing.next_message() {
            if !self.reply(message).await {
                return Ok(());
            }
        }
        self.shared.reporter.tell(DnsEvent::Transferred {
            zone: key::display(zone.key()),
            serial: zone.soa().serial,
            peer: self.peer,
            sent: true,
        });
        Ok(())
    }
}
