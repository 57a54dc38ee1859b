//! Write tokens: only who receives at an address can store in its name (BEP 5,
//! "Overview").

use super::id::Id;
use rand_core::CryptoRng;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long a secret gives tokens; they are taken as long again.
pub const ROTATION: Duration = Duration::from_mins(5);

/// Octets of our tokens.
pub const TOKEN_OCTETS: usize = 8;

/// Gives and checks tokens; nothing is kept for each.
#[derive(Debug, Clone)]
pub struct Tokens {
    current: [u8; 20],
    previous: [u8; 20],
    rotated: Instant,
}

impl Tokens {
    /// With new secrets.
    pub fn new(now: Instant, rng: &mut impl CryptoRng) -> Self {
        Self { current: *Id::random(rng).octets(), previous: *Id::random(rng).octets(), rotated: now }
    }

    /// The token for who asks at `ip` for `target`.
    pub fn give(&mut self, now: Instant, ip: &IpAddr, target: &Id, rng: &mut impl CryptoRng) -> Vec<u8> {
        self.rotate(now, rng);
        token(&self.current, ip, target).to_vec()
    }

    /// Whether `token` was given to `ip` for `target` in the last 5 to 10
    /// minutes.
    pub fn check(
        &mut self,
        now: Instant,
        ip: &IpAddr,
        target: &Id,
        given: &[u8],
        rng: &mut impl CryptoRng,
    ) -> bool {
        self.rotate(now, rng);
        given == token(&self.current, ip, target) || given == token(&self.previous, ip, target)
    }

    fn rotate(&mut self, now: Instant, rng: &mut impl CryptoRng) {
        let age = now.saturating_duration_since(self.rotated);
        if age < ROTATION {
            return;
        }
        // After a long silence both are too old.
        self.previous = if age < ROTATION * 2 { self.current } else { *Id::random(rng).octets() };
        self.current = *Id::random(rng).octets();
        self.rotated = now;
    }
}

fn token(secret: &[u8; 20], ip: &IpAddr, target: &Id) -> [u8; TOKEN_OCTETS] {
    let hash = match ip {
        IpAddr::V4(ip) => Id::hash(&[secret, &ip.octets(), target.as_ref()]),
        IpAddr::V6(ip) => Id::hash(&[secret, &ip.octets(), target.as_ref()]),
    };
    let mut token = [0; TOKEN_OCTETS];
    for (octet, hashed) in token.iter_mut().zip(hash.octets()) {
        *octet = *hashed;
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_token_holds_for_its_address_and_target_and_five_to_ten_minutes() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = Instant::now();
        let (ip, target) = ([192, 0, 2, 1].into(), Id::new([1; 20]));
        for given_after in [0, 299, 301, 1_000] {
            let mut tokens = Tokens::new(start, &mut rng);
            let given = start + Duration::from_secs(given_after);
            let token = tokens.give(given, &ip, &target, &mut rng);
            assert!(tokens.check(given, &ip, &target, &token, &mut rng));
            assert!(!tokens.check(given, &[192, 0, 2, 2].into(), &target, &token, &mut rng));
            assert!(!tokens.check(given, &ip, &Id::new([2; 20]), &token, &mut rng));
            assert!(!tokens.check(given, &ip, &target, &token[..7], &mut rng));
            assert!(!tokens.check(given, &ip, &target, b"", &mut rng));
            let soon = given + ROTATION;
            assert!(tokens.check(soon, &ip, &target, &token, &mut rng), "{given_after}");
            let late = given + ROTATION * 2;
            assert!(!tokens.check(late, &ip, &target, &token, &mut rng), "{given_after}");
        }
    }

    #[test]
    fn a_token_does_not_survive_a_long_silence() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let start = Instant::now();
        let mut tokens = Tokens::new(start, &mut rng);
        let (ip, target) = ([192, 0, 2, 1].into(), Id::new([1; 20]));
        let token = tokens.give(start, &ip, &target, &mut rng);
        assert!(!tokens.check(start + ROTATION * 5, &ip, &target, &token, &mut rng));
    }
}
