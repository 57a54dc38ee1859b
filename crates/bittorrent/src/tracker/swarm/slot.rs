//! How a peer is kept: address, port, until when, and whether it uploads only.

use super::keyed::Keyed;
use crate::tracker::Family;
use std::fmt::Debug;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// Seconds of one tick of a peer's deadline.
pub(super) const TICK_SECONDS: u64 = 16;
/// Deadlines wrap around after so many ticks (about 72 hours); what lies more
/// than half of them behind counts as ahead.
const TICKS: u16 = 1 << 14;

/// What is known of a peer beside its address, in 16 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct State(u16);

impl State {
    pub(super) fn new(deadline_tick: u64, seed: bool, upload_only: bool) -> Self {
        let tick = (deadline_tick % u64::from(TICKS)) as u16;
        Self(tick << 2 | u16::from(upload_only) << 1 | u16::from(seed))
    }

    /// Whether it has all pieces.
    #[inline]
    pub(super) fn is_seed(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it wants no more pieces: a seed, or a partial seed (BEP 21).
    #[inline]
    pub(super) fn is_upload_only(self) -> bool {
        self.0 & 3 != 0
    }

    /// Whether its deadline is over.
    #[inline]
    pub(super) fn is_expired(self, now_tick: u64) -> bool {
        let now = (now_tick % u64::from(TICKS)) as u16;
        let behind = now.wrapping_sub(self.0 >> 2) % TICKS;
        // A deadline that is now is over at the end of this tick.
        behind != 0 && behind < TICKS / 2
    }
}

/// A peer of one address family as [`super::Swarms`] keeps it; the empty one
/// has port 0, with which no peer is kept.
pub trait Slot: Copy + Debug + Default + PartialEq + sealed::Sealed + 'static {
    /// The peer's address.
    type Address: Copy + Debug + PartialEq + Into<SocketAddr>;
    /// As many as lie within a torrent itself.
    type Few: AsRef<[Self]> + AsMut<[Self]> + Copy + Debug + Default;
    /// The family.
    const FAMILY: Family;
    /// Octets of a compact peer.
    const OCTETS: usize;

    /// The peer at an address.
    fn at(address: Self::Address) -> Self;
    /// Whether no peer is here.
    fn is_empty(&self) -> bool;
    /// Whether both are of one address and port.
    fn is_same_peer(&self, other: &Self) -> bool;
    /// Beside the address.
    fn state(&self) -> State;
    /// The same peer with another state.
    fn with_state(self, state: State) -> Self;
    /// The keyed hash of address and port.
    fn hash(&self, keyed: &Keyed) -> u64;
    /// Writes the compact peer into the first [`Slot::OCTETS`] of `out`, which
    /// has so many.
    fn write(&self, out: &mut [u8]);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Slot4 {}
    impl Sealed for super::Slot6 {}
}

/// A peer over IPv4: address, port and state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot4(u64);

impl Slot for Slot4 {
    type Address = SocketAddrV4;
    type Few = [Self; 4];
    const FAMILY: Family = Family::V4;
    const OCTETS: usize = 6;

    #[inline]
    fn at(address: SocketAddrV4) -> Self {
        Self(u64::from(address.ip().to_bits()) << 32 | u64::from(address.port()) << 16)
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0 & 0xffff_0000 == 0
    }

    #[inline]
    fn is_same_peer(&self, other: &Self) -> bool {
        (self.0 ^ other.0) >> 16 == 0
    }

    #[inline]
    fn state(&self) -> State {
        State(self.0 as u16)
    }

    #[inline]
    fn with_state(self, state: State) -> Self {
        Self(self.0 & !0xffff | u64::from(state.0))
    }

    #[inline]
    fn hash(&self, keyed: &Keyed) -> u64 {
        keyed.words([self.0 >> 16, 0])
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        out[..6].copy_from_slice(&self.0.to_be_bytes()[..6]);
    }
}

/// A peer over IPv6: the address in two words, then port and state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot6([u64; 3]);

impl Slot for Slot6 {
    type Address = SocketAddrV6;
    type Few = [Self; 1];
    const FAMILY: Family = Family::V6;
    const OCTETS: usize = 18;

    #[inline]
    fn at(address: SocketAddrV6) -> Self {
        let bits = address.ip().to_bits();
        Self([(bits >> 64) as u64, bits as u64, u64::from(address.port()) << 16])
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.0[2] & 0xffff_0000 == 0
    }

    #[inline]
    fn is_same_peer(&self, other: &Self) -> bool {
        let [high, low, rest] = self.0;
        high == other.0[0] && low == other.0[1] && (rest ^ other.0[2]) >> 16 == 0
    }

    #[inline]
    fn state(&self) -> State {
        State(self.0[2] as u16)
    }

    #[inline]
    fn with_state(self, state: State) -> Self {
        let [high, low, rest] = self.0;
        Self([high, low, rest & !0xffff | u64::from(state.0)])
    }

    #[inline]
    fn hash(&self, keyed: &Keyed) -> u64 {
        // The port lies where a /64 of one subscriber has nothing of use.
        keyed.words([self.0[0] ^ self.0[2] >> 16 << 48, self.0[1]])
    }

    #[inline]
    fn write(&self, out: &mut [u8]) {
        out[..8].copy_from_slice(&self.0[0].to_be_bytes());
        out[8..16].copy_from_slice(&self.0[1].to_be_bytes());
        out[16..18].copy_from_slice(&((self.0[2] >> 16) as u16).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::read_peer;
    use proptest::prelude::*;

    #[test]
    fn deadlines_pass_also_where_they_wrap_around() {
        for start in [0, 5, u64::from(TICKS) - 3, 3 * u64::from(TICKS) - 1] {
            let state = State::new(start + 10, false, false);
            assert!(!state.is_expired(start));
            assert!(!state.is_expired(start + 10));
            assert!(state.is_expired(start + 11));
            assert!(state.is_expired(start + 5_000));
        }
    }

    proptest! {
        #[test]
        fn a_peer_is_kept_as_it_came(
            v4 in any::<u32>(), v6 in any::<u128>(), port in 1_u16.., tick in any::<u64>(),
            seed in any::<bool>(), paused in any::<bool>(),
        ) {
            let state = State::new(tick, seed, paused);
            prop_assert_eq!((state.is_seed(), state.is_upload_only()), (seed, seed || paused));
            let mut out = [0; 18];
            let four = SocketAddrV4::new(v4.into(), port);
            let slot = Slot4::at(four).with_state(state);
            slot.write(&mut out);
            prop_assert_eq!(read_peer(Family::V4, &out[..6]), Some(four.into()));
            prop_assert!(slot.state() == state && slot.is_same_peer(&Slot4::at(four)) && !slot.is_empty());
            let six = SocketAddrV6::new(v6.into(), port, 0, 0);
            let slot = Slot6::at(six).with_state(state);
            slot.write(&mut out);
            prop_assert_eq!(read_peer(Family::V6, &out), Some(six.into()));
            prop_assert!(slot.state() == state && slot.is_same_peer(&Slot6::at(six)) && !slot.is_empty());
            let other = SocketAddrV6::new((v6 ^ 1 << 70).into(), port, 0, 0);
            prop_assert!(!slot.is_same_peer(&Slot6::at(other)));
        }
    }
}
