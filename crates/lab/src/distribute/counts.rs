//! Lists of N on the command line: `1,2,5-8`, or `none`.

use std::fmt;
use std::str::FromStr;

/// Numbers of clients, ascending, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(Vec<usize>);

/// Why a text is no list of numbers of clients.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CountsError {
    /// Something between the commas is neither a number nor a range.
    #[error("{0:?}: write numbers and ranges like 1,2,5-8, or none")]
    Syntax(String),
    /// A number is out of bounds.
    #[error("{0}: write numbers from 1 to {max}", max = Counts::MAX)]
    Bounds(usize),
}

impl Counts {
    /// The largest number.
    pub const MAX: usize = 1_000;

    /// These numbers.
    ///
    /// # Errors
    /// If one is 0 or larger than [`Counts::MAX`].
    pub fn new(counts: impl IntoIterator<Item = usize>) -> Result<Self, CountsError> {
        let mut counts: Vec<usize> = counts.into_iter().collect();
        if let Some(wrong) = counts.iter().find(|count| !(1..=Self::MAX).contains(*count)) {
            return Err(CountsError::Bounds(*wrong));
        }
        counts.sort_unstable();
        counts.dedup();
        Ok(Self(counts))
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The largest; 0 where there is none.
    pub fn max(&self) -> usize {
        self.0.last().copied().unwrap_or(0)
    }
}

impl FromStr for Counts {
    type Err = CountsError;

    fn from_str(text: &str) -> Result<Self, CountsError> {
        if text == "none" {
            return Ok(Self::default());
        }
        let mut counts = Vec::new();
        for part in text.split(',') {
            let number = |digits: &str| {
                digits.trim().parse::<usize>().map_err(|_| CountsError::Syntax(part.to_owned()))
            };
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (number(first)?, number(last)?),
                None => (number(part)?, number(part)?),
            };
            // Before the range is written out: it might be of any length.
            if last > Self::MAX {
                return Err(CountsError::Bounds(last));
            }
            if first > last {
                return Err(CountsError::Syntax(part.to_owned()));
            }
            counts.extend(first..=last);
        }
        Self::new(counts)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (at, count) in self.0.iter().enumerate() {
            write!(f, "{}{count}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_are_read() {
        for (text, expected) in
            [("1,2,5-8", "1,2,5,6,7,8"), ("8, 4,4", "4,8"), ("3-3", "3"), ("none", "none"), ("1000", "1000")]
        {
            let counts: Counts = text.parse().expect(text);
            assert_eq!(counts.to_string(), expected);
        }
        let none: Counts = "none".parse().expect("a list");
        assert!(none.is_empty());
        assert_eq!(none.max(), 0);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "a",
            "1,",
            "2-1",
            "-3",
            "1-2-3",
            "0",
            "0-3",
            "1001",
            "1-99999999999",
            "-1",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Counts>().is_err(), "{text}");
        }
    }
}
