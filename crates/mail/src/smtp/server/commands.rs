//! What each command does to a session.

use super::{Asked, Exchange, Line, Progress, Role, Session, State, Step, is_binary};
use crate::address::{HelloName, Path};
use crate::smtp::{Command, DataDecoder, EnhancedCode, MailParameters, Reply};

impl Session {
    pub(super) fn command_line(&mut self) -> Progress {
        let limits = &self.settings.limits;
        let (command_max, auth_max) = (limits.command_line_octets_max, limits.auth_line_octets_max);
        let line = match self.take_line(auth_max.max(command_max)) {
            Line::Whole(line) => line,
            Line::Unfinished => return Progress::NeedsInput,
            Line::TooLong => return self.line_too_long(),
            Line::BareLineEnd => {
                self.tell_command("(a line that does not end with CRLF)");
                self.refuse(&Reply::new(
                    500,
                    EnhancedCode(5, 5, 2),
                    "lines must end with CRLF, and hold no other CR",
                ));
                return Progress::Again;
            }
        };
        let is_auth = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
        if line.len() + 2 > command_max && !is_auth {
            return self.line_too_long();
        }
        if is_auth {
            let mechanism = line.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
            let mechanism = String::from_utf8_lossy(mechanism).into_owned();
            self.tell_command(&format!("AUTH {mechanism}"));
        } else {
            self.tell_command(&String::from_utf8_lossy(&line));
        }
        self.commands_idle += 1;
        if self.commands_idle > self.settings.limits.commands_idle_max {
            self.close(&Reply::new(
                421,
                EnhancedCode(4, 7, 0),
                "too many commands without a message, closing",
            ));
            return Progress::Again;
        }
        match Command::parse(&line) {
            Ok(command) => self.command(command),
            Err(error) => {
                // A web browser led here by a trick must not get to speak SMTP.
                if is_http(&line) {
                    self.close(&Reply::new(421, EnhancedCode(4, 7, 0), "this is SMTP, not HTTP; closing"));
                } else {
                    self.refuse(&error.reply());
                }
                Progress::Again
            }
        }
    }

    fn line_too_long(&mut self) -> Progress {
        self.tell_command("(a line that is too long)");
        let state = std::mem::replace(&mut self.state, State::Command);
        self.refuse(&Reply::new(500, EnhancedCode(5, 5, 2), "line too long"));
        if matches!(self.state, State::Command) {
            self.state = state;
        }
        Progress::Again
    }

    fn tell_command(&mut self, line: &str) {
        if self.settings.tell {
            self.exchanges.push(Exchange::Command(line.chars().take(512).collect()));
        }
    }

    fn command(&mut self, command: Command) -> Progress {
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::Mail { from, parameters } => return self.mail(from, parameters),
            Command::Rcpt { to } => return self.rcpt(to),
            Command::Data => self.begin_data(),
            Command::Bdat { octets, last } => self.begin_chunk(octets, last),
            Command::Auth { mechanism, initial } => return self.begin_authentication(&mechanism, initial),
            Command::StartTls => return self.starttls(),
            Command::Rset => {
                self.transaction = None;
                self.reply(&Reply::new(250, EnhancedCode(2, 0, 0), "forgotten"));
            }
            Command::Noop => self.reply(&Reply::new(250, EnhancedCode(2, 0, 0), "ok")),
            // RFC 5321 section 3.5.3: what cannot be verified gets 252.
            Command::Vrfy => {
                self.reply(&Reply::new(
                    252,
                    EnhancedCode(2, 5, 0),
                    "cannot verify; send, and it will be tried",
                ));
            }
            Command::Expn => self.refuse(&Reply::new(502, EnhancedCode(5, 5, 1), "lists are not expanded")),
            Command::Help => self.reply(
                &Reply::new(
                    214,
                    EnhancedCode(2, 0, 0),
                    "EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT",
                )
                .line("STARTTLS AUTH, where offered; see RFC 5321"),
            ),
            Command::Quit => {
                self.reply(&Reply::new(221, EnhancedCode(2, 0, 0), "closing"));
                self.state = State::Closed;
            }
        }
        Progress::Again
    }

    fn hello(&mut self, name: HelloName, extended: bool) {
        self.transaction = None;
        let mut reply = Reply::plain(250, format!("{} greets {name}", self.settings.hostname));
        if extended {
            let size = format!("SIZE {}", self.settings.limits.message_octets_max);
            for keyword in ["PIPELINING", &size, "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"] {
                reply = reply.line(keyword);
            }
            if self.settings.starttls && !self.settings.tls {
                reply = reply.line("STARTTLS");
            }
            if self.offers_authentication() {
                reply = reply.line("AUTH SCRAM-SHA-256 PLAIN");
            }
            reply = reply.line("HELP");
        }
        self.hello = Some((name, extended));
        self.reply(&reply);
    }

    pub(super) fn offers_authentication(&self) -> bool {
        self.settings.role == Role::Submission && self.settings.tls
    }

    fn out_of_order(&mut self, text: &str) -> Progress {
        self.refuse(&Reply::new(503, EnhancedCode(5, 5, 1), text));
        Progress::Again
    }

    fn mail(&mut self, from: Path, parameters: MailParameters) -> Progress {
        if self.hello.is_none() {
            return self.out_of_order("say EHLO first");
        }
        if self.transaction.is_some() {
            return self.out_of_order("a message is under way already; RSET forgets it");
        }
        if self.settings.role == Role::Submission && self.user.is_none() {
            let text =
                if self.settings.tls { "log in with AUTH first" } else { "begin with STARTTLS, then AUTH" };
            self.refuse(&Reply::new(530, EnhancedCode(5, 7, 0), text));
            return Progress::Again;
        }
        let limits = &self.settings.limits;
        if self.messages >= limits.messages_max {
            self.close(&Reply::new(
                421,
                EnhancedCode(4, 7, 0),
                "too many messages in one session; connect again",
            ));
            return Progress::Again;
        }
        if parameters.size.is_some_and(|size| size > limits.message_octets_max as u64) {
            let text = format!("messages may have at most {} octets", limits.message_octets_max);
            self.refuse(&Reply::new(552, EnhancedCode(5, 3, 4), text));
            return Progress::Again;
        }
        if is_binary(&parameters) {
            self.refuse(&Reply::new(504, EnhancedCode(5, 6, 3), "BINARYMIME is not offered"));
            return Progress::Again;
        }
        if !is_ascii(&from) && !parameters.smtputf8 {
            return self.needs_smtputf8();
        }
        let step =
            Step::Sender { from: from.clone(), parameters: parameters.clone(), user: self.user.clone() };
        self.ask(Asked::Sender(from, parameters), step)
    }

    fn rcpt(&mut self, to: Path) -> Progress {
        let Some(transaction) = &self.transaction else { return self.out_of_order("MAIL comes before RCPT") };
        if transaction.chunks.is_some() {
            return self.out_of_order("RCPT must not follow BDAT");
        }
        if transaction.recipients.len() >= self.settings.limits.recipients_max {
            // RFC 5321 section 4.5.3.1.10: the client sends the rest later.
            self.refuse(&Reply::new(
                452,
                EnhancedCode(4, 5, 3),
                "too many recipients; send the rest in another message",
            ));
            return Progress::Again;
        }
        if !is_ascii(&to) && !transaction.parameters.smtputf8 {
            return self.needs_smtputf8();
        }
        self.ask(Asked::Recipient(to.clone()), Step::Recipient { to })
    }

    /// RFC 6531 section 3.5.
    fn needs_smtputf8(&mut self) -> Progress {
        self.refuse(&Reply::new(553, EnhancedCode(5, 6, 7), "this address needs SMTPUTF8 in MAIL"));
        Progress::Again
    }

    fn begin_data(&mut self) {
        match &self.transaction {
            None => {
                self.out_of_order("MAIL and RCPT come before DATA");
            }
            Some(transaction) if transaction.chunks.is_some() => {
                self.out_of_order("DATA must not follow BDAT");
            }
            Some(transaction) if transaction.recipients.is_empty() => {
                // RFC 2920 section 3.1: with pipelining all recipients may have
                // been refused when DATA comes.
                self.refuse(&Reply::new(554, EnhancedCode(5, 5, 1), "no valid recipients"));
            }
            Some(_) => {
                let limits = &self.settings.limits;
                let decoder = DataDecoder::new(limits.message_octets_max, limits.text_line_octets_max);
                self.reply(&Reply::plain(354, "end the message with a line that holds a single dot"));
                self.state = State::Data(decoder);
            }
        }
    }

    fn starttls(&mut self) -> Progress {
        if self.settings.tls {
            return self.out_of_order("the connection is under TLS already");
        }
        if !self.settings.starttls {
            self.refuse(&Reply::new(502, EnhancedCode(5, 5, 1), "TLS is not offered here"));
            return Progress::Again;
        }
        if !self.input.is_empty() {
            // RFC 3207 section 4.2: nothing may follow STARTTLS in the clear;
            // what does may have been put there by somebody in between.
            self.close(&Reply::new(
                421,
                EnhancedCode(4, 5, 1),
                "commands follow STARTTLS in the clear; closing",
            ));
            return Progress::Again;
        }
        self.reply(&Reply::new(220, EnhancedCode(2, 0, 0), "begin TLS"));
        self.state = State::Handshake;
        Progress::Step(Box::new(Step::StartTls))
    }
}

fn is_ascii(path: &Path) -> bool {
    match path {
        Path::Address(address) => address.is_ascii(),
        Path::Null | Path::Postmaster => true,
    }
}

fn is_http(line: &[u8]) -> bool {
    [&b"GET "[..], b"POST ", b"PUT ", b"CONNECT ", b"OPTIONS "].iter().any(|verb| line.starts_with(verb))
}
