//! What was read of published files, kept with what they looked like then: a start
//! reads no file again that is as it was.

use super::config::Folder;
use crate::original::{Original, OriginalFile};
use bittorrent::bencode::{Item, KeyOrder, Limits, Value, decode};
use bittorrent::metainfo::{self, Metainfo};
use sha1::{Digest, Sha1};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use storage::{Stamp, StorageError, files};

/// Octets of the largest file that is kept: a whole metainfo, and a hundred
/// thousand names and stamps.
const KEPT_OCTETS_MAX: u64 = 192 * 1024 * 1024;
/// What may stand in one.
const LIMITS: Limits = Limits { depth_max: 4, values_max: 2_000_000, key_order: KeyOrder::Any };
/// How the names of these files end.
const SUFFIX: &str = ".published";

/// The folder in which it is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept(PathBuf);

impl Kept {
    /// Below a data folder.
    pub(super) fn in_folder(data: &Path) -> Self {
        Self(data.join("published"))
    }

    fn file(&self, place: &Path) -> PathBuf {
        let digest = Sha1::digest(place.as_os_str().as_encoded_bytes());
        let name = digest.iter().fold(String::new(), |mut name, octet| {
            // Writing to a string does not fail.
            let _ = write!(name, "{octet:02x}");
            name
        });
        self.0.join(name + SUFFIX)
    }

    /// Keeps the torrent of what lies at `place`.
    ///
    /// # Errors
    /// When the disk is full or fails; then the next start reads the files again.
    pub(super) fn write(
        &self,
        place: &Path,
        folder: &Folder,
        original: &Original,
        metainfo: &Metainfo,
    ) -> Result<(), StorageError> {
        let item = Item::dictionary([
            ("place", Item::Bytes(place.as_os_str().as_encoded_bytes().to_vec())),
            ("files", Item::List(original.files.iter().map(file_item).collect())),
            ("making", making(folder)),
            ("torrent", Item::Bytes(metainfo.encode())),
        ]);
        files::write_atomically(&self.file(place), &item.encode(), files::SECRET)
    }

    /// The torrent of what lies at `place`, where its files look as they did when
    /// they were read, and it would be made the same way.
    pub(super) fn read(&self, place: &Path, folder: &Folder, original: &Original) -> Option<Metainfo> {
        let octets = files::read(&self.file(place), KEPT_OCTETS_MAX).ok()??;
        let value = decode(&octets, &LIMITS).ok()?;
        let root = value.dictionary()?;
        let files = root.list(b"files")?;
        let same = files.len() == original.files.len()
            && files.iter().zip(&original.files).all(|(kept, file)| is_same(kept, file) == Some(true));
        if !same || encoded(root.get(b"making")?) != making(folder).encode() {
            return None;
        }
        Metainfo::parse(root.bytes(b"torrent")?, &metainfo::Limits::DEFAULT).ok()
    }

    /// Forgets what was kept of `place`.
    pub(super) fn remove(&self, place: &Path) {
        if let Err(error) = files::remove(&self.file(place)) {
            tracing::warn!(%error, "what was kept of a published file cannot be removed");
        }
    }

    /// Forgets files that are gone: those whose folder is there without them.
    pub(super) fn sweep(&self) {
        for file in files::list(&self.0, SUFFIX).unwrap_or_default() {
            let place = files::read(&file, KEPT_OCTETS_MAX).ok().flatten().and_then(|octets| {
                let value = decode(&octets, &LIMITS).ok()?;
                let place = value.dictionary()?.bytes(b"place")?.to_vec();
                String::from_utf8(place).ok().map(PathBuf::from)
            });
            let gone = place.is_none_or(|place| !place.exists() && place.parent().is_some_and(Path::is_dir));
            if gone {
                let _ = files::remove(&file);
            }
        }
    }
}

fn file_item(file: &OriginalFile) -> Item {
    let path = file.path.iter().map(|name| name.as_str().into()).collect();
    let Stamp { octets, modified_ns } = file.stamp;
    Item::List(vec![Item::List(path), octets.cast_signed().into(), modified_ns.cast_signed().into()])
}

fn is_same(kept: &Value<'_>, file: &OriginalFile) -> Option<bool> {
    let [path, octets, modified] = kept.list()? else { return None };
    let path = path.list()?;
    let stamp =
        Stamp { octets: octets.integer()?.cast_unsigned(), modified_ns: modified.integer()?.cast_unsigned() };
    let same_path = path.len() == file.path.len()
        && path.iter().zip(&file.path).all(|(kept, name)| kept.text() == Some(name));
    Some(same_path && stamp == file.stamp)
}

/// What the info dictionary depends on beside the files.
fn making(folder: &Folder) -> Item {
    Item::List(vec![
        format!("{:?}", folder.format).as_str().into(),
        i64::from(folder.piece_octets.unwrap_or(0)).into(),
        i64::from(folder.private).into(),
    ])
}

fn encoded(value: &Value<'_>) -> Vec<u8> {
    let item = |value: &Value<'_>| match (value.integer(), value.text()) {
        (Some(integer), _) => Item::Integer(integer),
        (_, Some(text)) => text.into(),
        _ => Item::List(Vec::new()),
    };
    Item::List(value.list().unwrap_or_default().iter().map(item).collect()).encode()
}

#[cfg(test)]
mod tests {
    use super::super::config::Format;
    use super::*;
    use crate::original::{Hidden, Making};
    use bittorrent::metainfo::Version;
    use std::fs;
    use std::ops::ControlFlow;

    #[test]
    fn what_is_kept_holds_until_a_file_or_the_making_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let kept = Kept::in_folder(&folder.path().join("data"));
        let album = folder.path().join("files/album");
        fs::create_dir_all(album.join("deep")).expect("folders");
        fs::write(album.join("deep/song"), "la la").expect("written");
        let original = Original::look(&album, Hidden::LeftOut).expect("an original");
        let making = Making::new(Version::Hybrid);
        let made = original.make(making, |_, _| ControlFlow::Continue(())).expect("a torrent");
        let options = Folder::new(folder.path().join("files"));
        assert_eq!(kept.read(&album, &options, &original), None);
        kept.write(&album, &options, &original, &made).expect("kept");
        let read = |options: &Folder| {
            let original = Original::look(&album, Hidden::LeftOut).expect("an original");
            kept.read(&album, options, &original)
        };
        assert_eq!(read(&options).map(|metainfo| metainfo.info.hashes()), Some(made.info.hashes()));
        assert_eq!(read(&Folder { format: Format::V1, ..options.clone() }), None);
        assert_eq!(read(&Folder { private: true, ..options.clone() }), None);
        kept.sweep();
        assert!(read(&options).is_some(), "it is there still");
        fs::write(album.join("deep/song"), "la la la").expect("written");
        assert_eq!(read(&options), None);

        let file = kept.file(&album);
        for garbage in [&b""[..], b"de", b"d5:filesle6:makingle7:torrent1:xe", &[0xff; 100]] {
            fs::write(&file, garbage).expect("written");
            assert_eq!(read(&options), None);
        }
        kept.write(&album, &options, &original, &made).expect("kept");
        fs::remove_dir_all(&album).expect("removed");
        kept.sweep();
        assert!(!file.exists(), "its file is gone");
    }
}
