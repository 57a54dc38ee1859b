//! The side that opened the connection, A.

use super::cipher::Cipher;
use super::handshake::{
    Established, HandshakeError, Step, VERIFICATION_OCTETS, checked_pad, first_flight, methods_and_pad,
    pad_length, second_flight,
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
    private_key: PrivateKey,
    info_hash: [u8; 20],
    provided: Methods,
    pad_octets: usize,
    initial_payload: Vec<u8>,
    state: State,
    step: Step,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// For the receiver's public key.
    Key,
    /// For the verification constant behind the receiver's padding; `sought` is
    /// how it looks encrypted.
    Verification { sought: [u8; VERIFICATION_OCTETS], send: Cipher, receive: Cipher },
    /// For the methods and the length of the last padding.
    Selection { send: Cipher, receive: Cipher },
    /// For the last padding.
    Pad { octets: usize, method: Method, send: Cipher, receive: Cipher },
    /// With nothing more to come.
    Established(Box<Established>),
    /// The end, by an error or by giving away what was established.
    Ended,
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
        Self {
            private_key,
            info_hash,
            provided,
            pad_octets: pad_length(random),
            initial_payload: initial_payload.get(..end).unwrap_or_default().to_vec(),
            state: State::Key,
            step: Step::default(),
            output,
        }
    }

    /// Takes octets that arrived, and says how many of them were the
    /// handshake's; the rest is the stream that follows it.
    ///
    /// # Errors
    /// When the peer does not follow the protocol: the connection is to be
    /// closed.
    pub fn handle_input(&mut self, octets: &[u8]) -> Result<usize, HandshakeError> {
        let mut rest = octets;
        loop {
            match self.advance(&mut rest) {
                Ok(true) => {}
                Ok(false) => return Ok(octets.len() - rest.len()),
                Err(error) => {
                    self.state = State::Ended;
                    return Err(error);
                }
            }
        }
    }

    /// Octets to be sent, if there are any.
    pub fn poll_output(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// What the handshake led to, once, at its end.
    pub fn poll_established(&mut self) -> Option<Established> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Established(established) => Some(*established),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// One step; whether another may follow.
    fn advance(&mut self, octets: &mut &[u8]) -> Result<bool, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Key => {
                let key = self.step.exactly(PUBLIC_KEY_OCTETS, octets);
                self.state = match key {
                    Some(key) => self.handle_key(&key)?,
                    None => State::Key,
                };
                Ok(!matches!(self.state, State::Key))
            }
            State::Verification { sought, send, receive } => {
                let found = self.step.until(&sought, octets)?;
                self.state = if found {
                    State::Selection { send, receive }
                } else {
                    State::Verification { sought, send, receive }
                };
                Ok(found)
            }
            State::Selection { send, mut receive } => {
                let Some(mut gathered) = self.step.exactly(6, octets) else {
                    self.state = State::Selection { send, receive };
                    return Ok(false);
                };
                receive.apply(&mut gathered);
                let (selected, pad) = methods_and_pad(&gathered).ok_or(HandshakeError::Verification)?;
                let method = Method::from_bit(selected)
                    .filter(|method| self.provided.contains(*method))
                    .ok_or(HandshakeError::BadSelection { selected })?;
                self.state = State::Pad { octets: checked_pad(pad)?, method, send, receive };
                Ok(true)
            }
            State::Pad { octets: length, method, send, mut receive } => {
                let Some(mut pad) = self.step.exactly(length, octets) else {
                    self.state = State::Pad { octets: length, method, send, receive };
                    return Ok(false);
                };
                receive.apply(&mut pad);
                self.state = State::Established(Box::new(Established {
                    info_hash: self.info_hash,
                    method,
                    send: send.then(method, 0),
                    receive: receive.then(method, 0),
                }));
                Ok(false)
            }
            established @ State::Established(_) => {
                self.state = established;
                Ok(false)
            }
            State::Ended => Err(HandshakeError::Finished),
        }
    }

    fn handle_key(&mut self, key: &[u8]) -> Result<State, HandshakeError> {
        let key = key.try_into().map_err(|_| HandshakeError::DegenerateKey)?;
        let secret = self.private_key.shared_secret(key).ok_or(HandshakeError::DegenerateKey)?;
        let (mut send, mut receive) = Cipher::pair(&secret, &self.info_hash);
        self.output.extend_from_slice(&secret.synchronisation());
        self.output.extend_from_slice(&secret.conceal(hash_of_key(&self.info_hash)));
        let mut hidden = Vec::new();
        second_flight(self.provided.bits(), self.pad_octets, &mut hidden);
        hidden.extend_from_slice(&(self.initial_payload.len() as u16).to_be_bytes());
        hidden.append(&mut self.initial_payload);
        send.apply(&mut hidden);
        self.output.append(&mut hidden);
        let mut sought = [0; VERIFICATION_OCTETS];
        receive.apply(&mut sought);
        Ok(State::Verification { sought, send, receive })
    }
}
