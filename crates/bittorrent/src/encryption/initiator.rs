//! The side that opened the connection, A.

use super::cipher::Cipher;
use super::handshake::{
    Course, Established, HandshakeError, Next, Step, VERIFICATION_OCTETS, checked_pad, first_flight,
    methods_and_pad, pad_length, second_flight,
};
use super::key_exchange::{PUBLIC_KEY_OCTETS, PrivateKey};
use super::policy::{Method, Methods};
use super::served_keys::hash_of_key;
use rand_core::Rng;

/// Octets of the longest initial payload, IA: what its length can say.
pub const INITIAL_PAYLOAD_OCTETS_MAX: usize = u16::MAX as usize;

/// The handshake of the side that opened the connection.
#[derive(Debug)]
pub struct Initiator {
    side: Side,
    course: Course<State>,
}

/// What it has for the handshake.
#[derive(Debug)]
struct Side {
    private_key: PrivateKey,
    info_hash: [u8; 20],
    provided: Methods,
    pad_octets: usize,
    initial_payload: Vec<u8>,
}

/// What it waits for.
#[derive(Debug)]
enum State {
    /// The receiver's public key.
    Key,
    /// The verification constant behind the receiver's padding; `sought` is how it
    /// looks encrypted.
    Verification { sought: [u8; VERIFICATION_OCTETS], send: Cipher, receive: Cipher },
    /// The methods and the length of the last padding.
    Selection { send: Cipher, receive: Cipher },
    /// The last padding.
    Pad { octets: usize, method: Method, send: Cipher, receive: Cipher },
}

impl Initiator {
    /// Begins a handshake about a torrent. `initial_payload` is sent along as
    /// soon as possible, usually the handshake of BEP 3; what is beyond
    /// [`INITIAL_PAYLOAD_OCTETS_MAX`] is not sent.
    pub fn new(
        info_hash: [u8; 20],
        provided: Methods,
        initial_payload: &[u8],
        random: &mut impl Rng,
    ) -> Self {
        let private_key = PrivateKey::generate(random);
        let output = first_flight(&private_key.public_key(), random);
        let end = initial_payload.len().min(INITIAL_PAYLOAD_OCTETS_MAX);
        let side = Side {
            private_key,
            info_hash,
            provided,
            pad_octets: pad_length(random),
            initial_payload: initial_payload.get(..end).unwrap_or_default().to_vec(),
        };
        Self { side, course: Course::new(State::Key, output) }
    }

    /// Takes octets that arrived, and says how many of them were the
    /// handshake's; the rest is the stream that follows it.
    ///
    /// # Errors
    /// When the peer does not follow the protocol: the connection is to be
    /// closed.
    pub fn handle_input(&mut self, octets: &[u8]) -> Result<usize, HandshakeError> {
        let side = &mut self.side;
        self.course
            .handle_input(octets, |state, step, octets, output| side.advance(state, step, octets, output))
    }

    /// Octets to be sent, if there are any.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        self.course.poll_output()
    }

    /// What the handshake led to, once, at its end.
    pub fn poll_established(&mut self) -> Option<Established> {
        self.course.poll_established()
    }
}

impl Side {
    fn advance(
        &mut self,
        state: State,
        step: &mut Step,
        octets: &mut &[u8],
        output: &mut Vec<u8>,
    ) -> Result<Next<State>, HandshakeError> {
        Ok(match state {
            State::Key => match step.exactly(PUBLIC_KEY_OCTETS, octets) {
                None => Next::More(State::Key),
                Some(key) => Next::Then(self.handle_key(&key, output)?),
            },
            State::Verification { sought, send, receive } => {
                if step.until(&sought, octets)? {
                    Next::Then(State::Selection { send, receive })
                } else {
                    Next::More(State::Verification { sought, send, receive })
                }
            }
            State::Selection { send, mut receive } => {
                let Some(mut gathered) = step.exactly(6, octets) else {
                    return Ok(Next::More(State::Selection { send, receive }));
                };
                receive.apply(&mut gathered);
                let (selected, pad) = methods_and_pad(&gathered).ok_or(HandshakeError::Verification)?;
                let method = Method::from_bit(selected)
                    .filter(|method| self.provided.contains(*method))
                    .ok_or(HandshakeError::BadSelection { selected })?;
                Next::Then(State::Pad { octets: checked_pad(pad)?, method, send, receive })
            }
            State::Pad { octets: length, method, send, mut receive } => {
                let Some(mut pad) = step.exactly(length, octets) else {
                    return Ok(Next::More(State::Pad { octets: length, method, send, receive }));
                };
                receive.apply(&mut pad);
                Next::Established(Established {
                    info_hash: self.info_hash,
                    method,
                    send: send.then(method, 0),
                    receive: receive.then(method, 0),
                })
            }
        })
    }

    fn handle_key(&mut self, key: &[u8], output: &mut Vec<u8>) -> Result<State, HandshakeError> {
        let key = key.try_into().map_err(|_| HandshakeError::DegenerateKey)?;
        let secret = self.private_key.shared_secret(key).ok_or(HandshakeError::DegenerateKey)?;
        let (mut send, mut receive) = Cipher::pair(&secret, &self.info_hash);
        output.extend_from_slice(&secret.synchronisation());
        output.extend_from_slice(&secret.conceal(hash_of_key(&self.info_hash)));
        let mut hidden = Vec::new();
        second_flight(self.provided.bits(), self.pad_octets, &mut hidden);
        hidden.extend_from_slice(&(self.initial_payload.len() as u16).to_be_bytes());
        hidden.append(&mut self.initial_payload);
        send.apply(&mut hidden);
        output.append(&mut hidden);
        let mut sought = [0; VERIFICATION_OCTETS];
        receive.apply(&mut sought);
        Ok(State::Verification { sought, send, receive })
    }
}
