//! Sequence sets (RFC 9051 section 9, `sequence-set`): parsing, resolving, writing.

use super::scanner::{Fault, Parsed, Scanner};
use std::fmt::Write;

/// Ranges kept of one set; a longer one is refused.
pub const RANGES_MAX: usize = 20_000;

/// Numbers of messages or UIDs as the client wrote them; `None` is `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet(Vec<(Option<u32>, Option<u32>)>);

impl SequenceSet {
    pub(super) fn parse(scanner: &mut Scanner<'_>) -> Parsed<Self> {
        let mut ranges = Vec::new();
        loop {
            let first = number_or_star(scanner)?;
            let last = if scanner.eat(b":") { number_or_star(scanner)? } else { first };
            if ranges.len() == RANGES_MAX {
                return Err(scanner.fault("fewer ranges in the sequence set"));
            }
            ranges.push((first, last));
            if !scanner.eat(b",") {
                return Ok(Self(ranges));
            }
        }
    }

    /// Sorted ranges without overlap; `*` is `largest`, or 0 for an empty mailbox,
    /// which names nothing.
    fn ranges(&self, largest: u32) -> Vec<(u32, u32)> {
        let mut ranges: Vec<(u32, u32)> = self
            .0
            .iter()
            .map(|(first, last)| {
                let (first, last) = (first.unwrap_or(largest), last.unwrap_or(largest));
                (first.min(last), first.max(last))
            })
            .collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        ranges
    }

    /// Which of the ascending `uids` are named, when the set names UIDs: their
    /// indexes. UIDs that are not there are passed over.
    pub fn of_uids(&self, uids: &[u32]) -> Vec<usize> {
        let mut indexes = Vec::new();
        for (first, last) in self.ranges(uids.last().copied().unwrap_or(0)) {
            let from = uids.partition_point(|uid| *uid < first);
            let to = uids.partition_point(|uid| *uid <= last);
            indexes.extend(from..to);
        }
        indexes
    }

    /// The indexes (from 0) named, when the set names message numbers of a
    /// mailbox of `count` messages; `None` where one of them does not exist.
    pub fn of_numbers(&self, count: usize) -> Option<Vec<usize>> {
        let largest = u32::try_from(count).ok()?;
        let mut indexes = Vec::new();
        for (first, last) in self.ranges(largest) {
            if first == 0 || last > largest {
                return None;
            }
            indexes.extend(first as usize - 1..last as usize);
        }
        Some(indexes)
    }

    /// Whether `number` is named, where `*` is `largest`.
    pub fn contains(&self, number: u32, largest: u32) -> bool {
        self.0.iter().any(|(first, last)| {
            let (first, last) = (first.unwrap_or(largest), last.unwrap_or(largest));
            (first.min(last)..=first.max(last)).contains(&number)
        })
    }
}

fn number_or_star(scanner: &mut Scanner<'_>) -> Result<Option<u32>, Fault> {
    if scanner.eat(b"*") { Ok(None) } else { scanner.nz_number().map(Some) }
}

/// Ascending numbers as a set, runs as ranges: `1:3,5`.
pub fn write_set(numbers: &[u32]) -> String {
    let mut set = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run =
            rest.iter().zip(first..=u32::MAX).take_while(|(number, expected)| **number == *expected).count();
        if !set.is_empty() {
            set.push(',');
        }
        let _ = if run == 1 { write!(set, "{first}") } else { write!(set, "{first}:{}", rest[run - 1]) };
        rest = &rest[run..];
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> SequenceSet {
        let mut scanner = Scanner::new(text.as_bytes(), false);
        let set = SequenceSet::parse(&mut scanner).unwrap();
        assert!(scanner.at_end());
        set
    }

    #[test]
    fn the_examples_of_rfc_9051_resolve() {
        assert_eq!(set("2,4:7,9,12:*").of_numbers(15).unwrap(), [1, 3, 4, 5, 6, 8, 11, 12, 13, 14]);
        assert_eq!(set("*:4,5:7").of_numbers(10).unwrap(), [3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(set("3:*").of_uids(&[1, 2]), [1]);
        assert_eq!(set("*").of_uids(&[]), [0usize; 0]);
        assert_eq!(set("1:*").of_numbers(0), None);
        assert_eq!(set("1:4").of_numbers(3), None);
        assert_eq!(set("5,1,3:2").of_uids(&[1, 3, 5, 7]), [0, 1, 2]);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in ["", "0", "1:", ",1", "1,,2", "a", "4294967296", ":1"] {
            let mut scanner = Scanner::new(text.as_bytes(), false);
            assert!(SequenceSet::parse(&mut scanner).is_err() || !scanner.at_end(), "{text}");
        }
        let long = vec!["1"; RANGES_MAX + 1].join(",");
        assert!(SequenceSet::parse(&mut Scanner::new(long.as_bytes(), false)).is_err());
    }

    proptest! {
        #[test]
        fn written_sets_name_what_was_written(numbers in proptest::collection::btree_set(1u32..300, 1..100)) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            let parsed = set(&write_set(&numbers));
            let named: Vec<u32> = (1..=300).filter(|number| parsed.contains(*number, 300)).collect();
            prop_assert_eq!(&named, &numbers);
            prop_assert_eq!(parsed.of_uids(&numbers).len(), numbers.len());
            let indexes: Vec<usize> = numbers.iter().map(|number| *number as usize - 1).collect();
            prop_assert_eq!(parsed.of_numbers(300).unwrap(), indexes);
        }

        #[test]
        fn resolving_is_what_contains_says(
            ranges in proptest::collection::vec((proptest::option::of(1u32..60), proptest::option::of(1u32..60)), 1..8),
            uids in proptest::collection::btree_set(1u32..60, 0..30),
        ) {
            let uids: Vec<u32> = uids.into_iter().collect();
            let parsed = SequenceSet(ranges);
            let largest = uids.last().copied().unwrap_or(0);
            let expected: Vec<usize> =
                (0..uids.len()).filter(|index| parsed.contains(uids[*index], largest)).collect();
            prop_assert_eq!(parsed.of_uids(&uids), expected);
        }
    }
}
