//! The server's session (RFC 5321 section 4) as a state machine: octets in,
//! octets out, and steps that ask the service.
//!
//! A service calls [`Session::receive`] with what it read, then
//! [`Session::poll`] until it returns [`Step::Input`], answering every step that
//! asks with [`Session::answer`]. Before it waits for anything it sends
//! [`Session::take_output`]; replies to pipelined commands thus leave together.

mod authentication;
mod commands;
mod message;
#[cfg(test)]
mod tests;

use super::{Body, DataDecoder, EnhancedCode, Limits, MailParameters, Reply};
use crate::address::{HelloName, Path};
use message::Chunks;

/// What a server is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An MX: anybody may deliver to its own recipients; nobody logs in.
    Exchange,
    /// A submission server (RFC 6409): who sends must have logged in, under TLS.
    Submission,
}

/// A SASL mechanism that AUTH offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// SCRAM-SHA-256 (RFC 7677).
    ScramSha256,
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
        }
    }
}

/// What a session is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The server's own name, for the greeting.
    pub hostname: String,
    /// What it is there for.
    pub role: Role,
    /// Whether the connection is under TLS from the start.
    pub tls: bool,
    /// Whether STARTTLS is offered.
    pub starttls: bool,
    /// Its bounds.
    pub limits: Limits,
    /// Whether [`Session::take_exchanges`] is filled.
    pub tell: bool,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More octets are needed. Send the output first.
    Input,
    /// May this sender begin a message? The answer is accept or refuse.
    Sender {
        /// The reverse-path.
        from: Path,
        /// What came with it.
        parameters: MailParameters,
        /// Who logged in.
        user: Option<String>,
    },
    /// May this be a recipient? The answer is accept or refuse.
    Recipient {
        /// The forward-path: an address, or Postmaster.
        to: Path,
    },
    /// A whole message. Accept it only once it is durable.
    Message {
        /// Who it is from and for.
        envelope: Envelope,
        /// Header and body with CRLF line ends, without dot-stuffing.
        message: Vec<u8>,
    },
    /// Send the output, then put the connection under TLS, then call
    /// [`Session::tls_started`].
    StartTls,
    /// A login begins. The answer is a challenge, success or refusal.
    Authenticate {
        /// The mechanism.
        mechanism: Mechanism,
        /// The initial response, where the client sent one.
        initial: Option<Vec<u8>>,
    },
    /// The client's response to a challenge. Answered like [`Step::Authenticate`].
    Response(Vec<u8>),
    /// The client gave the login up; forget it. Needs no answer.
    AuthenticationCancelled,
    /// Send the output and close.
    Close,
}

/// What the service says to a step that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Yes. For a message the text goes into the reply, e.g. its queue id.
    Accept(String),
    /// No, with this reply.
    Refuse(Reply),
    /// The next challenge of a login, to be sent in base64.
    Challenge(Vec<u8>),
    /// The login succeeded for this user.
    Authenticated(String),
}

/// Who a message is from and for, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What the client called itself.
    pub hello: HelloName,
    /// Whether it said EHLO.
    pub extended: bool,
    /// Whether it came under TLS.
    pub tls: bool,
    /// Who logged in.
    pub user: Option<String>,
    /// The reverse-path.
    pub from: Path,
    /// What came with it.
    pub parameters: MailParameters,
    /// The recipients accepted, at least one.
    pub recipients: Vec<Path>,
}

/// One thing that was said, for who watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A command line; the argument of AUTH and responses are left out.
    Command(String),
    /// A reply, its lines joined by ` / `.
    Reply(String),
    /// A message.
    Data {
        /// Its size.
        octets: u64,
        /// Its first lines.
        lines: Vec<String>,
    },
}

/// One SMTP session as the server sees it.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    input: Vec<u8>,
    output: Vec<u8>,
    exchanges: Vec<Exchange>,
    state: State,
    hello: Option<(HelloName, bool)>,
    user: Option<String>,
    transaction: Option<Transaction>,
    errors: usize,
    authentication_failures: usize,
    commands_idle: usize,
    messages: usize,
}

/// What the session waits for.
#[derive(Debug)]
enum State {
    /// A command line.
    Command,
    /// The rest of a line that was too long; it is thrown away.
    LongLine,
    /// The answer to the step named.
    Answer(Asked),
    /// A line of a login.
    Response,
    /// The message after DATA.
    Data(DataDecoder),
    /// The octets of a BDAT chunk: how many are left, whether it is the last.
    Chunk { left: u64, last: bool, thrown_away: bool },
    /// The TLS handshake.
    Handshake,
    /// The end.
    Closed,
}

/// Which step waits for its answer.
#[derive(Debug)]
enum Asked {
    Sender(Path, MailParameters),
    Recipient(Path),
    Message,
    Authentication,
}

/// A mail transaction (RFC 5321 section 3.3).
#[derive(Debug)]
struct Transaction {
    from: Path,
    parameters: MailParameters,
    recipients: Vec<Path>,
    /// The message so far, once BDAT began.
    chunks: Option<Chunks>,
}

impl Session {
    /// A session at its start; the greeting waits in the output.
    pub fn new(settings: Settings) -> Self {
        let greeting = Reply::plain(220, format!("{} ESMTP", settings.hostname));
        let mut session = Self {
            settings,
            input: Vec::new(),
            output: Vec::new(),
            exchanges: Vec::new(),
            state: State::Command,
            hello: None,
            user: None,
            transaction: None,
            errors: 0,
            authentication_failures: 0,
            commands_idle: 0,
            messages: 0,
        };
        session.reply(&greeting);
        session
    }

    /// Takes octets from the client. Call it only after [`Step::Input`], so that
    /// what is buffered stays bounded by what one call brings.
    pub fn receive(&mut self, octets: &[u8]) {
        if !matches!(self.state, State::Closed) {
            self.input.extend_from_slice(octets);
        }
    }

    /// Octets to send to the client.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What was said since the last call, in order; empty unless
    /// [`Settings::tell`] is set.
    pub fn take_exchanges(&mut self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges)
    }

    /// Whether a message is being received: the service may be more patient.
    pub fn is_receiving_message(&self) -> bool {
        matches!(self.state, State::Data(_) | State::Chunk { .. })
    }

    /// Ends the session with a reply, e.g. 421 when time is up or the server
    /// stops (RFC 5321 section 3.8).
    pub fn close(&mut self, reply: &Reply) {
        if !matches!(self.state, State::Closed) {
            self.reply(reply);
            self.state = State::Closed;
        }
    }

    /// The connection is under TLS now: all that was said before is forgotten
    /// (RFC 3207 section 4.2).
    pub fn tls_started(&mut self) {
        if matches!(self.state, State::Handshake) {
            self.input = Vec::new();
            self.hello = None;
            self.user = None;
            self.transaction = None;
            self.settings.tls = true;
            self.state = State::Command;
        }
    }

    /// What comes next. After a step that asks, it stays silent with
    /// [`Step::Input`] until [`Session::answer`] was called.
    pub fn poll(&mut self) -> Step {
        loop {
            let step = match &self.state {
                State::Closed => return Step::Close,
                State::Answer(_) | State::Handshake => return Step::Input,
                State::Command => self.command_line(),
                State::LongLine => self.rest_of_long_line(),
                State::Response => self.response_line(),
                State::Data(_) => self.data(),
                State::Chunk { .. } => self.chunk(),
            };
            match step {
                Progress::Again => {}
                Progress::NeedsInput => return Step::Input,
                Progress::Step(step) => return *step,
            }
        }
    }

    /// Answers the step that asked.
    pub fn answer(&mut self, answer: Answer) {
        let asked = match std::mem::replace(&mut self.state, State::Command) {
            State::Answer(asked) => asked,
            other => {
                self.state = other;
                return;
            }
        };
        match (asked, answer) {
            (Asked::Authentication, answer) => self.authentication_answer(answer),
            (_, Answer::Refuse(reply)) => self.refuse(&reply),
            (Asked::Sender(from, parameters), _) => {
                self.transaction =
                    Some(Transaction { from, parameters, recipients: Vec::new(), chunks: None });
                self.reply(&Reply::new(250, EnhancedCode(2, 1, 0), "sender ok"));
            }
            (Asked::Recipient(to), _) => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients.push(to);
                }
                self.reply(&Reply::new(250, EnhancedCode(2, 1, 5), "recipient ok"));
            }
            (Asked::Message, Answer::Accept(text)) => {
                self.messages += 1;
                self.commands_idle = 0;
                self.reply(&Reply::new(250, EnhancedCode(2, 0, 0), text));
            }
            (Asked::Message, _) => {
                self.refuse(&Reply::new(451, EnhancedCode(4, 3, 0), "the message was not taken"));
            }
        }
    }

    fn ask(&mut self, asked: Asked, step: Step) -> Progress {
        self.state = State::Answer(asked);
        Progress::Step(Box::new(step))
    }

    fn reply(&mut self, reply: &Reply) {
        reply.write(&mut self.output);
        if self.settings.tell {
            self.exchanges.push(Exchange::Reply(reply.to_string()));
        }
    }

    /// Replies with an error; after too many the session ends.
    fn refuse(&mut self, reply: &Reply) {
        self.reply(reply);
        self.errors += 1;
        if self.errors > self.settings.limits.errors_max {
            self.close(&Reply::new(421, EnhancedCode(4, 7, 0), "too many errors, closing"));
        } else if reply.code() == 421 {
            self.state = State::Closed;
        }
    }

    /// The next line of at most `octets_max` octets with its CRLF.
    fn take_line(&mut self, octets_max: usize) -> Line {
        match self.input.iter().position(|octet| *octet == b'\n') {
            Some(end) => {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                if line.len() > octets_max {
                    return Line::TooLong;
                }
                match line.strip_suffix(b"\r\n") {
                    Some(line) if !line.contains(&b'\r') => Line::Whole(line.to_vec()),
                    _ => Line::BareLineEnd,
                }
            }
            None if self.input.len() >= octets_max => {
                self.input = Vec::new();
                self.state = State::LongLine;
                Line::TooLong
            }
            None => Line::Unfinished,
        }
    }

    fn rest_of_long_line(&mut self) -> Progress {
        if let Some(end) = self.input.iter().position(|octet| *octet == b'\n') {
            self.input.drain(..=end);
            self.state = State::Command;
            Progress::Again
        } else {
            self.input = Vec::new();
            Progress::NeedsInput
        }
    }
}

/// What handling a piece of input led to.
enum Progress {
    /// The state changed; look again.
    Again,
    /// The input is used up.
    NeedsInput,
    /// The service is asked.
    Step(Box<Step>),
}

/// A line of input.
enum Line {
    Whole(Vec<u8>),
    BareLineEnd,
    TooLong,
    Unfinished,
}

fn is_binary(parameters: &MailParameters) -> bool {
    parameters.body == Body::BinaryMime
}
