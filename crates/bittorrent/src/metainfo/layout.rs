//! Which octets of which file are which octets of which piece.

use super::limits::BLOCK_OCTETS;
use std::ops::Range;

/// Which versions of the protocol a torrent is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// BEP 3: files follow one another, pieces may span several.
    V1,
    /// BEP 52: every file begins a piece, its last piece is short.
    V2,
    /// Both: every file begins a piece, padding files fill the gaps.
    Hybrid,
}

impl Version {
    /// Whether there are hashes of v1.
    pub fn has_v1(self) -> bool {
        self != Self::V2
    }

    /// Whether there are hashes of v2.
    pub fn has_v2(self) -> bool {
        self != Self::V1
    }
}

/// What a file is to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    Regular,
    /// Zeros that fill up a piece and are not kept (BEP 47).
    Padding,
    /// A symlink to the file or folder with this path below the torrent's folder
    /// (BEP 47).
    Symlink(Vec<String>),
    /// A symlink that leads out of the torrent or nowhere: it is not made.
    DeadSymlink,
}

/// A file of a torrent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path below the torrent's folder: components that are safe, and no path
    /// stands for two files or for a file and a folder. Never empty.
    pub path: Vec<String>,
    /// Its path as the torrent has it, where that is another: web seeds know it by
    /// this one.
    pub raw_path: Option<Vec<Vec<u8>>>,
    /// Octets.
    pub length: u64,
    /// Its first octet in the space of the pieces.
    pub offset: u64,
    /// What it is to the disk.
    pub kind: FileKind,
    /// Whether it may be executed (BEP 47).
    pub executable: bool,
    /// Whether it is not to be shown (BEP 47).
    pub hidden: bool,
    /// The root of its merkle tree (BEP 52): there in v2 and hybrid torrents when
    /// it has content.
    pub pieces_root: Option<[u8; 32]>,
}

impl File {
    /// Whether it is a padding file.
    pub fn is_padding(&self) -> bool {
        self.kind == FileKind::Padding
    }

    /// Its 16 KiB blocks: the leaves of its merkle tree.
    pub fn block_count(&self) -> u64 {
        self.length.div_ceil(BLOCK_OCTETS.into())
    }

    fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// How the files of a torrent lie in the space of its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    name: String,
    folder: bool,
    version: Version,
    piece_length: u32,
    files: Vec<File>,
    total_octets: u64,
    piece_count: u32,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Which file, counted from 0.
    pub file: usize,
    /// Its first octet in the file.
    pub offset: u64,
    /// Octets, at least one.
    pub length: u32,
}

impl Layout {
    /// Lays out `files` one after the other, for v2 each at the beginning of a
    /// piece. Their sum and the number of pieces are checked by the caller, and
    /// `piece_length` is not 0.
    pub(super) fn new(
        name: String,
        folder: bool,
        version: Version,
        piece_length: u32,
        mut files: Vec<File>,
    ) -> Self {
        let piece = u64::from(piece_length);
        let mut end = 0u64;
        for file in &mut files {
            if version == Version::V2 && file.length > 0 {
                end = end.next_multiple_of(piece);
            }
            file.offset = end;
            end += file.length;
        }
        let piece_count = u32::try_from(end.div_ceil(piece)).unwrap_or(u32::MAX);
        Self { name, folder, version, piece_length, files, total_octets: end, piece_count }
    }

    /// The name of the torrent: a safe component of a path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder that holds the files; nothing for a single-file torrent.
    pub fn folder(&self) -> Option<&str> {
        self.folder.then_some(self.name.as_str())
    }

    /// Which versions of the protocol it is for.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Octets of a piece that is not cut short by the end of the torrent or (v2)
    /// of a file.
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The files in order. A selection (BEP 53) and a slice name one by its index.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Octets from the beginning of the first piece to the end of the last,
    /// padding included.
    pub fn total_octets(&self) -> u64 {
        self.total_octets
    }

    /// Octets of files, without padding.
    pub fn content_octets(&self) -> u64 {
        self.files.iter().filter(|file| !file.is_padding()).map(|file| file.length).sum()
    }

    /// Number of pieces, at least 1.
    pub fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Octets of a piece as it is sent between peers; 0 beyond the last. Of v1 and
    /// hybrid torrents only the last piece is short, of v2 the last of each file.
    pub fn piece_octets(&self, piece: u32) -> u32 {
        let end = match self.version {
            Version::V2 => self.file_of_piece(piece).map_or(0, File::end),
            Version::V1 | Version::Hybrid => self.total_octets,
        };
        let left = end.saturating_sub(self.piece_offset(piece));
        u32::try_from(left).map_or(self.piece_length, |left| left.min(self.piece_length))
    }

    /// Octets of a piece that belong to a file rather than to padding behind it:
    /// what the hash of v2 is taken of. 0 where there is no such hash.
    pub fn piece_content_octets(&self, piece: u32) -> u32 {
        let left = self.file_of_piece(piece).map_or(0, |file| file.end() - self.piece_offset(piece));
        u32::try_from(left).map_or(self.piece_length, |left| left.min(self.piece_length))
    }

    /// How much of a piece is of files, of any version. As many steps as it has files.
    pub fn piece_content(&self, piece: u32) -> PieceContent {
        let mut content = PieceContent::default();
        let mut at = 0;
        for slice in self.slices(piece, 0, self.piece_octets(piece)).into_iter().flatten() {
            at += slice.length;
            if self.files.get(slice.file).is_some_and(|file| !file.is_padding()) {
                content.octets += slice.length;
                content.end = at;
            }
        }
        content
    }

    /// The pieces that have padding, and their content, in order.
    pub fn padded_pieces(&self) -> impl Iterator<Item = (u32, PieceContent)> + '_ {
        let padding = self.files.iter().enumerate().filter(|(_, file)| file.is_padding());
        let mut next = 0;
        // A piece with padding twice counts once.
        let pieces = padding.flat_map(move |(index, _)| {
            let pieces = self.file_pieces(index);
            let fresh = pieces.start.max(next)..pieces.end;
            next = next.max(pieces.end);
            fresh
        });
        pieces.map(|piece| (piece, self.piece_content(piece)))
    }

    /// Where a piece begins.
    pub fn piece_offset(&self, piece: u32) -> u64 {
        u64::from(piece) * u64::from(self.piece_length)
    }

    /// Blocks of a piece: 16 KiB each, the last may be shorter (BEP 3).
    pub fn block_count(&self, piece: u32) -> u32 {
        self.piece_octets(piece).div_ceil(BLOCK_OCTETS)
    }

    /// Octets of a block; 0 beyond the last of the piece.
    pub fn block_octets(&self, piece: u32, block: u32) -> u32 {
        let begin = block.saturating_mul(BLOCK_OCTETS);
        self.piece_octets(piece).saturating_sub(begin).min(BLOCK_OCTETS)
    }

    /// Which parts of which files make up `length` octets of a piece from `offset`
    /// on, padding files included; nothing where that reaches beyond the piece.
    pub fn slices(&self, piece: u32, offset: u32, length: u32) -> Option<Slices<'_>> {
        if piece >= self.piece_count || offset.checked_add(length)? > self.piece_octets(piece) {
            return None;
        }
        let begin = self.piece_offset(piece) + u64::from(offset);
        Some(Slices { layout: self, file: self.first_file_behind(begin), at: begin, left: length })
    }

    /// The pieces that hold octets of a file; empty for an empty file or one that
    /// is not there.
    pub fn file_pieces(&self, file: usize) -> Range<u32> {
        let piece = u64::from(self.piece_length);
        match self.files.get(file) {
            Some(file) if file.length > 0 => {
                let first = u32::try_from(file.offset / piece).unwrap_or(self.piece_count);
                let end = u32::try_from(file.end().div_ceil(piece)).unwrap_or(self.piece_count);
                first..end
            }
            _ => 0..0,
        }
    }

    /// The pieces that a set of files needs: ranges in order that do not touch.
    /// Padding is never needed for itself.
    pub fn pieces_of(&self, wanted: impl Fn(usize) -> bool) -> Vec<Range<u32>> {
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for (index, file) in self.files.iter().enumerate() {
            let pieces = self.file_pieces(index);
            if pieces.is_empty() || file.is_padding() || !wanted(index) {
                continue;
            }
            match ranges.last_mut() {
                Some(last) if pieces.start <= last.end => last.end = last.end.max(pieces.end),
                _ => ranges.push(pieces),
            }
        }
        ranges
    }

    /// The file with a merkle tree (v2 and hybrid) that a piece belongs to, and
    /// which of its pieces it is.
    pub fn merkle_file(&self, piece: u32) -> Option<(&File, u32)> {
        let file = self.file_of_piece(piece)?;
        let first = u32::try_from(file.offset / u64::from(self.piece_length)).ok()?;
        file.pieces_root.is_some().then_some((file, piece - first))
    }

    /// The file that has the first octet of a piece, where each file begins one.
    fn file_of_piece(&self, piece: u32) -> Option<&File> {
        if !self.version.has_v2() || piece >= self.piece_count {
            return None;
        }
        let begin = self.piece_offset(piece);
        self.files.get(self.first_file_behind(begin)).filter(|file| file.offset <= begin)
    }

    /// The first file that ends behind an offset.
    fn first_file_behind(&self, offset: u64) -> usize {
        self.files.partition_point(|file| file.end() <= offset)
    }
}

/// What of a piece is of files rather than padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PieceContent {
    /// Its octets.
    pub octets: u32,
    /// Where the last of them ends in the piece; behind it is padding only.
    pub end: u32,
}

/// The parts of files that make up a part of a piece.
#[derive(Debug, Clone)]
pub struct Slices<'l> {
    layout: &'l Layout,
    file: usize,
    at: u64,
    left: u32,
}

impl Iterator for Slices<'_> {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        while self.left > 0 {
            let index = self.file;
            let file = self.layout.files.get(index)?;
            let offset = self.at.checked_sub(file.offset)?;
            let here = file.length.saturating_sub(offset);
            let length = u32::try_from(here).map_or(self.left, |here| here.min(self.left));
            self.at += u64::from(length);
            self.left -= length;
            if u64::from(length) == here {
                self.file += 1;
            }
            if length > 0 {
                return Some(Slice { file: index, offset, length });
            }
        }
        None
    }
}
