//! What a restart goes on with: which pieces are here, and whether the files are
//! as they were left.

use bittorrent::bencode::{Item, KeyOrder, Limits, decode};
use bittorrent::metainfo::{Info, InfoHashV1};
use bittorrent::torrent::PieceSet;
use std::path::{Path, PathBuf};
use storage::{Stamp, StorageError, files};

/// The largest resume file, in octets: two million pieces, a million files.
const RESUME_OCTETS_MAX: u64 = 64 * 1024 * 1024;
/// What may stand in one.
const LIMITS: Limits = Limits { depth_max: 4, values_max: 8_000_000, key_order: KeyOrder::Any };

/// The state of a torrent between two runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resume {
    /// The pieces that are here.
    pub(crate) have: Vec<u8>,
    /// Written by a clean stop: where the stamps are the files', `have` can be
    /// believed. After a crash all is checked.
    pub(crate) clean: bool,
    /// What the files looked like; `None` for those not there.
    pub(crate) stamps: Vec<Option<Stamp>>,
    /// Octets sent to others so far.
    pub(crate) sent_octets: u64,
}

/// Where the state of a torrent is kept in a data folder.
pub(crate) fn resume_file(data: &Path, hash: &InfoHashV1) -> PathBuf {
    data.join("torrents").join(format!("{hash}.resume"))
}

impl Resume {
    /// Writes it durably.
    ///
    /// # Errors
    /// When the disk is full or fails; the one before stays.
    pub(crate) fn write(&self, file: &Path) -> Result<(), StorageError> {
        files::write_atomically(file, &self.encode(), files::SECRET)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let stamp = |stamp: &Option<Stamp>| match stamp {
            Some(Stamp { octets, modified_ns }) => Item::List(vec![
                Item::Integer(octets.cast_signed()),
                Item::Integer(modified_ns.cast_signed()),
            ]),
            None => Item::List(Vec::new()),
        };
        let item = Item::dictionary([
            ("clean", Item::Integer(self.clean.into())),
            ("files", Item::List(self.stamps.iter().map(stamp).collect())),
            ("have", Item::Bytes(self.have.clone())),
            ("sent", Item::Integer(self.sent_octets.cast_signed())),
        ]);
        item.encode()
    }

    /// Reads it; `None` where there is none, or it is none of ours: then all is
    /// checked.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, StorageError> {
        Ok(files::read(file, RESUME_OCTETS_MAX)?.and_then(|octets| Self::decode(&octets)))
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let value = decode(octets, &LIMITS).ok()?;
        let root = value.dictionary()?;
        let stamp = |value: &bittorrent::bencode::Value<'_>| match value.list()? {
            [] => Some(None),
            [octets, modified] => Some(Some(Stamp {
                octets: octets.integer()?.cast_unsigned(),
                modified_ns: modified.integer()?.cast_unsigned(),
            })),
            _ => None,
        };
        Some(Self {
            have: root.bytes(b"have")?.to_vec(),
            clean: root.integer(b"clean")? == 1,
            stamps: root.list(b"files")?.iter().map(stamp).collect::<Option<_>>()?,
            sent_octets: root.integer(b"sent").unwrap_or(0).cast_unsigned(),
        })
    }

    /// The pieces to be believed, where it was left clean and nothing has changed.
    pub(crate) fn believed(&self, info: &Info, stamps: &[Option<Stamp>]) -> Option<PieceSet> {
        if !self.clean || self.stamps != stamps {
            return None;
        }
        PieceSet::from_bitfield(info.layout().piece_count(), &self.have).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same_and_garbage_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = resume_file(folder.path(), &InfoHashV1([7; 20]));
        assert_eq!(Resume::read(&file).expect("no error"), None);
        let resume = Resume {
            have: vec![0b1010_0000],
            clean: true,
            stamps: vec![Some(Stamp { octets: 5, modified_ns: 1 << 60 }), None],
            sent_octets: 99,
        };
        resume.write(&file).expect("written");
        assert_eq!(Resume::read(&file).expect("read"), Some(resume));
        for garbage in [&b""[..], b"de", b"d5:cleani1e4:have1:\x00e", b"i1e", &[0xff; 100]] {
            std::fs::write(&file, garbage).expect("written");
            assert_eq!(Resume::read(&file).expect("no error"), None);
        }
    }
}
