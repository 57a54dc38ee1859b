//! Why octets are no metainfo, and where.

use crate::bencode::DecodeError;
use thiserror::Error;

/// Octets of a place that is named in an error; a hostile name is cut short.
const PLACE_OCTETS_MAX: usize = 400;

/// Why octets are no metainfo: always the fault of who made them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{}{fault}", place, if place.is_empty() { "" } else { ": " })]
pub struct MetainfoError {
    /// Where, e.g. `info.files[3].length`; empty where it is about the whole.
    pub place: String,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a metainfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// It is no bencoded value.
    #[error(transparent)]
    Bencoding(#[from] DecodeError),
    /// What must be there is not.
    #[error("missing")]
    Missing,
    /// It is another kind of value.
    #[error("not a {0}")]
    Kind(&'static str),
    /// It is longer, larger or more than what is accepted.
    #[error("more than {0}")]
    TooMuch(u64),
    /// A number is out of its range.
    #[error("{0} is out of range")]
    OutOfRange(i64),
    /// Pieces of v2 have a power of two of octets, 16 KiB at least.
    #[error("a piece of v2 has a power of two of octets, at least 16384, not {0}")]
    PieceLength(i64),
    /// A later version than 2.
    #[error("version {0} is not known")]
    Version(i64),
    /// There is a file tree but no version.
    #[error("there is a file tree, but no meta version")]
    NoVersion,
    /// A name of which nothing is left once it is safe.
    #[error("an empty name")]
    EmptyName,
    /// No file, or none with content.
    #[error("there is nothing in it")]
    NoContent,
    /// Another number of piece hashes than pieces.
    #[error("{found} octets of piece hashes where the files need {expected}")]
    PieceHashes {
        /// Octets that the files need.
        expected: u64,
        /// Octets there are.
        found: u64,
    },
    /// v2 describes padding by itself.
    #[error("a file tree has no padding files")]
    Padding,
    /// A file of v2 with content has no hash.
    #[error("a file without a valid root of its pieces")]
    PiecesRoot,
    /// The parts for v1 and for v2 describe other files.
    #[error("the files of v1 and of v2 are not the same")]
    Hybrid,
    /// Hashes of pieces that belong to no file.
    #[error("a piece layer of no file")]
    UnknownLayer,
    /// Another number of hashes than the file has pieces.
    #[error("a piece layer of another length than its file")]
    LayerLength,
    /// The hashes of a file's pieces do not give its root.
    #[error("a piece layer that does not hash to its root")]
    LayerHash,
    /// So many files share names that it is an attack.
    #[error("too many files have one name")]
    Names,
}

impl MetainfoError {
    /// Puts the place into a larger one: `name` is its key there.
    pub(super) fn within(mut self, name: &str) -> Self {
        let joint = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place.insert_str(0, joint);
        self.place.insert_str(0, name);
        if self.place.len() > PLACE_OCTETS_MAX {
            let end = self.place.floor_char_boundary(PLACE_OCTETS_MAX);
            self.place.truncate(end);
        }
        self
    }
}

impl From<Fault> for MetainfoError {
    fn from(fault: Fault) -> Self {
        Self { place: String::new(), fault }
    }
}

impl Fault {
    /// The error that is at `place`.
    pub(super) fn at(self, place: &str) -> MetainfoError {
        MetainfoError::from(self).within(place)
    }
}

/// Adds the place to the error of a result.
pub(super) trait Within {
    /// The same, its error put into a larger place.
    fn within(self, name: &str) -> Self;
    /// The same, its error put into item `index` of the list `name`.
    fn within_item(self, name: &str, index: usize) -> Self;
}

impl<T> Within for Result<T, MetainfoError> {
    fn within(self, name: &str) -> Self {
        self.map_err(|error| error.within(name))
    }

    fn within_item(self, name: &str, index: usize) -> Self {
        self.map_err(|error| error.within(&format!("{name}[{index}]")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_put_together_and_bounded() {
        let error = Fault::Missing.at("length");
        let error = Err::<(), _>(error).within_item("files", 3).within("info").expect_err("an error");
        assert_eq!(error.to_string(), "info.files[3].length: missing");
        assert_eq!(MetainfoError::from(Fault::NoContent).to_string(), "there is nothing in it");
        let long = (0..100).fold(error, |error, _| error.within("ééééééééé"));
        assert!(long.place.len() <= PLACE_OCTETS_MAX);
        assert!(long.place.starts_with("ééééééééé.é"));
    }
}
