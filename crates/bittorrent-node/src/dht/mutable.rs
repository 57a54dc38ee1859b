//! Torrents that change under a key (BEP 46): publishing the torrent of the day,
//! and following what another publishes.

use super::{Dht, DhtError, Id, SecretKey, TorrentKey};
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{StorageError, files};
use thiserror::Error;

/// The first and the longest pause before what did not succeed is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));
/// Octets of the longest file of a key that is read.
const KEY_FILE_OCTETS_MAX: u64 = 1_024;

/// Why a file gives no key.
#[derive(Debug, Error)]
pub enum KeyFileError {
    /// It cannot be read or written, or others may read it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Something else is in it.
    #[error("{}: it holds no key: 64 hexadecimal digits are one", .0.display())]
    NoKey(PathBuf),
}

/// Learns which torrent stands under a key, again and again.
#[derive(Debug)]
pub struct Following {
    dht: Dht,
    link: TorrentKey,
    interval: Duration,
    known: Option<(Id, i64)>,
}

impl Following {
    /// Begins to follow a key; once its torrent is known, it is looked for a newer
    /// one every `interval`.
    pub fn new(dht: Dht, link: TorrentKey, interval: Duration) -> Self {
        Self { dht, link, interval, known: None }
    }

    /// The version that is known; `None` before the first.
    pub fn sequence(&self) -> Option<i64> {
        self.known.map(|(_, sequence)| sequence)
    }

    /// Waits until another torrent than the last one told stands there, in a newer
    /// version, and tells it.
    ///
    /// # Errors
    /// When the hash table has been stopped.
    pub async fn next(&mut self) -> Result<Id, DhtError> {
        let mut pause = PAUSES.0;
        if self.known.is_some() {
            pause = self.interval;
            tokio::time::sleep(pause).await;
        }
        self.dht.ready().await?;
        loop {
            match self.dht.resolve_torrent(&self.link).await {
                Ok(Some((info_hash, sequence))) => {
                    let is_newer = self.known.is_none_or(|(_, known)| sequence > known);
                    let is_other = self.known.is_none_or(|(known, _)| info_hash != known);
                    if is_newer {
                        self.known = Some((info_hash, sequence));
                    }
                    if is_newer && is_other {
                        return Ok(info_hash);
                    }
                    pause = self.interval;
                }
                Ok(None) => tracing::debug!(link = %self.link, "no torrent stands under the key yet"),
                Err(DhtError::Stopped) => return Err(DhtError::Stopped),
                Err(error) => tracing::debug!(%error, link = %self.link, "looking for the torrent"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.interval);
        }
    }
}

impl Dht {
    /// Has a torrent stand under a key, and keeps it there. Where it stands there
    /// already, no new version is made. Tries until it succeeds; gives the version.
    ///
    /// # Errors
    /// When the hash table has been stopped, or keeps too much already.
    pub async fn keep_torrent(
        &self,
        secret: &SecretKey,
        salt: &[u8],
        info_hash: Id,
    ) -> Result<i64, DhtError> {
        let mut pause = PAUSES.0;
        self.ready().await?;
        loop {
            match self.publish_once(secret, salt, info_hash).await {
                Err(error @ (DhtError::NotStored { .. } | DhtError::Superseded { .. })) => {
                    tracing::debug!(%error, "publishing a torrent under its key");
                }
                settled => return settled,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn publish_once(&self, secret: &SecretKey, salt: &[u8], info_hash: Id) -> Result<i64, DhtError> {
        let link = TorrentKey { key: secret.public(), salt: salt.to_vec() };
        let there = self.current(&link).await?;
        let item = match there {
            Some((known, item)) if known == info_hash => {
                // The nodes that are nearest now may be others than then.
                self.put(item.clone(), None).await?;
                item
            }
            _ => self.publish_torrent(secret, salt, info_hash).await?,
        };
        let sequence = item.sequence().unwrap_or_default();
        self.keep(item).await?;
        Ok(sequence)
    }
}

/// The secret key in a file of 64 hexadecimal digits, its seed (RFC 8032 section
/// 5.1.5). A file that is not there is made, with a new key.
///
/// # Errors
/// When it cannot be read or written, others may read it, or it holds no key.
pub fn read_or_make_key(file: &Path) -> Result<SecretKey, KeyFileError> {
    if let Some(text) = files::read_secret(file, KEY_FILE_OCTETS_MAX)? {
        let seed = read_seed(text.trim()).ok_or_else(|| KeyFileError::NoKey(file.to_owned()))?;
        return Ok(SecretKey::from_seed(&seed));
    }
    let seed: [u8; 32] = rand::random();
    let mut text: String = seed.iter().flat_map(|octet| digits(*octet)).collect();
    text.push('\n');
    files::write_atomically(file, text.as_bytes(), files::SECRET)?;
    Ok(SecretKey::from_seed(&seed))
}

fn digits(octet: u8) -> impl Iterator<Item = char> {
    [octet >> 4, octet & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16))
}

fn read_seed(text: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != 32 || !rest.is_empty() {
        return None;
    }
    let mut seed = [0; 32];
    for (octet, pair) in seed.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *octet = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let made = read_or_make_key(&file).expect("made");
        assert_eq!(read_or_make_key(&file).expect("read").public(), made.public());
        let seed = std::fs::read_to_string(&file).expect("text");
        assert_eq!(seed.len(), 65);
        for wrong in
            ["", "12", &seed[1..], &format!("{seed}0"), &seed.replace(|digit: char| digit.is_ascii(), "g")]
        {
            std::fs::write(&file, wrong).expect("written");
            let error = read_or_make_key(&file).expect_err("no key").to_string();
            assert!(error.contains("64 hexadecimal digits"), "{error}");
        }
    }
}
