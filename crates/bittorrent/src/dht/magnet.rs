//! Torrents that are updated through the table: a key leads to an info-hash
//! (BEP 46).

use super::hex;
use super::id::Id;
use super::item::{ItemError, PublicKey, SALT_OCTETS_MAX, Value};
use crate::bencode;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Octets of the longest link that is read.
pub const LINK_OCTETS_MAX: usize = 4_096;

/// What a link of BEP 46 names: whose torrent, and which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TorrentKey {
    /// The publisher's key.
    pub key: PublicKey,
    /// Which of the publisher's torrents; often empty.
    pub salt: Vec<u8>,
}

/// Why a link names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MagnetError {
    /// Longer than [`LINK_OCTETS_MAX`].
    #[error("a link of more than {LINK_OCTETS_MAX} octets")]
    TooLong,
    /// It begins with something else.
    #[error("the link does not begin with magnet:?")]
    NoMagnet,
    /// There is no `xs=urn:btpk:`.
    #[error("the link has no xs=urn:btpk:")]
    NoKey,
    /// The key is not written as 64 hexadecimal digits.
    #[error("the key is not 64 hexadecimal digits")]
    Key,
    /// The salt is not written as hexadecimal digits, or too long.
    #[error("the salt is not at most {SALT_OCTETS_MAX} octets in hexadecimal digits")]
    Salt,
}

impl TorrentKey {
    /// Where the item lies that tells the info-hash.
    pub fn target(&self) -> Id {
        self.key.target(&self.salt)
    }
}

impl FromStr for TorrentKey {
    type Err = MagnetError;

    /// Reads `magnet:?xs=urn:btpk:KEY&s=SALT`, in any order and among other
    /// parameters.
    fn from_str(link: &str) -> Result<Self, MagnetError> {
        if link.len() > LINK_OCTETS_MAX {
            return Err(MagnetError::TooLong);
        }
        let begins = link.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("magnet:?"));
        let query = link.get(8..).filter(|_| begins).ok_or(MagnetError::NoMagnet)?;
        let (mut key, mut salt) = (None, Vec::new());
        for (name, value) in query.split('&').filter_map(|parameter| parameter.split_once('=')) {
            if name == "s" {
                salt = hex::decode_any(value)
                    .filter(|salt| salt.len() <= SALT_OCTETS_MAX)
                    .ok_or(MagnetError::Salt)?;
            } else if name == "xs" && key.is_none() {
                // Some programs escape the colons.
                let value = value.replace("%3A", ":").replace("%3a", ":");
                if let Some(digits) = value.strip_prefix("urn:btpk:") {
                    key = Some(PublicKey(hex::decode(digits).ok_or(MagnetError::Key)?));
                }
            }
        }
        Ok(Self { key: key.ok_or(MagnetError::NoKey)?, salt })
    }
}

impl fmt::Display for TorrentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xs=urn:btpk:{}", self.key)?;
        if self.salt.is_empty() { Ok(()) } else { write!(f, "&s={}", hex::encode(&self.salt)) }
    }
}

/// What the item of a [`TorrentKey`] says: the torrent of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TorrentPointer {
    /// Its info-hash.
    pub info_hash: Id,
}

impl TorrentPointer {
    /// The value to publish (BEP 46, "Publishing content").
    pub fn value(&self) -> Result<Value, ItemError> {
        Value::encode(&bencode::Item::dictionary([("ih", self.info_hash.as_ref().into())]))
    }

    /// Reads a published value; `None` where it tells no info-hash.
    pub fn read(value: &Value) -> Option<Self> {
        let read = value.read().ok()?;
        let info_hash = read.dictionary()?.bytes(b"ih").and_then(Id::from_slice)?;
        Some(Self { info_hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

    #[test]
    fn the_links_of_bep_46_lead_to_their_targets() {
        let plain: TorrentKey = format!("magnet:?xs=urn:btpk:{KEY}").parse().expect("a link");
        assert_eq!(plain.target().to_string(), "cc3f9d90b572172053626f9980ce261a850d050b");
        let salted: TorrentKey = format!("magnet:?xs=urn:btpk:{KEY}&s=6e").parse().expect("a link");
        assert_eq!(salted.target().to_string(), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        for link in [&plain, &salted] {
            assert_eq!(link.to_string().parse(), Ok(link.clone()));
        }
        let among = format!("MAGNET:?dn=x&s=6E&xs=http://example.test/&xs=urn%3abtpk%3A{KEY}&tr");
        assert_eq!(among.parse(), Ok(salted));
    }

    #[test]
    fn other_links_are_refused_with_the_reason() {
        let refused = |link: &str| link.parse::<TorrentKey>().expect_err("refused");
        assert_eq!(refused("http://example.test/"), MagnetError::NoMagnet);
        assert_eq!(refused("magnet:?xt=urn:btih:00"), MagnetError::NoKey);
        assert_eq!(refused(&format!("magnet:?xs=urn:btpk:{}", &KEY[1..])), MagnetError::Key);
        assert_eq!(refused(&format!("magnet:?xs=urn:btpk:{KEY}&s=6")), MagnetError::Salt);
        assert_eq!(refused(&format!("magnet:?xs=urn:btpk:{KEY}&s={}", "00".repeat(65))), MagnetError::Salt);
        assert_eq!(refused(&"x".repeat(LINK_OCTETS_MAX + 1)), MagnetError::TooLong);
        assert_eq!(refused("ma\u{e4}net:?"), MagnetError::NoMagnet);
    }

    #[test]
    fn a_pointer_reads_as_it_was_written() {
        let pointer = TorrentPointer { info_hash: Id::new([7; 20]) };
        let value = pointer.value().expect("a value");
        assert_eq!(value.octets(), [b"d2:ih20:".as_slice(), &[7; 20], b"e"].concat());
        assert_eq!(TorrentPointer::read(&value), Some(pointer));
        for other in ["de", "d2:ih1:xe", "i1e", "d2:ihi1ee"] {
            assert_eq!(TorrentPointer::read(&Value::new(other.into()).expect("a value")), None);
        }
    }
}
