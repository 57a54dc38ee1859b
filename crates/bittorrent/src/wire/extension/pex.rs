//! `ut_pex`: the contacts that one peer tells another (BEP 11).

use super::ExtensionError;
use crate::bencode::{Dictionary, Item, Limits, decode};
use std::net::{IpAddr, SocketAddr};

/// Contacts, added and dropped each, that a message may tell of. BEP 11 has 50
/// but for the first message; libtorrent sends up to 100.
pub const PEX_CONTACTS_MAX: usize = 200;

/// What is known of a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PexFlags {
    /// It prefers encrypted connections.
    pub prefers_encryption: bool,
    /// It wants nothing more.
    pub upload_only: bool,
    /// It speaks uTP.
    pub utp: bool,
    /// It speaks `ut_holepunch`.
    pub holepunch: bool,
    /// It was connected to, so it can be reached.
    pub reachable: bool,
}

impl PexFlags {
    /// From the octet in a message; reserved bits do not count.
    pub fn from_bits(bits: u8) -> Self {
        Self {
            prefers_encryption: bits & 0x01 != 0,
            upload_only: bits & 0x02 != 0,
            utp: bits & 0x04 != 0,
            holepunch: bits & 0x08 != 0,
            reachable: bits & 0x10 != 0,
        }
    }

    /// As the octet in a message.
    pub fn bits(self) -> u8 {
        u8::from(self.prefers_encryption)
            | u8::from(self.upload_only) << 1
            | u8::from(self.utp) << 2
            | u8::from(self.holepunch) << 3
            | u8::from(self.reachable) << 4
    }
}

/// A contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PexPeer {
    /// Where it listens.
    pub address: SocketAddr,
    /// What is known of it.
    pub flags: PexFlags,
}

/// A message of `ut_pex`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PexMessage {
    /// Contacts that the sender has got: those of IPv4 come first.
    pub added: Vec<PexPeer>,
    /// Contacts that it has lost.
    pub dropped: Vec<SocketAddr>,
}

impl PexMessage {
    /// Reads one. Octets of half a contact, absent flags and those too many do
    /// not count.
    ///
    /// # Errors
    /// When it is no dictionary, or tells of more than [`PEX_CONTACTS_MAX`].
    pub fn decode(payload: &[u8]) -> Result<Self, ExtensionError> {
        let value = decode(payload, &Limits::MESSAGE)?;
        let fields = value.dictionary().ok_or(ExtensionError::Field("added"))?;
        let added = |name: &[u8], flags: &[u8], read: fn(&[u8]) -> Vec<SocketAddr>| {
            let flags = fields.bytes(flags).unwrap_or_default().iter().copied().chain(std::iter::repeat(0));
            let contacts = read(fields.bytes(name).unwrap_or_default());
            let peer = |(address, flags)| PexPeer { address, flags: PexFlags::from_bits(flags) };
            contacts.into_iter().zip(flags).map(peer).collect::<Vec<_>>()
        };
        bounded(fields, b"added", b"added6")?;
        bounded(fields, b"dropped", b"dropped6")?;
        Ok(Self {
            added: [added(b"added", b"added.f", read::<4, 6>), added(b"added6", b"added6.f", read::<16, 18>)]
                .concat(),
            dropped: [
                read::<4, 6>(fields.bytes(b"dropped").unwrap_or_default()),
                read::<16, 18>(fields.bytes(b"dropped6").unwrap_or_default()),
            ]
            .concat(),
        })
    }

    /// Its octets.
    pub fn encode(&self) -> Vec<u8> {
        let contacts = |four: bool| self.added.iter().filter(move |peer| peer.address.is_ipv4() == four);
        let added = |four| contacts(four).flat_map(|peer| compact(peer.address)).collect::<Vec<u8>>();
        let flags = |four| contacts(four).map(|peer| peer.flags.bits()).collect::<Vec<u8>>();
        let dropped = |four: bool| {
            let contacts = self.dropped.iter().filter(move |address| address.is_ipv4() == four);
            contacts.flat_map(|address| compact(*address)).collect::<Vec<u8>>()
        };
        let fields = [
            ("added", added(true)),
            ("added.f", flags(true)),
            ("added6", added(false)),
            ("added6.f", flags(false)),
            ("dropped", dropped(true)),
            ("dropped6", dropped(false)),
        ];
        // A message must have one of these fields; an absent one is as an empty one.
        let needed = |name: &str, octets: &[u8]| !octets.is_empty() || name == "added";
        let fields = fields.into_iter().filter(|(name, octets)| needed(name, octets));
        Item::dictionary(fields.map(|(name, octets)| (name, Item::from(octets)))).encode()
    }
}

fn bounded(fields: &Dictionary<'_>, four: &[u8], six: &[u8]) -> Result<(), ExtensionError> {
    let octets = |name: &[u8]| fields.bytes(name).map_or(0, <[u8]>::len);
    let contacts = octets(four) / 6 + octets(six) / 18;
    if contacts > PEX_CONTACTS_MAX { Err(ExtensionError::TooManyContacts(contacts)) } else { Ok(()) }
}

/// Contacts in compact form: an address of N octets and a port, M together.
fn read<const N: usize, const M: usize>(octets: &[u8]) -> Vec<SocketAddr>
where
    IpAddr: From<[u8; N]>,
{
    let (contacts, _) = octets.as_chunks::<M>();
    let contact = |octets: &[u8; M]| {
        let address: [u8; N] = *octets.first_chunk()?;
        Some(SocketAddr::new(address.into(), u16::from_be_bytes(*octets.last_chunk()?)))
    };
    contacts.iter().filter_map(contact).collect()
}

fn compact(address: SocketAddr) -> Vec<u8> {
    let mut octets = match address.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    octets.extend_from_slice(&address.port().to_be_bytes());
    octets
}
