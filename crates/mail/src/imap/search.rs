//! What SEARCH asks for (RFC 9051 section 6.4.4, RFC 7162, RFC 8474).

use super::scanner::{Parsed, Scanner};
use super::sequence::SequenceSet;

/// Keys kept of one command.
pub const KEYS_MAX: usize = 500;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// All of these; empty is `ALL`.
    And(Vec<Key>),
    /// One of both.
    Or(Box<(Key, Key)>),
    /// Not this.
    Not(Box<Key>),
    /// By message number.
    Numbers(SequenceSet),
    /// By UID.
    Uids(SequenceSet),
    /// Has the flag.
    Flag(String),
    /// `\Recent`, which this server gives to no message.
    Recent,
    /// Within a field that the envelope has.
    Envelope(EnvelopeField, Vec<u8>),
    /// Within a header field.
    Header(Vec<u8>, Vec<u8>),
    /// Within the body.
    Body(Vec<u8>),
    /// Within header or body.
    Text(Vec<u8>),
    /// By internal date: days since 1970.
    Arrived(Order, i64),
    /// By Date field: days since 1970.
    Sent(Order, i64),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// A mod-sequence of at least this.
    ModSeq(u64),
    /// This very email.
    EmailId(Vec<u8>),
    /// An email of this thread.
    ThreadId(Vec<u8>),
}

/// A field of the envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvelopeField {
    /// `FROM`.
    From,
    /// `TO`.
    To,
    /// `CC`.
    Cc,
    /// `BCC`.
    Bcc,
    /// `SUBJECT`.
    Subject,
}

/// How a date compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Before the day.
    Before,
    /// On the day.
    On,
    /// On the day or later.
    Since,
}

/// What the answer tells (RFC 4731).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Returns {
    /// The lowest.
    pub min: bool,
    /// The highest.
    pub max: bool,
    /// All.
    pub all: bool,
    /// How many.
    pub count: bool,
}

/// A SEARCH command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Whether the answer names UIDs.
    pub uid: bool,
    /// Answer with ESEARCH, and tell this.
    pub returns: Option<Returns>,
    /// The charset of the strings, in upper case.
    pub charset: Option<String>,
    /// The condition.
    pub key: Key,
    /// Whether a mod-sequence was asked for, so that the answer tells the highest.
    pub mod_seq: bool,
}

pub(super) fn search(scanner: &mut Scanner<'_>, uid: bool) -> Parsed<Search> {
    let returns = if scanner.eat(b"RETURN ") { Some(returns(scanner)?) } else { None };
    let charset = if scanner.eat(b"CHARSET ") {
        let charset = scanner.astring()?;
        scanner.space()?;
        Some(String::from_utf8_lossy(&charset).to_ascii_uppercase())
    } else {
        None
    };
    let mut reader = Keys { left: KEYS_MAX, mod_seq: false };
    let mut keys = vec![reader.key(scanner)?];
    while scanner.eat(b" ") {
        keys.push(reader.key(scanner)?);
    }
    Ok(Search { uid, returns, charset, key: Key::And(keys), mod_seq: reader.mod_seq })
}

fn returns(scanner: &mut Scanner<'_>) -> Parsed<Returns> {
    let mut returns = Returns::default();
    if scanner.eat(b"()") {
        returns.all = true;
    } else {
        scanner.list(|scanner| {
            let fault = scanner.fault("MIN, MAX, ALL or COUNT");
            match scanner.keyword()?.as_str() {
                "MIN" => returns.min = true,
                "MAX" => returns.max = true,
                "ALL" => returns.all = true,
                "COUNT" => returns.count = true,
                _ => return Err(fault),
            }
            Ok(())
        })?;
    }
    // The answer is followed by the keys.
    scanner.space()?;
    Ok(returns)
}

struct Keys {
    left: usize,
    mod_seq: bool,
}

impl Keys {
    fn key(&mut self, scanner: &mut Scanner<'_>) -> Parsed<Key> {
        self.left = self.left.checked_sub(1).ok_or_else(|| scanner.fault("fewer search keys"))?;
        match scanner.peek() {
            Some(b'(') => return scanner.list(|scanner| self.key(scanner)).map(Key::And),
            Some(b'0'..=b'9' | b'*') => return SequenceSet::parse(scanner).map(Key::Numbers),
            _ => {}
        }
        let fault = scanner.fault("a search key");
        let flag = |name: &str| Ok(Key::Flag(name.to_owned()));
        let without = |name: &str| Ok(not(Key::Flag(name.to_owned())));
        let name = scanner.keyword()?;
        match name.as_str() {
            "ALL" => return Ok(Key::And(Vec::new())),
            "ANSWERED" => return flag("\\Answered"),
            "DELETED" => return flag("\\Deleted"),
            "DRAFT" => return flag("\\Draft"),
            "FLAGGED" => return flag("\\Flagged"),
            "SEEN" => return flag("\\Seen"),
            "UNANSWERED" => return without("\\Answered"),
            "UNDELETED" => return without("\\Deleted"),
            "UNDRAFT" => return without("\\Draft"),
            "UNFLAGGED" => return without("\\Flagged"),
            "UNSEEN" => return without("\\Seen"),
            "RECENT" => return Ok(Key::Recent),
            "OLD" => return Ok(not(Key::Recent)),
            "NEW" => return Ok(Key::And(vec![Key::Recent, not(Key::Flag("\\Seen".to_owned()))])),
            _ => scanner.space()?,
        }
        let envelope = |scanner: &mut Scanner<'_>, field| Ok(Key::Envelope(field, scanner.astring()?));
        match name.as_str() {
            "FROM" => envelope(scanner, EnvelopeField::From),
            "TO" => envelope(scanner, EnvelopeField::To),
            "CC" => envelope(scanner, EnvelopeField::Cc),
            "BCC" => envelope(scanner, EnvelopeField::Bcc),
            "SUBJECT" => envelope(scanner, EnvelopeField::Subject),
            "HEADER" => {
                let field = scanner.astring()?;
                scanner.space()?;
                Ok(Key::Header(field, scanner.astring()?))
            }
            "BODY" => Ok(Key::Body(scanner.astring()?)),
            "TEXT" => Ok(Key::Text(scanner.astring()?)),
            "BEFORE" => Ok(Key::Arrived(Order::Before, scanner.date()?)),
            "ON" => Ok(Key::Arrived(Order::On, scanner.date()?)),
            "SINCE" => Ok(Key::Arrived(Order::Since, scanner.date()?)),
            "SENTBEFORE" => Ok(Key::Sent(Order::Before, scanner.date()?)),
            "SENTON" => Ok(Key::Sent(Order::On, scanner.date()?)),
            "SENTSINCE" => Ok(Key::Sent(Order::Since, scanner.date()?)),
            "LARGER" => Ok(Key::Larger(scanner.digits()?)),
            "SMALLER" => Ok(Key::Smaller(scanner.digits()?)),
            "KEYWORD" => Ok(Key::Flag(scanner.flag()?)),
            "UNKEYWORD" => Ok(not(Key::Flag(scanner.flag()?))),
            "UID" => SequenceSet::parse(scanner).map(Key::Uids),
            "NOT" => scanner.nested(|scanner| Ok(not(self.key(scanner)?))),
            "OR" => scanner.nested(|scanner| {
                let first = self.key(scanner)?;
                scanner.space()?;
                Ok(Key::Or(Box::new((first, self.key(scanner)?))))
            }),
            "MODSEQ" => {
                self.mod_seq = true;
                if scanner.peek() == Some(b'"') {
                    // An entry name and type (RFC 7162 section 3.1.5); one mod-sequence serves all flags.
                    scanner.string()?;
                    scanner.space()?;
                    scanner.keyword()?;
                    scanner.space()?;
                }
                Ok(Key::ModSeq(scanner.digits()?))
            }
            "EMAILID" => Ok(Key::EmailId(scanner.astring()?)),
            "THREADID" => Ok(Key::ThreadId(scanner.astring()?)),
            _ => Err(fault),
        }
    }
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Search> {
        let mut scanner = Scanner::new(text.as_bytes(), false);
        let search = search(&mut scanner, false)?;
        scanner.end()?;
        Ok(search)
    }

    #[test]
    fn the_examples_of_rfc_9051_are_read() {
        let search = parse("RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"").unwrap();
        assert_eq!(search.returns, Some(Returns { min: true, count: true, ..Returns::default() }));
        let Key::And(keys) = search.key else { panic!() };
        assert_eq!(keys.len(), 3);
        assert_eq!(keys[0], Key::Flag("\\Flagged".into()));
        assert_eq!(keys[1], Key::Arrived(Order::Since, 8797));
        assert_eq!(keys[2], not(Key::Envelope(EnvelopeField::From, b"Smith".to_vec())));
        assert_eq!(parse("CHARSET utf-8 TEXT {4}\r\nabcd").unwrap().charset.as_deref(), Some("UTF-8"));
        assert!(parse("OR (SEEN 1:3) UID 4:* KEYWORD $Junk").is_ok());
        assert!(parse("MODSEQ \"/flags/\\\\draft\" all 620162338").unwrap().mod_seq);
        assert!(parse("RETURN () ALL").unwrap().returns.unwrap().all);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in
            ["", "FOO", "FROM", "OR SEEN", "NOT", "(SEEN", "SINCE yesterday", "RETURN (FOO) ALL", "SEEN "]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&vec!["SEEN"; KEYS_MAX + 1].join(" ")).is_err());
        assert!(parse(&format!("{}SEEN", "NOT ".repeat(1000))).is_err());
    }
}
