//! One direction of a connection after the handshake.

use super::key_exchange::SharedSecret;
use super::policy::Method;
use super::rc4::Rc4;

/// Octets of each keystream that are thrown away (MSE/PE, "RC4").
const DISCARDED_OCTETS: usize = 1_024;

/// Encrypts or decrypts one direction in place.
#[derive(Debug, Clone)]
pub struct Cipher {
    rc4: Option<Box<Rc4>>,
    /// Octets after which the stream becomes plain: the initial payload of an
    /// initiator with whom plaintext was agreed on.
    encrypted_left: Option<usize>,
}

impl Cipher {
    /// Changes nothing.
    pub fn plain() -> Self {
        Self { rc4: None, encrypted_left: None }
    }

    pub(super) fn rc4(key: &[u8; 20]) -> Self {
        let mut rc4 = Rc4::new(key);
        rc4.discard(DISCARDED_OCTETS);
        Self { rc4: Some(Box::new(rc4)), encrypted_left: None }
    }

    /// Both directions: from the initiator, and from the receiver.
    pub(super) fn pair(secret: &SharedSecret, info_hash: &[u8; 20]) -> (Self, Self) {
        (Self::rc4(&secret.initiator_key(info_hash)), Self::rc4(&secret.receiver_key(info_hash)))
    }

    /// From `octets` more on follows the method that was agreed on.
    pub(super) fn then(self, method: Method, octets: usize) -> Self {
        match method {
            Method::Rc4 => self,
            Method::Plaintext if octets == 0 => Self::plain(),
            Method::Plaintext => Self { encrypted_left: Some(octets), ..self },
        }
    }

    /// Whether octets pass unchanged from here on, so that they need not be
    /// brought here at all.
    pub fn is_plain(&self) -> bool {
        self.rc4.is_none()
    }

    /// Encrypts what is sent next, or decrypts what was received next.
    pub fn apply(&mut self, octets: &mut [u8]) {
        let Some(rc4) = &mut self.rc4 else { return };
        match &mut self.encrypted_left {
            None => rc4.apply(octets),
            Some(left) => {
                let encrypted = octets.len().min(*left);
                if let Some(octets) = octets.get_mut(..encrypted) {
                    rc4.apply(octets);
                }
                *left -= encrypted;
                if *left == 0 {
                    *self = Self::plain();
                }
            }
        }
    }
}
