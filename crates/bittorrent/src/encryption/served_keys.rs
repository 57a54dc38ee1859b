//! The torrents a receiver serves, found by what an initiator shows of them.

use super::key_exchange::hash;
use std::collections::HashMap;

/// The info-hashes that are served, by their HASH('req2', SKEY). It grows with
/// our own torrents alone, never by what a peer sends.
#[derive(Debug, Clone, Default)]
pub struct ServedKeys(HashMap<[u8; 20], [u8; 20]>);

impl ServedKeys {
    /// Serves none.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on serves this info-hash (of a v2 torrent its first 20 octets).
    pub fn insert(&mut self, info_hash: [u8; 20]) {
        self.0.insert(hash_of_key(&info_hash), info_hash);
    }

    /// No longer serves it.
    pub fn remove(&mut self, info_hash: &[u8; 20]) {
        self.0.remove(&hash_of_key(info_hash));
    }

    /// The info-hash whose HASH('req2', SKEY) this is.
    pub fn find(&self, hash_of_key: &[u8; 20]) -> Option<&[u8; 20]> {
        self.0.get(hash_of_key)
    }
}

impl FromIterator<[u8; 20]> for ServedKeys {
    fn from_iter<I: IntoIterator<Item = [u8; 20]>>(info_hashes: I) -> Self {
        Self(info_hashes.into_iter().map(|info_hash| (hash_of_key(&info_hash), info_hash)).collect())
    }
}

/// HASH('req2', SKEY), which an initiator shows of a torrent's info-hash.
pub fn hash_of_key(info_hash: &[u8; 20]) -> [u8; 20] {
    hash(&[b"req2", info_hash])
}
