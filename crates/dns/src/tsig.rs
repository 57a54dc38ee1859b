//! Transaction signatures (RFC 8945) on messages that lie finished in memory.
//! The rules are those of `domain::tsig`; time comes in as an argument.

use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::wire::Composer;
use domain::base::{Message, MessageBuilder};
use domain::dep::octseq::{OctetsBuilder, Truncate};
use domain::rdata::tsig::Time48;
use domain::tsig::{Algorithm, ClientSequence, KeyName, ServerSequence, ServerTransaction};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

pub use domain::tsig::{Key, ValidationError};

/// Octets a signature adds to a message at most, with the key's name.
pub const SIGNATURE_OCTETS_MAX: usize = 400;
/// Octets of the shortest secret that is taken; shorter ones can be guessed.
pub const SECRET_OCTETS_MIN: usize = 16;

/// The keys of a server, by name and algorithm.
pub type Keys = HashMap<(KeyName, Algorithm), Arc<Key>>;

/// Why a key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The name is no domain name.
    #[error("`{0}` is no domain name; name a key like transfer.example.org")]
    Name(String),
    /// The algorithm is not known.
    #[error("the algorithm `{0}` is not known; write hmac-sha256, hmac-sha384, hmac-sha512 or hmac-sha1")]
    Algorithm(String),
    /// The secret is not base64.
    #[error("the secret is not base64; make one with `openssl rand -base64 32`")]
    Secret,
    /// The secret is too short.
    #[error(
        "the secret has {0} octets, at least {SECRET_OCTETS_MIN} are needed; make one with `openssl rand -base64 32`"
    )]
    Short(usize),
}

/// Makes a key of its name, its algorithm and its secret in base64.
pub fn key(name: &str, algorithm: &str, secret: &str) -> Result<Arc<Key>, KeyError> {
    let key_name = key_name(name).ok_or_else(|| KeyError::Name(name.to_owned()))?;
    let algorithm = Algorithm::from_str(&algorithm.to_ascii_lowercase())
        .map_err(|_| KeyError::Algorithm(algorithm.to_owned()))?;
    let secret: Vec<u8> = domain::utils::base64::decode(secret.trim()).map_err(|_| KeyError::Secret)?;
    if secret.len() < SECRET_OCTETS_MIN {
        return Err(KeyError::Short(secret.len()));
    }
    // Without bounds on the length of signatures nothing can be wrong with them.
    Key::new(algorithm, &secret, key_name, None, None).map(Arc::new).map_err(|_| KeyError::Secret)
}

/// The name of a key.
pub fn key_name(name: &str) -> Option<KeyName> {
    KeyName::from_str(name).ok()
}

/// What the signature of a request says.
#[derive(Debug)]
pub enum Verified {
    /// There is none.
    Unsigned,
    /// It is right; the reply is signed with it.
    Signed(Box<Signer>),
    /// It is wrong: the reply to send (RFC 8945 section 5.2).
    Rejected(Vec<u8>),
}

/// Signs the replies to one request.
#[derive(Debug)]
pub struct Signer {
    sequence: ServerSequence<Arc<Key>>,
}

impl Signer {
    /// The key the request was signed with.
    pub fn key(&self) -> &Key {
        self.sequence.key()
    }

    /// Signs the next reply. `None` when it has no room left.
    pub fn sign(&mut self, reply: Vec<u8>, now_seconds: u64) -> Option<Vec<u8>> {
        append(reply, |builder| self.sequence.answer(builder, time(now_seconds))).map(|(reply, ())| reply)
    }
}

/// Checks the signature of a request and takes it out of the message.
pub fn verify(keys: &Keys, message: &mut Vec<u8>, now_seconds: u64) -> Verified {
    let Ok(mut parsed) = Message::from_octets(std::mem::take(message)) else { return Verified::Unsigned };
    let verified = match ServerTransaction::request(&Store(keys), &mut parsed, time(now_seconds)) {
        Ok(None) => Verified::Unsigned,
        Ok(Some(transaction)) => Verified::Signed(Box::new(Signer { sequence: transaction.into() })),
        Err(error) => {
            let built = error.build_message(&parsed, MessageBuilder::new_vec());
            let mut reply = built.map(AdditionalBuilder::finish).unwrap_or_default();
            name_bad_signature(&mut reply);
            Verified::Rejected(reply)
        }
    };
    *message = parsed.into_octets();
    // `domain` leaves the record's octets behind the last section.
    if let Verified::Signed(_) = verified
        && let Some(end) = message_end(message)
    {
        message.truncate(end);
    }
    verified
}

/// `domain` 0.12.3 calls a signature that does not match FORMERR (1); RFC 8945
/// section 5.2.2 calls it BADSIG (16). The error stands before the empty "other
/// data" at the end of the reply.
fn name_bad_signature(reply: &mut [u8]) {
    if let Some(end @ [0, 1, 0, 0]) = reply.last_chunk_mut::<4>() {
        end[1] = 16;
    }
}

fn message_end(message: &[u8]) -> Option<usize> {
    let parsed = Message::from_octets(message).ok()?;
    let mut end = None;
    let mut section = parsed.additional().ok()?;
    let start = section.pos();
    while section.next().is_some() {
        end = Some(section.pos());
    }
    end.or(Some(start))
}

struct Store<'a>(&'a Keys);

impl domain::tsig::KeyStore for Store<'_> {
    type Key = Arc<Key>;

    fn get_key<N: domain::base::ToName>(&self, name: &N, algorithm: Algorithm) -> Option<Arc<Key>> {
        self.0.get(&(name.try_to_name().ok()?, algorithm)).cloned()
    }
}

/// Checks the replies to a request that was signed by us.
#[derive(Debug)]
pub struct Checker {
    sequence: ClientSequence<Arc<Key>>,
}

impl Checker {
    /// Signs a request. `None` when it has no room left.
    pub fn sign(request: Vec<u8>, key: Arc<Key>, now_seconds: u64) -> Option<(Vec<u8>, Self)> {
        let (request, sequence) =
            append(request, |builder| ClientSequence::request(key, builder, time(now_seconds)))?;
        Some((request, Self { sequence }))
    }

    /// Checks the next reply and takes the signature out of it.
    pub fn check(&mut self, reply: &mut Vec<u8>, now_seconds: u64) -> Result<(), ValidationError> {
        let mut parsed = Message::from_octets(std::mem::take(reply)).map_err(|_| ValidationError::FormErr)?;
        let checked = self.sequence.answer(&mut parsed, time(now_seconds));
        *reply = parsed.into_octets();
        checked
    }

    /// Checks that the last reply was signed.
    pub fn done(self) -> Result<(), ValidationError> {
        self.sequence.done()
    }
}

fn time(now_seconds: u64) -> Time48 {
    Time48::from_u64(now_seconds & 0xFFFF_FFFF_FFFF)
}

fn append<T>(
    finished: Vec<u8>,
    sign: impl FnOnce(&mut AdditionalBuilder<Finished>) -> Result<T, PushError>,
) -> Option<(Vec<u8>, T)> {
    if finished.len() < 12 || finished.len() + SIGNATURE_OCTETS_MAX > usize::from(u16::MAX) {
        return None;
    }
    let target = Finished { octets: Vec::new(), finished: Some(finished) };
    let mut builder = MessageBuilder::from_target(target).ok()?.additional();
    let signed = sign(&mut builder).ok()?;
    Some((builder.finish().octets, signed))
}

/// A message that was built elsewhere, to which `domain` appends a record: it
/// takes the place of the empty header a builder begins with.
struct Finished {
    octets: Vec<u8>,
    finished: Option<Vec<u8>>,
}

impl OctetsBuilder for Finished {
    type AppendError = std::convert::Infallible;

    fn append_slice(&mut self, slice: &[u8]) -> Result<(), Self::AppendError> {
        match self.finished.take() {
            Some(finished) => self.octets = finished,
            None => self.octets.extend_from_slice(slice),
        }
        Ok(())
    }
}

impl Truncate for Finished {
    fn truncate(&mut self, length: usize) {
        self.octets.truncate(length);
    }
}

impl AsRef<[u8]> for Finished {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

impl AsMut<[u8]> for Finished {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.octets
    }
}

impl Composer for Finished {}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x04test\x00\x00\x06\x00\x01";
    const SECRET: &str = "c2VjcmV0IHNlY3JldCBzZWNyZXQ=";

    fn keys(key: &Arc<Key>) -> Keys {
        Keys::from([((key.name().clone(), key.algorithm()), key.clone())])
    }

    #[test]
    fn request_and_replies_are_signed_and_checked() {
        let key = key("transfer.test", "hmac-sha256", SECRET).unwrap();
        let (mut request, mut checker) = Checker::sign(QUERY.to_vec(), key.clone(), 1_000_000).unwrap();
        let Verified::Signed(mut signer) = verify(&keys(&key), &mut request, 1_000_100) else {
            panic!("the signature is right")
        };
        assert_eq!(request, QUERY);
        for _ in 0..3 {
            let mut reply = QUERY.to_vec();
            reply[2] |= 0x80;
            let mut signed = signer.sign(reply, 1_000_100).unwrap();
            checker.check(&mut signed, 1_000_101).unwrap();
        }
        checker.done().unwrap();
    }

    #[test]
    fn wrong_signatures_are_rejected() {
        let ours = key("transfer.test", "hmac-sha256", SECRET).unwrap();
        let other = key("transfer.test", "hmac-sha256", "b3RoZXIgb3RoZXIgb3RoZXI=").unwrap();
        let rcode = |request: &[u8], now| match verify(&keys(&ours), &mut request.to_vec(), now) {
            Verified::Rejected(reply) => (reply[3] & 15, reply[reply.len() - 3]),
            other => panic!("{other:?}"),
        };
        let (forged, _) = Checker::sign(QUERY.to_vec(), other, 1_000_000).unwrap();
        assert_eq!(rcode(&forged, 1_000_000), (9, 16), "BADSIG is NOTAUTH");
        let (late, _) = Checker::sign(QUERY.to_vec(), ours.clone(), 1_000_000).unwrap();
        assert_eq!(rcode(&late, 1_000_301).0, 9, "BADTIME is NOTAUTH");
        let mut broken = late.clone();
        broken[14] ^= 1;
        assert_eq!(rcode(&broken, 1_000_000), (9, 16));
        assert!(matches!(verify(&keys(&ours), &mut QUERY.to_vec(), 0), Verified::Unsigned));
    }

    #[test]
    fn keys_that_cannot_be() {
        let error = |name, algorithm, secret| key(name, algorithm, secret).unwrap_err();
        assert_eq!(error("a..b", "hmac-sha256", SECRET), KeyError::Name("a..b".to_owned()));
        assert_eq!(error("k", "hmac-md5", SECRET), KeyError::Algorithm("hmac-md5".to_owned()));
        assert_eq!(error("k", "hmac-sha256", "!"), KeyError::Secret);
        assert_eq!(error("k", "hmac-sha256", "c2hvcnQ="), KeyError::Short(5));
    }

    #[test]
    fn a_signature_takes_no_more_than_its_octets_and_none_is_made_without_room() {
        // The longest name, the longest signature.
        let label = "k".repeat(63);
        let name = [&label[..], &label, &label, &label[..61]].join(".");
        let key = key(&name, "hmac-sha512", SECRET).unwrap();
        let padded = |octets: usize| {
            let mut message = QUERY.to_vec();
            message.resize(octets, 0);
            message
        };
        let whole = usize::from(u16::MAX);
        for octets in [QUERY.len(), whole - SIGNATURE_OCTETS_MAX] {
            let (signed, _) = Checker::sign(padded(octets), key.clone(), 1_000_000).unwrap();
            assert!(signed.len() - octets <= SIGNATURE_OCTETS_MAX, "{} octets", signed.len() - octets);
        }
        assert!(Checker::sign(padded(whole - SIGNATURE_OCTETS_MAX + 1), key, 1_000_000).is_none());
    }
}
