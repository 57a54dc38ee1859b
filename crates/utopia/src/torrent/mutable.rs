//! Torrents that change under a key (BEP 46): which one `get` gets and goes over
//! to, and what `seed` publishes.

use super::dht::link;
use crate::out;
use bittorrent::metainfo::{InfoHashV1, Magnet, Metainfo};
use bittorrent_node::dht::{Dht, Following, Id, PublicKey, SecretKey, TorrentKey, read_or_make_key};
use bittorrent_node::{Engine, What};
use std::path::PathBuf;
use std::time::Duration;

/// How `get` follows a key.
#[derive(Debug, clap::Args)]
pub(super) struct FollowArguments {
    /// With a link to a key: go on, and get whatever torrent stands there later; files of the same names are replaced
    #[arg(long)]
    follow: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..), requires = "follow")]
    follow_interval: u64,
}

/// Under what `seed` publishes its torrent.
#[derive(Debug, clap::Args)]
pub(super) struct PublishArguments {
    /// Publish the torrent under the key in this file, which is made if it is not there; the link stays the same whatever stands there later
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Which of the torrents under the key
    #[arg(long, value_name = "TEXT", default_value = "", requires = "key")]
    salt: String,
}

/// Which torrent stands under the key of a link.
#[derive(Debug)]
pub(super) struct Follower {
    /// `None`: the link names no key, or is not followed.
    following: Option<Following>,
    magnet: Option<Magnet>,
    goes_on: bool,
}

impl Follower {
    /// Of what a person named.
    pub(super) fn new(arguments: &FollowArguments, what: &What, engine: &Engine) -> Result<Self, String> {
        let magnet = match what {
            What::Magnet(magnet) => magnet.mutable.clone().map(|mutable| (mutable, (**magnet).clone())),
            What::Metainfo(_) => None,
        };
        let Some((mutable, magnet)) = magnet else {
            let refused = "--follow: only a link to a key (xs=urn:btpk:…) can be followed";
            return if arguments.follow { Err(refused.to_owned()) } else { Ok(Self::none()) };
        };
        if !arguments.follow && !magnet.hashes.is_empty() {
            return Ok(Self::none());
        }
        let dht =
            engine.dht().ok_or("which torrent the link means, only the hash table knows: drop --dht off")?;
        let link = TorrentKey { key: PublicKey(mutable.public_key), salt: mutable.salt };
        let interval = Duration::from_secs(arguments.follow_interval);
        let following = Some(Following::new(dht.clone(), link, interval));
        Ok(Self { following, magnet: Some(magnet), goes_on: arguments.follow })
    }

    fn none() -> Self {
        Self { following: None, magnet: None, goes_on: false }
    }

    /// Whether another torrent may follow.
    pub(super) fn goes_on(&self) -> bool {
        self.goes_on
    }

    /// The torrent to begin with, which the hash table must tell where the link
    /// does not.
    pub(super) async fn first(&mut self, what: What) -> Result<What, String> {
        let asks = matches!(&what, What::Magnet(magnet) if magnet.hashes.is_empty());
        if asks { self.next().await } else { Ok(what) }
    }

    /// The next torrent, once there is one; never, where none can follow.
    pub(super) async fn next(&mut self) -> Result<What, String> {
        let (Some(following), Some(magnet)) = (&mut self.following, &mut self.magnet) else {
            return std::future::pending().await;
        };
        loop {
            let info_hash = following.next().await.map_err(|error| error.to_string())?;
            let hash = info_hash.as_ref().try_into().ok().map(InfoHashV1);
            if hash.is_some() && hash != magnet.hashes.v1 {
                magnet.hashes.v1 = hash;
                // That of the link was another torrent's.
                magnet.hashes.v2 = None;
                return Ok(What::Magnet(Box::new(magnet.clone())));
            }
        }
    }
}

/// What is to be published.
#[derive(Debug)]
pub(super) struct Publication {
    secret: SecretKey,
    salt: String,
    info_hash: Id,
}

impl Publication {
    /// Of a torrent, if it is to be published.
    pub(super) fn new(arguments: &PublishArguments, metainfo: &Metainfo) -> Result<Option<Self>, String> {
        let Some(file) = &arguments.key else { return Ok(None) };
        if metainfo.info.is_private() {
            return Err("--key: the torrent is private, the hash table is for all".to_owned());
        }
        let hash = metainfo.info.hashes().v1;
        let hash = hash.ok_or("--key: a link to a key can lead to v1 and hybrid torrents only (BEP 46)")?;
        let secret = read_or_make_key(file).map_err(|error| error.to_string())?;
        Ok(Some(Self { secret, salt: arguments.salt.clone(), info_hash: Id::new(hash.0) }))
    }

    /// The link, which stays the same.
    pub(super) fn link(&self) -> String {
        link(self.secret.public(), &self.salt)
    }

    /// Publishes it and keeps it published; says so.
    pub(super) async fn run(self, dht: Dht, json: bool) {
        match dht.keep_torrent(&self.secret, self.salt.as_bytes(), self.info_hash).await {
            Ok(sequence) if !json => out::line(format_args!("published under the key as version {sequence}")),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the torrent is not published under its key"),
        }
    }
}
