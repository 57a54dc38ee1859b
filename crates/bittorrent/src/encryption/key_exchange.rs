//! Diffie-Hellman over 768 bits, and the hashes that MSE/PE takes of its secret.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U192, U768};
use rand_core::Rng;
use sha1::{Digest, Sha1};

/// Octets of a public key (MSE/PE, "constants").
pub const PUBLIC_KEY_OCTETS: usize = 96;

/// Bits of a private key: the shared secret is worth no more than SHA-1's 160.
const PRIVATE_KEY_BITS: u32 = 160;

/// The prime P.
const PRIME: Odd<U768> = Odd::<U768>::from_be_hex(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74\
     020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437\
     4FE1356D6D51C245E485B576625E7EC6F44C42E9A63A36210000000000090563",
);

/// What arithmetic modulo P needs to know, computed when compiled.
const MODULUS: FixedMontyParams<{ U768::LIMBS }> = FixedMontyParams::new_vartime(PRIME);

/// A private key, for one connection.
pub struct PrivateKey(U192);

impl PrivateKey {
    /// Draws one.
    pub fn generate(random: &mut impl Rng) -> Self {
        let mut octets = [0; 24];
        random.fill_bytes(&mut octets[4..]);
        Self(U192::from_be_slice(&octets))
    }

    /// The public key that goes with it: 2 to its power.
    pub fn public_key(&self) -> [u8; PUBLIC_KEY_OCTETS] {
        power(&U768::from_u8(2), &self.0)
    }

    /// The secret shared with the owner of a public key. None if that key is
    /// 0, 1, P-1 or beyond, with which anyone could guess the secret.
    pub fn shared_secret(&self, public_key: &[u8; PUBLIC_KEY_OCTETS]) -> Option<SharedSecret> {
        let key = U768::from_be_slice(public_key);
        let largest = PRIME.get().wrapping_sub(&U768::from_u8(2));
        (key >= U768::from_u8(2) && key <= largest).then(|| SharedSecret(power(&key, &self.0)))
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PrivateKey(..)")
    }
}

fn power(base: &U768, exponent: &U192) -> [u8; PUBLIC_KEY_OCTETS] {
    let power = FixedMontyForm::new(base, &MODULUS).pow_bounded_exp(exponent, PRIVATE_KEY_BITS).retrieve();
    let mut octets = [0; PUBLIC_KEY_OCTETS];
    octets.copy_from_slice(power.to_be_bytes().as_ref());
    octets
}

/// The secret S of both sides.
pub struct SharedSecret([u8; PUBLIC_KEY_OCTETS]);

impl SharedSecret {
    /// HASH('req1', S), which the receiver looks for behind the first padding.
    pub fn synchronisation(&self) -> [u8; 20] {
        hash(&[b"req1", &self.0])
    }

    /// HASH('req2', SKEY) xor HASH('req3', S): of the first the second, of the
    /// second the first.
    pub fn conceal(&self, hash_of_key: [u8; 20]) -> [u8; 20] {
        let mut concealed = hash_of_key;
        for (octet, mask) in concealed.iter_mut().zip(hash(&[b"req3", &self.0])) {
            *octet ^= mask;
        }
        concealed
    }

    /// HASH('keyA', S, SKEY), the RC4 key from the initiator to the receiver.
    pub fn initiator_key(&self, info_hash: &[u8; 20]) -> [u8; 20] {
        hash(&[b"keyA", &self.0, info_hash])
    }

    /// HASH('keyB', S, SKEY), the RC4 key from the receiver to the initiator.
    pub fn receiver_key(&self, info_hash: &[u8; 20]) -> [u8; 20] {
        hash(&[b"keyB", &self.0, info_hash])
    }
}

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("SharedSecret(..)")
    }
}

/// SHA-1 of all parts in a row.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 20] {
    let mut sha1 = Sha1::new();
    for part in parts {
        sha1.update(part);
    }
    sha1.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_public_key_is_two_to_the_power_of_the_private_one() {
        // Computed with Python's pow(2, 0xffee…ddcc, P).
        let key = PrivateKey(U192::from_be_hex("00000000ffeeddccbbaa99887766554433221100ffeeddcc"));
        let expected = U768::from_be_hex(
            "42c0f8ba5bf8d05f5a4b421747a349f228d4cf1b0b9b801d732e8fad9cbe8eed8c592f5180331cda04d2cd0a3b736175\
             3510a6ffffbd3981aa79479899d068d558ba873cef97e0b7c5d7fa3a8334ce5c24a90573243ff3e4d4b7d626f9ddef43",
        );
        assert_eq!(key.public_key(), expected.to_be_bytes().as_ref());
    }

    #[test]
    fn both_sides_reach_the_same_secret() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let (ours, theirs) = (PrivateKey::generate(&mut random), PrivateKey::generate(&mut random));
        let one = ours.shared_secret(&theirs.public_key()).expect("a key");
        let other = theirs.shared_secret(&ours.public_key()).expect("a key");
        assert_eq!(one.0, other.0);
        assert_eq!(one.conceal(one.conceal([7; 20])), [7; 20]);
        assert_ne!(one.initiator_key(&[1; 20]), one.receiver_key(&[1; 20]));
        assert_eq!(format!("{ours:?} {one:?}"), "PrivateKey(..) SharedSecret(..)");
    }

    #[test]
    fn keys_that_give_the_secret_away_are_refused() {
        let key = PrivateKey::generate(&mut ChaCha8Rng::seed_from_u64(2));
        let refused = |number: U768| {
            let octets: [u8; 96] = number.to_be_bytes().as_ref().try_into().expect("96 octets");
            key.shared_secret(&octets).is_none()
        };
        let prime = PRIME.get();
        assert!(refused(U768::ZERO) && refused(U768::ONE) && !refused(U768::from_u8(2)));
        assert!(refused(U768::MAX) && refused(prime) && refused(prime.wrapping_sub(&U768::ONE)));
        assert!(!refused(prime.wrapping_sub(&U768::from_u8(2))));
    }
}
