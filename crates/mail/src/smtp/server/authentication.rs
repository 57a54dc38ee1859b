//! The AUTH exchange (RFC 4954).

use super::{Answer, Asked, Line, Mechanism, Progress, Session, State, Step};
use crate::smtp::{EnhancedCode, Reply};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Logins of one session that may fail before it ends.
const AUTHENTICATION_FAILURES_MAX: usize = 3;

impl Session {
    pub(super) fn begin_authentication(&mut self, mechanism: &str, initial: Option<String>) -> Progress {
        let refusal = if self.hello.is_none() {
            Some(Reply::new(503, EnhancedCode(5, 5, 1), "say EHLO first"))
        } else if self.user.is_some() {
            Some(Reply::new(503, EnhancedCode(5, 5, 1), "you are logged in already"))
        } else if self.transaction.is_some() {
            Some(Reply::new(503, EnhancedCode(5, 5, 1), "log in before MAIL"))
        } else if self.settings.role == super::Role::Submission && !self.settings.tls {
            Some(Reply::new(538, EnhancedCode(5, 7, 11), "log in under TLS only; begin with STARTTLS"))
        } else if !self.offers_authentication() {
            Some(Reply::new(502, EnhancedCode(5, 5, 1), "nobody logs in here"))
        } else {
            None
        };
        if let Some(reply) = refusal {
            self.refuse(&reply);
            return Progress::Again;
        }
        let mechanism = match mechanism {
            "PLAIN" => Mechanism::Plain,
            "SCRAM-SHA-256" => Mechanism::ScramSha256,
            _ => {
                self.refuse(&Reply::new(
                    504,
                    EnhancedCode(5, 5, 4),
                    "the mechanisms are SCRAM-SHA-256 and PLAIN",
                ));
                return Progress::Again;
            }
        };
        let initial = match initial.as_deref() {
            None => None,
            Some("=") => Some(Vec::new()),
            Some(text) => match BASE64.decode(text) {
                Ok(octets) => Some(octets),
                Err(_) => return self.not_base64(),
            },
        };
        self.ask(Asked::Authentication, Step::Authenticate { mechanism, initial })
    }

    pub(super) fn response_line(&mut self) -> Progress {
        let line = match self.take_line(self.settings.limits.auth_line_octets_max) {
            Line::Whole(line) => line,
            Line::Unfinished => return Progress::NeedsInput,
            Line::TooLong | Line::BareLineEnd => {
                let after =
                    if matches!(self.state, State::LongLine) { State::LongLine } else { State::Command };
                self.state = State::Command;
                self.refuse(&Reply::new(
                    500,
                    EnhancedCode(5, 5, 6),
                    "the line is too long, or does not end with CRLF",
                ));
                if matches!(self.state, State::Command) {
                    self.state = after;
                }
                return Progress::Step(Box::new(Step::AuthenticationCancelled));
            }
        };
        if line == b"*" {
            self.state = State::Command;
            self.refuse(&Reply::new(501, EnhancedCode(5, 7, 0), "login given up"));
            return Progress::Step(Box::new(Step::AuthenticationCancelled));
        }
        if let Ok(response) = BASE64.decode(&line) {
            return self.ask(Asked::Authentication, Step::Response(response));
        }
        self.state = State::Command;
        self.not_base64();
        Progress::Step(Box::new(Step::AuthenticationCancelled))
    }

    fn not_base64(&mut self) -> Progress {
        self.refuse(&Reply::new(501, EnhancedCode(5, 5, 2), "the response is not base64"));
        Progress::Again
    }

    pub(super) fn authentication_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Challenge(challenge) => {
                self.reply_challenge(&challenge);
                self.state = State::Response;
            }
            Answer::Authenticated(user) => {
                self.user = Some(user);
                self.reply(&Reply::new(235, EnhancedCode(2, 7, 0), "logged in"));
            }
            Answer::Refuse(reply) => {
                self.refuse(&reply);
                self.authentication_failures += 1;
                if self.authentication_failures >= AUTHENTICATION_FAILURES_MAX {
                    self.close(&Reply::new(421, EnhancedCode(4, 7, 0), "too many failed logins, closing"));
                }
            }
            Answer::Accept(_) => {
                self.refuse(&Reply::new(454, EnhancedCode(4, 7, 0), "the login could not be checked"));
            }
        }
    }

    /// A challenge may be longer than other replies, so it is written whole;
    /// base64 has no line ends of its own.
    fn reply_challenge(&mut self, challenge: &[u8]) {
        self.output.extend_from_slice(b"334 ");
        self.output.extend_from_slice(BASE64.encode(challenge).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        if self.settings.tell {
            self.exchanges.push(super::Exchange::Reply("334 (challenge)".to_owned()));
        }
    }
}
