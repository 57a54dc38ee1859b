//! Magnet links (BEP 9, 46, 52, 53).

use super::document::{Metainfo, is_tracker, is_web_seed};
use super::hash::{InfoHashError, InfoHashes, read_hex, write_hex};
use super::selection::FileSelection;
use crate::percent;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Octets of a magnet link.
pub const MAGNET_OCTETS_MAX: usize = 64 * 1024;

/// Trackers, web seeds and peers that are heeded, of each kind; more are passed
/// over.
pub const MAGNET_ADDRESSES_MAX: usize = 200;

/// Octets of a salt (BEP 44).
const SALT_OCTETS_MAX: usize = 64;

/// Octets of the longest host name (RFC 1035 section 2.3.4).
const HOST_OCTETS_MAX: usize = 255;

/// What a multihash of SHA-256 begins with: its code and the 32 octets' count.
const SHA256_MULTIHASH: &str = "1220";

/// A link to a torrent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Magnet {
    /// The torrent's info-hashes (`xt`). Empty only where `mutable` is there.
    pub hashes: InfoHashes,
    /// Where in the DHT the newest info-hash stands (`xs` and `s`, BEP 46).
    pub mutable: Option<MutableItem>,
    /// The name to show until the info dictionary is there (`dn`).
    pub name: Option<String>,
    /// Addresses of trackers (`tr`).
    pub trackers: Vec<String>,
    /// Web seeds (`ws`, BEP 19).
    pub web_seeds: Vec<String>,
    /// Peers to begin with: host and port (`x.pe`).
    pub peers: Vec<(String, u16)>,
    /// The files that are wanted; all where absent (`so`, BEP 53).
    pub selection: Option<FileSelection>,
}

/// The name of a mutable item of the DHT (BEP 44).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MutableItem {
    /// The Ed25519 key that signs it.
    pub public_key: [u8; 32],
    /// At most 64 octets; empty where there is none.
    pub salt: Vec<u8>,
}

/// Why a text is no link to a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MagnetError {
    /// It does not begin with `magnet:?`.
    #[error("not a magnet link")]
    Scheme,
    /// It is longer than [`MAGNET_OCTETS_MAX`].
    #[error("a magnet link of more than {MAGNET_OCTETS_MAX} octets")]
    TooLong,
    /// An info-hash or key in it is none.
    #[error(transparent)]
    Hash(#[from] InfoHashError),
    /// It has two different info-hashes of one version.
    #[error("a magnet link to two torrents")]
    TwoTorrents,
    /// It names no torrent.
    #[error("a magnet link without an info-hash")]
    NoTorrent,
}

impl Metainfo {
    /// A link to this torrent.
    pub fn magnet(&self) -> Magnet {
        Magnet {
            hashes: self.info.hashes(),
            name: Some(self.info.name().to_owned()),
            trackers: self.trackers.iter().flatten().cloned().collect(),
            web_seeds: self.web_seeds.clone(),
            ..Magnet::default()
        }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    /// Reads a link. Of what can be left out, what cannot be used is passed over.
    fn from_str(link: &str) -> Result<Self, MagnetError> {
        const SCHEME: &str = "magnet:?";
        if link.len() > MAGNET_OCTETS_MAX {
            return Err(MagnetError::TooLong);
        }
        let (scheme, parameters) = link.trim().split_at_checked(SCHEME.len()).ok_or(MagnetError::Scheme)?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return Err(MagnetError::Scheme);
        }
        let mut magnet = Self::default();
        let mut salt = Vec::new();
        for parameter in parameters.split('&') {
            let Some((key, value)) = parameter.split_once('=') else { continue };
            // Links that were copied out of a page's source.
            let key = key.strip_prefix("amp;").unwrap_or(key).to_ascii_lowercase();
            // A number behind the key has no meaning: several are told apart by it.
            let key = match key.rsplit_once('.') {
                Some((key, number)) if number.bytes().all(|octet| octet.is_ascii_digit()) => key,
                _ => key.as_str(),
            };
            let Some(octets) = percent::decode_form(value) else { continue };
            match (key, String::from_utf8(octets)) {
                ("xt", Ok(topic)) => magnet.topic(&topic)?,
                ("xs", Ok(source)) => magnet.source(&source)?,
                ("s", Ok(digits)) => salt = read_salt(&digits)?,
                ("dn", name) => {
                    let name =
                        name.unwrap_or_else(|octets| String::from_utf8_lossy(octets.as_bytes()).into());
                    // It is shown to people, whose terminals obey control characters.
                    let name: String = name.chars().filter(|letter| !letter.is_control()).collect();
                    magnet.name = Some(name).filter(|name| !name.is_empty());
                }
                ("tr", Ok(address)) => add(&mut magnet.trackers, Some(address).filter(|it| is_tracker(it))),
                ("ws", Ok(address)) => add(&mut magnet.web_seeds, Some(address).filter(|it| is_web_seed(it))),
                ("x.pe", Ok(peer)) => add(&mut magnet.peers, read_peer(&peer)),
                ("so", Ok(files)) => magnet.selection = files.parse().ok(),
                _ => {}
            }
        }
        if let Some(mutable) = &mut magnet.mutable {
            mutable.salt = salt;
        } else if magnet.hashes.is_empty() {
            return Err(MagnetError::NoTorrent);
        }
        Ok(magnet)
    }
}

impl Magnet {
    /// Takes an exact topic; one that is of no torrent is passed over.
    fn topic(&mut self, topic: &str) -> Result<(), MagnetError> {
        if let Some(hash) = without_prefix(topic, "urn:btih:") {
            return set(&mut self.hashes.v1, hash.parse()?);
        }
        match without_prefix(topic, "urn:btmh:") {
            Some(multihash) => {
                let hash = multihash.strip_prefix(SHA256_MULTIHASH).ok_or(InfoHashError)?;
                set(&mut self.hashes.v2, hash.parse()?)
            }
            None => Ok(()),
        }
    }

    fn source(&mut self, source: &str) -> Result<(), MagnetError> {
        let Some(key) = without_prefix(source, "urn:btpk:") else { return Ok(()) };
        let public_key = read_hex(key).ok_or(InfoHashError)?;
        set(&mut self.mutable, MutableItem { public_key, salt: Vec::new() })
    }
}

fn set<T: PartialEq>(place: &mut Option<T>, value: T) -> Result<(), MagnetError> {
    if place.as_ref().is_some_and(|there| *there != value) {
        return Err(MagnetError::TwoTorrents);
    }
    *place = Some(value);
    Ok(())
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: Option<T>) {
    if let Some(item) = item.filter(|item| list.len() < MAGNET_ADDRESSES_MAX && !list.contains(item)) {
        list.push(item);
    }
}

fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn read_salt(digits: &str) -> Result<Vec<u8>, MagnetError> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(read_hex::<1>).map(|[octet]| octet);
    let octets: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(pair).collect();
    Ok(octets.filter(|salt| salt.len() <= SALT_OCTETS_MAX).ok_or(InfoHashError)?)
}

/// A peer as `host:port`, `address:port` or `[address]:port`.
fn read_peer(peer: &str) -> Option<(String, u16)> {
    let (host, port) = peer.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').filter(|address| address.contains(':'))?,
        None => Some(host).filter(|host| !host.contains(':'))?,
    };
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b".:-_%".contains(&octet);
    let usable = !host.is_empty() && host.len() <= HOST_OCTETS_MAX && host.bytes().all(plain);
    usable.then(|| (host.to_owned(), port))
}

impl fmt::Display for Magnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parameters = Vec::new();
        parameters.extend(self.hashes.v1.map(|hash| format!("xt=urn:btih:{hash}")));
        parameters.extend(self.hashes.v2.map(|hash| format!("xt=urn:btmh:{SHA256_MULTIHASH}{hash}")));
        if let Some(mutable) = &self.mutable {
            for (prefix, octets) in [("xs=urn:btpk:", mutable.public_key.as_slice()), ("s=", &mutable.salt)] {
                let mut parameter = prefix.to_owned();
                write_hex(octets, &mut parameter)?;
                parameters.extend(Some(parameter).filter(|_| !octets.is_empty()));
            }
        }
        let mut texts = |key: &str, text: &str| {
            let mut parameter = format!("{key}=");
            percent::encode(text.as_bytes(), &mut parameter);
            parameters.push(parameter);
        };
        self.name.iter().for_each(|name| texts("dn", name));
        self.trackers.iter().for_each(|tracker| texts("tr", tracker));
        self.web_seeds.iter().for_each(|web_seed| texts("ws", web_seed));
        for (host, port) in &self.peers {
            let v6 = host.contains(':');
            parameters.push(if v6 { format!("x.pe=[{host}]:{port}") } else { format!("x.pe={host}:{port}") });
        }
        parameters.extend(self.selection.iter().map(|files| format!("so={files}")));
        write!(formatter, "magnet:?{}", parameters.join("&"))
    }
}
