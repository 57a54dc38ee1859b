//! Where a torrent is named: a file, a magnet link, an address on the web; and
//! the files on the disk of which one is made.

use bittorrent::metainfo::{CreateOptions, Creator, FileSpec, Limits, Magnet, Metainfo, Version};
use bittorrent_node::What;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Octets read at once while files are hashed.
const READ_OCTETS: usize = 1024 * 1024;
/// Folders within one another that are looked into.
const DEPTH_MAX: usize = 64;

/// Reads a torrent file.
pub(super) fn read_file(file: &Path) -> Result<Metainfo, String> {
    let limits = Limits::DEFAULT;
    match storage::files::read(file, limits.metainfo_octets_max as u64) {
        Ok(Some(octets)) => {
            Metainfo::parse(&octets, &limits).map_err(|error| format!("{}: {error}", file.display()))
        }
        Ok(None) => {
            Err(format!("{}: there is no such file; name a torrent file or a magnet link", file.display()))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A torrent by what a person typed.
pub(super) async fn find(source: &str) -> Result<What, String> {
    if source.starts_with("magnet:") {
        let magnet: Magnet = source.parse().map_err(|error| format!("the magnet link: {error}"))?;
        if magnet.hashes.is_empty() {
            return Err("the magnet link names no info-hash, and the DHT is not asked here".to_owned());
        }
        return Ok(What::Magnet(Box::new(magnet)));
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        let octets = bittorrent_node::fetch(&net::Network::new(), &names(), source)
            .await
            .map_err(|error| error.to_string())?;
        let metainfo =
            Metainfo::parse(&octets, &Limits::DEFAULT).map_err(|error| format!("{source}: {error}"))?;
        return Ok(What::Metainfo(Arc::new(metainfo)));
    }
    Ok(What::Metainfo(Arc::new(read_file(Path::new(source))?)))
}

/// Names as this machine knows them, and the authorities it believes.
pub(super) fn names() -> bittorrent_node::Names {
    let tls = crate::socket::system_roots().and_then(|pem| net::tls::client_config_verified(&pem).ok());
    bittorrent_node::Names::new(None, tls)
}

/// What a torrent is made of beside its files.
#[derive(Debug, Clone)]
pub(super) struct Making {
    pub(super) version: Version,
    pub(super) piece_octets: Option<u32>,
    pub(super) trackers: Vec<Vec<String>>,
    pub(super) web_seeds: Vec<String>,
    pub(super) comment: Option<String>,
    pub(super) private: bool,
}

/// Makes a torrent of a file or a folder. `tell` hears how many octets of how
/// many are done.
pub(super) fn make(path: &Path, making: Making, mut tell: impl FnMut(u64, u64)) -> Result<Metainfo, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let whole = path.canonicalize().map_err(|error| at(path, &error))?;
    let name = whole.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let name = name.ok_or_else(|| at(path, &"its name cannot be the name of a torrent"))?;
    let metadata = whole.metadata().map_err(|error| at(path, &error))?;
    let mut files = Vec::new();
    if metadata.is_dir() {
        collect(&whole, &mut Vec::new(), &mut files)?;
        if files.is_empty() {
            return Err(at(path, &"there is no file in this folder"));
        }
    } else {
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let spec =
            FileSpec { path: Vec::new(), length: metadata.len(), executable, hidden: false, symlink: None };
        files.push((whole.clone(), spec));
    }
    let created = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    let options = CreateOptions {
        version: making.version,
        piece_length: making.piece_octets,
        private: making.private,
        trackers: making.trackers,
        web_seeds: making.web_seeds,
        comment: making.comment,
        created_by: Some(concat!("Utopia ", env!("CARGO_PKG_VERSION")).to_owned()),
        creation_date_seconds: created.and_then(|since| i64::try_from(since.as_secs()).ok()),
        ..CreateOptions::new(name)
    };
    let specs = files.iter().map(|(_, spec)| spec.clone()).collect();
    let mut creator = Creator::new(specs, options).map_err(|error| at(path, &error))?;
    let (order, total): (Vec<usize>, u64) = (creator.order().collect(), creator.total_octets());
    let mut buffer = vec![0; READ_OCTETS];
    for index in order {
        let Some((path, _)) = files.get(index) else { continue };
        let mut file = File::open(path).map_err(|error| at(path, &error))?;
        loop {
            let read = file.read(&mut buffer).map_err(|error| at(path, &error))?;
            if read == 0 {
                break;
            }
            creator.update(buffer.get(..read).unwrap_or_default()).map_err(|error| at(path, &error))?;
            tell(creator.done_octets(), total);
        }
    }
    creator.finish().map_err(|error| at(path, &error))
}

/// All files below a folder; links are not followed.
fn collect(
    folder: &Path,
    names: &mut Vec<String>,
    files: &mut Vec<(PathBuf, FileSpec)>,
) -> Result<(), String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if names.len() > DEPTH_MAX {
        return Err(at(folder, &"its folders are nested too deeply for a torrent"));
    }
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| at(folder, &error))?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = entry.metadata().map_err(|error| at(&path, &error))?;
        let name = entry.file_name().into_string().map_err(|_| at(&path, &"its name is not UTF-8"))?;
        names.push(name);
        if metadata.is_dir() {
            collect(&path, names, files)?;
        } else if metadata.is_file() {
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let (path_names, length) = (names.clone(), metadata.len());
            files.push((
                path,
                FileSpec { path: path_names, length, executable, hidden: false, symlink: None },
            ));
        }
        names.pop();
    }
    Ok(())
}
