//! The client's session (RFC 5321 section 4) as a state machine: it greets,
//! goes under TLS, logs in, and sends one message after another.
//!
//! The caller gives octets with [`Client::receive`], asks [`Client::poll`] what
//! comes next, and before it waits sends [`Client::take_output`]. It waits at
//! most [`Client::patience`] (RFC 5321 section 4.5.3.2).

mod authentication;
#[cfg(test)]
mod tests;
mod transaction;

use super::{Reply, ReplyError, ReplyParser, timeout};
use crate::sasl::{Plain, ScramClient};
use std::collections::VecDeque;
use std::time::Duration;
use transaction::Transaction;
pub use transaction::{Message, Outcome};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// A reply is awaited. Send the output first.
    Input,
    /// Put the connection under TLS, then call [`Client::tls_started`].
    StartTls,
    /// The client is at rest: send a message, log in, or quit.
    Ready,
    /// The login succeeded.
    Authenticated,
    /// The login was refused.
    AuthenticationFailed(Reply),
    /// What became of the message for each recipient, in their order.
    Sent(Outcome),
    /// The session is over after QUIT.
    Closed,
}

/// Why a session cannot go on. The connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The server sent something that is no reply, or a reply to nothing.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The server refused the session.
    #[error("the server said {0}")]
    Refused(Reply),
    /// TLS is required and the server does not offer it.
    #[error("the server does not offer STARTTLS")]
    NoTls,
    /// Octets followed the reply to STARTTLS in the clear.
    #[error("the server sent octets in the clear after STARTTLS")]
    Injected,
    /// No mechanism in common, or no TLS to protect it.
    #[error("the server offers no login that is safe to use")]
    NoMechanism,
    /// The name or password cannot be used.
    #[error(transparent)]
    Sasl(#[from] crate::sasl::SaslError),
}

/// Whether to put a connection under TLS that starts in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTls {
    /// Never.
    Never,
    /// If it is offered.
    IfOffered,
    /// It must be.
    Required,
}

/// What the server's EHLO reply offered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// Commands may be sent in groups (PIPELINING, RFC 2920).
    pub pipelining: bool,
    /// Eight-bit text (8BITMIME, RFC 6152).
    pub eight_bit: bool,
    /// Internationalised addresses (SMTPUTF8, RFC 6531).
    pub smtputf8: bool,
    /// TLS (STARTTLS, RFC 3207).
    pub starttls: bool,
    /// SIZE (RFC 1870): the largest message in octets, where one is named; 0 for no bound.
    pub size: Option<u64>,
    /// The names of the SASL mechanisms, in upper case.
    pub mechanisms: Vec<String>,
}

/// One SMTP session as the client sees it.
#[derive(Debug)]
pub struct Client {
    hostname: String,
    starttls: StartTls,
    tls: bool,
    parser: ReplyParser,
    output: Vec<u8>,
    state: State,
    offers: Offers,
    /// A transaction was begun that must be forgotten before the next.
    stale: bool,
}

#[derive(Debug)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Ready,
    Plain(Plain),
    Scram(Box<ScramClient>, u8),
    Sending(Box<Transaction>),
    Quit,
    Closed,
}

impl Client {
    /// A session at its start. `hostname` is what it calls itself; `tls` says
    /// whether the connection is under TLS already.
    pub fn new(hostname: &str, starttls: StartTls, tls: bool) -> Self {
        Self {
            hostname: hostname.to_owned(),
            starttls,
            tls,
            parser: ReplyParser::default(),
            output: Vec::new(),
            state: State::Greeting,
            offers: Offers::default(),
            stale: false,
        }
    }

    /// Takes octets from the server.
    pub fn receive(&mut self, octets: &[u8]) {
        self.parser.receive(octets);
    }

    /// Octets to send to the server.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What the server offered.
    pub fn offers(&self) -> &Offers {
        &self.offers
    }

    /// How long to wait for what is awaited now.
    pub fn patience(&self) -> Duration {
        match &self.state {
            State::Greeting => timeout::GREETING,
            State::Sending(transaction) => transaction.patience(),
            _ => timeout::MAIL,
        }
    }

    /// The connection is under TLS now.
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.tls = true;
            self.offers = Offers::default();
            self.say_hello("EHLO", State::Ehlo);
        }
    }

    /// Sends a message. Call it when [`ClientStep::Ready`] was returned.
    pub fn send(&mut self, message: Message) {
        if matches!(self.state, State::Ready) {
            let stale = std::mem::take(&mut self.stale);
            self.state = State::Sending(Box::new(Transaction::new(message, &self.offers, stale)));
        }
    }

    /// Ends the session. Call it when [`ClientStep::Ready`] was returned.
    pub fn quit(&mut self) {
        if matches!(self.state, State::Ready) {
            self.output.extend_from_slice(b"QUIT\r\n");
            self.state = State::Quit;
        }
    }

    /// What comes next.
    pub fn poll(&mut self) -> Result<ClientStep, ClientError> {
        loop {
            match &mut self.state {
                State::Ready => return Ok(ClientStep::Ready),
                State::Closed => return Ok(ClientStep::Closed),
                State::Handshake => return Ok(ClientStep::Input),
                State::Sending(transaction) => {
                    transaction.write(&mut self.output);
                    if let Some(outcome) = transaction.take_outcome() {
                        self.stale = transaction.is_stale();
                        self.state = if outcome.closed { State::Closed } else { State::Ready };
                        return Ok(ClientStep::Sent(outcome));
                    }
                }
                _ => {}
            }
            match self.parser.next_reply()? {
                None => return Ok(ClientStep::Input),
                Some(reply) => {
                    if let Some(step) = self.reply(reply)? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    fn reply(&mut self, reply: Reply) -> Result<Option<ClientStep>, ClientError> {
        match &mut self.state {
            State::Greeting if reply.is_positive() => self.say_hello("EHLO", State::Ehlo),
            State::Ehlo if reply.is_positive() => {
                self.offers = read_offers(&reply);
                return self.after_hello();
            }
            // RFC 5321 section 3.2: an old server may know HELO only.
            State::Ehlo if reply.is_permanent() => self.say_hello("HELO", State::Helo),
            State::Helo if reply.is_positive() => {
                self.offers = Offers::default();
                return self.after_hello();
            }
            State::Greeting | State::Ehlo | State::Helo => return Err(ClientError::Refused(reply)),
            State::StartTls if reply.code() == 220 => {
                if !self.parser.is_empty() {
                    return Err(ClientError::Injected);
                }
                self.state = State::Handshake;
                return Ok(Some(ClientStep::StartTls));
            }
            State::StartTls if self.starttls == StartTls::Required => {
                return Err(ClientError::Refused(reply));
            }
            State::StartTls => self.state = State::Ready,
            State::Plain(_) | State::Scram(..) => return self.authentication_reply(reply),
            State::Sending(transaction) => transaction.reply(reply),
            State::Quit => self.state = State::Closed,
            // Nothing was asked: most likely 421 before the connection closes.
            State::Ready | State::Handshake | State::Closed => return Err(ClientError::Refused(reply)),
        }
        Ok(None)
    }

    fn say_hello(&mut self, verb: &str, state: State) {
        self.output.extend_from_slice(format!("{verb} {}\r\n", self.hostname).as_bytes());
        self.state = state;
    }

    fn after_hello(&mut self) -> Result<Option<ClientStep>, ClientError> {
        self.state = State::Ready;
        if self.tls || self.starttls == StartTls::Never {
            return Ok(None);
        }
        if self.offers.starttls {
            self.output.extend_from_slice(b"STARTTLS\r\n");
            self.state = State::StartTls;
        } else if self.starttls == StartTls::Required {
            return Err(ClientError::NoTls);
        }
        Ok(None)
    }
}

fn read_offers(reply: &Reply) -> Offers {
    let mut offers = Offers::default();
    for line in reply.lines().iter().skip(1) {
        let mut words: VecDeque<&str> = line.split([' ', '=']).filter(|word| !word.is_empty()).collect();
        let keyword = words.pop_front().unwrap_or_default().to_ascii_uppercase();
        match keyword.as_str() {
            "PIPELINING" => offers.pipelining = true,
            "8BITMIME" => offers.eight_bit = true,
            "SMTPUTF8" => offers.smtputf8 = true,
            "STARTTLS" => offers.starttls = true,
            "SIZE" => offers.size = Some(words.front().and_then(|size| size.parse().ok()).unwrap_or(0)),
            "AUTH" => offers.mechanisms.extend(words.iter().map(|name| name.to_ascii_uppercase())),
            _ => {}
        }
    }
    offers
}
