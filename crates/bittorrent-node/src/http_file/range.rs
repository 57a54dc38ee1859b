//! Which octets of a file are asked for (RFC 9110 sections 13 and 14).

use std::ops::Range;

/// What to answer to a request for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of it (200).
    All,
    /// A part of it (206).
    Part(Range<u64>),
    /// Octets that there are not (416).
    Beyond,
}

/// Reads the fields Range and If-Range for a file of so many octets with this
/// entity tag. Several ranges and what is no range of octets are passed over, as
/// may be done (section 14.2).
pub fn wanted(range: Option<&str>, if_range: Option<&str>, tag: &str, octets: u64) -> Wanted {
    // A date is never ours: the file may have changed.
    if if_range.is_some_and(|known| known.trim() != tag) {
        return Wanted::All;
    }
    match range.and_then(read) {
        None => Wanted::All,
        Some(Bounds::From(first, last)) if first < octets => {
            Wanted::Part(first..last.map_or(octets, |last| last.saturating_add(1)).min(octets))
        }
        Some(Bounds::Last(count)) if count > 0 && octets > 0 => {
            Wanted::Part(octets.saturating_sub(count)..octets)
        }
        Some(_) => Wanted::Beyond,
    }
}

enum Bounds {
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

fn read(range: &str) -> Option<Bounds> {
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    // As many digits as one likes: a number that is too large is beyond every end.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", count) => Some(Bounds::Last(number(count)?)),
        (first, "") => Some(Bounds::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Bounds::From(first, Some(last)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_rfc_9110_section_14_1_are_read() {
        for (range, expected) in [
            ("bytes=0-499", Wanted::Part(0..500)),
            ("bytes=500-", Wanted::Part(500..1_000)),
            ("bytes=-500", Wanted::Part(500..1_000)),
            ("bytes=500-999", Wanted::Part(500..1_000)),
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=999-20000", Wanted::Part(999..1_000)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0..1_000)),
            ("bytes=-5000", Wanted::Part(0..1_000)),
            ("bytes=-99999999999999999999999", Wanted::Part(0..1_000)),
            (" bytes=1-2 ", Wanted::Part(1..3)),
            ("BYTES= 999-99999999999999999999999 ", Wanted::Part(999..1_000)),
            ("bytes=1000-", Wanted::Beyond),
            ("bytes=99999999999999999999999-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes", Wanted::All),
            ("", Wanted::All),
            ("bytes=", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=1", Wanted::All),
        ] {
            assert_eq!(wanted(Some(range), None, "\"t\"", 1_000), expected, "{range}");
        }
        assert_eq!(wanted(None, None, "\"t\"", 1_000), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-"), None, "\"t\"", 0), Wanted::Beyond);
        assert_eq!(wanted(Some("bytes=-1"), None, "\"t\"", 0), Wanted::Beyond);
    }

    #[test]
    fn a_part_of_another_version_is_not_given() {
        let with = |tag| wanted(Some("bytes=1-2"), Some(tag), "\"t\"", 10);
        assert_eq!(with("\"t\""), Wanted::Part(1..3));
        for other in ["\"u\"", "W/\"t\"", "Sun, 06 Nov 1994 08:49:37 GMT", ""] {
            assert_eq!(with(other), Wanted::All, "{other}");
        }
    }
}
