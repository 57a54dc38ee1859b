//! Receiving the message itself: DATA (RFC 5321 section 4.1.1.4) and BDAT (RFC
//! 3030).

use super::{Asked, Envelope, Exchange, Progress, Session, State, Step};
use crate::smtp::{DataError, EnhancedCode, Reply};

/// A message that comes in chunks.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    message: Vec<u8>,
    error: Option<DataError>,
}

impl Session {
    pub(super) fn data(&mut self) -> Progress {
        let State::Data(decoder) = &mut self.state else { return Progress::Again };
        let (used, done) = decoder.receive(&self.input);
        self.input.drain(..used);
        if decoder.error() == Some(DataError::Smuggling) {
            // Client and server no longer agree where the message ends: nothing
            // that follows may be taken for a command.
            self.input = Vec::new();
            self.transaction = None;
            self.reply(&data_error(DataError::Smuggling));
            self.state = State::Closed;
            return Progress::Again;
        }
        if !done {
            return Progress::NeedsInput;
        }
        let State::Data(decoder) = std::mem::replace(&mut self.state, State::Command) else {
            return Progress::Again;
        };
        match decoder.finish() {
            Ok(message) => self.whole_message(message),
            Err(error) => {
                self.transaction = None;
                self.refuse(&data_error(error));
                Progress::Again
            }
        }
    }

    pub(super) fn begin_chunk(&mut self, octets: u64, last: bool) {
        // RFC 3030 section 2: the octets follow even when the command is refused.
        let refusal = match &mut self.transaction {
            None => Some(Reply::new(503, EnhancedCode(5, 5, 1), "MAIL and RCPT come before BDAT")),
            Some(transaction) if transaction.recipients.is_empty() => {
                Some(Reply::new(554, EnhancedCode(5, 5, 1), "no valid recipients"))
            }
            Some(transaction) => {
                let chunks = transaction.chunks.get_or_insert_with(Chunks::default);
                let room = self.settings.limits.message_octets_max.saturating_sub(chunks.message.len());
                (octets > room as u64).then(|| {
                    chunks.error = Some(DataError::TooLarge);
                    data_error(DataError::TooLarge)
                })
            }
        };
        let thrown_away = refusal.is_some();
        if let Some(reply) = refusal {
            self.transaction = None;
            self.refuse(&reply);
        }
        if !matches!(self.state, State::Closed) {
            self.state = State::Chunk { left: octets, last, thrown_away };
        }
    }

    pub(super) fn chunk(&mut self) -> Progress {
        let State::Chunk { left, last, thrown_away } = &mut self.state else { return Progress::Again };
        let take = self.input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if take == 0 && *left > 0 {
            return Progress::NeedsInput;
        }
        *left -= take as u64;
        let (left, last, thrown_away) = (*left, *last, *thrown_away);
        let octets = self.input.drain(..take);
        if let Some(chunks) = self.transaction.as_mut().and_then(|transaction| transaction.chunks.as_mut())
            && !thrown_away
        {
            chunks.message.extend(octets);
        } else {
            drop(octets);
        }
        if left > 0 {
            return Progress::NeedsInput;
        }
        self.state = State::Command;
        if thrown_away {
            return Progress::Again;
        }
        if !last {
            self.reply(&Reply::new(250, EnhancedCode(2, 0, 0), "chunk taken"));
            return Progress::Again;
        }
        let chunks = self.transaction.as_mut().and_then(|transaction| transaction.chunks.take());
        let Chunks { message, error } = chunks.unwrap_or_default();
        match error.or_else(|| check_lines(&message, self.settings.limits.text_line_octets_max)) {
            None => self.whole_message(message),
            Some(error) => {
                self.transaction = None;
                self.refuse(&data_error(error));
                Progress::Again
            }
        }
    }

    fn whole_message(&mut self, message: Vec<u8>) -> Progress {
        let (Some(transaction), Some((hello, extended))) = (self.transaction.take(), self.hello.clone())
        else {
            return Progress::Again;
        };
        if self.settings.tell {
            let lines = message.split(|octet| *octet == b'\n').take(12);
            let lines =
                lines.map(|line| String::from_utf8_lossy(line).trim_end().chars().take(200).collect());
            self.exchanges.push(Exchange::Data { octets: message.len() as u64, lines: lines.collect() });
        }
        let envelope = Envelope {
            hello,
            extended,
            tls: self.settings.tls,
            user: self.user.clone(),
            from: transaction.from,
            parameters: transaction.parameters,
            recipients: transaction.recipients,
        };
        self.ask(Asked::Message, Step::Message { envelope, message })
    }
}

/// The line ends and lengths of a message that came in chunks.
fn check_lines(message: &[u8], line_octets_max: usize) -> Option<DataError> {
    let mut rest = message;
    while let Some(end) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
        let (_, from_end) = rest.split_at(end);
        if end + 2 > line_octets_max {
            return Some(DataError::LineTooLong);
        }
        match from_end.strip_prefix(b"\r\n") {
            Some(next) => rest = next,
            None => return Some(DataError::BareLineEnd),
        }
    }
    if rest.len() > line_octets_max {
        return Some(DataError::LineTooLong);
    }
    message.contains(&0).then_some(DataError::Nul)
}

fn data_error(error: DataError) -> Reply {
    match error {
        DataError::TooLarge => Reply::new(552, EnhancedCode(5, 3, 4), error.to_string()),
        DataError::LineTooLong | DataError::BareLineEnd | DataError::Nul => {
            Reply::new(554, EnhancedCode(5, 6, 0), error.to_string())
        }
        DataError::Smuggling => Reply::new(521, EnhancedCode(5, 6, 0), format!("{error}; closing")),
    }
}
