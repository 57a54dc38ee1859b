//! From octets to a [`Summary`], in one pass over the lines.

use super::address::addresses;
use super::header::{Field, disposition, fields, line_length, message_ids, with_parameters};
use super::{
    Address, Content, Embedded, Envelope, NESTING_MAX, OCTETS_MAX, PARTS_MAX, Parameter, Part,
    REFERENCES_MAX, Sent, Span, Summary,
};

pub(super) fn parse(message: &[u8]) -> Summary {
    let message = &message[..message.len().min(u32::MAX as usize)];
    let mut scanner =
        Scanner { message, at: 0, boundaries: Vec::new(), parts: 0, depth: 0, octets_left: OCTETS_MAX };
    let header = scanner.header();
    let envelope = scanner.envelope(header);
    let (references, sent) = scanner.thread(header);
    let (root, _) = scanner.entity(header, false);
    Summary { envelope, references, sent, root }
}

/// What ended a stretch of lines.
struct Stop {
    /// Where the stretch ends; the line end before a delimiter belongs to the delimiter.
    end: usize,
    /// Lines in the stretch.
    lines: u32,
    /// Which boundary was met, and whether it closes; `None` at the end of the message.
    met: Option<(usize, bool)>,
}

struct Scanner<'a> {
    message: &'a [u8],
    at: usize,
    /// Of the multiparts around, outermost first.
    boundaries: Vec<Vec<u8>>,
    parts: usize,
    depth: usize,
    octets_left: usize,
}

impl<'a> Scanner<'a> {
    fn line(&self) -> &'a [u8] {
        let rest = &self.message[self.at..];
        &rest[..line_length(rest)]
    }

    /// Reads a header up to and with its empty line, or up to a delimiter.
    fn header(&mut self) -> Span {
        let start = self.at;
        while self.at < self.message.len() {
            let line = self.line();
            if self.delimiter(line).is_some() {
                break;
            }
            self.at += line.len();
            if line == b"\r\n" || line == b"\n" {
                break;
            }
        }
        span(start, self.at)
    }

    /// Whether `line` is a delimiter (RFC 2046 section 5.1.1) of a multipart
    /// around, the innermost first, and whether it closes.
    fn delimiter(&self, line: &[u8]) -> Option<(usize, bool)> {
        let line = line.strip_prefix(b"--")?;
        self.boundaries.iter().enumerate().rev().find_map(|(index, boundary)| {
            let rest = line.strip_prefix(boundary.as_slice())?;
            let (rest, closes) = rest.strip_prefix(b"--").map_or((rest, false), |rest| (rest, true));
            rest.trim_ascii().is_empty().then_some((index, closes))
        })
    }

    /// Reads lines up to and with the next delimiter.
    fn stretch(&mut self) -> Stop {
        let (start, mut lines) = (self.at, 0);
        while self.at < self.message.len() {
            let line = self.line();
            if let Some(met) = self.delimiter(line) {
                let line_end = line_end(&self.message[start..self.at]);
                let end = self.at - line_end;
                self.at += line.len();
                // The last line lost its end to the delimiter, yet is a line where anything stands on it.
                let unended = self.message[start..end].last().is_some_and(|octet| *octet != b'\n');
                let lines = if line_end > 0 && !unended { lines - 1 } else { lines };
                return Stop { end, lines, met: Some(met) };
            }
            self.at += line.len();
            lines += 1;
        }
        Stop { end: self.at, lines, met: None }
    }

    /// Reads the body that follows `header`.
    fn entity(&mut self, header: Span, in_digest: bool) -> (Part, Stop) {
        self.parts += 1;
        let mut part = self.describe(header, in_digest);
        let start = self.at;
        self.depth += 1;
        let (stop, content) = match part.media_type.as_slice() {
            b"multipart" => self.multipart(&mut part),
            b"message" if matches!(part.media_subtype.as_slice(), b"rfc822" | b"global") => {
                self.embedded(&mut part)
            }
            _ => (self.stretch(), Content::Leaf),
        };
        self.depth -= 1;
        part.body = span(start, stop.end.max(start));
        part.lines = stop.lines;
        part.content = content;
        (part, stop)
    }

    fn multipart(&mut self, part: &mut Part) -> (Stop, Content) {
        let boundary = part.parameters.iter().find(|parameter| parameter.name == b"boundary");
        let Some(boundary) =
            boundary.map(|parameter| parameter.value.clone()).filter(|value| !value.is_empty())
        else {
            retype(part, b"text", b"plain");
            return (self.stretch(), Content::Leaf);
        };
        if self.is_full() {
            retype(part, b"application", b"octet-stream");
            return (self.stretch(), Content::Leaf);
        }
        let mine = self.boundaries.len();
        self.boundaries.push(boundary);
        let mut children = Vec::new();
        let mut stop = self.stretch();
        let mut lines = stop.lines;
        while stop.met == Some((mine, false)) {
            lines += 1;
            if self.parts >= PARTS_MAX {
                stop = self.stretch();
                lines += stop.lines;
                continue;
            }
            let header = self.header();
            let (child, child_stop) = self.entity(header, part.media_subtype == b"digest");
            lines += count_lines(header.of(self.message)) + child.lines;
            children.push(child);
            stop = child_stop;
        }
        self.boundaries.pop();
        if stop.met == Some((mine, true)) {
            // The epilogue, up to a delimiter of a multipart around.
            let start = self.at;
            stop = self.stretch();
            if stop.met.is_some() && stop.end == start {
                // No epilogue: the closing delimiter's line end belongs to the next delimiter.
                stop.end -= line_end(&self.message[..start]);
            }
            lines += 1 + stop.lines;
        }
        stop.lines = lines;
        if children.is_empty() {
            retype(part, b"text", b"plain");
            return (stop, Content::Leaf);
        }
        (stop, Content::Multipart(children))
    }

    fn embedded(&mut self, part: &mut Part) -> (Stop, Content) {
        let identity = part.encoding.as_ref().is_none_or(|encoding| {
            [&b"7bit"[..], b"8bit", b"binary"].iter().any(|known| encoding.eq_ignore_ascii_case(known))
        });
        if !identity || self.is_full() {
            retype(part, b"application", b"octet-stream");
            return (self.stretch(), Content::Leaf);
        }
        let header = self.header();
        let envelope = self.envelope(header);
        let (root, mut stop) = self.entity(header, false);
        stop.lines += count_lines(header.of(self.message));
        (stop, Content::Message(Box::new(Embedded { envelope, root })))
    }

    fn is_full(&self) -> bool {
        self.depth > NESTING_MAX || self.parts >= PARTS_MAX
    }

    /// What the MIME fields of a header say.
    fn describe(&mut self, header: Span, in_digest: bool) -> Part {
        let mut part = Part { header, ..Part::default() };
        let mut typed = false;
        for field in fields(header.of(self.message)) {
            let Some(name) = strip_prefix_ignoring_case(field.name, b"content-") else { continue };
            match name.to_ascii_lowercase().as_slice() {
                b"type" if !typed => {
                    let (kind, parameters) = with_parameters(&field.unfolded());
                    let mut halves = kind.splitn(2, |octet| *octet == b'/').map(<[u8]>::trim_ascii);
                    let (Some(kind), Some(subtype)) = (halves.next(), halves.next()) else { continue };
                    let cost = kind.len() + subtype.len();
                    if kind.is_empty() || subtype.is_empty() || !self.afford(cost) {
                        continue;
                    }
                    typed = true;
                    (part.media_type, part.media_subtype) = (kind.to_vec(), subtype.to_vec());
                    part.parameters = self.keep_parameters(parameters);
                }
                b"id" if part.id.is_none() => part.id = self.keep(&field),
                b"description" if part.description.is_none() => part.description = self.keep(&field),
                b"transfer-encoding" if part.encoding.is_none() => {
                    let (encoding, _) = with_parameters(&field.unfolded());
                    part.encoding = (!encoding.is_empty() && self.afford(encoding.len())).then_some(encoding);
                }
                b"md5" if part.md5.is_none() => part.md5 = self.keep(&field),
                b"disposition" if part.disposition.is_none() => {
                    part.disposition = disposition(&field.unfolded())
                        .filter(|disposition| self.afford(disposition.kind.len()))
                        .map(|disposition| super::Disposition {
                            parameters: self.keep_parameters(disposition.parameters),
                            ..disposition
                        });
                }
                b"language" if part.language.is_empty() => {
                    let value = field.unfolded();
                    let languages = value.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
                    let languages = languages.filter(|language| !language.is_empty()).take(64);
                    part.language =
                        languages.filter(|l| self.afford(l.len() + 24)).map(<[u8]>::to_vec).collect();
                }
                b"location" if part.location.is_none() => part.location = self.keep(&field),
                _ => {}
            }
        }
        if !typed && in_digest {
            retype(&mut part, b"message", b"rfc822");
        } else if !typed {
            retype(&mut part, b"text", b"plain");
            part.parameters = vec![Parameter { name: b"charset".to_vec(), value: b"us-ascii".to_vec() }];
        }
        part
    }

    fn envelope(&mut self, header: Span) -> Envelope {
        let mut envelope = Envelope::default();
        for field in fields(header.of(self.message)) {
            match field.name.to_ascii_lowercase().as_slice() {
                b"date" if envelope.date.is_none() => envelope.date = self.keep(&field),
                b"subject" if envelope.subject.is_none() => envelope.subject = self.keep(&field),
                b"from" => self.keep_addresses(&mut envelope.from, &field),
                b"sender" => self.keep_addresses(&mut envelope.sender, &field),
                b"reply-to" => self.keep_addresses(&mut envelope.reply_to, &field),
                b"to" => self.keep_addresses(&mut envelope.to, &field),
                b"cc" => self.keep_addresses(&mut envelope.cc, &field),
                b"bcc" => self.keep_addresses(&mut envelope.bcc, &field),
                b"in-reply-to" if envelope.in_reply_to.is_none() => envelope.in_reply_to = self.keep(&field),
                b"message-id" if envelope.message_id.is_none() => envelope.message_id = self.keep(&field),
                _ => {}
            }
        }
        if envelope.sender.is_empty() {
            envelope.sender.clone_from(&envelope.from);
        }
        if envelope.reply_to.is_empty() {
            envelope.reply_to.clone_from(&envelope.from);
        }
        envelope
    }

    /// What the message follows, and when it was sent.
    fn thread(&mut self, header: Span) -> (Vec<Vec<u8>>, Option<Sent>) {
        let (mut references, mut in_reply_to, mut sent): (Vec<Vec<u8>>, Vec<Vec<u8>>, _) =
            (Vec::new(), Vec::new(), None);
        for field in fields(header.of(self.message)) {
            if field.name.eq_ignore_ascii_case(b"references") && references.is_empty() {
                references = message_ids(&field.unfolded()).map(<[u8]>::to_vec).collect();
            } else if field.name.eq_ignore_ascii_case(b"in-reply-to") && in_reply_to.is_empty() {
                in_reply_to = message_ids(&field.unfolded()).map(<[u8]>::to_vec).collect();
            } else if field.name.eq_ignore_ascii_case(b"date") && sent.is_none() {
                sent = read_date(&field.unfolded());
            }
        }
        if references.len() > REFERENCES_MAX {
            references.drain(1..=references.len() - REFERENCES_MAX);
        }
        let mut known: Vec<Vec<u8>> = Vec::new();
        for id in references.into_iter().chain(in_reply_to.into_iter().take(REFERENCES_MAX)) {
            if !known.contains(&id) && self.afford(id.len() + 24) {
                known.push(id);
            }
        }
        (known, sent)
    }

    fn keep(&mut self, field: &Field<'_>) -> Option<Vec<u8>> {
        let value = field.unfolded();
        self.afford(value.len()).then_some(value)
    }

    fn keep_addresses(&mut self, kept: &mut Vec<Address>, field: &Field<'_>) {
        let room = super::address::ADDRESSES_MAX.saturating_sub(kept.len());
        for address in addresses(&field.unfolded()).into_iter().take(room) {
            let strings = [&address.name, &address.route, &address.mailbox, &address.host];
            let cost: usize = strings.into_iter().flatten().map(Vec::len).sum();
            if self.afford(cost + size_of::<Address>()) {
                kept.push(address);
            }
        }
    }

    fn keep_parameters(&mut self, mut parameters: Vec<Parameter>) -> Vec<Parameter> {
        parameters.retain(|p| self.afford(p.name.len() + p.value.len() + size_of::<Parameter>()));
        parameters
    }

    fn afford(&mut self, octets: usize) -> bool {
        let left = self.octets_left.checked_sub(octets);
        self.octets_left = left.unwrap_or(self.octets_left);
        left.is_some()
    }
}

fn span(start: usize, end: usize) -> Span {
    // The message was cut to what u32 can tell.
    Span { start: start as u32, end: end as u32 }
}

/// Octets of the line end that `octets` end with.
fn line_end(octets: &[u8]) -> usize {
    match octets {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

fn retype(part: &mut Part, kind: &[u8], subtype: &[u8]) {
    (part.media_type, part.media_subtype) = (kind.to_vec(), subtype.to_vec());
    part.parameters.clear();
}

fn count_lines(octets: &[u8]) -> u32 {
    octets.split(|octet| *octet == b'\n').count().saturating_sub(1) as u32
}

fn strip_prefix_ignoring_case<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = name.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn read_date(value: &[u8]) -> Option<Sent> {
    let value = std::str::from_utf8(&value[..value.len().min(256)]).ok()?;
    let date = mail_parser::DateTime::parse_rfc822(value)?;
    if !date.is_valid() || date.tz_hour > 24 || date.tz_minute > 59 {
        return None;
    }
    let zone = i16::from(date.tz_hour) * 60 + i16::from(date.tz_minute);
    Some(Sent {
        unix_seconds: date.to_timestamp(),
        zone_minutes: if date.tz_before_gmt { -zone } else { zone },
    })
}
