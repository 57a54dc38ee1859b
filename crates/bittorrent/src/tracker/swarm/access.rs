//! Which torrents a tracker serves.

use std::collections::HashSet;

/// Which torrents a tracker serves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Access {
    /// All.
    #[default]
    Open,
    /// Only these.
    Allow(HashSet<[u8; 20]>),
    /// All but these.
    Deny(HashSet<[u8; 20]>),
}

impl Access {
    /// Whether the torrent is served.
    #[inline]
    pub fn permits(&self, info_hash: &[u8; 20]) -> bool {
        match self {
            Self::Open => true,
            Self::Allow(allowed) => allowed.contains(info_hash),
            Self::Deny(denied) => !denied.contains(info_hash),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_say_what_is_served() {
        let list = || HashSet::from([[1; 20]]);
        assert!(Access::Open.permits(&[1; 20]));
        assert!(Access::Allow(list()).permits(&[1; 20]) && !Access::Allow(list()).permits(&[2; 20]));
        assert!(!Access::Deny(list()).permits(&[1; 20]) && Access::Deny(list()).permits(&[2; 20]));
    }
}
