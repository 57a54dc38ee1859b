//! One message on its way: MAIL, RCPT for each recipient, DATA, in groups where
//! the server takes them (RFC 2920).

use super::Offers;
use crate::address::{Address, Path};
use crate::smtp::{EnhancedCode, Reply, stuff_dots, timeout};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// Commands under way at once; replies to more of them might fill the buffers
/// of both sides while both write.
const OUTSTANDING_MAX: usize = 100;

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Message {
    /// The reverse-path.
    pub from: Path,
    /// The recipients, at least one.
    pub recipients: Vec<Address>,
    /// Header and body.
    pub octets: Bytes,
    /// Whether it must travel with SMTPUTF8: its header holds UTF-8.
    pub smtputf8: bool,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The last word on each recipient, in their order: 2yz delivered, 4yz try
    /// again, 5yz give up.
    pub recipients: Vec<Reply>,
    /// Whether the server closes the session (421).
    pub closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Rset,
    Mail,
    Rcpt(usize),
    Data,
    /// The message, or a lone dot where nobody is to get it.
    Octets,
}

#[derive(Debug)]
pub(super) struct Transaction {
    message: Message,
    parameters: String,
    window: usize,
    waiting: VecDeque<Command>,
    outstanding: VecDeque<Command>,
    verdicts: Vec<Option<Reply>>,
    mail_accepted: bool,
    data_accepted: bool,
    finished: bool,
    closed: bool,
}

impl Transaction {
    pub(super) fn new(message: Message, offers: &Offers, stale: bool) -> Self {
        let (parameters, refusal) = mail_parameters(&message, offers);
        let mut waiting: VecDeque<Command> = VecDeque::new();
        if refusal.is_none() {
            waiting.extend(stale.then_some(Command::Rset));
            waiting.push_back(Command::Mail);
            waiting.extend((0..message.recipients.len()).map(Command::Rcpt));
            waiting.push_back(Command::Data);
        }
        Self {
            verdicts: vec![refusal.clone(); message.recipients.len()],
            parameters,
            window: if offers.pipelining { OUTSTANDING_MAX } else { 1 },
            waiting,
            outstanding: VecDeque::new(),
            mail_accepted: false,
            data_accepted: false,
            finished: refusal.is_some(),
            closed: false,
            message,
        }
    }

    /// Writes the commands whose turn it is.
    pub(super) fn write(&mut self, output: &mut Vec<u8>) {
        while self.outstanding.len() < self.window {
            let Some(command) = self.waiting.pop_front() else { return };
            match command {
                Command::Rset => output.extend_from_slice(b"RSET\r\n"),
                Command::Mail => {
                    let line = format!("MAIL FROM:{}{}\r\n", self.message.from, self.parameters);
                    output.extend_from_slice(line.as_bytes());
                }
                Command::Rcpt(index) => {
                    let Some(recipient) = self.message.recipients.get(index) else { continue };
                    output.extend_from_slice(format!("RCPT TO:<{recipient}>\r\n").as_bytes());
                }
                Command::Data => output.extend_from_slice(b"DATA\r\n"),
                Command::Octets if self.is_wanted() => stuff_dots(&self.message.octets, output),
                // RFC 2920 section 3.1: 354 came though no recipient was taken.
                Command::Octets => output.extend_from_slice(b".\r\n"),
            }
            self.outstanding.push_back(command);
        }
    }

    /// Whether any recipient still waits for a verdict.
    fn is_wanted(&self) -> bool {
        self.verdicts.iter().any(Option::is_none)
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        let command = self.outstanding.pop_front();
        if reply.code() == 421 {
            self.closed = true;
            self.decide_all(&reply);
            return;
        }
        match command {
            Some(Command::Mail) if reply.is_positive() => self.mail_accepted = true,
            Some(Command::Mail) => {
                self.decide_rest(&reply);
                // What was sent ahead is still answered; the rest need not go.
                self.waiting.clear();
            }
            Some(Command::Rcpt(index)) if !reply.is_positive() => {
                if let Some(verdict @ None) = self.verdicts.get_mut(index) {
                    *verdict = Some(reply);
                }
                if !self.is_wanted() && !self.waiting.iter().any(|next| matches!(next, Command::Rcpt(_))) {
                    self.waiting.clear();
                }
            }
            Some(Command::Data) if reply.is_intermediate() => {
                self.data_accepted = true;
                self.waiting.push_back(Command::Octets);
            }
            Some(Command::Data) => self.decide_rest(&reply),
            Some(Command::Octets) => {
                self.mail_accepted = false;
                self.decide_rest(&reply);
            }
            Some(Command::Rset | Command::Rcpt(_)) | None => {}
        }
        if self.waiting.is_empty() && self.outstanding.is_empty() {
            self.finished = true;
        }
    }

    fn decide_rest(&mut self, reply: &Reply) {
        for verdict in self.verdicts.iter_mut().filter(|verdict| verdict.is_none()) {
            *verdict = Some(reply.clone());
        }
    }

    fn decide_all(&mut self, reply: &Reply) {
        self.decide_rest(reply);
        self.finished = true;
    }

    pub(super) fn take_outcome(&mut self) -> Option<Outcome> {
        if !self.finished {
            return None;
        }
        let unknown = Reply::new(451, EnhancedCode(4, 5, 0), "the server gave no verdict");
        let recipients = self.verdicts.drain(..).map(|verdict| verdict.unwrap_or_else(|| unknown.clone()));
        Some(Outcome { recipients: recipients.collect(), closed: self.closed })
    }

    /// Whether the server still holds a transaction that was not finished.
    pub(super) fn is_stale(&self) -> bool {
        self.mail_accepted
    }

    pub(super) fn patience(&self) -> Duration {
        match self.outstanding.front() {
            Some(Command::Rcpt(_)) => timeout::RCPT,
            Some(Command::Data) => timeout::DATA_INITIATION,
            Some(Command::Octets) => timeout::DATA_TERMINATION,
            _ => timeout::MAIL,
        }
    }
}

/// The parameters of MAIL, or why the server cannot take this message.
fn mail_parameters(message: &Message, offers: &Offers) -> (String, Option<Reply>) {
    let mut parameters = String::new();
    if let Some(size_max) = offers.size {
        let size = message.octets.len() as u64;
        if size_max > 0 && size > size_max {
            let text = format!("the message has {size} octets, the server takes {size_max}");
            return (parameters, Some(Reply::new(552, EnhancedCode(5, 3, 4), text)));
        }
        parameters = format!(" SIZE={size}");
    }
    let addresses_need_it = matches!(&message.from, Path::Address(from) if !from.is_ascii())
        || message.recipients.iter().any(|recipient| !recipient.is_ascii());
    if message.smtputf8 || addresses_need_it {
        if !offers.smtputf8 {
            let text = "the message has internationalised addresses, the server does not offer SMTPUTF8";
            return (parameters, Some(Reply::new(553, EnhancedCode(5, 6, 7), text)));
        }
        parameters.push_str(" SMTPUTF8");
    }
    if !message.octets.is_ascii() {
        if !offers.eight_bit {
            // RFC 6152 section 3: it must not be sent as it is.
            let text = "the message has eight-bit text, the server does not offer 8BITMIME";
            return (parameters, Some(Reply::new(554, EnhancedCode(5, 6, 3), text)));
        }
        parameters.push_str(" BODY=8BITMIME");
    }
    (parameters, None)
}
