//! What FETCH asks for (RFC 9051 section 6.4.5, RFC 7162, RFC 8474).

use super::scanner::{Parsed, Scanner};
use crate::message::Portion;

/// Data items kept of one command.
pub const ITEMS_MAX: usize = 200;

/// One data item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `FLAGS`.
    Flags,
    /// `UID`.
    Uid,
    /// `INTERNALDATE`.
    InternalDate,
    /// `RFC822.SIZE`.
    Size,
    /// `ENVELOPE`.
    Envelope,
    /// `BODY` (`extended` false) or `BODYSTRUCTURE`.
    Structure {
        /// With extension data.
        extended: bool,
    },
    /// `BODY[…]`, or one of its older forms.
    Body(Body),
    /// `MODSEQ`.
    ModSeq,
    /// `EMAILID`.
    EmailId,
    /// `THREADID`.
    ThreadId,
}

/// Octets of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// How the answer names them.
    pub name: BodyName,
    /// The part, e.g. `1.2` as `[1, 2]`.
    pub path: Vec<u32>,
    /// What of the part.
    pub portion: Portion,
    /// `HEADER.FIELDS` or, with true, `HEADER.FIELDS.NOT`: the names.
    pub fields: Option<(bool, Vec<Vec<u8>>)>,
    /// First octet and how many at most.
    pub partial: Option<(u64, u64)>,
    /// Whether `\Seen` is set: not with `.PEEK` or `RFC822.HEADER`.
    pub sets_seen: bool,
}

impl Body {
    /// Whether it is all of the message, which needs no summary.
    pub(super) fn is_whole(&self) -> bool {
        self.path.is_empty() && self.portion == Portion::Whole
    }
}

/// How the answer to a [`Body`] item begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyName {
    /// `BODY[…]`.
    Section,
    /// `RFC822`, `RFC822.HEADER` or `RFC822.TEXT`.
    Old(&'static str),
}

/// What must be at hand to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The summary.
    pub summary: bool,
    /// The stored octets.
    pub octets: bool,
    /// Whether answering sets `\Seen`.
    pub sets_seen: bool,
}

/// What must be at hand to answer `items`.
pub fn needs(items: &[Item]) -> Needs {
    items.iter().fold(Needs::default(), |needs, item| match item {
        Item::Envelope | Item::Structure { .. } => Needs { summary: true, ..needs },
        Item::Body(body) => Needs {
            summary: needs.summary || !body.is_whole(),
            octets: true,
            sets_seen: needs.sets_seen || body.sets_seen,
        },
        _ => needs,
    })
}

pub(super) fn items(scanner: &mut Scanner<'_>) -> Parsed<Vec<Item>> {
    for (name, extra) in [("ALL", 1), ("FAST", 0), ("FULL", 2)] {
        if scanner.eat(name.as_bytes()) {
            let mut items = vec![Item::Flags, Item::InternalDate, Item::Size];
            items.extend([Item::Envelope, Item::Structure { extended: false }].into_iter().take(extra));
            return Ok(items);
        }
    }
    let items = if scanner.peek() == Some(b'(') { scanner.list(item)? } else { vec![item(scanner)?] };
    if items.len() > ITEMS_MAX {
        return Err(scanner.fault("fewer data items"));
    }
    Ok(items)
}

fn item(scanner: &mut Scanner<'_>) -> Parsed<Item> {
    let fault = scanner.fault("a data item of FETCH");
    let old = |name, portion| {
        Item::Body(Body {
            name: BodyName::Old(name),
            path: Vec::new(),
            portion,
            fields: None,
            partial: None,
            sets_seen: portion != Portion::Header,
        })
    };
    Ok(match scanner.item_name()?.as_str() {
        "FLAGS" => Item::Flags,
        "UID" => Item::Uid,
        "INTERNALDATE" => Item::InternalDate,
        "RFC822.SIZE" => Item::Size,
        "ENVELOPE" => Item::Envelope,
        "BODYSTRUCTURE" => Item::Structure { extended: true },
        "MODSEQ" => Item::ModSeq,
        "EMAILID" => Item::EmailId,
        "THREADID" => Item::ThreadId,
        "RFC822" => old("RFC822", Portion::Whole),
        "RFC822.HEADER" => old("RFC822.HEADER", Portion::Header),
        "RFC822.TEXT" => old("RFC822.TEXT", Portion::Text),
        "BODY" if scanner.peek() != Some(b'[') => Item::Structure { extended: false },
        "BODY" => Item::Body(section(scanner, true)?),
        "BODY.PEEK" => Item::Body(section(scanner, false)?),
        _ => return Err(fault),
    })
}

fn section(scanner: &mut Scanner<'_>, sets_seen: bool) -> Parsed<Body> {
    scanner.expect(b"[", "a section in brackets")?;
    let mut path = Vec::new();
    let mut dotted = true;
    while dotted && scanner.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        if path.len() > crate::message::NESTING_MAX {
            return Err(scanner.fault("fewer part numbers"));
        }
        path.push(scanner.nz_number()?);
        dotted = scanner.eat(b".");
    }
    let mut fields = None;
    let portion = if scanner.peek() == Some(b']') && (path.is_empty() || !dotted) {
        Portion::Whole
    } else if !path.is_empty() && !dotted {
        return Err(scanner.fault("a closing bracket"));
    } else {
        let fault = scanner.fault("HEADER, HEADER.FIELDS, TEXT or MIME");
        match scanner.item_name()?.as_str() {
            "HEADER" => Portion::Header,
            "TEXT" => Portion::Text,
            "MIME" if !path.is_empty() => Portion::Mime,
            name @ ("HEADER.FIELDS" | "HEADER.FIELDS.NOT") => {
                scanner.space()?;
                fields = Some((name == "HEADER.FIELDS.NOT", scanner.list(Scanner::astring)?));
                Portion::Header
            }
            _ => return Err(fault),
        }
    };
    scanner.expect(b"]", "a closing bracket")?;
    let partial = if scanner.eat(b"<") {
        let first = scanner.digits()?;
        scanner.expect(b".", "a dot and a count")?;
        let fault = scanner.fault("a count above 0");
        let count = scanner.digits()?;
        scanner.expect(b">", "a closing angle bracket")?;
        if count == 0 {
            return Err(fault);
        }
        Some((first, count))
    } else {
        None
    };
    Ok(Body { name: BodyName::Section, path, portion, fields, partial, sets_seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parsed<Vec<Item>> {
        let mut scanner = Scanner::new(text.as_bytes(), false);
        let items = items(&mut scanner)?;
        scanner.end()?;
        Ok(items)
    }

    #[test]
    fn the_sections_of_rfc_9051_are_read() {
        let items = parse(
            "(FLAGS BODY[HEADER.FIELDS (DATE FROM)] body.peek[4.2.MIME]<0.2048> BODY[1.2] RFC822.HEADER)",
        )
        .unwrap();
        let Item::Body(header) = &items[1] else { panic!() };
        assert_eq!(header.fields, Some((false, vec![b"DATE".to_vec(), b"FROM".to_vec()])));
        assert!(header.sets_seen);
        let Item::Body(mime) = &items[2] else { panic!() };
        assert_eq!(
            (mime.path.as_slice(), mime.portion, mime.partial),
            (&[4, 2][..], Portion::Mime, Some((0, 2048)))
        );
        assert!(!mime.sets_seen);
        let Item::Body(part) = &items[3] else { panic!() };
        assert_eq!((part.path.as_slice(), part.portion), (&[1, 2][..], Portion::Whole));
        assert_eq!(parse("ALL").unwrap().len(), 4);
        assert_eq!(parse("FULL").unwrap().len(), 5);
        assert_eq!(parse("BODY").unwrap(), [Item::Structure { extended: false }]);
        assert_eq!(needs(&items), Needs { summary: true, octets: true, sets_seen: true });
        assert_eq!(needs(&parse("(UID ENVELOPE)").unwrap()), Needs { summary: true, ..Needs::default() });
    }

    #[test]
    fn what_is_no_item_is_refused() {
        for bad in [
            "",
            "()",
            "BODY[MIME]",
            "BODY[1.]",
            "BODY[1",
            "BODY[0]",
            "BODY[]<0.0>",
            "BODY[]<1>",
            "SIZE",
            "BODY[HEADER.FIELDS ()]",
            "BODY[1TEXT]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse(&format!("({})", vec!["UID"; ITEMS_MAX + 1].join(" "))).is_err());
        assert!(parse(&format!("BODY[{}]", vec!["1"; 100].join("."))).is_err());
    }
}
