//! Lists of addresses that are not spoken with, in the three forms that users
//! have: eMule's `ipfilter.dat`, PeerGuardian's `.p2p`, and lines of CIDR prefixes
//! or single addresses. One file may mix them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Ranges of one list, after those that overlap have been merged: 40 MB at most.
pub const RANGES_MAX: usize = 1_000_000;
/// Octets of one line; a longer one is none of the three forms.
const LINE_OCTETS_MAX: usize = 1_024;
/// eMule: from this level on a range is allowed.
const LEVEL_ALLOWED: u32 = 128;

/// A list of addresses that are not spoken with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpFilter {
    /// First and last address, in order; neither overlapping nor touching.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

/// What was found in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSummary {
    /// Lines that name addresses.
    pub entries: usize,
    /// Lines that are none of the three forms; they are passed over.
    pub unreadable: usize,
    /// The first of those, counted from 1.
    pub first_unreadable: Option<usize>,
}

/// The list is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list has more than {RANGES_MAX} ranges of addresses")]
pub struct TooManyRanges;

impl IpFilter {
    /// Reads a list. Empty lines and those that begin with `#`, `;` or `//` are
    /// comments.
    ///
    /// # Errors
    /// When more than [`RANGES_MAX`] ranges are left after merging.
    pub fn read(octets: &[u8]) -> Result<(Self, ListSummary), TooManyRanges> {
        let (mut v4, mut v6) = (Ranges::default(), Ranges::default());
        let mut summary = ListSummary::default();
        for (index, line) in octets.split(|octet| *octet == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || [&b"#"[..], b";", b"//"].iter().any(|mark| line.starts_with(mark)) {
                continue;
            }
            let line = std::str::from_utf8(line).map_or_else(|_| latin1(line), ToOwned::to_owned);
            match entry(&line).filter(|_| line.len() <= LINE_OCTETS_MAX) {
                Some(Entry::Allowed) => summary.entries += 1,
                Some(Entry::Blocked(IpAddr::V4(first), IpAddr::V4(last))) => {
                    summary.entries += 1;
                    v4.add(first.to_bits(), last.to_bits())?;
                }
                Some(Entry::Blocked(IpAddr::V6(first), IpAddr::V6(last))) => {
                    summary.entries += 1;
                    v6.add(first.to_bits(), last.to_bits())?;
                }
                _ => {
                    summary.unreadable += 1;
                    summary.first_unreadable.get_or_insert(index + 1);
                }
            }
        }
        let filter = Self { v4: v4.merged()?, v6: v6.merged()? };
        if filter.len() > RANGES_MAX {
            return Err(TooManyRanges);
        }
        Ok((filter, summary))
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether nobody is kept out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an address is not spoken with. An IPv4 address written as IPv6 is
    /// an IPv4 address.
    pub fn blocks(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, address.to_bits()),
            IpAddr::V6(address) => within(&self.v6, address.to_bits()),
        }
    }
}

fn within<N: Ord + Copy>(ranges: &[(N, N)], address: N) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| address <= *last)
}

/// Ranges in any order, merged whenever there are many.
struct Ranges<N>(Vec<(N, N)>);

impl<N> Default for Ranges<N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<N: Ord + Copy + Successor> Ranges<N> {
    fn add(&mut self, first: N, last: N) -> Result<(), TooManyRanges> {
        if self.0.len() >= 2 * RANGES_MAX {
            self.merge();
            if self.0.len() > RANGES_MAX {
                return Err(TooManyRanges);
            }
        }
        self.0.push((first, last));
        Ok(())
    }

    fn merged(mut self) -> Result<Vec<(N, N)>, TooManyRanges> {
        self.merge();
        if self.0.len() > RANGES_MAX {
            return Err(TooManyRanges);
        }
        self.0.shrink_to_fit();
        Ok(self.0)
    }

    fn merge(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, before| {
            let joined = before.1.successor().is_none_or(|after| next.0 <= after);
            if joined {
                before.1 = before.1.max(next.1);
            }
            joined
        });
    }
}

trait Successor: Sized {
    fn successor(self) -> Option<Self>;
}

impl Successor for u32 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Successor for u128 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// What a line says.
enum Entry {
    Blocked(IpAddr, IpAddr),
    Allowed,
}

fn entry(line: &str) -> Option<Entry> {
    emule(line).or_else(|| prefix(line)).or_else(|| peer_guardian(line))
}

/// `1.2.3.0 - 1.2.3.255 , 000 , a name`; without level and name it is blocked.
fn emule(line: &str) -> Option<Entry> {
    let mut fields = line.splitn(3, ',');
    let (first, last) = range(fields.next()?)?;
    let level: u32 = fields.next().map_or(Some(0), |level| level.trim().parse().ok())?;
    Some(if level < LEVEL_ALLOWED { Entry::Blocked(first, last) } else { Entry::Allowed })
}

/// `1.2.3.0/24`, `2001:db8::/32`, or one address; a comment may follow.
fn prefix(line: &str) -> Option<Entry> {
    let (word, rest) = line.split_at(line.find([' ', '\t', '#', ';', ',']).unwrap_or(line.len()));
    if rest.trim_start().starts_with('-') {
        // A range that is none.
        return None;
    }
    let (address, bits) = match word.split_once('/') {
        Some((address, bits)) => (read_address(address)?, Some(bits.parse::<u32>().ok()?)),
        None => (read_address(word)?, None),
    };
    match address {
        IpAddr::V4(address) => {
            let rest = 32_u32.checked_sub(bits.unwrap_or(32))?;
            let mask = u32::MAX.checked_shr(32 - rest).unwrap_or(0);
            let first = address.to_bits() & !mask;
            Some(Entry::Blocked(Ipv4Addr::from_bits(first).into(), Ipv4Addr::from_bits(first | mask).into()))
        }
        IpAddr::V6(address) => {
            let rest = 128_u32.checked_sub(bits.unwrap_or(128))?;
            let mask = u128::MAX.checked_shr(128 - rest).unwrap_or(0);
            let first = address.to_bits() & !mask;
            Some(Entry::Blocked(Ipv6Addr::from_bits(first).into(), Ipv6Addr::from_bits(first | mask).into()))
        }
    }
}

/// `a name: with anything:1.2.3.0-1.2.3.255`
fn peer_guardian(line: &str) -> Option<Entry> {
    // IPv6 addresses have colons too: the range begins behind any of them.
    line.match_indices(':').find_map(|(at, _)| {
        let (first, last) = range(line.get(at + 1..)?)?;
        Some(Entry::Blocked(first, last))
    })
}

fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (read_address(first)?, read_address(last)?);
    (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last))
}

/// An address; eMule fills IPv4 with zeros, which are decimal all the same.
fn read_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if text.contains(':') {
        return text.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical());
    }
    let mut octets = [0; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let plain = (1..=3).contains(&part.len()) && part.bytes().all(|digit| digit.is_ascii_digit());
        *octet = part.parse().ok().filter(|_| plain)?;
    }
    parts.next().is_none().then_some(IpAddr::from(octets))
}

fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blocks(filter: &IpFilter, address: &str) -> bool {
        filter.blocks(address.parse().expect("an address"))
    }

    #[test]
    fn all_three_forms_are_read() {
        let list = b"# comment\r\n\
            001.009.096.105 - 001.009.096.110 , 000 , Some: body\r\n\
            2.0.0.0 - 2.255.255.255 , 200 , allowed\r\n\
            Name: of - a network:3.0.0.0-3.0.0.255\n\
            \xe9 Latin-1:4.4.4.4-4.4.4.4\n\
            five:2001:db8::1-2001:db8::5\n\
            6.6.0.0/16 a comment\n7.7.7.7\n2001:db9::/32\n::ffff:8.8.8.8\n\
            nonsense\n9.9.9.9 - 9.9.9.1 , 0 , backwards\n256.1.1.1\n1.2.3.0/33\n";
        let (filter, summary) = IpFilter::read(list).expect("short");
        assert_eq!(summary, ListSummary { entries: 9, unreadable: 4, first_unreadable: Some(11) });
        for blocked in [
            "1.9.96.105",
            "1.9.96.110",
            "3.0.0.77",
            "4.4.4.4",
            "2001:db8::3",
            "6.6.255.1",
            "7.7.7.7",
            "2001:db9:1::",
            "8.8.8.8",
            "::ffff:7.7.7.7",
        ] {
            assert!(blocks(&filter, blocked), "{blocked}");
        }
        for free in
            ["1.9.96.104", "1.9.96.111", "2.1.1.1", "3.0.1.0", "2001:db8::6", "6.7.0.0", "7.7.7.8", "9.9.9.5"]
        {
            assert!(!blocks(&filter, free), "{free}");
        }
    }

    #[test]
    fn ranges_that_touch_become_one_and_the_ends_hold() {
        let (filter, _) =
            IpFilter::read(b"0.0.0.0/1\n128.0.0.0-255.255.255.255\n::/0\n1.1.1.1").expect("short");
        assert_eq!(filter.len(), 2);
        for address in ["0.0.0.0", "127.255.255.255", "128.0.0.0", "255.255.255.255", "::", "ffff::1"] {
            assert!(blocks(&filter, address), "{address}");
        }
        assert!(IpFilter::default().is_empty() && !blocks(&IpFilter::default(), "1.1.1.1"));
    }

    #[test]
    fn a_list_has_so_many_ranges_and_no_more() {
        let list = |count: u32| {
            let lines = (0..count).map(|number| format!("{}\n", Ipv4Addr::from_bits(number * 2)));
            lines.collect::<String>().into_bytes()
        };
        let most = list(RANGES_MAX as u32);
        assert_eq!(IpFilter::read(&most).expect("as many as may be").0.len(), RANGES_MAX);
        assert_eq!(IpFilter::read(&list(RANGES_MAX as u32 + 1)), Err(TooManyRanges));
        // The same ones over and over are no more than one.
        let again = b"1.1.1.1\n".repeat(2 * RANGES_MAX + 10);
        assert_eq!(IpFilter::read(&again).expect("one range").0.len(), 1);
    }

    proptest! {
        /// Whatever the order, what is in any line is blocked and nothing else.
        #[test]
        fn it_is_as_if_each_line_were_asked(
            lines in prop::collection::vec((0_u8..40, 0_u8..40), 0..20),
            asked in 0_u8..45,
        ) {
            let line = |(a, b): &(u8, u8)| format!("x:10.0.0.{}-10.0.0.{}", a.min(b), a.max(b));
            let text = lines.iter().map(line).collect::<Vec<_>>().join("\n");
            let (filter, _) = IpFilter::read(text.as_bytes()).expect("short");
            let expected = lines.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&asked));
            prop_assert_eq!(filter.blocks(IpAddr::from([10, 0, 0, asked])), expected);
        }

        #[test]
        fn garbage_is_passed_over(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = IpFilter::read(&octets);
        }
    }
}
