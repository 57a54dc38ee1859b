//! A torrent as it is published: what a page shows of it, and its files for who
//! gets them over HTTP.

use super::config::Folder;
use crate::original::Original;
use bittorrent::metainfo::{InfoHashes, Metainfo};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use storage::Stamp;

/// By which addresses others reach what belongs to a torrent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Our trackers, e.g. `udp://192.0.2.1:6969/announce`: one tier.
    pub trackers: Vec<String>,
    /// Where our web server has the torrents, e.g. `http://192.0.2.1/torrents`.
    pub web: Vec<String>,
}

/// A torrent that is published.
#[derive(Debug)]
pub struct Published {
    /// Its info-hash in hexadecimal, of v1 where it has one: its name in addresses.
    pub id: String,
    /// What the page calls the folder it lies in.
    pub folder_name: Option<String>,
    /// Its files, in the order of their paths.
    pub files: Vec<PublishedFile>,
    /// Octets of all files.
    pub octets: u64,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) original: Arc<Original>,
    pub(super) folder: Arc<Folder>,
    by_path: HashMap<String, usize>,
    /// Octets of padding files by their path (BEP 47), for programs that ask web
    /// seeds for them.
    padding: HashMap<String, u64>,
}

/// A file of a published torrent.
#[derive(Debug, Clone)]
pub struct PublishedFile {
    /// Its path with the torrent's name, parts divided by slashes: what follows the
    /// torrent's own address of a web seed (BEP 19).
    pub path: String,
    /// Its octets.
    pub octets: u64,
    stamp: Stamp,
    place: PathBuf,
}

/// What can be had of a torrent over HTTP: a file, opened to be read.
#[derive(Debug)]
pub struct Served {
    octets: u64,
    /// Absent for padding, which is zeros.
    file: Option<File>,
}

impl Served {
    /// Its octets.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// So many octets from `offset`. Blocks.
    ///
    /// # Errors
    /// When the disk fails, or the file has become shorter.
    pub fn read(&self, offset: u64, octets: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; octets];
        if let Some(file) = &self.file {
            file.read_exact_at(&mut buffer, offset)?;
        }
        Ok(buffer)
    }
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The torrent has no such file.
    #[error("the torrent has no such file")]
    NoFile,
    /// Its file is another by now; the torrent is about to be made again.
    #[error("the file is being changed; its torrent will be made again")]
    Changed,
    /// The disk fails.
    #[error("the file cannot be read: {0}")]
    Failed(io::Error),
}

impl Published {
    /// The torrent of `original`, to be reached at `addresses`.
    pub(super) fn new(
        mut metainfo: Metainfo,
        original: Arc<Original>,
        folder: Arc<Folder>,
        addresses: &Addresses,
    ) -> Self {
        let hashes = metainfo.info.hashes();
        let id = match (hashes.v1, hashes.v2) {
            (Some(hash), _) => hash.to_string(),
            (None, hash) => hash.map(|hash| hash.to_string()).unwrap_or_default(),
        };
        metainfo.trackers = std::iter::once(&addresses.trackers)
            .filter(|ours| !ours.is_empty())
            .cloned()
            .chain(folder.trackers.iter().map(|url| vec![url.clone()]))
            .collect();
        metainfo.web_seeds = addresses.web.iter().map(|web| format!("{web}/{id}/")).collect();
        metainfo.comment.clone_from(&folder.comment);
        let file = |file: &crate::original::OriginalFile| {
            let place = original.path(file);
            PublishedFile {
                path: place.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/"),
                octets: file.stamp.octets,
                stamp: file.stamp,
                place,
            }
        };
        let mut files: Vec<_> = original.files.iter().map(file).collect();
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let by_path = files.iter().enumerate().map(|(index, file)| (file.path.clone(), index)).collect();
        let layout = metainfo.info.layout();
        let padding = layout.files().iter().filter(|file| file.is_padding()).map(|file| {
            let path = std::iter::once(layout.name()).chain(file.path.iter().map(String::as_str));
            (path.collect::<Vec<_>>().join("/"), file.length)
        });
        let padding = padding.collect();
        Self {
            id,
            folder_name: folder.name.clone(),
            octets: original.octets(),
            files,
            metainfo: Arc::new(metainfo),
            original,
            folder,
            by_path,
            padding,
        }
    }

    /// The same, to be reached at other addresses.
    pub(super) fn at(&self, addresses: &Addresses) -> Self {
        Self::new((*self.metainfo).clone(), self.original.clone(), self.folder.clone(), addresses)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.original.name
    }

    /// Its info-hashes.
    pub fn hashes(&self) -> InfoHashes {
        self.metainfo.info.hashes()
    }

    /// The link by which a client that is given nothing else finds it (BEP 9).
    pub fn magnet(&self) -> String {
        self.metainfo.magnet().to_string()
    }

    /// The octets of its torrent file.
    pub fn torrent_file(&self) -> Vec<u8> {
        self.metainfo.encode()
    }

    /// What its files looked like when they were read, in the order of the
    /// torrent; `None` for padding.
    pub(super) fn stamps(&self) -> Vec<Option<Stamp>> {
        let layout = self.metainfo.info.layout();
        let stamp = |file: &bittorrent::metainfo::File| {
            let in_folder = layout.folder().is_some();
            let path = in_folder.then(|| file.path.iter().map(String::as_str)).into_iter().flatten();
            let path: Vec<_> = std::iter::once(layout.name()).chain(path).collect();
            let index = self.by_path.get(&path.join("/"))?;
            self.files.get(*index).map(|file| file.stamp)
        };
        layout.files().iter().map(stamp).collect()
    }

    /// The number of the file at `path`, for tags that tell files apart.
    pub fn file_number(&self, path: &str) -> Option<usize> {
        self.by_path.get(path).copied()
    }

    /// Opens what lies at `path`, the torrent's name first, parts divided by
    /// slashes. Nothing but the files of the torrent can be had so. Blocks.
    ///
    /// # Errors
    /// When there is no such file, or it has changed since it was read.
    pub fn open(&self, path: &str) -> Result<Served, ServeError> {
        let Some(file) = self.file_number(path).and_then(|index| self.files.get(index)) else {
            return self
                .padding
                .get(path)
                .map(|octets| Served { octets: *octets, file: None })
                .ok_or(ServeError::NoFile);
        };
        let opened =
            storage::open_below(&self.original.folder, &file.place).map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::InvalidInput => ServeError::Changed,
                _ => ServeError::Failed(error),
            })?;
        let metadata = opened.metadata().map_err(ServeError::Failed)?;
        if Stamp::from(&metadata) != file.stamp {
            return Err(ServeError::Changed);
        }
        Ok(Served { octets: file.octets, file: Some(opened) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::original::{Hidden, Making};
    use bittorrent::metainfo::Version;
    use std::fs;
    use std::ops::ControlFlow;

    fn published(path: &std::path::Path) -> Published {
        let original = Original::look(path, Hidden::LeftOut).expect("an original");
        let making = Making::new(Version::Hybrid);
        let made = original.make(making, |_, _| ControlFlow::Continue(())).expect("a torrent");
        let addresses = Addresses {
            trackers: vec!["udp://127.0.0.1:1/announce".to_owned()],
            web: vec!["http://127.0.0.1/torrents".to_owned()],
        };
        Published::new(made, Arc::new(original), Arc::new(Folder::new(path)), &addresses)
    }

    #[test]
    fn nothing_but_the_files_of_the_torrent_is_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let album = folder.path().join("album");
        fs::create_dir_all(album.join("deep")).expect("folders");
        fs::write(album.join("a"), "first").expect("written");
        fs::write(album.join("deep/b"), "second").expect("written");
        fs::write(folder.path().join("secret"), "no").expect("written");
        let published = published(&album);
        let told = |path: &str| match published.open(path) {
            Ok(served) if served.file.is_none() => format!("{} zeros", served.octets()),
            Ok(served) => {
                let octets = served.read(0, served.octets() as usize).expect("read");
                assert!(served.read(1, octets.len()).is_err(), "behind its end");
                String::from_utf8(octets).expect("text")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(told("album/a"), "first");
        assert_eq!(told("album/deep/b"), "second");
        let padding = published.padding.iter().next().expect("padding behind the first file");
        assert_eq!(told(padding.0), format!("{} zeros", padding.1));
        for path in
            ["", "a", "album", "album/", "album/../secret", "secret", "/album/a", "album//a", "album/./a"]
        {
            assert_eq!(told(path), "the torrent has no such file", "{path}");
        }
        let stamps = published.stamps();
        assert_eq!(stamps.iter().filter(|stamp| stamp.is_some()).count(), 2);
        let magnet = published.magnet();
        assert!(magnet.contains("tr=udp") && magnet.contains(&published.id), "{magnet}");
        fs::write(album.join("a"), "another").expect("written");
        assert!(told("album/a").starts_with("the file is being changed"));
        fs::remove_file(album.join("a")).expect("removed");
        assert!(told("album/a").starts_with("the file is being changed"));
        std::os::unix::fs::symlink("../secret", album.join("a")).expect("a link");
        assert!(told("album/a").starts_with("the file is being changed"));
    }

    #[test]
    fn a_single_file_is_known_by_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("film"), "picture").expect("written");
        let published = published(&folder.path().join("film"));
        assert!(published.open("film").is_ok_and(|served| served.octets() == 7));
        assert_eq!(published.stamps().len(), 1);
        assert!(published.stamps()[0].is_some());
    }
}
