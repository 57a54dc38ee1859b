//! A file as it was read, before all files of the torrent are known.

use super::error::{Fault, MetainfoError};
use super::field;
use super::limits::{FILE_OCTETS_MAX, Limits};
use super::path::safe_component;
use crate::bencode::Dictionary;

/// What BitComet names its padding files.
const BITCOMET_PADDING: &[u8] = b"_____padding_file_";

/// A file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    /// Safe components below the torrent's folder.
    pub(super) path: Vec<String>,
    /// The components as they stand, where they are not safe.
    pub(super) raw_path: Option<Vec<Vec<u8>>>,
    pub(super) length: u64,
    pub(super) padding: bool,
    pub(super) executable: bool,
    pub(super) hidden: bool,
    /// Safe components of what a symlink names.
    pub(super) symlink: Option<Vec<String>>,
    pub(super) pieces_root: Option<[u8; 32]>,
}

/// The letters of `attr` (BEP 47).
#[derive(Debug, Clone, Copy)]
pub(super) struct Attributes {
    pub(super) padding: bool,
    pub(super) executable: bool,
    pub(super) hidden: bool,
    pub(super) symlink: bool,
}

impl Attributes {
    pub(super) fn read(entry: &Dictionary<'_>) -> Self {
        let letters = entry.bytes(b"attr").unwrap_or_default();
        let has = |letter| letters.contains(&letter);
        Self { padding: has(b'p'), executable: has(b'x'), hidden: has(b'h'), symlink: has(b'l') }
    }
}

impl Draft {
    /// Reads what the entries of v1 and v2 have in common: length, attributes and
    /// where a symlink leads.
    pub(super) fn read(
        entry: &Dictionary<'_>,
        raw_path: &[&[u8]],
        limits: &Limits,
    ) -> Result<Self, MetainfoError> {
        let attributes = Attributes::read(entry);
        // A symlink takes no room in the pieces, whatever its entry says.
        let length =
            if attributes.symlink { 0 } else { field::integer_within(entry, "length", 0, FILE_OCTETS_MAX)? };
        let symlink = match entry.list(b"symlink path") {
            Some(list) if attributes.symlink => {
                let target = field::path(list, limits.path_components_max, "symlink path")?;
                // BEP 47 forbids both; to leave them out keeps the target inside.
                let kept = target.into_iter().filter(|component| !matches!(*component, b"." | b".."));
                Some(kept.map(safe_component).collect())
            }
            _ => None,
        };
        let path: Vec<String> = raw_path.iter().map(|component| safe_component(component)).collect();
        let same = path.iter().zip(raw_path).all(|(safe, raw)| safe.as_bytes() == *raw);
        let bitcomet = |component: &&[u8]| {
            component.windows(BITCOMET_PADDING.len()).any(|window| window == BITCOMET_PADDING)
        };
        Ok(Self {
            raw_path: (!same).then(|| raw_path.iter().map(|component| component.to_vec()).collect()),
            path,
            length,
            padding: attributes.padding || raw_path.iter().any(bitcomet),
            executable: attributes.executable,
            hidden: attributes.hidden,
            symlink,
            pieces_root: None,
        })
    }

    /// Whether it is a file with content, which v1 and v2 must agree on.
    pub(super) fn has_content(&self) -> bool {
        !self.padding && self.length > 0
    }
}

/// Refuses one file more than there may be.
pub(super) fn check_count(files: usize, limits: &Limits) -> Result<(), Fault> {
    if files >= limits.files_max { Err(Fault::TooMuch(limits.files_max as u64)) } else { Ok(()) }
}
