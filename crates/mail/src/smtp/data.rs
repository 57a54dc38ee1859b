//! The message between DATA and the line that holds a single dot: dot-stuffing
//! (RFC 5321 section 4.5.2) and strict line ends (section 2.3.8).

/// Why a message is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// A CR or LF stands alone (RFC 5321 section 2.3.8).
    #[error("the message has a CR or LF that stands alone; lines end with CRLF")]
    BareLineEnd,
    /// Something that careless software takes for the end of the message, such
    /// as LF dot LF: what follows may be smuggled commands.
    #[error("the message has a lone dot between line ends that are not CRLF")]
    Smuggling,
    /// A line is longer than the limit.
    #[error("the message has a line that is longer than the maximum")]
    LineTooLong,
    /// An octet is zero (RFC 5321 section 4.5.2), which IMAP could not hand out.
    #[error("the message has an octet that is zero (NUL)")]
    Nul,
    /// The message is larger than the limit.
    #[error("the message is larger than the maximum")]
    TooLarge,
}

/// Removes dot-stuffing, finds the end, and keeps the octets within a bound.
///
/// Only CRLF dot CRLF ends the message. A refused message is read up to that
/// end, so that none of its octets can be taken for commands.
#[derive(Debug)]
pub struct DataDecoder {
    message: Vec<u8>,
    message_octets_max: usize,
    line_octets_max: usize,
    /// Octets of the current line so far, as sent.
    line_octets: usize,
    line: Line,
    after_cr: bool,
    /// The last line end was not CRLF.
    loose_start: bool,
    error: Option<DataError>,
}

/// What the current line holds so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Empty,
    Dot,
    Text,
}

impl DataDecoder {
    /// A decoder for one message. Both bounds are in octets; a line counts its
    /// CRLF.
    pub fn new(message_octets_max: usize, line_octets_max: usize) -> Self {
        Self {
            message: Vec::new(),
            message_octets_max,
            line_octets_max,
            line_octets: 0,
            line: Line::Empty,
            after_cr: false,
            loose_start: false,
            error: None,
        }
    }

    /// Takes octets; returns how many belonged to the message and whether its
    /// end is among them. What follows the end is the next command.
    pub fn receive(&mut self, octets: &[u8]) -> (usize, bool) {
        let mut place = 0;
        while let Some(&octet) = octets.get(place) {
            // Whole runs of plain text go at once.
            if self.line == Line::Text && !self.after_cr {
                let rest = octets.get(place..).unwrap_or_default();
                let run = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(rest.len());
                if run > 0 {
                    self.line_octets += run;
                    self.keep(rest.get(..run).unwrap_or_default());
                    place += run;
                    continue;
                }
            }
            place += 1;
            if self.take(octet) {
                return (place, true);
            }
        }
        (place, false)
    }

    /// Takes one octet; true at the end of the message.
    fn take(&mut self, octet: u8) -> bool {
        self.line_octets += 1;
        match octet {
            b'\n' if self.after_cr => {
                self.after_cr = false;
                if self.line_octets > self.line_octets_max {
                    self.fail(DataError::LineTooLong);
                }
                self.line_octets = 0;
                if std::mem::replace(&mut self.line, Line::Empty) == Line::Dot {
                    if !self.loose_start {
                        return true;
                    }
                    self.fail(DataError::Smuggling);
                }
                self.loose_start = false;
                self.keep(b"\r\n");
            }
            b'\n' => self.bare_line_end(),
            b'\r' => {
                if self.after_cr {
                    self.bare_line_end();
                }
                self.after_cr = true;
            }
            _ => {
                if std::mem::take(&mut self.after_cr) {
                    self.bare_line_end();
                }
                if self.line == Line::Empty && octet == b'.' {
                    // The first dot of a line is not part of the message.
                    self.line = Line::Dot;
                } else {
                    self.line = Line::Text;
                    self.keep(&[octet]);
                }
            }
        }
        false
    }

    fn bare_line_end(&mut self) {
        let error = if self.line == Line::Dot { DataError::Smuggling } else { DataError::BareLineEnd };
        self.fail(error);
        self.line = Line::Empty;
        self.line_octets = 0;
        self.loose_start = true;
    }

    fn keep(&mut self, octets: &[u8]) {
        if self.error.is_some() {
            return;
        }
        // The bound that is met first decides, wherever the network cut the line.
        let line_room = self.line_octets_max.saturating_sub(self.line_octets.saturating_sub(octets.len()));
        let message_room = self.message_octets_max.saturating_sub(self.message.len());
        if octets.len() <= line_room.min(message_room) {
            self.message.extend_from_slice(octets);
        } else if line_room <= message_room {
            self.fail(DataError::LineTooLong);
        } else {
            self.fail(DataError::TooLarge);
        }
    }

    fn fail(&mut self, error: DataError) {
        if self.error.is_none() || error == DataError::Smuggling {
            self.error = Some(error);
            self.message = Vec::new();
        }
    }

    /// What is known to be wrong already.
    pub fn error(&self) -> Option<DataError> {
        self.error
    }

    /// The message, after its end was found.
    pub fn finish(self) -> Result<Vec<u8>, DataError> {
        match self.error {
            Some(error) => Err(error),
            None if self.message.contains(&0) => Err(DataError::Nul),
            None => Ok(self.message),
        }
    }
}

/// Writes `message` for DATA (RFC 5321 section 4.5.2): dots stuffed, every line end
/// CRLF (a bare CR or LF becomes one), and the final dot.
pub fn stuff_dots(message: &[u8], out: &mut Vec<u8>) {
    out.reserve(message.len() + message.len() / 50 + 5);
    let mut place = 0;
    while let Some(rest) = message.get(place..).filter(|rest| !rest.is_empty()) {
        let length = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, end) = rest.split_at(length);
        if line.first() == Some(&b'.') {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        place += length + if end.starts_with(b"\r\n") { 2 } else { usize::from(!end.is_empty()) };
    }
    out.extend_from_slice(b".\r\n");
}

#[cfg(test)]
mod tests {
    //! Vectors of dot-stuffing, of smuggling, and of the bounds.
    use super::*;
    use proptest::prelude::*;

    fn decode(octets: &[u8]) -> Option<(Result<Vec<u8>, DataError>, usize)> {
        let mut decoder = DataDecoder::new(10_000, 1_000);
        let (used, done) = decoder.receive(octets);
        done.then(|| (decoder.finish(), used))
    }

    #[test]
    fn dots() {
        for (sent, message) in [
            (".\r\n", ""),
            ("hello\r\n.\r\n", "hello\r\n"),
            ("..\r\n.\r\n", ".\r\n"),
            (".hello\r\n..x\r\n.\r\n", "hello\r\n.x\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n"),
        ] {
            assert_eq!(decode(sent.as_bytes()), Some((Ok(message.into()), sent.len())), "{sent:?}");
        }
        assert_eq!(decode(b"a\r\n.\r\nQUIT\r\n"), Some((Ok(b"a\r\n".to_vec()), 6)));
    }

    #[test]
    fn nothing_but_crlf_dot_crlf_ends_a_message() {
        for trick in [
            "\n.\n",
            "\n.\r\n",
            "\r\n.\n",
            "\r.\r",
            "\r.\r\n",
            "\r\n.\r",
            "\n.\r",
            "\r\n.\r\r\n",
            "\r\r\n.\r\r\n",
        ] {
            let sent = format!("hello{trick}MAIL FROM:<a@b>\r\n");
            let mut decoder = DataDecoder::new(10_000, 1_000);
            assert_eq!(decoder.receive(sent.as_bytes()), (sent.len(), false), "{trick:?}");
            let whole = format!("{sent}.\r\n");
            let (result, used) = decode(whole.as_bytes()).expect("the strict end is found");
            assert_eq!(used, whole.len(), "{trick:?}");
            assert_eq!(result, Err(DataError::Smuggling), "{trick:?}");
        }
        for bare in ["a\nb", "a\rb", "a\r\r\nb", "a\0\n"] {
            let whole = format!("{bare}\r\n.\r\n");
            assert_eq!(
                decode(whole.as_bytes()).map(|(r, _)| r),
                Some(Err(DataError::BareLineEnd)),
                "{bare:?}"
            );
        }
    }

    #[test]
    fn bounds() {
        let fits = format!("{}\r\n.\r\n", "x".repeat(998));
        assert!(decode(fits.as_bytes()).is_some_and(|(result, _)| result.is_ok()));
        let long = format!("{}\r\n.\r\n", "x".repeat(999));
        assert_eq!(decode(b"A: b\r\n\r\nx\0y\r\n.\r\n").map(|(r, _)| r), Some(Err(DataError::Nul)));
        assert_eq!(decode(long.as_bytes()).map(|(r, _)| r), Some(Err(DataError::LineTooLong)));
        let large = format!("{}.\r\n", "0123456789\r\n".repeat(900));
        assert_eq!(decode(large.as_bytes()).map(|(r, _)| r), Some(Err(DataError::TooLarge)));
    }

    #[test]
    fn the_bound_met_first_is_told_wherever_the_line_is_cut() {
        for chunk in [1, 3, 100] {
            let mut decoder = DataDecoder::new(30, 20);
            for octets in [b"aaaaaaaaaaaa\r\n".repeat(2), vec![b'b'; 40]].concat().chunks(chunk) {
                decoder.receive(octets);
            }
            assert_eq!(decoder.error(), Some(DataError::TooLarge), "pieces of {chunk}");
        }
    }

    proptest! {
        #[test]
        fn where_the_chunks_end_never_matters(
            octets in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), Just(b'a'), Just(b'a'), Just(b'a')], 0..60),
            cut in 0usize..60,
        ) {
            let mut whole = DataDecoder::new(30, 20);
            let at_once = whole.receive(&octets);
            let (first, second) = octets.split_at(cut.min(octets.len()));
            let mut parts = DataDecoder::new(30, 20);
            let mut in_two = parts.receive(first);
            if !in_two.1 {
                let (used, done) = parts.receive(second);
                in_two = (in_two.0 + used, done);
            }
            prop_assert_eq!(at_once, in_two);
            prop_assert_eq!(whole.finish(), parts.finish());
        }

        #[test]
        fn what_is_stuffed_decodes_again(lines in proptest::collection::vec("[.a ]{0,5}", 0..20)) {
            let message: String = lines.iter().flat_map(|line| [line.as_str(), "\r\n"]).collect();
            let mut sent = Vec::new();
            stuff_dots(message.as_bytes(), &mut sent);
            let used = sent.len();
            prop_assert_eq!(decode(&sent), Some((Ok(message.into_bytes()), used)));
        }
    }
}
