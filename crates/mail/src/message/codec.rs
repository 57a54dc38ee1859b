//! The stored form of a [`Summary`]: a version octet, then numbers as LEB128
//! and strings with their length before them.

use super::{
    Address, Content, Disposition, Embedded, Envelope, NESTING_MAX, Parameter, Part, Sent, Span, Summary,
};

/// Goes up whenever the form changes; what another version wrote is parsed again.
const VERSION: u8 = 1;
/// Octets of a stored summary; [`super::OCTETS_MAX`] and [`super::PARTS_MAX`] keep it below.
pub(super) const ENCODED_OCTETS_MAX: usize = 8 * 1024 * 1024;

pub(super) fn encode(summary: &Summary) -> Vec<u8> {
    let mut out = vec![VERSION];
    envelope(&mut out, &summary.envelope);
    list(&mut out, &summary.references, |out, id| string(out, id));
    match summary.sent {
        None => out.push(0),
        Some(sent) => {
            out.push(1);
            out.extend(sent.unix_seconds.to_le_bytes());
            out.extend(sent.zone_minutes.to_le_bytes());
        }
    }
    part(&mut out, &summary.root);
    out
}

fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn string(out: &mut Vec<u8>, value: &[u8]) {
    number(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// 0 for none, else the length and one.
fn optional(out: &mut Vec<u8>, value: Option<&Vec<u8>>) {
    number(out, value.map_or(0, |value| value.len() as u64 + 1));
    out.extend_from_slice(value.map_or(&[], Vec::as_slice));
}

fn list<T>(out: &mut Vec<u8>, items: &[T], item: fn(&mut Vec<u8>, &T)) {
    number(out, items.len() as u64);
    for one in items {
        item(out, one);
    }
}

fn envelope(out: &mut Vec<u8>, envelope: &Envelope) {
    optional(out, envelope.date.as_ref());
    optional(out, envelope.subject.as_ref());
    for addresses in
        [&envelope.from, &envelope.sender, &envelope.reply_to, &envelope.to, &envelope.cc, &envelope.bcc]
    {
        list(out, addresses, |out, address| {
            for value in [&address.name, &address.route, &address.mailbox, &address.host] {
                optional(out, value.as_ref());
            }
        });
    }
    optional(out, envelope.in_reply_to.as_ref());
    optional(out, envelope.message_id.as_ref());
}

fn parameters(out: &mut Vec<u8>, items: &[Parameter]) {
    list(out, items, |out, parameter| {
        string(out, &parameter.name);
        string(out, &parameter.value);
    });
}

fn span(out: &mut Vec<u8>, span: Span) {
    number(out, u64::from(span.start));
    number(out, u64::from(span.len()));
}

fn part(out: &mut Vec<u8>, one: &Part) {
    span(out, one.header);
    span(out, one.body);
    number(out, u64::from(one.lines));
    string(out, &one.media_type);
    string(out, &one.media_subtype);
    parameters(out, &one.parameters);
    for value in [&one.id, &one.description, &one.encoding, &one.md5, &one.location] {
        optional(out, value.as_ref());
    }
    optional(out, one.disposition.as_ref().map(|disposition| &disposition.kind));
    if let Some(disposition) = &one.disposition {
        parameters(out, &disposition.parameters);
    }
    list(out, &one.language, |out, language| string(out, language));
    match &one.content {
        Content::Leaf => out.push(0),
        Content::Multipart(parts) => {
            out.push(1);
            list(out, parts, part);
        }
        Content::Message(embedded) => {
            out.push(2);
            envelope(out, &embedded.envelope);
            part(out, &embedded.root);
        }
    }
}

pub(super) fn decode(octets: &[u8]) -> Option<Summary> {
    if octets.len() > ENCODED_OCTETS_MAX {
        return None;
    }
    let mut reader = Reader { rest: octets.strip_prefix(&[VERSION])? };
    let envelope = reader.envelope()?;
    let references = reader.list(Reader::string)?;
    let sent = match reader.octet()? {
        0 => None,
        1 => Some(Sent {
            unix_seconds: i64::from_le_bytes(reader.array()?),
            zone_minutes: i16::from_le_bytes(reader.array()?),
        }),
        _ => return None,
    };
    let root = reader.part(0)?;
    reader.rest.is_empty().then_some(Summary { envelope, references, sent, root })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn octet(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*first)
    }

    fn number(&mut self) -> Option<u32> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let octet = self.octet()?;
            value |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    fn octets(&mut self, count: usize) -> Option<Vec<u8>> {
        let (first, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(first.to_vec())
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        let count = self.number()?;
        self.octets(count as usize)
    }

    #[expect(clippy::option_option, reason = "the outer one says whether the octets could be read")]
    fn optional(&mut self) -> Option<Option<Vec<u8>>> {
        match self.number()? {
            0 => Some(None),
            count => self.octets(count as usize - 1).map(Some),
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        // Each item takes at least one octet; nothing is reserved on the word of the count.
        (0..self.number()?).map(|_| item(self)).collect()
    }

    fn address(&mut self) -> Option<Address> {
        Some(Address {
            name: self.optional()?,
            route: self.optional()?,
            mailbox: self.optional()?,
            host: self.optional()?,
        })
    }

    fn envelope(&mut self) -> Option<Envelope> {
        Some(Envelope {
            date: self.optional()?,
            subject: self.optional()?,
            from: self.list(Self::address)?,
            sender: self.list(Self::address)?,
            reply_to: self.list(Self::address)?,
            to: self.list(Self::address)?,
            cc: self.list(Self::address)?,
            bcc: self.list(Self::address)?,
            in_reply_to: self.optional()?,
            message_id: self.optional()?,
        })
    }

    fn parameters(&mut self) -> Option<Vec<Parameter>> {
        self.list(|reader| Some(Parameter { name: reader.string()?, value: reader.string()? }))
    }

    fn span(&mut self) -> Option<Span> {
        let start = self.number()?;
        Some(Span { start, end: start.checked_add(self.number()?)? })
    }

    fn part(&mut self, depth: usize) -> Option<Part> {
        // The deepest message inside the deepest multipart adds two.
        if depth > NESTING_MAX + 2 {
            return None;
        }
        let (header, body) = (self.span()?, self.span()?);
        let lines = self.number()?;
        let (media_type, media_subtype) = (self.string()?, self.string()?);
        let parameters = self.parameters()?;
        let (id, description, encoding) = (self.optional()?, self.optional()?, self.optional()?);
        let (md5, location) = (self.optional()?, self.optional()?);
        let disposition = match self.optional()? {
            None => None,
            Some(kind) => Some(Disposition { kind, parameters: self.parameters()? }),
        };
        let language = self.list(Self::string)?;
        let content = match self.octet()? {
            0 => Content::Leaf,
            1 => Content::Multipart(
                self.list(|reader| reader.part(depth + 1)).filter(|parts| !parts.is_empty())?,
            ),
            2 => Content::Message(Box::new(Embedded {
                envelope: self.envelope()?,
                root: self.part(depth + 1)?,
            })),
            _ => return None,
        };
        Some(Part {
            header,
            body,
            lines,
            media_type,
            media_subtype,
            parameters,
            id,
            description,
            encoding,
            md5,
            disposition,
            language,
            location,
            content,
        })
    }
}
