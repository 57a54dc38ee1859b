//! Items that anybody may store: immutable ones under their hash, mutable ones
//! under a key (BEP 44).

use super::id::Id;
use super::krpc::{ErrorReply, PutSignature, Response, code};
use crate::bencode::{self, DecodeError, KeyOrder, Limits};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha512};
use std::fmt;
use thiserror::Error;

/// Octets of the longest value (BEP 44, "Messages").
pub const VALUE_OCTETS_MAX: usize = 1_000;

/// Octets of the longest salt (BEP 44, "Mutable Items").
pub const SALT_OCTETS_MAX: usize = 64;

/// A value must be canonical: everybody must see the same octets.
const LIMITS: Limits = Limits { depth_max: 16, values_max: VALUE_OCTETS_MAX, key_order: KeyOrder::Sorted };

/// Why something is no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ItemError {
    /// The value is longer than [`VALUE_OCTETS_MAX`].
    #[error("a value of {octets} octets; {VALUE_OCTETS_MAX} may be stored")]
    ValueTooLong {
        /// How long it is.
        octets: usize,
    },
    /// The value is not canonically bencoded.
    #[error("the value is not canonically bencoded: {0}")]
    Value(#[from] DecodeError),
    /// The salt is longer than [`SALT_OCTETS_MAX`].
    #[error("a salt of {octets} octets; {SALT_OCTETS_MAX} are allowed")]
    SaltTooLong {
        /// How long it is.
        octets: usize,
    },
    /// The sequence number is negative (BEP 44: may be rejected).
    #[error("a negative sequence number")]
    NegativeSequence,
    /// The key is no point of the curve, or did not sign this.
    #[error("the signature does not fit the key, the salt, the sequence number and the value")]
    Signature,
    /// It is another item than the one looked for.
    #[error("the item lies under another target")]
    OtherTarget,
}

impl From<ItemError> for ErrorReply {
    fn from(error: ItemError) -> Self {
        let code = match error {
            ItemError::ValueTooLong { .. } => code::VALUE_TOO_BIG,
            ItemError::SaltTooLong { .. } => code::SALT_TOO_BIG,
            ItemError::Signature => code::BAD_SIGNATURE,
            ItemError::Value(_) | ItemError::NegativeSequence | ItemError::OtherTarget => code::PROTOCOL,
        };
        Self { code, text: error.to_string() }
    }
}

/// A canonically bencoded value of at most [`VALUE_OCTETS_MAX`] octets.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Value(Vec<u8>);

impl Value {
    /// Checks bencoded octets.
    pub fn new(octets: Vec<u8>) -> Result<Self, ItemError> {
        if octets.len() > VALUE_OCTETS_MAX {
            return Err(ItemError::ValueTooLong { octets: octets.len() });
        }
        bencode::decode(&octets, &LIMITS)?;
        Ok(Self(octets))
    }

    /// Encodes a value.
    pub fn encode(item: &bencode::Item) -> Result<Self, ItemError> {
        Self::new(item.encode())
    }

    /// The bencoded octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// The value, read.
    pub fn read(&self) -> Result<bencode::Value<'_>, ItemError> {
        Ok(bencode::decode(&self.0, &LIMITS)?)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// The public key of a mutable item (Ed25519, RFC 8032). Not every 32 octets
/// are a point; that shows when a signature is verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Where the item with this key and salt lies (BEP 44, "Messages").
    pub fn target(&self, salt: &[u8]) -> Id {
        Id::hash(&[&self.0, salt])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::hex::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who holds it can change the item.
pub struct SecretKey {
    expanded: ExpandedSecretKey,
    public: VerifyingKey,
}

impl SecretKey {
    /// From the 32 octets of RFC 8032 section 5.1.5.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::from_expanded(&Sha512::digest(seed).into())
    }

    /// From the 64 octets that BEP 44 and libtorrent call the private key: the
    /// hash of a seed that was not kept.
    pub fn from_expanded(octets: &[u8; 64]) -> Self {
        let expanded = ExpandedSecretKey::from_bytes(octets);
        let public = VerifyingKey::from(&expanded);
        Self { expanded, public }
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.public.to_bytes())
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        raw_sign::<Sha512>(&self.expanded, message, &self.public).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    /// Tells the public half only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// A mutable item whose signature fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MutableItem {
    key: PublicKey,
    salt: Vec<u8>,
    sequence: i64,
    value: Value,
    signature: [u8; 64],
}

impl MutableItem {
    /// Signs a value. `sequence` must be greater than that of the item it
    /// replaces.
    pub fn sign(secret: &SecretKey, salt: &[u8], sequence: i64, value: Value) -> Result<Self, ItemError> {
        check_head(salt, sequence)?;
        let signature = secret.sign(&signed(salt, sequence, &value));
        Ok(Self { key: secret.public(), salt: salt.to_vec(), sequence, value, signature })
    }

    /// Checks what came from the network (BEP 44, "Signature Verification").
    pub fn verify(
        key: PublicKey,
        salt: &[u8],
        sequence: i64,
        value: Value,
        signature: [u8; 64],
    ) -> Result<Self, ItemError> {
        check_head(salt, sequence)?;
        VerifyingKey::from_bytes(&key.0)
            .and_then(|key| {
                key.verify_strict(&signed(salt, sequence, &value), &Signature::from_bytes(&signature))
            })
            .map_err(|_| ItemError::Signature)?;
        Ok(Self { key, salt: salt.to_vec(), sequence, value, signature })
    }

    /// Who signed it.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// What tells it from other items of the same key; often empty.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Which version it is, from 0.
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    /// What it says.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The signature over all of that.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }
}

fn check_head(salt: &[u8], sequence: i64) -> Result<(), ItemError> {
    if salt.len() > SALT_OCTETS_MAX {
        return Err(ItemError::SaltTooLong { octets: salt.len() });
    }
    if sequence < 0 { Err(ItemError::NegativeSequence) } else { Ok(()) }
}

/// The octets that are signed (BEP 44, "Signature Verification").
fn signed(salt: &[u8], sequence: i64, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    if !salt.is_empty() {
        out.extend_from_slice(format!("4:salt{}:", salt.len()).as_bytes());
        out.extend_from_slice(salt);
    }
    out.extend_from_slice(format!("3:seqi{sequence}e1:v").as_bytes());
    out.extend_from_slice(value.octets());
    out
}

/// An item that may be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Lies under the hash of its value.
    Immutable(Value),
    /// Lies under the hash of its key and salt.
    Mutable(MutableItem),
}

impl Item {
    /// Checks what `put` brings (BEP 44).
    pub fn from_put(value: Vec<u8>, signature: Option<&PutSignature>) -> Result<Self, ItemError> {
        let value = Value::new(value)?;
        match signature {
            None => Ok(Item::Immutable(value)),
            Some(PutSignature { key, salt, sequence, signature }) => {
                MutableItem::verify(PublicKey(*key), salt, *sequence, value, *signature).map(Item::Mutable)
            }
        }
    }

    /// Where it lies.
    pub fn target(&self) -> Id {
        match self {
            Item::Immutable(value) => Id::hash(&[value.octets()]),
            Item::Mutable(item) => item.key.target(&item.salt),
        }
    }

    /// What it says.
    pub fn value(&self) -> &Value {
        match self {
            Item::Immutable(value) => value,
            Item::Mutable(item) => &item.value,
        }
    }

    /// Its sequence number, if it is mutable.
    pub fn sequence(&self) -> Option<i64> {
        match self {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some(item.sequence),
        }
    }
}

impl Response {
    /// Puts an item in (BEP 44, "get message").
    pub(super) fn hold(&mut self, item: &Item) {
        self.value = Some(item.value().octets().to_vec());
        if let Item::Mutable(item) = item {
            self.key = Some(item.key.0);
            self.sequence = Some(item.sequence);
            self.signature = Some(item.signature);
        }
    }
}

#[cfg(test)]
#[path = "item/tests.rs"]
mod tests;
