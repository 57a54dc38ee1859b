//! What an IMAP server needs to know of a message, found once when it is stored:
//! envelope, body structure, and where in the stored octets each part lies.
//!
//! [`Summary::parse`] is total: any octets give a summary. Strings are kept as
//! they stand in the header (RFC 2047 words stay encoded), unfolded, because
//! that is what IMAP sends (RFC 9051 section 7.5.2).

mod address;
mod codec;
mod header;
mod structure;

pub use header::{Field, fields, select_fields};

/// Parts nested deeper than this become opaque leaves.
pub const NESTING_MAX: usize = 24;
/// Parts beyond this many become part of the one before.
pub const PARTS_MAX: usize = 1_000;
/// Octets that all kept strings of one summary may take; what does not fit is left out.
pub const OCTETS_MAX: usize = 512 * 1024;
/// Message identifiers kept of References; of a longer list the first and the last ones stay.
pub const REFERENCES_MAX: usize = 100;

/// A place in the stored octets of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first octet.
    pub start: u32,
    /// The octet after the last.
    pub end: u32,
}

impl Span {
    /// How many octets.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it spans nothing.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The octets of `message` it speaks of; what lies beyond the end is left out.
    pub fn of(self, message: &[u8]) -> &[u8] {
        let end = (self.end as usize).min(message.len());
        let start = (self.start as usize).min(end);
        &message[start..end]
    }
}

/// Envelope, structure and offsets of one message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// The envelope.
    pub envelope: Envelope,
    /// Message identifiers, with their angle brackets, that this message follows:
    /// References, then In-Reply-To, each once.
    pub references: Vec<Vec<u8>>,
    /// When the Date field says it was sent.
    pub sent: Option<Sent>,
    /// The message itself as a part: its header, its body, its structure.
    pub root: Part,
}

/// The moment of a Date field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix_seconds: i64,
    /// How far east of UTC the sender's clock was.
    pub zone_minutes: i16,
}

/// The fields of RFC 9051 section 7.5.2, ENVELOPE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Date.
    pub date: Option<Vec<u8>>,
    /// Subject.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Address>,
    /// Sender; where absent, From.
    pub sender: Vec<Address>,
    /// Reply-To; where absent, From.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// In-Reply-To.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID.
    pub message_id: Option<Vec<u8>>,
}

/// One address, or the begin or end of a group (`host` is `None`; at its end so
/// is `mailbox`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name, without quotes.
    pub name: Option<Vec<u8>>,
    /// The source route (obsolete).
    pub route: Option<Vec<u8>>,
    /// The local part, or the group's name.
    pub mailbox: Option<Vec<u8>>,
    /// The domain.
    pub host: Option<Vec<u8>>,
}

/// One MIME part (RFC 2045).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// Its header with the empty line that ends it.
    pub header: Span,
    /// Its body as it is encoded.
    pub body: Span,
    /// Lines of the body.
    pub lines: u32,
    /// The type, in lower case, e.g. `text`.
    pub media_type: Vec<u8>,
    /// The subtype, in lower case, e.g. `plain`.
    pub media_subtype: Vec<u8>,
    /// Parameters of Content-Type.
    pub parameters: Vec<Parameter>,
    /// Content-ID.
    pub id: Option<Vec<u8>>,
    /// Content-Description.
    pub description: Option<Vec<u8>>,
    /// Content-Transfer-Encoding; `None` means 7bit.
    pub encoding: Option<Vec<u8>>,
    /// Content-MD5.
    pub md5: Option<Vec<u8>>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<Vec<u8>>,
    /// Content-Location.
    pub location: Option<Vec<u8>>,
    /// What lies inside.
    pub content: Content,
}

/// A parameter's name, in lower case, and its value, without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// `inline`, `attachment`, …, in lower case.
    pub kind: Vec<u8>,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// What lies inside a part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// Octets.
    #[default]
    Leaf,
    /// Parts, at least one.
    Multipart(Vec<Part>),
    /// A message (`message/rfc822` or `message/global`).
    Message(Box<Embedded>),
}

/// A message inside a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Embedded {
    /// Its envelope.
    pub envelope: Envelope,
    /// Its header, body and structure.
    pub root: Part,
}

/// What of a part is meant (RFC 9051 section 6.4.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// All of it: the whole message, or a part's body.
    Whole,
    /// `HEADER` (and its FIELDS): the header of the message, or of the message inside the part.
    Header,
    /// `TEXT`: the body of the message, or of the message inside the part.
    Text,
    /// `MIME`: the part's own header.
    Mime,
}

impl Summary {
    /// Reads any octets.
    pub fn parse(message: &[u8]) -> Self {
        structure::parse(message)
    }

    /// The compact form that is stored beside the message.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what [`Summary::encode`] wrote; `None` for anything else, such as
    /// an older version, whereupon the message is to be parsed again.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        codec::decode(octets)
    }

    /// The part at `path` (`1.2` is `[1, 2]`; empty is the message itself).
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let Some((last, before)) = path.split_last() else { return Some(&self.root) };
        let mut holder = &self.root;
        for number in before {
            holder = child(holder, *number)?;
            if let Content::Message(embedded) = &holder.content {
                holder = &embedded.root;
            }
        }
        child(holder, *last)
    }

    /// Where a section lies; `None` where the message has no such section.
    pub fn section(&self, path: &[u32], portion: Portion) -> Option<Span> {
        let part = self.part(path)?;
        if path.is_empty() {
            return Some(match portion {
                Portion::Whole => Span { start: part.header.start, end: part.body.end },
                Portion::Header | Portion::Mime => part.header,
                Portion::Text => part.body,
            });
        }
        match (portion, &part.content) {
            (Portion::Whole, _) => Some(part.body),
            (Portion::Mime, _) => Some(part.header),
            (Portion::Header, Content::Message(embedded)) => Some(embedded.root.header),
            (Portion::Text, Content::Message(embedded)) => Some(embedded.root.body),
            _ => None,
        }
    }
}

/// The child `number` (from 1) of what `holder` holds. A message that is not
/// multipart has one part, itself.
fn child(holder: &Part, number: u32) -> Option<&Part> {
    match &holder.content {
        Content::Multipart(parts) => parts.get((number as usize).checked_sub(1)?),
        _ if number == 1 => Some(holder),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
