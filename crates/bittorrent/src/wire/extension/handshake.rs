//! The handshake of the extension protocol (BEP 10).

use super::{Extension, ExtensionError};
use crate::bencode::{Dictionary, Item, Limits, decode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of a program's name that are kept, to be shown to people.
pub const VERSION_OCTETS_MAX: usize = 100;

/// What one side tells of itself. Everything is optional; a field of another
/// type or beyond its range counts as absent, since nothing depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedHandshake {
    /// `m`: the extensions that it names.
    pub ids: NamedIds,
    /// `p`: the TCP port that the sender listens on.
    pub port: Option<u16>,
    /// `v`: its program and version, at most [`VERSION_OCTETS_MAX`] octets and
    /// without control characters.
    pub version: Option<String>,
    /// `yourip`: the receiver's address as the sender sees it.
    pub your_address: Option<IpAddr>,
    /// `ipv4`: an address of the sender.
    pub ipv4: Option<Ipv4Addr>,
    /// `ipv6`: an address of the sender.
    pub ipv6: Option<Ipv6Addr>,
    /// `reqq`: requests that it keeps without dropping any.
    pub requests_max: Option<u32>,
    /// `metadata_size`: octets of the info dictionary (BEP 9).
    pub metadata_octets: Option<u32>,
    /// `upload_only`: it wants nothing more (BEP 21).
    pub upload_only: Option<bool>,
    /// `complete_ago`: seconds since it has all pieces.
    pub complete_ago_seconds: Option<u32>,
    /// `e`: it prefers encrypted connections.
    pub prefers_encryption: Option<bool>,
}

/// The ids that a handshake gives to extensions; those that it does not name
/// stay as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamedIds([Option<u8>; Extension::ALL.len()]);

impl NamedIds {
    /// Names these extensions under our own ids.
    pub fn own(extensions: &[Extension]) -> Self {
        extensions.iter().fold(Self::default(), |ids, extension| ids.with(*extension))
    }

    /// Names one more under our own id.
    pub fn with(self, extension: Extension) -> Self {
        self.set(extension, extension.own_id())
    }

    /// Turns an extension off that an earlier handshake named.
    pub fn without(self, extension: Extension) -> Self {
        self.set(extension, 0)
    }

    fn set(mut self, extension: Extension, id: u8) -> Self {
        if let Some(place) = self.0.get_mut(extension.place()) {
            *place = Some(id);
        }
        self
    }

    /// In the order of [`Extension::ALL`]; 0 turns one off.
    pub(super) fn in_order(self) -> [Option<u8>; Extension::ALL.len()] {
        self.0
    }
}

impl ExtendedHandshake {
    /// Reads one.
    ///
    /// # Errors
    /// When it is no dictionary.
    pub fn decode(payload: &[u8]) -> Result<Self, ExtensionError> {
        let value = decode(payload, &Limits::MESSAGE)?;
        let fields = value.dictionary().ok_or(ExtensionError::Field("m"))?;
        let names = fields.dictionary(b"m");
        let id = |extension: Extension| {
            names?.integer(extension.name().as_bytes()).and_then(|id| u8::try_from(id).ok())
        };
        Ok(Self {
            ids: NamedIds(Extension::ALL.map(id)),
            port: number(fields, b"p").and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            version: fields.bytes(b"v").map(shown),
            your_address: fields.bytes(b"yourip").and_then(address),
            ipv4: fields.bytes(b"ipv4").and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(Into::into),
            ipv6: fields.bytes(b"ipv6").and_then(|octets| <[u8; 16]>::try_from(octets).ok()).map(Into::into),
            requests_max: number(fields, b"reqq"),
            metadata_octets: number(fields, b"metadata_size").filter(|octets| *octets != 0),
            upload_only: fields.integer(b"upload_only").map(|only| only != 0),
            complete_ago_seconds: number(fields, b"complete_ago"),
            prefers_encryption: fields.integer(b"e").map(|prefers| prefers != 0),
        })
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let ids = Extension::ALL.into_iter().zip(self.ids.in_order());
        let named = ids.filter_map(|(extension, id)| Some((extension.name(), Item::from(i64::from(id?)))));
        let integer = |number: Option<u32>| number.map(|number| Item::from(i64::from(number)));
        let flag = |flag: Option<bool>| flag.map(|flag| Item::from(i64::from(flag)));
        let your_address = self.your_address.map(|address| match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        });
        let fields = [
            ("m", Some(Item::dictionary(named))),
            ("p", integer(self.port.map(u32::from))),
            ("v", self.version.as_deref().map(Item::from)),
            ("yourip", your_address.map(Item::from)),
            ("ipv4", self.ipv4.map(|address| Item::from(&address.octets()[..]))),
            ("ipv6", self.ipv6.map(|address| Item::from(&address.octets()[..]))),
            ("reqq", integer(self.requests_max)),
            ("metadata_size", integer(self.metadata_octets)),
            ("upload_only", flag(self.upload_only)),
            ("complete_ago", integer(self.complete_ago_seconds)),
            ("e", flag(self.prefers_encryption)),
        ];
        Item::dictionary(fields.into_iter().filter_map(|(name, item)| Some((name, item?)))).encode()
    }
}

fn number(fields: &Dictionary<'_>, name: &[u8]) -> Option<u32> {
    fields.integer(name).and_then(|number| u32::try_from(number).ok())
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

/// A text of a stranger, fit to be shown.
fn shown(octets: &[u8]) -> String {
    let bounded = octets.get(..VERSION_OCTETS_MAX).unwrap_or(octets);
    let text = String::from_utf8_lossy(bounded);
    let mut shown: String = text.chars().filter(|letter| !letter.is_control()).collect();
    // What was no UTF-8 has become longer.
    shown.truncate(shown.floor_char_boundary(VERSION_OCTETS_MAX));
    shown
}
