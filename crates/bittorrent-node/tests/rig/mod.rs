//! Two engines on loopback and a torrent between them, made up for a test.
#![allow(dead_code, reason = "each test uses its part")]

use bittorrent::encryption::Policy;
use bittorrent::metainfo::{CreateOptions, Creator, FileSpec, Metainfo, Version};
use bittorrent_node::{Engine, Handle, Limits, Names, Options, Progress, Protocols, Settings, What};
use net::Network;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// An engine with folders of its own.
pub(crate) struct Side {
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
    pub(crate) data: PathBuf,
}

impl Side {
    pub(crate) async fn start() -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder")).await
    }

    /// Goes on in the folder of an earlier one.
    pub(crate) async fn in_folder(folder: TempDir) -> Self {
        Self::begin(folder, |_| {}, |network| network).await
    }

    /// With other settings than usual; connections leave from the address that is
    /// listened on.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::behind(|network| network, change).await
    }

    /// The same, with something between it and the wire.
    pub(crate) async fn behind(
        what: impl FnOnce(Network) -> Network,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        Self::begin(tempfile::tempdir().expect("a folder"), change, what).await
    }

    async fn begin(
        folder: TempDir,
        change: impl FnOnce(&mut Settings),
        behind: impl FnOnce(Network) -> Network,
    ) -> Self {
        let data = folder.path().join("data");
        let mut settings = Settings {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            data: data.clone(),
            memory_octets_max: 8 << 20,
            encryption: Policy::Allowed,
            protocols: Protocols::Tcp,
            discovery: bittorrent_node::Discovery::default(),
            limits: Limits::default(),
            names: Names::default(),
        };
        change(&mut settings);
        let network = behind(Network::from_source(settings.listen[0].ip()));
        let engine = Engine::start(settings, network, net::Shutdown::new()).await.expect("an engine");
        Self { engine, folder, data }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.engine.addresses()[0]
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    pub(crate) fn options(&self) -> Options {
        Options::new(self.files())
    }

    pub(crate) async fn add(&self, metainfo: &Metainfo, options: Options) -> Handle {
        self.engine.add(What::Metainfo(Arc::new(metainfo.clone())), options).await.expect("added")
    }
}

/// The octets of file `index`: different everywhere, the same in each run.
pub(crate) fn content(index: usize, octets: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32.wrapping_mul(index as u32 + 1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(octets).collect()
}

/// A torrent of files with these octets, named `film/0`, `film/1` and so on, with
/// pieces of 64 KiB.
pub(crate) fn torrent(files: &[usize], version: Version) -> Metainfo {
    let spec = |(index, octets): (usize, &usize)| FileSpec {
        path: vec![index.to_string()],
        length: *octets as u64,
        executable: false,
        hidden: false,
        symlink: None,
    };
    let options = CreateOptions { version, piece_length: Some(64 * 1024), ..CreateOptions::new("film") };
    let specs = files.iter().enumerate().map(spec).collect();
    let mut creator = Creator::new(specs, options).expect("a torrent");
    let order: Vec<usize> = creator.order().collect();
    for index in order {
        creator.update(&content(index, files[index])).expect("octets");
    }
    creator.finish().expect("a torrent")
}

/// Writes the files of [`torrent`] below a folder.
pub(crate) fn write_files(folder: &Path, files: &[usize]) {
    let folder = folder.join("film");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (index, octets) in files.iter().enumerate() {
        std::fs::write(folder.join(index.to_string()), content(index, *octets)).expect("written");
    }
}

/// Waits until a torrent is as it should be.
pub(crate) async fn until(handle: &Handle, wanted: impl Fn(&Progress) -> bool) -> Progress {
    let mut changes = handle.progress();
    let found = tokio::time::timeout(PATIENCE, changes.wait_for(|now| wanted(now)));
    match found.await {
        Ok(Ok(now)) => now.clone(),
        _ => panic!("it never came to be: {:?}", handle.progress().borrow()),
    }
}
