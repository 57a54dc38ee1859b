//! Which files of a torrent are wanted (BEP 53).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use thiserror::Error;

/// Ranges that one selection may consist of.
pub const SELECTION_RANGES_MAX: usize = 4096;

/// A set of files by their index in the torrent, as `0,2,4-7`. Padding files that
/// stand in the torrent's list are counted too.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSelection {
    /// In order, neither overlapping nor touching.
    ranges: Vec<RangeInclusive<u32>>,
}

/// Why a text is no selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SelectionError {
    /// Something other than numbers, commas and hyphens between numbers.
    #[error("expected file numbers and ranges of them, such as 0,2,4-7")]
    Syntax,
    /// More ranges than [`SELECTION_RANGES_MAX`].
    #[error("more than {SELECTION_RANGES_MAX} ranges of files")]
    TooMany,
}

impl FileSelection {
    /// Of these ranges, in any order.
    ///
    /// # Errors
    /// When there are more than [`SELECTION_RANGES_MAX`].
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Result<Self, SelectionError> {
        let ranges = ranges.into_iter().filter(|range| !range.is_empty());
        let mut sorted: Vec<_> = ranges.take(SELECTION_RANGES_MAX + 1).collect();
        if sorted.len() > SELECTION_RANGES_MAX {
            return Err(SelectionError::TooMany);
        }
        sorted.sort_by_key(|range| *range.start());
        let mut merged: Vec<RangeInclusive<u32>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => merged.push(range),
            }
        }
        Ok(Self { ranges: merged })
    }

    /// The ranges in order; none touches the next.
    pub fn ranges(&self) -> &[RangeInclusive<u32>] {
        &self.ranges
    }

    /// Whether a file is in it.
    pub fn contains(&self, file: usize) -> bool {
        let Ok(file) = u32::try_from(file) else { return false };
        let behind = self.ranges.partition_point(|range| *range.end() < file);
        self.ranges.get(behind).is_some_and(|range| range.contains(&file))
    }

    /// Whether no file is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

impl FromStr for FileSelection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|octet| octet.is_ascii_digit());
            digits.parse::<u32>().ok().filter(|_| plain).ok_or(SelectionError::Syntax)
        };
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let range = match part.split_once('-') {
                None => number(part).map(|one| one..=one)?,
                Some((first, last)) => number(first)?..=number(last)?,
            };
            if range.is_empty() {
                return Err(SelectionError::Syntax);
            }
            if ranges.len() == SELECTION_RANGES_MAX {
                return Err(SelectionError::TooMany);
            }
            ranges.push(range);
        }
        Self::new(ranges)
    }
}

impl fmt::Display for FileSelection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, range) in self.ranges.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match (range.start(), range.end()) {
                (first, last) if first == last => write!(formatter, "{comma}{first}")?,
                (first, last) => write!(formatter, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let selection: FileSelection = "0,2,4,6-8".parse().expect("a selection");
        let chosen: Vec<_> = (0..12).filter(|file| selection.contains(*file)).collect();
        assert_eq!(chosen, [0, 2, 4, 6, 7, 8]);
        assert_eq!("8,6-7,1,0".parse::<FileSelection>().expect("a selection").to_string(), "0-1,6-8");
        assert_eq!("4294967295".parse::<FileSelection>().expect("the last").to_string(), "4294967295");
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for wrong in ["", ",", "1,", "-", "1-", "-1", "3-2", "a", "1--2", "+1", "4294967296", "1 ,2"] {
            assert_eq!(wrong.parse::<FileSelection>(), Err(SelectionError::Syntax), "{wrong}");
        }
        let many = |count: usize| (0..count).map(|at| (2 * at).to_string()).collect::<Vec<_>>().join(",");
        assert!(many(SELECTION_RANGES_MAX).parse::<FileSelection>().is_ok());
        assert_eq!(many(SELECTION_RANGES_MAX + 1).parse::<FileSelection>(), Err(SelectionError::TooMany));
        let too_many = (0..=SELECTION_RANGES_MAX as u32).map(|at| 2 * at..=2 * at);
        assert_eq!(FileSelection::new(too_many), Err(SelectionError::TooMany));
    }

    proptest! {
        #[test]
        fn it_is_the_set_of_its_ranges(ranges in prop::collection::vec((0u32..60, 0u32..8), 1..12)) {
            let ranges: Vec<_> = ranges.iter().map(|(first, more)| *first..=first + more).collect();
            let selection = FileSelection::new(ranges.clone()).expect("a selection");
            for file in 0..80usize {
                let naive = ranges.iter().any(|range| range.contains(&(file as u32)));
                prop_assert_eq!(selection.contains(file), naive);
            }
            prop_assert_eq!(selection.to_string().parse(), Ok(selection));
        }
    }
}
