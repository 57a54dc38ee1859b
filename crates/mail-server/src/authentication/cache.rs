//! Answers for `mail-auth`'s look-ups of TXT records.
//!
//! `mail-auth` asks this cache first. What it does not find is noted; the
//! caller then looks that up through the host's resolver and evaluates again,
//! until nothing is missing. The resolver that `mail-auth` brings has no name
//! servers, so it can ask nobody.

use super::lookup::{Lookup, LookupError};
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::{Atps, DomainKeyReport};
use mail_auth::dmarc::Dmarc;
use mail_auth::hickory_resolver::proto::op::ResponseCode;
use mail_auth::{DnsError, Error, ResolverCache, Txt};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Names one message may make us look up.
const NAMES_MAX: usize = 60;

#[derive(Default)]
pub(super) struct TxtCache {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    known: HashMap<Box<str>, Txt>,
    missing: Vec<String>,
}

impl TxtCache {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up what was missing since the last call; false when nothing was,
    /// or when the message has asked for too much.
    pub(super) async fn fill(&self, lookup: &Lookup) -> bool {
        let missing = std::mem::take(&mut self.lock().missing);
        let mut filled = false;
        for name in missing {
            if self.lock().known.len() >= NAMES_MAX {
                return false;
            }
            let found = lookup.txt(name.trim_end_matches('.')).await;
            self.lock().known.insert(name.clone().into_boxed_str(), read(&name, found));
            filled = true;
        }
        filled
    }
}

/// Reads a record as what its name says it is.
fn read(name: &str, found: Result<Vec<Vec<u8>>, LookupError>) -> Txt {
    let texts = match found {
        Ok(texts) => texts,
        Err(LookupError::Temporary(error)) => {
            return Txt::Error(Error::Dns(DnsError::Resolver(error.to_string())));
        }
        Err(LookupError::NoName(_)) => {
            return Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NXDomain)));
        }
        Err(LookupError::NoData(_)) => {
            return Txt::Error(Error::Dns(DnsError::RecordNotFound(ResponseCode::NoError)));
        }
    };
    if name.starts_with("_dmarc.") {
        first::<Dmarc>(&texts, |record| Txt::Dmarc(record.into()))
    } else if name.starts_with("_report._domainkey.") {
        first::<DomainKeyReport>(&texts, |record| Txt::DomainKeyReport(record.into()))
    } else if name.contains("._domainkey.") {
        first::<DomainKey>(&texts, |record| Txt::DomainKey(record.into()))
    } else if name.contains("._atps.") {
        first::<Atps>(&texts, |record| Txt::Atps(record.into()))
    } else {
        Txt::Error(Error::Dns(DnsError::InvalidRecordType))
    }
}

fn first<T: TxtRecordParser>(texts: &[Vec<u8>], wrap: impl Fn(T) -> Txt) -> Txt {
    let mut result = Txt::Error(Error::Dns(DnsError::InvalidRecordType));
    for text in texts {
        match T::parse(text) {
            Ok(record) => return wrap(record),
            Err(error) => result = Txt::Error(error),
        }
    }
    result
}

impl ResolverCache<Box<str>, Txt> for TxtCache {
    fn get<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut inner = self.lock();
        let found = inner.known.get(name).cloned();
        if found.is_none() {
            inner.missing.extend(text_of(name));
        }
        found
    }

    fn remove<Q>(&self, name: &Q) -> Option<Txt>
    where
        Box<str>: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.lock().known.remove(name)
    }

    fn insert(&self, _: Box<str>, _: Txt, _: Instant) {}
}

/// The text of a key of which only its hashing is known: a `str` feeds a hasher
/// its octets and then 0xff.
fn text_of<Q: Hash + ?Sized>(key: &Q) -> Option<String> {
    struct Recorder(Vec<u8>);
    impl Hasher for Recorder {
        fn write(&mut self, octets: &[u8]) {
            self.0.extend_from_slice(octets);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut recorder = Recorder(Vec::new());
    key.hash(&mut recorder);
    String::from_utf8(recorder.0.strip_suffix(&[0xff])?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    //! The reading of keys.

    #[test]
    fn a_key_is_read_through_its_hash() {
        assert_eq!(super::text_of("s._domainkey.a.test."), Some("s._domainkey.a.test.".to_owned()));
    }
}
