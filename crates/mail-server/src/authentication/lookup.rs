//! Typed look-ups through the host's resolver.

use dns::{Name, RecordData, Resolve, ResolveError};
use domain::base::iana::{Rcode, Rtype};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

/// Looks names up for the mail service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lookup {
    resolver: Arc<dyn Resolve>,
}

/// Why there are no records.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum LookupError {
    /// The name does not exist, or cannot.
    #[error("the name {0} does not exist")]
    NoName(String),
    /// The name exists, without records of this type.
    #[error("the name {0} has no such record")]
    NoData(String),
    /// Nothing is known now.
    #[error(transparent)]
    Temporary(#[from] ResolveError),
}

/// An MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) preference: u16,
    /// In lower case, without the final dot; empty for the null MX (RFC 7505).
    pub(crate) host: String,
}

impl Lookup {
    pub(crate) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver }
    }

    async fn find<T>(
        &self,
        name: &str,
        rtype: Rtype,
        mut read: impl FnMut(&RecordData) -> Option<T>,
    ) -> Result<Vec<T>, LookupError> {
        let no_name = || LookupError::NoName(name.to_owned());
        let ascii =
            idna::domain_to_ascii_cow(name.as_bytes(), idna::AsciiDenyList::EMPTY).map_err(|_| no_name())?;
        let wire = Name::from_str(&ascii).map_err(|_| no_name())?;
        let found = self.resolver.resolve(&wire, rtype).await?;
        if found.rcode == Rcode::NXDOMAIN {
            return Err(no_name());
        }
        let records: Vec<T> = found.records.iter().filter_map(|record| read(record.data())).collect();
        if records.is_empty() { Err(LookupError::NoData(name.to_owned())) } else { Ok(records) }
    }

    /// TXT records, the strings of each joined (RFC 7208 section 3.3).
    pub(crate) async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, LookupError> {
        self.find(name, Rtype::TXT, |data| match data {
            RecordData::Txt(txt) => Some(txt.iter().flat_map(|part| part.to_vec()).collect()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn mx(&self, name: &str) -> Result<Vec<Exchange>, LookupError> {
        self.find(name, Rtype::MX, |data| match data {
            RecordData::Mx(mx) => Some(Exchange { preference: mx.preference(), host: plain(mx.exchange()) }),
            _ => None,
        })
        .await
    }

    pub(crate) async fn ipv4(&self, name: &str) -> Result<Vec<Ipv4Addr>, LookupError> {
        self.find(name, Rtype::A, |data| match data {
            RecordData::A(a) => Some(a.addr()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn ipv6(&self, name: &str) -> Result<Vec<Ipv6Addr>, LookupError> {
        self.find(name, Rtype::AAAA, |data| match data {
            RecordData::Aaaa(aaaa) => Some(aaaa.addr()),
            _ => None,
        })
        .await
    }

    /// The names that claim an address; not verified.
    pub(crate) async fn ptr(&self, address: IpAddr) -> Result<Vec<String>, LookupError> {
        let name = match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
                nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
            }
        };
        self.find(&name, Rtype::PTR, |data| match data {
            RecordData::Ptr(ptr) => Some(plain(ptr.ptrdname())),
            _ => None,
        })
        .await
    }
}

fn plain(name: &Name) -> String {
    name.to_string().trim_end_matches('.').to_ascii_lowercase()
}
