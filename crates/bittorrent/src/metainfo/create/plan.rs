//! What a torrent shall be, checked before any octet is read.

use super::super::document::{is_tracker, is_web_seed};
use super::super::error::{Fault, MetainfoError};
use super::super::layout::Version;
use super::super::limits::{BLOCK_OCTETS, FILE_OCTETS_MAX, Limits, TOTAL_OCTETS_MAX};
use super::super::path::is_safe_component;
use std::collections::BTreeSet;
use thiserror::Error;

/// Pieces that a torrent has at most while its pieces are not the longest: some
/// tens of kilobytes of hashes, and pieces short enough to be passed on soon.
pub const PIECES_AIM: u64 = 1536;

/// Octets of the longest piece that is chosen unasked.
const CHOSEN_OCTETS_MAX: u32 = 16 * 1024 * 1024;

/// Octets of the longest piece that can be asked for.
const PIECE_OCTETS_MAX: u32 = 256 * 1024 * 1024;

/// A file to make a torrent of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileSpec {
    /// Its path below the torrent's folder. Empty for the file of a single-file
    /// torrent, which has the torrent's name. A torrent for v2 alone cannot tell one
    /// file in a folder from a single file (BEP 52): it becomes the latter.
    pub path: Vec<String>,
    /// Octets; 0 for a symlink.
    pub length: u64,
    /// Whether it may be executed.
    pub executable: bool,
    /// Whether it is not to be shown.
    pub hidden: bool,
    /// For a symlink: the path below the torrent's folder of what it leads to.
    pub symlink: Option<Vec<String>>,
}

/// What else a torrent is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// The torrent's name: of its folder or its only file.
    pub name: String,
    /// For which versions of the protocol.
    pub version: Version,
    /// Octets of a piece: a power of two from 16 KiB to 256 MiB. Chosen by the
    /// content's length where not given.
    pub piece_length: Option<u32>,
    /// Whether peers may come from the trackers alone (BEP 27).
    pub private: bool,
    /// Addresses of trackers, tier by tier.
    pub trackers: Vec<Vec<String>>,
    /// Web seeds (BEP 19).
    pub web_seeds: Vec<String>,
    /// Nodes of the DHT to begin with.
    pub nodes: Vec<(String, u16)>,
    /// Text for people.
    pub comment: Option<String>,
    /// The program that makes it.
    pub created_by: Option<String>,
    /// Now, in seconds since 1970.
    pub creation_date_seconds: Option<i64>,
    /// What site it is made for: it changes the info-hash.
    pub source: Option<String>,
}

impl CreateOptions {
    /// A hybrid torrent of this name and nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: Version::Hybrid,
            piece_length: None,
            private: false,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date_seconds: None,
            source: None,
        }
    }
}

/// Why no torrent can be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CreateError {
    /// No file has content.
    #[error("there is nothing to make a torrent of")]
    NoContent,
    /// A name that cannot be used on every disk: it is empty, `.`, `..`, too long,
    /// or has a separator or a control character.
    #[error("{0:?} cannot be a name in a torrent")]
    Name(String),
    /// A path that stands twice, or is of a file and of a folder.
    #[error("{0:?} is there twice")]
    Twice(String),
    /// A path with more folders than a torrent may have.
    #[error("{0:?} is too deep")]
    Deep(String),
    /// More files than a torrent may have.
    #[error("more than {0} files")]
    Files(usize),
    /// A file or all of them are longer than can be.
    #[error("{0} octets are too many")]
    Long(u64),
    /// A length of pieces that cannot be.
    #[error("pieces have a power of two of octets from 16384 to 268435456, not {0}")]
    PieceLength(u32),
    /// Pieces so short that there are too many.
    #[error("there would be more than {0} pieces: make them longer")]
    Pieces(u32),
    /// An address that is none of a tracker or web seed.
    #[error("{0:?} is no address of a tracker (http, https, udp) or web seed (http, https)")]
    Address(String),
    /// More octets than the files were said to have.
    #[error("a file has grown")]
    Surplus,
    /// Fewer octets than the files were said to have.
    #[error("a file has shrunk: {missing_octets} octets are missing")]
    Missing {
        /// Octets that did not come.
        missing_octets: u64,
    },
    /// What was made cannot be read: our own fault.
    #[error("the torrent made is wrong: {0}")]
    Made(#[from] MetainfoError),
}

impl From<Fault> for CreateError {
    fn from(fault: Fault) -> Self {
        Self::Made(fault.into())
    }
}

/// The length of pieces for so much content: as short as [`PIECES_AIM`] allows,
/// within 16 KiB and 16 MiB.
pub fn piece_length_for(content_octets: u64) -> u32 {
    let mut length = BLOCK_OCTETS;
    while length < CHOSEN_OCTETS_MAX && content_octets.div_ceil(length.into()) > PIECES_AIM {
        length *= 2;
    }
    length
}

/// A file in its place.
#[derive(Debug)]
pub(super) struct PlannedFile {
    /// Where it was in the list that we were told.
    pub(super) index: usize,
    pub(super) spec: FileSpec,
    /// Zeros behind it.
    pub(super) padding: u32,
}

/// What is to be made.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of the torrent: that of the file tree, which compares names
    /// octet by octet.
    pub(super) files: Vec<PlannedFile>,
    pub(super) piece_length: u32,
    pub(super) version: Version,
    /// Whether it is one file with the torrent's name.
    pub(super) single: bool,
}

impl Plan {
    pub(super) fn new(files: Vec<FileSpec>, options: &CreateOptions) -> Result<Self, CreateError> {
        let single = matches!(files.as_slice(), [only] if only.path.is_empty());
        check_names(&files, single, options)?;
        let mut content = 0u64;
        for file in &files {
            let sum = content.checked_add(file.length).filter(|sum| *sum <= TOTAL_OCTETS_MAX);
            content = sum.filter(|_| file.length <= FILE_OCTETS_MAX).ok_or(CreateError::Long(file.length))?;
            if file.symlink.is_some() && file.length > 0 {
                return Err(CreateError::Long(file.length));
            }
        }
        if content == 0 {
            return Err(CreateError::NoContent);
        }
        let piece_length = options.piece_length.unwrap_or_else(|| piece_length_for(content));
        if !piece_length.is_power_of_two() || !(BLOCK_OCTETS..=PIECE_OCTETS_MAX).contains(&piece_length) {
            return Err(CreateError::PieceLength(piece_length));
        }
        let mut files: Vec<_> = files.into_iter().enumerate().collect();
        files.sort_by(|(_, one), (_, other)| one.path.cmp(&other.path));
        let planned = |(index, spec)| PlannedFile { index, spec, padding: 0 };
        let mut files: Vec<_> = files.into_iter().map(planned).collect();
        let pieces = align(&mut files, options.version, piece_length);
        let pieces_max = Limits::DEFAULT.pieces_max;
        if pieces > u64::from(pieces_max) {
            return Err(CreateError::Pieces(pieces_max));
        }
        Ok(Self { files, piece_length, version: options.version, single })
    }
}

/// Sets the padding behind the files (BEP 47) and counts the pieces. The last
/// file with content has no padding: older programs refuse it there.
fn align(files: &mut [PlannedFile], version: Version, piece_length: u32) -> u64 {
    let piece = u64::from(piece_length);
    let mut end = 0u64;
    let mut last: Option<&mut PlannedFile> = None;
    for file in files.iter_mut().filter(|file| file.spec.length > 0) {
        if version.has_v2() {
            let aligned = end.next_multiple_of(piece);
            if let Some(last) = last {
                last.padding = u32::try_from(aligned - end).unwrap_or(0);
            }
            end = aligned;
        }
        end += file.spec.length;
        last = Some(file);
    }
    end.div_ceil(piece)
}

fn check_names(files: &[FileSpec], single: bool, options: &CreateOptions) -> Result<(), CreateError> {
    if !is_safe_component(&options.name) {
        return Err(CreateError::Name(options.name.clone()));
    }
    if files.len() > Limits::DEFAULT.files_max {
        return Err(CreateError::Files(Limits::DEFAULT.files_max));
    }
    let addresses = options.trackers.iter().flatten().map(|address| (address, is_tracker(address)));
    let mut addresses =
        addresses.chain(options.web_seeds.iter().map(|address| (address, is_web_seed(address))));
    if let Some((address, _)) = addresses.find(|(_, usable)| !usable) {
        return Err(CreateError::Address(address.clone()));
    }
    let components = files.iter().flat_map(|file| file.path.iter().chain(file.symlink.iter().flatten()));
    if let Some(unsafe_name) = components.into_iter().find(|component| !is_safe_component(component)) {
        return Err(CreateError::Name(unsafe_name.clone()));
    }
    let paths: BTreeSet<&[String]> = files.iter().map(|file| file.path.as_slice()).collect();
    let mut seen = BTreeSet::new();
    for file in files.iter().filter(|_| !single) {
        let name = || file.path.join("/");
        if file.path.is_empty() {
            return Err(CreateError::Name(String::new()));
        }
        let target = file.symlink.as_ref().map_or(0, Vec::len);
        if file.path.len().max(target) > Limits::DEFAULT.path_components_max {
            return Err(CreateError::Deep(name()));
        }
        let folder = |end| file.path.get(..end).is_some_and(|folder| paths.contains(folder));
        if !seen.insert(file.path.as_slice()) || (1..file.path.len()).any(folder) {
            return Err(CreateError::Twice(name()));
        }
    }
    Ok(())
}
