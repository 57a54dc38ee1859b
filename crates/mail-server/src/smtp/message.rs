//! What is done with a whole message before it is acknowledged.

use super::Face;
use super::header::{ambiguous_author, has, header_of, is_forged_result, is_looping, received, without};
use super::session::{Connection, Recipient, unavailable};
use crate::authentication::{Arrival, Disposition};
use crate::date::date;
use crate::mailbox::MailboxError;
use crate::queue::{AcceptError, NewMail, QueueId};
use event::MailEvent;
use mail::address::Address;
use mail::message::Summary;
use mail::smtp::{Answer, EnhancedCode, Envelope, Reply};
use std::time::SystemTime;

/// A message with its new fields, and what is to be told of it.
struct Prepared {
    octets: Vec<u8>,
    junk: bool,
    authentication: String,
}

impl Connection<'_> {
    /// Checks a message, adds what must be added, and takes responsibility.
    pub(super) async fn message(&mut self, envelope: Envelope, message: Vec<u8>) -> Answer {
        if is_looping(header_of(&message)) {
            return Answer::Refuse(Reply::new(
                554,
                EnhancedCode(5, 4, 6),
                "too many hops: the message goes in circles",
            ));
        }
        let id = QueueId::new();
        let now = SystemTime::now();
        let prepared = match self.face {
            Face::Exchange => self.arriving(&envelope, &message).await,
            Face::Submission | Face::Submissions => self.submitted(&message, id, now).await,
        };
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(reply) => return Answer::Refuse(reply),
        };
        let client = self.stream.peer_addr().ip();
        let mut octets =
            received(&envelope, client, &self.service.hostname, &id.to_string(), now).into_bytes();
        octets.extend_from_slice(&prepared.octets);
        let size = octets.len() as u64;
        let count = envelope.recipients.len();
        let (mut local, mut remote) = (Vec::new(), Vec::new());
        for recipient in self.recipients.drain(..) {
            match recipient {
                Recipient::Local(account) => local.push(account),
                Recipient::Remote(address) => remote.push(address),
            }
        }
        let delivered = !local.is_empty();
        let smtputf8 = envelope.parameters.smtputf8;
        let mail = NewMail {
            id,
            from: envelope.from,
            local,
            junk: prepared.junk,
            remote,
            octets: octets.into(),
            smtputf8,
        };
        match self.service.queue.accept(mail).await {
            Ok(()) => {
                let authentication = prepared.authentication;
                let event = MailEvent::Accepted {
                    id: id.to_string(),
                    octets: size,
                    recipients: count,
                    authentication,
                };
                self.service.reporter.tell(event);
                if delivered {
                    self.service.reporter.tell(MailEvent::Delivered { id: id.to_string() });
                }
                Answer::Accept(format!("accepted as {id}"))
            }
            Err(AcceptError::Mailbox(MailboxError::OverQuota { .. } | MailboxError::Limit { .. })) => {
                Answer::Refuse(Reply::new(452, EnhancedCode(4, 2, 2), "a recipient's mailbox is full"))
            }
            Err(error @ AcceptError::QueueFull) => {
                Answer::Refuse(Reply::new(452, EnhancedCode(4, 3, 1), error.to_string()))
            }
            Err(error) => unavailable(&error),
        }
    }

    /// From another host: who is it from, really?
    async fn arriving(&self, envelope: &Envelope, message: &[u8]) -> Result<Prepared, Reply> {
        let service = self.service;
        if let Some(refusal) = ambiguous_author(header_of(message)) {
            return Err(refusal);
        }
        let arrival = Arrival {
            client: self.stream.peer_addr().ip(),
            hello: envelope.hello.as_str(),
            from: &envelope.from,
            message,
        };
        let verdict = service.authentication.check(arrival).await;
        let mut junk = false;
        if service.config.enforce_dmarc {
            match verdict.disposition {
                Disposition::Quarantine => junk = true,
                Disposition::Reject { domain } => {
                    let text = format!("refused by the DMARC policy of {domain}");
                    return Err(Reply::new(550, EnhancedCode(5, 7, 1), text));
                }
                Disposition::Defer if service.config.defer_without_dmarc => {
                    let text = "the policy of the author's domain cannot be looked up now; try again later";
                    return Err(Reply::new(451, EnhancedCode(4, 7, 0), text));
                }
                Disposition::Deliver | Disposition::Defer => {}
            }
        }
        let mut octets = verdict.field;
        octets.extend(without(message, |name, value| {
            is_forged_result(name, value, &service.hostname) || name.eq_ignore_ascii_case(b"Return-Path")
        }));
        Ok(Prepared { octets, junk, authentication: verdict.summary })
    }

    /// From a user: complete it and sign it (RFC 6409 section 8).
    async fn submitted(&self, message: &[u8], id: QueueId, now: SystemTime) -> Result<Prepared, Reply> {
        let service = self.service;
        let Some(user) = &self.user else {
            return Err(Reply::new(530, EnhancedCode(5, 7, 0), "log in first"));
        };
        let message = without(message, |name, _| {
            name.eq_ignore_ascii_case(b"Return-Path")
                || name.eq_ignore_ascii_case(b"Bcc")
                || name.eq_ignore_ascii_case(b"Resent-Bcc")
        });
        let header = header_of(&message);
        if let Some(refusal) = ambiguous_author(header) {
            return Err(refusal);
        }
        let authors = authors(header);
        if service.config.own_address_only {
            for author in &authors {
                if !self.is_own(user, author).await {
                    let text = format!("the From field has {author}; you may send as {} only", user.address);
                    return Err(Reply::new(550, EnhancedCode(5, 7, 1), text));
                }
            }
        }
        let mut octets = Vec::new();
        if !has(header, "From") {
            octets.extend_from_slice(format!("From: <{}>\r\n", user.address).as_bytes());
        } else if authors.is_empty() {
            return Err(Reply::new(554, EnhancedCode(5, 6, 0), "the From field has no address"));
        }
        if !has(header, "Date") {
            octets.extend_from_slice(format!("Date: {}\r\n", date(now)).as_bytes());
        }
        if !has(header, "Message-ID") {
            octets.extend_from_slice(format!("Message-ID: <{id}@{}>\r\n", service.hostname).as_bytes());
        }
        if header.is_empty() && !message.starts_with(b"\r\n") {
            octets.extend_from_slice(b"\r\n");
        }
        octets.extend_from_slice(&message);
        let own = user.address.parse::<Address>().ok();
        let domain =
            authors.first().or(own.as_ref()).map(|author| author.domain().to_string()).unwrap_or_default();
        let mut signed = service.signer.sign(&domain, &octets);
        signed.extend_from_slice(&octets);
        Ok(Prepared { octets: signed, junk: false, authentication: "submission".to_owned() })
    }
}

/// The addresses of the From field.
fn authors(header: &[u8]) -> Vec<Address> {
    let text =
        |part: &Option<Vec<u8>>| part.as_deref().and_then(|part| String::from_utf8(part.to_vec()).ok());
    let authors = Summary::parse(header).envelope.from;
    let addresses = authors.iter().filter_map(|author| {
        let (local, host) = (text(&author.mailbox)?, text(&author.host)?);
        let bare = format!("{local}@{host}").parse();
        bare.or_else(|_| format!("\"{local}\"@{host}").parse()).ok()
    });
    addresses.collect()
}
