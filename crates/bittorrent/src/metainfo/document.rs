//! The metainfo: an info dictionary and how to get what it describes.

use super::error::{Fault, MetainfoError};
use super::field;
use super::info::Info;
use super::layers::PieceLayers;
use super::limits::{Limits, URL_OCTETS_MAX};
use crate::bencode::{self, Dictionary, Item, KeyOrder, Value};

/// Octets of the longest host name (RFC 1035 section 2.3.4).
const HOST_OCTETS_MAX: usize = 255;

/// The content of a `.torrent` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metainfo {
    /// What the torrent is.
    pub info: Info,
    /// The hashes of the pieces of v2, as far as they are known.
    pub piece_layers: PieceLayers,
    /// Addresses of trackers, tier by tier (BEP 12): `http`, `https` or `udp`. No
    /// tier is empty.
    pub trackers: Vec<Vec<String>>,
    /// Web servers that have the files (BEP 19): `http` or `https`.
    pub web_seeds: Vec<String>,
    /// Scripts that give out pieces (BEP 17): `http` or `https`.
    pub http_seeds: Vec<String>,
    /// Nodes of the DHT to begin with: host and port (BEP 5).
    pub nodes: Vec<(String, u16)>,
    /// Text for people.
    pub comment: Option<String>,
    /// The program that made it.
    pub created_by: Option<String>,
    /// When it was made, in seconds since 1970.
    pub creation_date_seconds: Option<i64>,
}

impl Metainfo {
    /// Nothing but an info dictionary, as it came from peers.
    pub fn new(info: Info) -> Self {
        Self {
            info,
            piece_layers: PieceLayers::new(),
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            http_seeds: Vec::new(),
            nodes: Vec::new(),
            comment: None,
            created_by: None,
            creation_date_seconds: None,
        }
    }

    /// Reads a `.torrent` file. Addresses that cannot be used, and more of them
    /// than `limits` heed, are passed over.
    ///
    /// # Errors
    /// When the octets are no metainfo, exceed `limits`, or describe what cannot
    /// be.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, MetainfoError> {
        if octets.len() > limits.metainfo_octets_max {
            return Err(Fault::TooMuch(limits.metainfo_octets_max as u64).into());
        }
        // Editors and web pages leave a line end behind it.
        let octets = octets.trim_ascii_end();
        let value = bencode::decode(octets, &limits.bencode(KeyOrder::Any)).map_err(Fault::from)?;
        let root = value.dictionary().ok_or(Fault::Kind("dictionary"))?;
        let info = match root.get(b"info") {
            None => return Err(Fault::Missing.at("info")),
            Some(info) => info.dictionary().ok_or_else(|| Fault::Kind("dictionary").at("info"))?,
        };
        let info = Info::from_dictionary(info, limits)?;
        let piece_layers = match root.dictionary(b"piece layers") {
            Some(layers) if info.layout().version().has_v2() => PieceLayers::read(layers, info.layout())?,
            _ => PieceLayers::new(),
        };
        Ok(Self {
            piece_layers,
            trackers: trackers(root, limits),
            web_seeds: addresses(root.get(b"url-list"), info.layout().folder().is_some(), limits),
            http_seeds: addresses(root.get(b"httpseeds"), false, limits),
            nodes: nodes(root, limits),
            comment: field::first_text(root, ["comment.utf-8", "comment"]),
            created_by: field::first_text(root, ["created by.utf-8", "created by"]),
            creation_date_seconds: root.integer(b"creation date").filter(|date| *date >= 0),
            info,
        })
    }

    /// The octets of a `.torrent` file, in the one canonical form. The info
    /// dictionary stays as it is.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = vec![("info", Item::Encoded(self.info.octets().to_vec()))];
        if let Some(first) = self.trackers.first().and_then(|tier| tier.first()) {
            entries.push(("announce", first.as_str().into()));
        }
        if self.trackers.iter().map(Vec::len).sum::<usize>() > 1 {
            let tiers = self.trackers.iter().map(|tier| Item::List(texts(tier)));
            entries.push(("announce-list", Item::List(tiers.collect())));
        }
        for (key, addresses) in [("url-list", &self.web_seeds), ("httpseeds", &self.http_seeds)] {
            if !addresses.is_empty() {
                entries.push((key, Item::List(texts(addresses))));
            }
        }
        if !self.nodes.is_empty() {
            let node = |(host, port): &(String, u16)| {
                Item::List(vec![host.as_str().into(), i64::from(*port).into()])
            };
            entries.push(("nodes", Item::List(self.nodes.iter().map(node).collect())));
        }
        for (key, text) in [("comment", &self.comment), ("created by", &self.created_by)] {
            if let Some(text) = text {
                entries.push((key, text.as_str().into()));
            }
        }
        if let Some(date) = self.creation_date_seconds {
            entries.push(("creation date", date.into()));
        }
        if self.info.layout().version().has_v2() {
            entries.push(("piece layers", self.piece_layers.item()));
        }
        Item::dictionary(entries).encode()
    }
}

fn texts(texts: &[String]) -> Vec<Item> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// `announce-list`, or `announce` where that gives none (BEP 12).
fn trackers(root: &Dictionary<'_>, limits: &Limits) -> Vec<Vec<String>> {
    let mut tiers = Vec::new();
    let mut left = limits.trackers_max;
    for tier in root.list(b"announce-list").unwrap_or_default() {
        let addresses = tier.list().unwrap_or_default().iter().filter_map(tracker);
        let tier: Vec<_> = addresses.take(left).collect();
        left -= tier.len();
        if !tier.is_empty() {
            tiers.push(tier);
        }
    }
    if tiers.is_empty() {
        tiers.extend(root.get(b"announce").and_then(tracker).map(|first| vec![first]));
    }
    tiers
}

fn tracker(value: &Value<'_>) -> Option<String> {
    let address = value.text()?.trim_start();
    is_tracker(address).then(|| address.to_owned())
}

/// Whether it is an address of a tracker that we can announce to.
pub(super) fn is_tracker(address: &str) -> bool {
    has_scheme(address, &["http", "https", "udp"])
}

/// Whether it is an address of a web seed that we can get octets from.
pub(super) fn is_web_seed(address: &str) -> bool {
    has_scheme(address, &["http", "https"])
}

fn has_scheme(address: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = address.split_once("://") else { return false };
    address.len() <= URL_OCTETS_MAX
        && !rest.is_empty()
        && !address.contains(|character: char| character.is_control())
        && schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// A string or a list of them, each once. `folder`: they are folders and end with
/// a slash (BEP 19).
fn addresses(value: Option<&Value<'_>>, folder: bool, limits: &Limits) -> Vec<String> {
    let values = match value {
        Some(Value::List(values)) => values.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    let mut addresses: Vec<String> = Vec::new();
    // Nor are more than that looked at, equal ones and unusable ones included.
    for address in values.iter().take(limits.web_seeds_max).filter_map(Value::text) {
        // Some programs write spaces as they are.
        let mut address = address.trim().replace(' ', "%20");
        if folder && !address.ends_with('/') {
            address.push('/');
        }
        if is_web_seed(&address) && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

fn nodes(root: &Dictionary<'_>, limits: &Limits) -> Vec<(String, u16)> {
    let node = |value: &Value<'_>| {
        let [host, port, ..] = value.list()? else { return None };
        let (host, port) = (host.text()?, u16::try_from(port.integer()?).ok()?);
        let usable = port != 0 && !host.is_empty() && host.len() <= HOST_OCTETS_MAX;
        usable.then(|| (host.to_owned(), port))
    };
    let nodes = root.list(b"nodes").unwrap_or_default().iter().filter_map(node);
    nodes.take(limits.nodes_max).collect()
}
