//! What is stored of an account, and the canonical form of addresses.

use super::AccountError;
use crate::mailbox::AccountId;
use crate::octets::{Reader, Writer};
use mail::address::{Address, DOMAIN_OCTETS_MAX, Domain, LOCAL_PART_OCTETS_MAX};
use mail::sasl::ScramKeys;

/// Octets of an address.
pub(super) const ADDRESS_OCTETS_MAX: usize = LOCAL_PART_OCTETS_MAX + 1 + DOMAIN_OCTETS_MAX;

/// An account.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(super) struct AccountRecord {
    /// Canonical.
    pub(super) address: String,
    /// The PHC string of Argon2id.
    pub(super) hash: String,
    pub(super) scram: ScramKeys,
}

impl AccountRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.string(&self.address)
            .string(&self.hash)
            .number(self.scram.iterations)
            .octets(&self.scram.stored_key)
            .octets(&self.scram.server_key)
            .number(self.scram.salt.len() as u64)
            .octets(&self.scram.salt);
        out.finish()
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let record = AccountRecord {
            address: from.string()?,
            hash: from.string()?,
            scram: ScramKeys {
                iterations: from.int()?,
                stored_key: from.array()?,
                server_key: from.array()?,
                salt: from.list(|from| from.array::<1>().map(|[octet]| octet))?,
            },
        };
        from.end(record)
    }
}

pub(super) fn encode_id(id: AccountId) -> [u8; 4] {
    id.0.to_be_bytes()
}

pub(super) fn decode_id(octets: &[u8]) -> Option<AccountId> {
    octets.try_into().ok().map(|octets| AccountId(u32::from_be_bytes(octets)))
}

/// An address in lower case, without quotes it does not need. What is no
/// address stays as it is, in lower case: nobody has it.
pub(super) fn canonical(address: &str) -> String {
    match address.trim().parse::<Address>() {
        Ok(address) => address.to_string().to_lowercase(),
        Err(_) => address.trim().to_lowercase(),
    }
}

/// The canonical form of an address that an account may have.
pub(super) fn checked_address(address: &str) -> Result<String, AccountError> {
    let bad =
        |reason: String| AccountError::BadAddress { address: address.chars().take(100).collect(), reason };
    let parsed: Address = address.trim().parse().map_err(|error| bad(format!("{error}")))?;
    if matches!(parsed.domain(), Domain::Literal(_)) {
        return Err(bad("its domain must be a name".to_owned()));
    }
    if parsed.local().contains('+') {
        return Err(bad("what stands after + is a sub-address of the account before it".to_owned()));
    }
    Ok(parsed.to_string().to_lowercase())
}
