//! What encryption we ask for and put up with.

/// The setting of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Neither begun nor accepted.
    Disabled,
    /// Accepted; begun only with peers that do not answer otherwise; the stream
    /// itself stays plain where the peer agrees.
    #[default]
    Allowed,
    /// Tried first; plain connections are still made and accepted.
    Preferred,
    /// Nothing but RC4 in both directions.
    Required,
}

/// How to open an outgoing connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// With the handshake of BEP 3.
    Plain,
    /// With the handshake of MSE/PE.
    Encrypted,
}

impl Policy {
    /// The ways to open a connection, one after the other until one succeeds.
    pub fn attempts(self) -> &'static [Attempt] {
        match self {
            Policy::Disabled => &[Attempt::Plain],
            Policy::Allowed => &[Attempt::Plain, Attempt::Encrypted],
            Policy::Preferred => &[Attempt::Encrypted, Attempt::Plain],
            Policy::Required => &[Attempt::Encrypted],
        }
    }

    /// Whether an incoming connection may begin so.
    pub fn accepts(self, opening: Opening) -> bool {
        match opening {
            Opening::Plain => self != Policy::Required,
            Opening::Encrypted => self != Policy::Disabled,
        }
    }

    /// What an initiator offers. Who prefers encryption offers nothing else: a
    /// peer who cannot is reached by the plain attempt that follows.
    pub fn provided(self) -> Methods {
        Methods {
            plaintext: matches!(self, Policy::Disabled | Policy::Allowed),
            rc4: self != Policy::Disabled,
        }
    }

    /// What a receiver selects of an initiator's offer, if anything suits.
    pub fn select(self, provided: Methods) -> Option<Method> {
        let order: &[Method] = match self {
            Policy::Disabled => &[],
            Policy::Allowed => &[Method::Plaintext, Method::Rc4],
            Policy::Preferred => &[Method::Rc4, Method::Plaintext],
            Policy::Required => &[Method::Rc4],
        };
        order.iter().copied().find(|method| provided.contains(*method))
    }
}

/// What the stream is after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Plain: only the handshake was hidden.
    Plaintext,
    /// RC4.
    Rc4,
}

impl Method {
    /// The value of `crypto_select`.
    pub(super) fn bit(self) -> u32 {
        match self {
            Method::Plaintext => 1,
            Method::Rc4 => 2,
        }
    }

    /// The method of a `crypto_select`: exactly one.
    pub(super) fn from_bit(bits: u32) -> Option<Self> {
        match bits {
            1 => Some(Method::Plaintext),
            2 => Some(Method::Rc4),
            _ => None,
        }
    }
}

/// A set of methods: `crypto_provide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Methods {
    /// The stream may stay plain.
    pub plaintext: bool,
    /// It may be RC4.
    pub rc4: bool,
}

impl Methods {
    /// Whether the set has it.
    pub fn contains(self, method: Method) -> bool {
        match method {
            Method::Plaintext => self.plaintext,
            Method::Rc4 => self.rc4,
        }
    }

    /// The bits of `crypto_provide`; unknown ones are left out.
    pub(super) fn from_bits(bits: u32) -> Self {
        Self { plaintext: bits & 1 != 0, rc4: bits & 2 != 0 }
    }

    /// As `crypto_provide`.
    pub(super) fn bits(self) -> u32 {
        u32::from(self.plaintext) | u32::from(self.rc4) << 1
    }
}

/// The first octets of a plain handshake (BEP 3).
const PLAIN_OPENING: &[u8; 20] = b"\x13BitTorrent protocol";

/// How an incoming connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// With the handshake of BEP 3.
    Plain,
    /// With anything else, taken for the public key of MSE/PE.
    Encrypted,
}

impl Opening {
    /// Tells by the first octets of an incoming connection; None while they
    /// could be either, at most through 19 octets. That a public key begins like
    /// the plain handshake happens once in 2^160.
    pub fn detect(octets: &[u8]) -> Option<Self> {
        let differs = octets.iter().zip(PLAIN_OPENING).any(|(octet, plain)| octet != plain);
        match (differs, octets.len() >= PLAIN_OPENING.len()) {
            (true, _) => Some(Opening::Encrypted),
            (false, true) => Some(Opening::Plain),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_is_told_by_the_first_octet_that_differs() {
        let plain = b"\x13BitTorrent protocol and more";
        for end in 0..20 {
            assert_eq!(Opening::detect(&plain[..end]), None);
            let mut other = plain.to_vec();
            other[end] ^= 1;
            assert_eq!(Opening::detect(&other[..=end]), Some(Opening::Encrypted));
        }
        assert_eq!(Opening::detect(&plain[..20]), Some(Opening::Plain));
        assert_eq!(Opening::detect(plain), Some(Opening::Plain));
    }

    #[test]
    fn policies_agree_where_they_can_and_never_on_less_than_required() {
        use Policy::{Allowed, Disabled, Preferred, Required};
        let met = |ours: Policy, theirs: Policy| {
            ours.attempts().iter().find_map(|attempt| match attempt {
                Attempt::Plain => theirs.accepts(Opening::Plain).then_some(Method::Plaintext),
                Attempt::Encrypted if theirs.accepts(Opening::Encrypted) => theirs.select(ours.provided()),
                Attempt::Encrypted => None,
            })
        };
        for one in [Disabled, Allowed, Preferred, Required] {
            for other in [Disabled, Allowed, Preferred, Required] {
                let expected = match (one, other) {
                    (Disabled, Required) | (Required, Disabled) => None,
                    (Required | Preferred, _) if other != Disabled => Some(Method::Rc4),
                    (_, Required) => Some(Method::Rc4),
                    _ => Some(Method::Plaintext),
                };
                assert_eq!(met(one, other), expected, "{one:?} calls {other:?}");
            }
        }
        let odd = Methods::from_bits(0xffff_fffc);
        assert_eq!((odd.bits(), Required.select(odd), Allowed.select(odd)), (0, None, None));
    }
}
