//! Connection ids without memory: each is a code of the client's address and
//! the time.

use super::siphash::sip_hash_2_4;
use std::net::IpAddr;
use std::time::Instant;

/// How long a connection id holds at least (BEP 15: a tracker accepts them until
/// two minutes after they were sent).
pub const CONNECTION_SECONDS_MAX: u64 = 120;
/// Seconds of one window of time.
const WINDOW_SECONDS: u64 = 10;
/// Windows after its own in which an id holds.
const WINDOWS_MAX: u64 = CONNECTION_SECONDS_MAX / WINDOW_SECONDS;
/// Bits of an id that say in which window it was given.
const WINDOW_BITS: u32 = 7;
/// Bits of an id that are the code.
const CODE_BITS: u32 = 64 - WINDOW_BITS - 1;

/// Gives and checks connection ids. An id says which of the two secrets and
/// which window of time it is of, and has 56 bits of SipHash-2-4 over window and
/// IP address; the port is left out, because some translators of addresses
/// change it. A copy gives and accepts the same ids: one for each thread.
#[derive(Debug, Clone)]
pub struct ConnectionIds {
    epoch: Instant,
    /// The current secret and the one before.
    secrets: [[u64; 2]; 2],
    /// How often the secret changed.
    generation: u64,
}

impl ConnectionIds {
    /// Ids under a secret of random octets; `epoch` is when time begins.
    pub fn new(secret: [u8; 16], epoch: Instant) -> Self {
        let secret = words(secret);
        // Before the first change there is no other secret to be accepted.
        Self { epoch, secrets: [secret, secret], generation: 0 }
    }

    /// Gives ids under another secret from here on; those under the last one
    /// hold until they are over, those before it no longer. So an hour between
    /// two changes is good, less than [`CONNECTION_SECONDS_MAX`] is not.
    pub fn rotate(&mut self, secret: [u8; 16]) {
        self.generation = self.generation.wrapping_add(1);
        self.secrets = [words(secret), self.secrets[0]];
    }

    /// The id for a client.
    #[inline]
    pub fn give(&self, now: Instant, client: IpAddr) -> u64 {
        let window = self.window(now);
        self.id(0, window, client)
    }

    /// Whether the client was given this id, not too long ago.
    #[inline]
    pub fn accepts(&self, now: Instant, client: IpAddr, id: u64) -> bool {
        let now = self.window(now);
        let age = now.wrapping_sub(id >> CODE_BITS) % (1 << WINDOW_BITS);
        if age > WINDOWS_MAX || age > now {
            return false;
        }
        let past = (id >> 63) != self.generation & 1;
        self.id(usize::from(past), now - age, client) == id
    }

    #[inline]
    fn window(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_secs() / WINDOW_SECONDS
    }

    #[inline]
    fn id(&self, secret: usize, window: u64, client: IpAddr) -> u64 {
        let (family, bits) = match client {
            IpAddr::V4(client) => (4, u128::from(client.to_bits())),
            IpAddr::V6(client) => (6, client.to_bits()),
        };
        let generation = self.generation.wrapping_sub(secret as u64) & 1;
        let words = [window << 8 | generation << 7 | family, (bits >> 64) as u64, bits as u64];
        let code = sip_hash_2_4(self.secrets[secret], words) >> (64 - CODE_BITS);
        generation << 63 | (window % (1 << WINDOW_BITS)) << CODE_BITS | code
    }
}

fn words(secret: [u8; 16]) -> [u64; 2] {
    let bits = u128::from_le_bytes(secret);
    [bits as u64, (bits >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn an_id_holds_for_two_minutes_and_not_much_longer() {
        let epoch = Instant::now();
        let ids = ConnectionIds::new([7; 16], epoch);
        // Every window of a whole round of the windows' bits and more.
        for start in (0..3_000).step_by(7) {
            let given = epoch + Duration::from_secs(start);
            let id = ids.give(given, CLIENT);
            for age in 0..=120 {
                assert!(ids.accepts(given + Duration::from_secs(age), CLIENT, id), "{start} {age}");
            }
            for age in (130..3_000).step_by(9) {
                assert!(!ids.accepts(given + Duration::from_secs(age), CLIENT, id), "{start} {age}");
            }
        }
    }

    #[test]
    fn an_id_is_of_one_address_one_secret_and_no_other_bits() {
        let epoch = Instant::now();
        let now = epoch + Duration::from_secs(1_000);
        let ids = ConnectionIds::new([7; 16], epoch);
        let id = ids.give(now, CLIENT);
        let others: [IpAddr; 3] =
            ["192.0.2.2", "::ffff:192.0.2.1", "::c000:201"].map(|ip| ip.parse().expect("an address"));
        assert!(others.iter().all(|other| !ids.accepts(now, *other, id)));
        assert!((0..64).all(|bit| !ids.accepts(now, CLIENT, id ^ 1 << bit)));
        assert!(!ConnectionIds::new([8; 16], epoch).accepts(now, CLIENT, id));
        assert!(!ids.accepts(now, CLIENT, 0x0417_2710_1980) && !ids.accepts(now, CLIENT, 0));
        assert!(ids.clone().accepts(now, CLIENT, id));
    }

    #[test]
    fn a_change_of_the_secret_is_survived_once() {
        let epoch = Instant::now();
        let mut ids = ConnectionIds::new([1; 16], epoch);
        let first = ids.give(epoch, CLIENT);
        ids.rotate([2; 16]);
        let second = ids.give(epoch, CLIENT);
        assert!(first != second && ids.accepts(epoch, CLIENT, first) && ids.accepts(epoch, CLIENT, second));
        ids.rotate([3; 16]);
        assert!(!ids.accepts(epoch, CLIENT, first) && ids.accepts(epoch, CLIENT, second));
    }

    #[test]
    fn ids_before_the_beginning_are_not_accepted() {
        let epoch = Instant::now();
        let ids = ConnectionIds::new([7; 16], epoch);
        let id = ids.id(0, (1 << WINDOW_BITS) - 1, CLIENT);
        assert!(!ids.accepts(epoch, CLIENT, id));
    }
}
