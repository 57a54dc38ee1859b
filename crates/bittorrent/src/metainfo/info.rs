//! The info dictionary: what a torrent is, and what its info-hash is taken of.

use super::draft::Draft;
use super::error::{Fault, MetainfoError, Within};
use super::field;
use super::hash::{InfoHashV1, InfoHashV2, InfoHashes};
use super::layout::{File, FileKind, Layout, Version};
use super::limits::{BLOCK_OCTETS, Limits, PIECE_OCTETS_MAX, TOTAL_OCTETS_MAX};
use super::path::safe_name;
use super::{file_tree, files, hybrid, names, symlink};
use crate::bencode::{self, Dictionary, KeyOrder};
use std::ops::Range;

/// Octets of a piece hash of v1.
const V1_HASH_OCTETS: usize = 20;

/// An info dictionary that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    octets: Vec<u8>,
    hashes: InfoHashes,
    layout: Layout,
    private: bool,
    source: Option<String>,
    /// Where the piece hashes of v1 are in `octets`; empty for v2.
    v1_hashes: Range<usize>,
}

impl Info {
    /// Reads an info dictionary alone, as it comes from peers (BEP 9).
    ///
    /// # Errors
    /// When the octets are no info dictionary, exceed `limits`, or describe what
    /// cannot be.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, MetainfoError> {
        if octets.len() > limits.metainfo_octets_max {
            return Err(Fault::TooMuch(limits.metainfo_octets_max as u64).at("info"));
        }
        let value = bencode::decode(octets, &limits.bencode(KeyOrder::Any)).map_err(Fault::from);
        let value = value.map_err(|fault| fault.at("info"))?;
        let info = value.dictionary().ok_or_else(|| Fault::Kind("dictionary").at("info"))?;
        Self::from_dictionary(info, limits)
    }

    /// Reads an info dictionary that is part of `octets`.
    pub(super) fn from_dictionary(info: &Dictionary<'_>, limits: &Limits) -> Result<Self, MetainfoError> {
        read(info, limits).within("info")
    }

    /// The dictionary's octets: what is sent to peers that have a magnet link.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Its info-hashes.
    pub fn hashes(&self) -> InfoHashes {
        self.hashes
    }

    /// Its files and pieces.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The name of the torrent; safe as a name of a file.
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// Whether peers may come from its trackers alone (BEP 27).
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// What site it was made for: it gives one file another info-hash on each.
    pub fn source(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// The SHA-1 of a piece, for v1 and hybrid torrents.
    pub fn piece_hash_v1(&self, piece: u32) -> Option<[u8; V1_HASH_OCTETS]> {
        let hashes = self.octets.get(self.v1_hashes.clone())?;
        let begin = (piece as usize).checked_mul(V1_HASH_OCTETS)?;
        hashes.get(begin..begin.checked_add(V1_HASH_OCTETS)?)?.try_into().ok()
    }
}

fn read(info: &Dictionary<'_>, limits: &Limits) -> Result<Info, MetainfoError> {
    let has_v2 = is_v2(info, limits)?;
    let piece_length = piece_length(info, has_v2)?;
    let has_v1 = !has_v2 || info.get(b"files").is_some() || info.get(b"length").is_some();
    let octets = info.octets();
    let hashes =
        InfoHashes { v1: has_v1.then(|| InfoHashV1::of(octets)), v2: has_v2.then(|| InfoHashV2::of(octets)) };
    let version = match (has_v1, has_v2) {
        (true, true) => Version::Hybrid,
        (_, true) => Version::V2,
        (_, false) => Version::V1,
    };
    let (mut drafts, folder) = drafts(info, version, piece_length, limits)?;
    let name = name(info, hashes, &drafts, folder)?;
    let layout = lay_out(name, folder, version, piece_length, &mut drafts, limits)?;
    let v1_hashes = if has_v1 { v1_hashes(info, &layout)? } else { 0..0 };
    Ok(Info {
        octets: octets.to_vec(),
        hashes,
        layout,
        private: info.integer(b"private").is_some_and(|private| private != 0),
        source: field::first_text(info, ["source", "source"]),
        v1_hashes,
    })
}

/// Whether it is for v2 (too). v2 dictionaries must be canonical.
fn is_v2(info: &Dictionary<'_>, limits: &Limits) -> Result<bool, MetainfoError> {
    match info.integer(b"meta version") {
        Some(version @ 3..) => Err(Fault::Version(version).at("meta version")),
        Some(2) => {
            let strict = limits.bencode(KeyOrder::Sorted);
            bencode::decode(info.octets(), &strict).map_err(Fault::from)?;
            Ok(true)
        }
        _ if info.dictionary(b"file tree").is_some() => Err(Fault::NoVersion.into()),
        _ => Ok(false),
    }
}

fn piece_length(info: &Dictionary<'_>, has_v2: bool) -> Result<u32, MetainfoError> {
    let length = field::integer_within(info, "piece length", 1, PIECE_OCTETS_MAX.into())?;
    let length = u32::try_from(length).unwrap_or(PIECE_OCTETS_MAX);
    if has_v2 && (length < BLOCK_OCTETS || !length.is_power_of_two()) {
        return Err(Fault::PieceLength(length.into()).at("piece length"));
    }
    Ok(length)
}

/// The files, and whether they are in a folder.
fn drafts(
    info: &Dictionary<'_>,
    version: Version,
    piece_length: u32,
    limits: &Limits,
) -> Result<(Vec<Draft>, bool), MetainfoError> {
    let v1 = match info.list(b"files") {
        _ if !version.has_v1() => None,
        Some(list) => Some((files::list(list, limits)?, true)),
        None => Some((vec![files::single(info, limits)?], false)),
    };
    if !version.has_v2() {
        return Ok(v1.unwrap_or_default());
    }
    let tree = info.dictionary(b"file tree").ok_or_else(|| Fault::Missing.at("file tree"))?;
    let tree = file_tree::read(tree, limits)?;
    match v1 {
        None => Ok((tree.drafts, !tree.single)),
        Some((mut drafts, folder)) => {
            hybrid::join(&mut drafts, folder, &tree, piece_length)?;
            Ok((drafts, folder))
        }
    }
}

/// The torrent's name: a single file's own name, else the folder's; the info-hash
/// where no name is left.
fn name(
    info: &Dictionary<'_>,
    hashes: InfoHashes,
    drafts: &[Draft],
    folder: bool,
) -> Result<String, MetainfoError> {
    let name = field::first_bytes(info, ["name.utf-8", "name"]).ok_or_else(|| Fault::Missing.at("name"))?;
    if let ([only], false) = (drafts, folder) {
        return only.path.last().cloned().ok_or_else(|| Fault::EmptyName.at("name"));
    }
    let digits = || match (hashes.v1, hashes.v2) {
        (Some(hash), _) => hash.to_string(),
        (None, hash) => hash.map(|hash| hash.to_string()).unwrap_or_default(),
    };
    Ok(safe_name(name).unwrap_or_else(digits))
}

fn lay_out(
    name: String,
    folder: bool,
    version: Version,
    piece_length: u32,
    drafts: &mut [Draft],
    limits: &Limits,
) -> Result<Layout, MetainfoError> {
    check_sizes(version, piece_length, drafts, limits)?;
    let mut links = symlink::resolve(drafts);
    names::settle(drafts, limits)?;
    let file = |(index, draft): (usize, &mut Draft)| File {
        path: std::mem::take(&mut draft.path),
        raw_path: draft.raw_path.take(),
        length: draft.length,
        offset: 0,
        kind: match (links.remove(&index), draft.padding) {
            (_, true) => FileKind::Padding,
            (None, false) => FileKind::Regular,
            (Some(None), false) => FileKind::DeadSymlink,
            (Some(Some(target)), false) => FileKind::Symlink(target),
        },
        executable: draft.executable,
        hidden: draft.hidden,
        pieces_root: draft.pieces_root,
    };
    let files = drafts.iter_mut().enumerate().map(file).collect();
    Ok(Layout::new(name, folder, version, piece_length, files))
}

fn check_sizes(
    version: Version,
    piece_length: u32,
    drafts: &[Draft],
    limits: &Limits,
) -> Result<(), MetainfoError> {
    let piece = u64::from(piece_length);
    let mut total = 0u64;
    for draft in drafts {
        if version == Version::V2 && draft.length > 0 {
            total = total.next_multiple_of(piece);
        }
        // Neither sum can overflow: both numbers are far below 2^63.
        total += draft.length;
        if total > TOTAL_OCTETS_MAX {
            return Err(Fault::TooMuch(TOTAL_OCTETS_MAX).into());
        }
    }
    if total == 0 {
        return Err(Fault::NoContent.into());
    }
    if total.div_ceil(piece) > limits.pieces_max.into() {
        return Err(Fault::TooMuch(limits.pieces_max.into()).at("pieces"));
    }
    Ok(())
}

/// Where in the dictionary the piece hashes of v1 are.
fn v1_hashes(info: &Dictionary<'_>, layout: &Layout) -> Result<Range<usize>, MetainfoError> {
    let pieces = match info.get(b"pieces") {
        None => return Err(Fault::Missing.at("pieces")),
        Some(value) => value.bytes().ok_or_else(|| Fault::Kind("string").at("pieces"))?,
    };
    let expected = u64::from(layout.piece_count()) * V1_HASH_OCTETS as u64;
    if pieces.len() as u64 != expected {
        return Err(Fault::PieceHashes { expected, found: pieces.len() as u64 }.at("pieces"));
    }
    let begin = pieces.as_ptr().addr() - info.octets().as_ptr().addr();
    Ok(begin..begin + pieces.len())
}
