//! Whether a message matches a search key (RFC 9051 section 6.4.4), looking at as
//! little as decides it.

use super::search::{EnvelopeField, Key, Order, Returns, Search};
use super::sequence::write_set;
use crate::message::{Address, Summary, fields};
use mail_parser::{MessageParser, PartType};

/// Nested messages looked into deeper than this are not searched.
const NESTING_MAX: usize = 8;

/// A message and what is at hand of it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its number in the mailbox.
    pub number: u32,
    /// Its UID.
    pub uid: u32,
    /// The highest number and UID, which `*` stands for.
    pub largest: (u32, u32),
    /// Its flags.
    pub flags: &'a [&'a str],
    /// Its internal date in seconds since 1970.
    pub internal_date: i64,
    /// Its octets.
    pub size: u64,
    /// Its mod-sequence.
    pub mod_seq: u64,
    /// Its EMAILID.
    pub email_id: &'a str,
    /// Its THREADID.
    pub thread_id: &'a str,
    /// Its summary, once it was asked for.
    pub summary: Option<&'a Summary>,
    /// Its octets, once they were asked for.
    pub octets: Option<&'a [u8]>,
}

/// What came of comparing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It matches, or not.
    Known(bool),
    /// The summary decides.
    NeedsSummary,
    /// The octets decide.
    NeedsOctets,
}

/// Whether `candidate` matches.
pub fn matches(key: &Key, candidate: &Candidate<'_>) -> Verdict {
    let known = Verdict::Known;
    match key {
        Key::And(keys) => combine(keys.iter(), candidate, false),
        Key::Or(both) => combine([&both.0, &both.1].into_iter(), candidate, true),
        Key::Not(key) => match matches(key, candidate) {
            Verdict::Known(matched) => known(!matched),
            needs => needs,
        },
        Key::Numbers(set) => known(set.contains(candidate.number, candidate.largest.0)),
        Key::Uids(set) => known(set.contains(candidate.uid, candidate.largest.1)),
        Key::Flag(flag) => known(candidate.flags.iter().any(|has| has.eq_ignore_ascii_case(flag))),
        Key::Recent => known(false),
        Key::Arrived(order, day) => known(compare(*order, candidate.internal_date.div_euclid(86_400), *day)),
        Key::Larger(octets) => known(candidate.size > *octets),
        Key::Smaller(octets) => known(candidate.size < *octets),
        Key::ModSeq(mod_seq) => known(candidate.mod_seq >= *mod_seq),
        Key::EmailId(id) => known(id == candidate.email_id.as_bytes()),
        Key::ThreadId(id) => known(id == candidate.thread_id.as_bytes()),
        Key::Envelope(field, text) => match candidate.summary {
            Some(summary) => known(in_envelope(summary, *field, &folded(text))),
            None => Verdict::NeedsSummary,
        },
        Key::Sent(order, day) => match candidate.summary {
            // The date as its sender wrote it (RFC 9051: disregarding time and timezone).
            Some(summary) => known(summary.sent.is_some_and(|sent| {
                let local = sent.unix_seconds + i64::from(sent.zone_minutes) * 60;
                compare(*order, local.div_euclid(86_400), *day)
            })),
            None => Verdict::NeedsSummary,
        },
        Key::Header(name, text) => match (candidate.summary, candidate.octets) {
            (Some(summary), Some(octets)) => known(in_header(summary, octets, name, &folded(text))),
            (Some(_), None) => Verdict::NeedsOctets,
            (None, _) => Verdict::NeedsSummary,
        },
        Key::Body(text) | Key::Text(text) => match candidate.octets {
            Some(octets) => known(in_text(octets, &folded(text), matches!(key, Key::Text(_)))),
            None => Verdict::NeedsOctets,
        },
    }
}

/// `Or` where `any`, else `And`: what is known first decides without the rest.
fn combine<'k>(keys: impl Iterator<Item = &'k Key>, candidate: &Candidate<'_>, any: bool) -> Verdict {
    let mut open = Verdict::Known(!any);
    for key in keys {
        match (matches(key, candidate), open) {
            (Verdict::Known(matched), _) if matched == any => return Verdict::Known(any),
            (Verdict::Known(_), _) | (_, Verdict::NeedsSummary) => {}
            (needs, _) => open = needs,
        }
    }
    open
}

fn compare(order: Order, day: i64, with: i64) -> bool {
    match order {
        Order::Before => day < with,
        Order::On => day == with,
        Order::Since => day >= with,
    }
}

fn folded(text: &[u8]) -> String {
    String::from_utf8_lossy(text).to_lowercase()
}

/// Whether header text contains `wanted`, as it stands or with its encoded words decoded.
fn contains(text: &[u8], wanted: &str) -> bool {
    folded(text).contains(wanted)
        || text.windows(2).any(|pair| pair == b"=?") && decoded(text).to_lowercase().contains(wanted)
}

/// Decodes encoded words (RFC 2047).
fn decoded(text: &[u8]) -> String {
    let header = [b"Subject: ", text, b"\r\n\r\n"].concat();
    let message = MessageParser::default().parse_headers(&header);
    message.and_then(|message| message.subject().map(str::to_owned)).unwrap_or_default()
}

fn in_envelope(summary: &Summary, field: EnvelopeField, wanted: &str) -> bool {
    let envelope = &summary.envelope;
    let addresses = match field {
        EnvelopeField::Subject => {
            return envelope.subject.as_deref().is_some_and(|subject| contains(subject, wanted));
        }
        EnvelopeField::From => &envelope.from,
        EnvelopeField::To => &envelope.to,
        EnvelopeField::Cc => &envelope.cc,
        EnvelopeField::Bcc => &envelope.bcc,
    };
    addresses.iter().any(|address| in_address(address, wanted))
}

fn in_address(address: &Address, wanted: &str) -> bool {
    let part = |part: &Option<Vec<u8>>| part.clone().unwrap_or_default();
    let whole = [
        part(&address.name),
        b" <".to_vec(),
        part(&address.mailbox),
        b"@".to_vec(),
        part(&address.host),
        b">".to_vec(),
    ];
    contains(&whole.concat(), wanted)
}

fn in_header(summary: &Summary, octets: &[u8], name: &[u8], wanted: &str) -> bool {
    fields(summary.root.header.of(octets))
        .filter(|field| field.name.eq_ignore_ascii_case(name))
        .any(|field| wanted.is_empty() || contains(&field.unfolded(), wanted))
}

/// Whether the message contains `wanted` in the text of its parts and, with
/// `header`, in its header.
fn in_text(octets: &[u8], wanted: &str, header: bool) -> bool {
    if header {
        let summary = Summary::parse(octets);
        if fields(summary.root.header.of(octets)).any(|field| {
            let line = [field.name, b": ", &field.unfolded()].concat();
            contains(&line, wanted)
        }) {
            return true;
        }
    }
    MessageParser::default().parse(octets).is_some_and(|message| in_parts(&message, wanted, 0))
}

fn in_parts(message: &mail_parser::Message<'_>, wanted: &str, depth: usize) -> bool {
    message.parts.iter().any(|part| match &part.body {
        PartType::Text(text) | PartType::Html(text) => text.to_lowercase().contains(wanted),
        PartType::Message(inner) if depth < NESTING_MAX => {
            folded(inner.raw_message.get(..inner_header_end(inner)).unwrap_or_default()).contains(wanted)
                || in_parts(inner, wanted, depth + 1)
        }
        _ => false,
    })
}

fn inner_header_end(message: &mail_parser::Message<'_>) -> usize {
    message.parts.first().map_or(0, |part| part.offset_body as usize)
}

/// Writes the untagged answer: SEARCH (RFC 3501 section 7.2.5), or ESEARCH (RFC 9051
/// section 7.3.4) where options were given. `found` are numbers or UIDs, ascending.
pub fn answer(search: &Search, tag: &str, found: &[u32], highest_mod_seq: u64) -> String {
    use std::fmt::Write;
    let mod_seq = search.mod_seq && !found.is_empty();
    let Some(Returns { min, max, all, count }) = search.returns else {
        let mut line = "* SEARCH".to_owned();
        for number in found {
            let _ = write!(line, " {number}");
        }
        if mod_seq {
            let _ = write!(line, " (MODSEQ {highest_mod_seq})");
        }
        return line + "\r\n";
    };
    let mut line = format!("* ESEARCH (TAG \"{tag}\")");
    if search.uid {
        line.push_str(" UID");
    }
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        let _ = if min { write!(line, " MIN {first}") } else { Ok(()) };
        let _ = if max { write!(line, " MAX {last}") } else { Ok(()) };
        let _ = if all { write!(line, " ALL {}", write_set(found)) } else { Ok(()) };
    }
    if count {
        let _ = write!(line, " COUNT {}", found.len());
    }
    if mod_seq {
        let _ = write!(line, " MODSEQ {highest_mod_seq}");
    }
    line + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::super::command::{Command, parse};
    use super::*;

    const MESSAGE: &str = "From: =?utf-8?q?J=C3=BCrgen?= <jm@x.test>\r\nSubject: Hello\r\n World\r\n\
Date: Wed, 17 Jul 1996 23:30:00 -0700\r\nX-Thing: a\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nU2Now7ZuZXIgVGFn\r\n--b--\r\n";

    fn search(text: &str) -> Search {
        let Command::Search(search) = parse(format!("a SEARCH {text}").as_bytes()).unwrap().command else {
            panic!("not a SEARCH")
        };
        search
    }

    fn verdict(text: &str, summary: bool, octets: bool) -> Verdict {
        let parsed = Summary::parse(MESSAGE.as_bytes());
        let candidate = Candidate {
            number: 2,
            uid: 20,
            largest: (3, 30),
            flags: &["\\Seen", "$Junk"],
            internal_date: 8797 * 86_400 + 5,
            size: 500,
            mod_seq: 7,
            email_id: "M1",
            thread_id: "T1",
            summary: summary.then_some(&parsed),
            octets: octets.then_some(MESSAGE.as_bytes()),
        };
        matches(&search(text).key, &candidate)
    }

    #[test]
    fn every_key_matches_what_it_should() {
        for text in [
            "ALL",
            "SEEN",
            "UNDELETED",
            "KEYWORD $junk",
            "UNKEYWORD other",
            "2",
            "*:2",
            "UID 20",
            "NOT 3",
            "OLD",
            "ON 1-Feb-1994",
            "SINCE 1-Feb-1994",
            "BEFORE 2-Feb-1994",
            "SENTON 17-Jul-1996",
            "LARGER 499",
            "SMALLER 501",
            "MODSEQ 7",
            "EMAILID M1",
            "THREADID T1",
            "FROM jürgen",
            "FROM jm@x",
            "FROM \"<jm@\"",
            "SUBJECT \"hello world\"",
            "HEADER x-thing A",
            "HEADER X-Thing \"\"",
            "BODY \"schöner tag\"",
            "TEXT schöner",
            "TEXT x-thing",
            "OR DELETED SEEN",
            "(SEEN 2) UID 1:*",
        ] {
            let text = if text.is_ascii() {
                text.to_owned()
            } else {
                // Strings beyond ASCII come as literals.
                let (key, value) = text.split_once(' ').unwrap();
                let value = value.trim_matches('"');
                format!("{key} {{{}}}\r\n{value}", value.len())
            };
            assert_eq!(verdict(&text, true, true), Verdict::Known(true), "{text}");
            let not = format!("NOT ({text})");
            assert_eq!(verdict(&not, true, true), Verdict::Known(false), "{not}");
        }
        for text in ["RECENT", "NEW", "SENTON 18-Jul-1996", "HEADER x-other \"\"", "BODY x-thing", "BCC x"] {
            assert_eq!(verdict(text, true, true), Verdict::Known(false), "{text}");
        }
    }

    #[test]
    fn only_what_decides_is_asked_for() {
        assert_eq!(verdict("DELETED TEXT x", false, false), Verdict::Known(false));
        assert_eq!(verdict("OR SEEN TEXT x", false, false), Verdict::Known(true));
        assert_eq!(verdict("FROM x", false, false), Verdict::NeedsSummary);
        assert_eq!(verdict("TEXT x FROM x", false, false), Verdict::NeedsSummary);
        assert_eq!(verdict("TEXT x FROM nobody", true, false), Verdict::Known(false));
        assert_eq!(verdict("TEXT x SEEN", true, false), Verdict::NeedsOctets);
    }

    #[test]
    fn answers_are_written_as_the_rfcs_say() {
        assert_eq!(answer(&search("ALL"), "a", &[2, 84, 882], 0), "* SEARCH 2 84 882\r\n");
        assert_eq!(answer(&search("ALL"), "a", &[], 0), "* SEARCH\r\n");
        assert_eq!(
            answer(&search("MODSEQ 1"), "a", &[2, 5], 917162500),
            "* SEARCH 2 5 (MODSEQ 917162500)\r\n"
        );
        assert_eq!(
            answer(&search("RETURN (MIN MAX COUNT ALL) ALL"), "A282", &[2, 10, 11], 0),
            "* ESEARCH (TAG \"A282\") MIN 2 MAX 11 ALL 2,10:11 COUNT 3\r\n"
        );
        assert_eq!(
            answer(&search("RETURN (MIN COUNT) ALL"), "a", &[], 0),
            "* ESEARCH (TAG \"a\") COUNT 0\r\n"
        );
    }

    #[test]
    fn messages_nested_too_deeply_are_not_searched() {
        let nested = |levels: usize| {
            let inner = "Content-Type: text/plain\r\n\r\na needle\r\n".to_owned();
            (0..levels).fold(inner, |message, _| format!("Content-Type: message/rfc822\r\n\r\n{message}"))
        };
        for levels in [0, 1, NESTING_MAX] {
            assert!(in_text(nested(levels).as_bytes(), "needle", false), "{levels}");
        }
        for levels in [NESTING_MAX + 1, 1_000] {
            assert!(!in_text(nested(levels).as_bytes(), "needle", false), "{levels}");
        }
    }
}
