//! The parser of paths, addresses, domains and HELO names.

use super::{Address, AddressError, DOMAIN_OCTETS_MAX, Domain, LOCAL_PART_OCTETS_MAX, PATH_OCTETS_MAX, Path};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use unicode_normalization::char::is_combining_mark;

/// Reads a path at the start of `text` and returns it with what follows it
/// (the ESMTP parameters, still with the space before them).
pub fn parse_path(text: &str) -> Result<(Path, &str), AddressError> {
    let inner = text.strip_prefix('<').ok_or(AddressError::Brackets)?;
    let end = closing_bracket(inner).ok_or(AddressError::Brackets)?;
    let (inner, rest) = inner.split_at(end);
    let rest = rest.strip_prefix('>').ok_or(AddressError::Brackets)?;
    if inner.len() + 2 > PATH_OCTETS_MAX {
        return Err(AddressError::PathTooLong);
    }
    if inner.is_empty() {
        return Ok((Path::Null, rest));
    }
    if inner.eq_ignore_ascii_case("postmaster") {
        return Ok((Path::Postmaster, rest));
    }
    let path = Path::Address(parse_address(skip_source_route(inner)?)?);
    // Lower case may be longer.
    if path.to_string().len() > PATH_OCTETS_MAX {
        return Err(AddressError::PathTooLong);
    }
    Ok((path, rest))
}

/// The place of the `>` that is not inside a quoted string.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (place, octet) in text.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(place),
            _ => {}
        }
    }
    None
}

/// Skips `@one,@two:` (RFC 5321 section 4.1.1.3: accept, and ignore).
fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let (route, rest) = text.split_once(':').ok_or(AddressError::Domain)?;
    for hop in route.split(',') {
        parse_domain(hop.strip_prefix('@').ok_or(AddressError::Domain)?)?;
    }
    Ok(rest)
}

/// Reads `local@domain`.
pub(super) fn parse_address(text: &str) -> Result<Address, AddressError> {
    let (local, domain) = if text.starts_with('"') {
        let (local, rest) = parse_quoted(text)?;
        (local, rest.strip_prefix('@').ok_or(AddressError::NoDomain)?)
    } else {
        let (local, domain) = text.split_once('@').ok_or(AddressError::NoDomain)?;
        if !is_dot_string(local) {
            return Err(AddressError::Local);
        }
        (local.to_owned(), domain)
    };
    if local.len() > LOCAL_PART_OCTETS_MAX {
        return Err(AddressError::LocalTooLong);
    }
    Ok(Address { local, domain: parse_domain(domain)? })
}

/// Reads a quoted string and returns its content and what follows it.
fn parse_quoted(text: &str) -> Result<(String, &str), AddressError> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => return Ok((content, &text[place + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ' '..='~')) => content.push(escaped),
                _ => return Err(AddressError::Local),
            },
            ' '..='~' => content.push(c),
            _ if !c.is_ascii() && !c.is_control() => content.push(c),
            _ => return Err(AddressError::Local),
        }
    }
    Err(AddressError::Local)
}

/// `Dot-string`: atoms joined by single dots.
pub(super) fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control() && !c.is_whitespace())
}

fn parse_domain(text: &str) -> Result<Domain, AddressError> {
    if text.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressError::DomainTooLong);
    }
    if let Some(literal) = text.strip_prefix('[') {
        let literal = literal.strip_suffix(']').ok_or(AddressError::Domain)?;
        return parse_literal(literal).map(Domain::Literal).ok_or(AddressError::Domain);
    }
    // Lower case may be longer; what is kept is what must follow the grammar.
    let name = text.to_lowercase();
    if name.len() > DOMAIN_OCTETS_MAX {
        return Err(AddressError::DomainTooLong);
    }
    if name.split('.').all(|label| is_label(label, false)) {
        Ok(Domain::Name(name))
    } else {
        Err(AddressError::Domain)
    }
}

fn parse_literal(text: &str) -> Option<IpAddr> {
    match text.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => {
            text.get(5..)?.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// `sub-domain`: letters, digits and inner hyphens, or a U-label.
fn is_label(label: &str, underscore: bool) -> bool {
    (1..=63).contains(&label.chars().count())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || c == '-'
                || (underscore && c == '_')
                // Many scripts write vowels, and all of them accents, as marks.
                || (!c.is_ascii() && (c.is_alphanumeric() || is_combining_mark(c)))
        })
}

/// What a client calls itself in EHLO or HELO.
///
/// Underscores, which the grammar forbids, are let through: many hosts are
/// named so, and the name must not decide about acceptance (RFC 5321 section
/// 4.1.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloName(String);

impl HelloName {
    /// Reads the argument of EHLO or HELO.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > DOMAIN_OCTETS_MAX {
            return Err(AddressError::DomainTooLong);
        }
        if let Some(literal) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            parse_literal(literal).ok_or(AddressError::Domain)?;
        } else if !text.strip_suffix('.').unwrap_or(text).split('.').all(|label| is_label(label, true)) {
            return Err(AddressError::Domain);
        }
        Ok(Self(text.to_owned()))
    }

    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HelloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
