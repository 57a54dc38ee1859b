//! Header fields as octets: finding them, unfolding them, reading the tokens of
//! structured ones (RFC 5322 sections 2.2 and 3.2, RFC 2045 section 5.1).

use super::{Disposition, Parameter};

/// Parameters kept of one field.
pub(super) const PARAMETERS_MAX: usize = 64;
/// Octets looked at of one field's value.
pub(super) const VALUE_OCTETS_MAX: usize = 64 * 1024;

/// One header field, as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, without the colon.
    pub name: &'a [u8],
    /// The value, folded as it stands, with its line end.
    pub value: &'a [u8],
    /// Name, colon and value.
    pub octets: &'a [u8],
}

impl Field<'_> {
    /// The value without folding, surrounding white space and NUL.
    pub fn unfolded(&self) -> Vec<u8> {
        let value = &self.value[..self.value.len().min(VALUE_OCTETS_MAX)];
        let mut line: Vec<u8> =
            value.iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0)).collect();
        line.truncate(line.trim_ascii_end().len());
        line.drain(..line.len() - line.trim_ascii_start().len());
        line
    }
}

/// The fields of a header, in order. Lines that are no field are passed over.
pub fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut end = line_length(rest);
            while matches!(rest.get(end), Some(b' ' | b'\t')) {
                end += line_length(&rest[end..]);
            }
            let (octets, after) = rest.split_at(end);
            rest = after;
            if let Some(colon) = octets.iter().position(|octet| *octet == b':') {
                let name = octets[..colon].trim_ascii_end();
                if !name.is_empty() && name.iter().all(u8::is_ascii_graphic) {
                    return Some(Field { name, value: &octets[colon + 1..], octets });
                }
            }
        }
        None
    })
}

/// The fields whose names are (or, with `not`, are not) among `names`, as they
/// stand, and the empty line that ends a header: what `HEADER.FIELDS` gives.
pub fn select_fields(header: &[u8], names: &[Vec<u8>], not: bool) -> Vec<u8> {
    let mut selected = Vec::new();
    for field in fields(header) {
        if names.iter().any(|name| name.eq_ignore_ascii_case(field.name)) != not {
            selected.extend_from_slice(field.octets);
            if !field.octets.ends_with(b"\n") {
                selected.extend_from_slice(b"\r\n");
            }
        }
    }
    selected.extend_from_slice(b"\r\n");
    selected
}

/// Octets of the first line, with its line end.
pub(super) fn line_length(octets: &[u8]) -> usize {
    octets.iter().position(|octet| *octet == b'\n').map_or(octets.len(), |at| at + 1)
}

/// The token of a structured field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// Atoms and dots.
    Word(Vec<u8>),
    /// A quoted string, or a domain literal with its brackets, unescaped.
    Quoted(Vec<u8>),
    /// A comment, without its outer parentheses.
    Comment(Vec<u8>),
    /// One of `<>,:;@`.
    Special(u8),
}

/// The tokens of an unfolded address field, each with whether white space stood before it.
pub(super) fn tokens(value: &[u8]) -> impl Iterator<Item = (bool, Token)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        while matches!(value.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        let spaced = at > start;
        let token = match *value.get(at)? {
            b'"' => Token::Quoted(enclosed(value, &mut at, b'"', b'"')),
            b'(' => Token::Comment(enclosed(value, &mut at, b'(', b')')),
            b'[' => {
                let mut literal = vec![b'['];
                literal.extend(enclosed(value, &mut at, b'[', b']'));
                literal.push(b']');
                Token::Quoted(literal)
            }
            special @ (b'<' | b'>' | b',' | b':' | b';' | b'@') => {
                at += 1;
                Token::Special(special)
            }
            _ => {
                let start = at;
                while value.get(at).is_some_and(|octet| !b" \t\"(<>,:;@[".contains(octet)) {
                    at += 1;
                }
                Token::Word(value[start..at].to_vec())
            }
        };
        Some((spaced, token))
    })
}

/// What stands between `open` at `at` and its `close`; backslash quotes the next
/// octet, parentheses nest. Without a close all of the rest.
fn enclosed(value: &[u8], at: &mut usize, open: u8, close: u8) -> Vec<u8> {
    let mut inside = Vec::new();
    let mut depth = 1;
    *at += 1;
    while let Some(&octet) = value.get(*at) {
        *at += 1;
        match octet {
            b'\\' if *at < value.len() => {
                inside.push(value[*at]);
                *at += 1;
                continue;
            }
            _ if octet == close => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            _ if octet == open => depth += 1,
            _ => {}
        }
        inside.push(octet);
    }
    inside
}

/// A value with parameters (`text/plain; charset=utf-8`): the value in lower
/// case, and the parameters.
pub(super) fn with_parameters(value: &[u8]) -> (Vec<u8>, Vec<Parameter>) {
    let mut pieces = split_unquoted(value).into_iter();
    let head = without_comments(pieces.next().unwrap_or_default());
    let mut parameters = Vec::new();
    for piece in pieces.take(PARAMETERS_MAX) {
        let Some(equals) = piece.iter().position(|octet| *octet == b'=') else { continue };
        let name = without_comments(&piece[..equals]).to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        let value = piece[equals + 1..].trim_ascii();
        let value = if value.first() == Some(&b'"') {
            enclosed(value, &mut 0, b'"', b'"')
        } else {
            without_comments(value)
        };
        parameters.push(Parameter { name, value });
    }
    (head.to_ascii_lowercase(), parameters)
}

/// Content-Disposition's value.
pub(super) fn disposition(value: &[u8]) -> Option<Disposition> {
    let (kind, parameters) = with_parameters(value);
    (!kind.is_empty()).then_some(Disposition { kind, parameters })
}

/// Splits at semicolons outside of quotes.
fn split_unquoted(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut start, mut quoted, mut at) = (Vec::new(), 0, false, 0);
    while at < value.len() && pieces.len() <= PARAMETERS_MAX {
        match value[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b';' if !quoted => {
                pieces.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(&value[start..]);
    pieces
}

/// Without comments that stand at the begin or after white space, trimmed.
fn without_comments(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut at = 0;
    while let Some(&octet) = value.get(at) {
        if octet == b'(' && (at == 0 || value[at - 1].is_ascii_whitespace()) {
            enclosed(value, &mut at, b'(', b')');
        } else {
            plain.push(octet);
            at += 1;
        }
    }
    plain.trim_ascii().to_vec()
}

/// The message identifiers of a field, with their angle brackets.
pub(super) fn message_ids(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        let open = rest.iter().position(|octet| *octet == b'<')?;
        let close = open + rest[open..].iter().position(|octet| *octet == b'>')?;
        let id = &rest[open..=close];
        rest = &rest[close + 1..];
        Some(id)
    })
}
