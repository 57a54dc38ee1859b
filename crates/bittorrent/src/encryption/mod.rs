//! Message stream encryption, also called protocol encryption (MSE/PE 1.0): it
//! hides from the network that a connection speaks BitTorrent. It authenticates
//! nobody; whoever knows the info-hash can take part.
//!
//! [`Initiator`] and [`Receiver`] are the two sides of the handshake. Each takes
//! octets as they arrive, takes none beyond its end, and leaves two [`Cipher`]s,
//! which work in place. [`Opening::detect`] tells at the receiver's side whether
//! a connection begins encrypted at all, and [`Policy`] says what is allowed.
//!
//! ```text
//! A to B: Ya, PadA
//! B to A: Yb, PadB
//! A to B: HASH('req1', S), HASH('req2', SKEY) xor HASH('req3', S),
//!         ENCRYPT(VC, crypto_provide, len(PadC), PadC, len(IA)), ENCRYPT(IA)
//! B to A: ENCRYPT(VC, crypto_select, len(PadD), PadD), ENCRYPT2(payload)
//! A to B: ENCRYPT2(payload)
//! ```

mod cipher;
mod handshake;
mod initiator;
mod key_exchange;
mod policy;
mod rc4;
mod receiver;
mod served_keys;

#[cfg(test)]
mod tests;

pub use cipher::Cipher;
pub use handshake::{Established, HandshakeError, PAD_OCTETS_MAX};
pub use initiator::{INITIAL_PAYLOAD_OCTETS_MAX, Initiator};
pub use key_exchange::{PUBLIC_KEY_OCTETS, PrivateKey, SharedSecret};
pub use policy::{Attempt, Method, Methods, Opening, Policy};
pub use rc4::Rc4;
pub use receiver::Receiver;
pub use served_keys::{ServedKeys, hash_of_key};
