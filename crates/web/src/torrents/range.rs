//! Which octets of a file a client wants (RFC 9110 section 14).

use std::ops::Range;

/// What is wanted of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    All,
    /// These octets; never none.
    Part(Range<u64>),
    /// Octets that it has not.
    Nothing,
}

/// What a `Range` header asks of a file of so many octets. A header that is no
/// range of octets, or asks for several, is as none: the client gets all and finds
/// what it wants.
pub(crate) fn wanted(header: Option<&str>, octets: u64) -> Wanted {
    let Some(ranges) = header.and_then(|header| header.trim().strip_prefix("bytes=")) else {
        return Wanted::All;
    };
    let Some((first, last)) = ranges.trim().split_once('-') else { return Wanted::All };
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        // A number too large to be said is behind every file's end.
        plain.then(|| digits.parse().unwrap_or(u64::MAX))
    };
    let range = match (number(first), number(last), first.is_empty(), last.is_empty()) {
        (Some(first), Some(last), ..) if first <= last => first..last.saturating_add(1).min(octets),
        (Some(first), None, _, true) => first..octets,
        (None, Some(length), true, _) => octets.saturating_sub(length)..octets,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, expected) in [
            ("bytes=0-499", Wanted::Part(0..500)),
            ("bytes=500-999", Wanted::Part(500..1_000)),
            ("bytes=-500", Wanted::Part(9_500..10_000)),
            ("bytes=9500-", Wanted::Part(9_500..10_000)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=9999-20000", Wanted::Part(9_999..10_000)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..10_000)),
            ("bytes=-99999999999999999999999", Wanted::Part(0..10_000)),
            (" bytes=1-2 ", Wanted::Part(1..3)),
            ("bytes=10000-", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
        ] {
            assert_eq!(wanted(Some(header), 10_000), expected, "{header}");
        }
        for none in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=0-1,5-6",
            "lines=0-1",
            "bytes=+1-2",
            "bytes=1",
        ] {
            assert_eq!(wanted(Some(none), 10_000), Wanted::All, "{none}");
        }
        assert_eq!(wanted(None, 10_000), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }
}
