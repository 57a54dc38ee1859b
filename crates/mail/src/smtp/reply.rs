//! Replies: RFC 5321 section 4.2, with the enhanced codes of RFC 2034 and 3463.

use std::fmt;

/// `class.subject.detail` of RFC 3463.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnhancedCode(pub u8, pub u16, pub u16);

impl EnhancedCode {
    /// Reads `5.7.1` at the start of `text`; returns what follows it.
    pub fn parse(text: &str) -> Option<(Self, &str)> {
        let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
        let mut parts = code.split('.');
        let class = parts.next()?.parse().ok().filter(|class| matches!(class, 2 | 4 | 5))?;
        let number = |part: Option<&str>| {
            part.filter(|part| part.len() <= 3 && part.bytes().all(|octet| octet.is_ascii_digit()))?
                .parse()
                .ok()
        };
        let (subject, detail) = (number(parts.next())?, number(parts.next())?);
        parts.next().is_none().then_some((Self(class, subject, detail), rest))
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// A reply of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<EnhancedCode>,
    lines: Vec<String>,
}

/// Octets of a reply line with its CRLF (RFC 5321 section 4.5.3.1.5).
const REPLY_LINE_OCTETS_MAX: usize = 512;

impl Reply {
    /// A reply without an enhanced code: the greeting, EHLO, 334 and 354 have none.
    pub fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, enhanced: None, lines: vec![text.into()] }
    }

    /// A reply with an enhanced code.
    pub fn new(code: u16, enhanced: EnhancedCode, text: impl Into<String>) -> Self {
        Self { code, enhanced: Some(enhanced), lines: vec![text.into()] }
    }

    /// Adds a line.
    pub fn line(mut self, text: impl Into<String>) -> Self {
        self.lines.push(text.into());
        self
    }

    /// The three-digit code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced code, where there is one.
    pub fn enhanced(&self) -> Option<EnhancedCode> {
        self.enhanced
    }

    /// The text of each line.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// 3yz: go on.
    pub fn is_intermediate(&self) -> bool {
        (300..400).contains(&self.code)
    }

    /// 5yz: do not try again.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Writes the reply as it goes over the wire. Control characters become
    /// spaces and lines that are too long are cut: nothing a peer said can make
    /// a line of its own.
    pub fn write(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (index, text) in self.lines.iter().enumerate() {
            let mut line = format!("{}{}", self.code, if index == last { ' ' } else { '-' });
            if let Some(enhanced) = self.enhanced {
                line.push_str(&enhanced.to_string());
                line.push(' ');
            }
            for c in text.chars() {
                if line.len() + c.len_utf8() + 2 > REPLY_LINE_OCTETS_MAX {
                    break;
                }
                line.push(if c.is_control() { ' ' } else { c });
            }
            let line = line.trim_end_matches(' ');
            out.extend_from_slice(line.as_bytes());
            // RFC 5321 section 4.2.1: the space after the code stays, even before nothing.
            if line.len() == 3 {
                out.push(b' ');
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, "{enhanced} ")?;
        }
        f.write_str(&self.lines.join(" / "))
    }
}

/// What a server said that is no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code.
    #[error("the server sent a line that is no SMTP reply")]
    Malformed,
    /// A line is longer than [`ReplyParser::LINE_OCTETS_MAX`].
    #[error("the server sent a reply line of more than 4096 octets")]
    LineTooLong,
    /// There are more lines than [`ReplyParser::LINES_MAX`].
    #[error("the server sent a reply of more than 128 lines")]
    TooManyLines,
}

/// Gathers the lines of a server's replies.
#[derive(Debug, Default)]
pub struct ReplyParser {
    buffer: Vec<u8>,
    reply: Option<Reply>,
}

impl ReplyParser {
    /// Octets of a line; more than RFC 5321 section 4.5.3.1.5 asks for, since
    /// some servers write more.
    pub const LINE_OCTETS_MAX: usize = 4_096;
    /// Lines of a reply.
    pub const LINES_MAX: usize = 128;

    /// Takes octets from the server. Call [`ReplyParser::next_reply`] until it
    /// has none before giving more.
    pub fn receive(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
    }

    /// Octets received that belong to no complete reply yet.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.reply.is_none()
    }

    /// The next complete reply.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        while let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            if line.len() > Self::LINE_OCTETS_MAX {
                return Err(ReplyError::LineTooLong);
            }
            if let Some(reply) = self.take_line(&String::from_utf8_lossy(&line))? {
                return Ok(Some(reply));
            }
        }
        if self.buffer.len() > Self::LINE_OCTETS_MAX { Err(ReplyError::LineTooLong) } else { Ok(None) }
    }

    fn take_line(&mut self, line: &str) -> Result<Option<Reply>, ReplyError> {
        let line = line.trim_end_matches(['\r', '\n']);
        let code = line.get(..3).ok_or(ReplyError::Malformed)?;
        let code: u16 = match code.parse() {
            Ok(code) if (200..600).contains(&code) => code,
            _ => return Err(ReplyError::Malformed),
        };
        let (last, text) = match line.as_bytes().get(3) {
            None | Some(b' ') => (true, line.get(4..).unwrap_or("")),
            Some(b'-') => (false, line.get(4..).unwrap_or("")),
            Some(_) => return Err(ReplyError::Malformed),
        };
        let (enhanced, text) = match EnhancedCode::parse(text) {
            Some((enhanced, rest)) if u16::from(enhanced.0) == code / 100 => (Some(enhanced), rest),
            _ => (None, text),
        };
        let reply = self.reply.get_or_insert_with(|| Reply { code, enhanced, lines: Vec::new() });
        if reply.code != code {
            return Err(ReplyError::Malformed);
        }
        if reply.lines.len() >= Self::LINES_MAX {
            return Err(ReplyError::TooManyLines);
        }
        reply.lines.push(text.to_owned());
        Ok(if last { self.reply.take() } else { None })
    }
}

#[cfg(test)]
mod tests {
    //! Replies as they are written and read.
    use super::*;
    use proptest::prelude::*;

    fn written(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn several_lines_each_carry_the_codes() {
        let reply = Reply::new(550, EnhancedCode(5, 1, 1), "no such user").line("try postmaster");
        assert_eq!(written(&reply), "550-5.1.1 no such user\r\n550 5.1.1 try postmaster\r\n");
        let mut parser = ReplyParser::default();
        parser.receive(written(&reply).as_bytes());
        assert_eq!(parser.next_reply(), Ok(Some(reply)));
        assert!(parser.is_empty());
    }

    #[test]
    fn a_peers_words_make_no_line_of_their_own() {
        let reply = Reply::plain(250, "hello\r\n250 forged");
        assert_eq!(written(&reply), "250 hello  250 forged\r\n");
        assert_eq!(written(&Reply::plain(250, "x".repeat(600))).len(), 512);
        for text in ["", "   "] {
            assert_eq!(written(&Reply::plain(250, text)), "250 \r\n");
        }
    }

    #[test]
    fn bounds_and_malformed_lines() {
        for (text, error) in [
            ("hello\r\n", ReplyError::Malformed),
            ("99 x\r\n", ReplyError::Malformed),
            ("250-a\r\n251 b\r\n", ReplyError::Malformed),
            ("250x\r\n", ReplyError::Malformed),
        ] {
            let mut parser = ReplyParser::default();
            parser.receive(text.as_bytes());
            assert_eq!(parser.next_reply(), Err(error), "{text}");
        }
        let mut parser = ReplyParser::default();
        parser.receive(&vec![b'2'; ReplyParser::LINE_OCTETS_MAX + 1]);
        assert_eq!(parser.next_reply(), Err(ReplyError::LineTooLong));
        let mut parser = ReplyParser::default();
        parser.receive("250-x\r\n".repeat(ReplyParser::LINES_MAX + 1).as_bytes());
        assert_eq!(parser.next_reply(), Err(ReplyError::TooManyLines));
    }

    proptest! {
        #[test]
        fn hostile_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut parser = ReplyParser::default();
            parser.receive(&octets);
            while let Ok(Some(_)) = parser.next_reply() {}
        }
    }
}
