//! Sequence numbers that wrap (BEP 29).

/// A 16-bit sequence number. It names a packet, not an octet (BEP 29).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Seq(pub u16);

impl Seq {
    /// The number after this one.
    pub fn next(self) -> Self {
        self.plus(1)
    }

    /// The number before this one.
    pub fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// The number `count` later.
    pub fn plus(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many steps lead from `earlier` to this one; a number before
    /// `earlier` is nearly 65,536 steps away.
    pub fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether it comes after `other`: within the next half of all numbers.
    pub fn is_after(self, other: Self) -> bool {
        let distance = self.since(other);
        distance != 0 && distance < 0x8000
    }
}

/// Whether the 32-bit time or delay `one` comes before `other`, though both
/// wrap: within half of all values.
pub(super) fn is_earlier(one: u32, other: u32) -> bool {
    let distance = other.wrapping_sub(one);
    distance != 0 && distance < 0x8000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_across_the_wrap() {
        assert_eq!(Seq(u16::MAX).next(), Seq(0));
        assert_eq!(Seq(0).previous(), Seq(u16::MAX));
        assert!(Seq(3).is_after(Seq(65_530)) && !Seq(65_530).is_after(Seq(3)));
        assert!(!Seq(5).is_after(Seq(5)));
        assert_eq!(Seq(3).since(Seq(65_530)), 9);
        assert!(is_earlier(u32::MAX - 5, 5) && !is_earlier(5, u32::MAX - 5) && !is_earlier(7, 7));
    }
}
