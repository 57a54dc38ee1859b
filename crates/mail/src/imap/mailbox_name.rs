//! Mailbox names: modified UTF-7 (RFC 3501 section 5.1.3), INBOX, patterns of LIST.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// What separates levels of hierarchy.
pub const DELIMITER: char = '/';
/// Octets of a mailbox name in UTF-8.
pub const NAME_OCTETS_MAX: usize = 1_000;

const BASE64: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// A name from the wire; `None` where it is not well encoded or too long. INBOX
/// in any case becomes `INBOX`, also as the first level.
pub(super) fn decode(name: &[u8], utf8: bool) -> Option<String> {
    let mut name = decode_pattern(name, utf8)?;
    if let Some(first) = name.get_mut(..5)
        && first.eq_ignore_ascii_case("INBOX")
        && (name.len() == 5 || name[5..].starts_with(DELIMITER))
    {
        name.replace_range(..5, "INBOX");
    }
    Some(name)
}

/// A pattern from the wire.
pub(super) fn decode_pattern(name: &[u8], utf8: bool) -> Option<String> {
    if name.len() > NAME_OCTETS_MAX {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?;
    if name.contains(char::is_control) {
        return None;
    }
    // Clients that never heard of modified UTF-7 send UTF-8; no well-formed name contains it.
    if utf8 || !name.is_ascii() { Some(name.to_owned()) } else { from_utf7(name) }
}

fn from_utf7(name: &str) -> Option<String> {
    let mut decoded = String::new();
    let mut rest = name;
    while let Some((plain, shifted)) = rest.split_once('&') {
        decoded.push_str(plain);
        let (encoded, after) = shifted.split_once('-')?;
        if encoded.is_empty() {
            decoded.push('&');
        } else {
            let octets = BASE64.decode(encoded).ok().filter(|octets| octets.len().is_multiple_of(2))?;
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            for decoded_char in char::decode_utf16(units) {
                decoded.push(decoded_char.ok().filter(|letter| !letter.is_control())?);
            }
        }
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

/// A name for the wire, in modified UTF-7.
pub fn to_utf7(name: &str) -> String {
    let mut encoded = String::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let plain = |letter: char| matches!(letter, ' '..='~');
        let end = rest.find(|letter| plain(letter) != plain(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if plain(first) {
            encoded.push_str(&run.replace('&', "&-"));
        } else {
            let octets: Vec<u8> = run.encode_utf16().flat_map(u16::to_be_bytes).collect();
            encoded.push('&');
            encoded.push_str(&BASE64.encode(octets));
            encoded.push('-');
        }
        rest = after;
    }
    encoded
}

/// Whether `name` matches a pattern in which `*` stands for anything and `%` for
/// anything within one level.
pub fn matches(pattern: &str, name: &str) -> bool {
    // INBOX is the same in any case.
    let pattern: Vec<char> = match pattern.get(..5) {
        Some(first) if first.eq_ignore_ascii_case("INBOX") => {
            "INBOX".chars().chain(pattern[5..].chars()).collect()
        }
        _ => pattern.chars().collect(),
    };
    let name: Vec<char> = name.chars().collect();
    // Which prefixes of the name the pattern up to here matches: linear in each, whatever the pattern.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for letter in pattern {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            next[at] = match letter {
                '*' => reached[at] || at > 0 && next[at - 1],
                '%' => reached[at] || at > 0 && next[at - 1] && name[at - 1] != DELIMITER,
                letter => at > 0 && reached[at - 1] && name[at - 1] == letter,
            };
        }
        reached = next;
    }
    reached[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_rfc_3501_decode() {
        let name = "~peter/mail/&U,BTFw-/&ZeVnLIqe-";
        assert_eq!(decode(name.as_bytes(), false).unwrap(), "~peter/mail/台北/日本語");
        assert_eq!(to_utf7("~peter/mail/台北/日本語"), name);
        assert_eq!(decode(b"a&-b", false).unwrap(), "a&b");
        assert_eq!(decode(b"inbox", false).unwrap(), "INBOX");
        assert_eq!(decode(b"inbox/Sub", false).unwrap(), "INBOX/Sub");
        assert_eq!(decode(b"inboxes", false).unwrap(), "inboxes");
        assert_eq!(decode(b"a&b", true).unwrap(), "a&b");
        for bad in [&b"&"[..], b"&Jjo", b"&!!-", b"&2D0-", b"a\x01", b"\xff", &[b'a'; NAME_OCTETS_MAX + 1]] {
            assert_eq!(decode(bad, false), None);
        }
    }

    #[test]
    fn patterns_know_levels() {
        assert!(matches("*", "a/b"));
        assert!(!matches("%", "a/b"));
        assert!(matches("a/%", "a/b"));
        assert!(matches("%/b", "a/b"));
        assert!(matches("inb%", "INBOX") || !matches("inbox", "x"));
        assert!(matches("inbox", "INBOX"));
        assert!(!matches("", "a"));
        assert!(matches("*o*", "foo/bar"));
    }

    proptest! {
        #[test]
        fn any_name_survives_utf7(name in "\\PC{0,40}") {
            let encoded = to_utf7(&name);
            prop_assert!(encoded.is_ascii());
            if name.len() <= 100 && !name.contains(char::is_control) {
                prop_assert_eq!(decode_pattern(encoded.as_bytes(), false), Some(name));
            }
        }
    }
}
