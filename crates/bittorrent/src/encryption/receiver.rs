//! The side that accepted the connection, B.

use super::cipher::Cipher;
use super::handshake::{
    Established, HandshakeError, Step, VERIFICATION_OCTETS, checked_pad, first_flight, methods_and_pad,
    pad_length, second_flight,
};
use super::key_exchange::{PUBLIC_KEY_OCTETS, PrivateKey, SharedSecret};
use super::policy::{Method, Methods, Policy};
use super::served_keys::ServedKeys;
use rand_core::Rng;

/// The handshake of the side that accepted the connection. It is begun when
/// [`Opening::detect`](super::Opening::detect) says so, and then given all octets
/// from the first on.
#[derive(Debug)]
pub struct Receiver {
    private_key: PrivateKey,
    policy: Policy,
    /// Our public key and padding, sent when the initiator's key is there.
    first_flight: Vec<u8>,
    pad_octets: usize,
    state: State,
    step: Step,
    output: Vec<u8>,
}

#[derive(Debug)]
enum State {
    /// For the initiator's public key.
    Key,
    /// For HASH('req1', S) behind the initiator's padding.
    Synchronisation { sought: [u8; 20], secret: SharedSecret },
    /// For the torrent.
    Torrent { secret: SharedSecret },
    /// For the verification constant, the methods and the length of the padding.
    Provision(Ciphers),
    /// For the padding and the length of the initial payload.
    Pad { octets: usize, method: Method, ciphers: Ciphers },
    /// With nothing more to come but the initial payload.
    Established(Box<Established>),
    /// The end, by an error or by giving away what was established.
    Ended,
}

#[derive(Debug)]
struct Ciphers {
    info_hash: [u8; 20],
    send: Cipher,
    receive: Cipher,
}

impl Receiver {
    /// Awaits an initiator.
    pub fn new(policy: Policy, random: &mut impl Rng) -> Self {
        let private_key = PrivateKey::generate(random);
        Self {
            first_flight: first_flight(&private_key.public_key(), random),
            private_key,
            policy,
            pad_octets: pad_length(random),
            state: State::Key,
            step: Step::default(),
            output: Vec::new(),
        }
    }

    /// Takes octets that arrived, and says how many of them were the
    /// handshake's; the rest is the stream that follows it. `served` are the
    /// torrents that may be asked for.
    ///
    /// # Errors
    /// When the peer does not follow the protocol, asks for a torrent that is
    /// not served or offers no method that the policy allows: the connection is
    /// to be closed.
    pub fn handle_input(&mut self, octets: &[u8], served: &ServedKeys) -> Result<usize, HandshakeError> {
        let mut rest = octets;
        loop {
            match self.advance(&mut rest, served) {
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
    fn advance(&mut self, octets: &mut &[u8], served: &ServedKeys) -> Result<bool, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Key => {
                let Some(key) = self.step.exactly(PUBLIC_KEY_OCTETS, octets) else {
                    self.state = State::Key;
                    return Ok(false);
                };
                let key = key.as_slice().try_into().map_err(|_| HandshakeError::DegenerateKey)?;
                let secret = self.private_key.shared_secret(key).ok_or(HandshakeError::DegenerateKey)?;
                self.output.append(&mut self.first_flight);
                self.state = State::Synchronisation { sought: secret.synchronisation(), secret };
                Ok(true)
            }
            State::Synchronisation { sought, secret } => {
                let found = self.step.until(&sought, octets)?;
                self.state =
                    if found { State::Torrent { secret } } else { State::Synchronisation { sought, secret } };
                Ok(found)
            }
            State::Torrent { secret } => {
                let Some(concealed) = self.step.exactly(20, octets) else {
                    self.state = State::Torrent { secret };
                    return Ok(false);
                };
                let concealed = concealed.try_into().map_err(|_| HandshakeError::UnknownTorrent)?;
                let hash_of_key = secret.conceal(concealed);
                let info_hash = *served.find(&hash_of_key).ok_or(HandshakeError::UnknownTorrent)?;
                let (receive, send) = Cipher::pair(&secret, &info_hash);
                self.state = State::Provision(Ciphers { info_hash, send, receive });
                Ok(true)
            }
            State::Provision(mut ciphers) => {
                let Some(mut gathered) = self.step.exactly(VERIFICATION_OCTETS + 6, octets) else {
                    self.state = State::Provision(ciphers);
                    return Ok(false);
                };
                ciphers.receive.apply(&mut gathered);
                let (methods, pad) = gathered
                    .strip_prefix(&[0; VERIFICATION_OCTETS])
                    .and_then(methods_and_pad)
                    .ok_or(HandshakeError::Verification)?;
                let method = self
                    .policy
                    .select(Methods::from_bits(methods))
                    .ok_or(HandshakeError::NoMethod { provided: methods })?;
                self.state = State::Pad { octets: checked_pad(pad)?, method, ciphers };
                Ok(true)
            }
            State::Pad { octets: length, method, mut ciphers } => {
                let Some(mut gathered) = self.step.exactly(length + 2, octets) else {
                    self.state = State::Pad { octets: length, method, ciphers };
                    return Ok(false);
                };
                ciphers.receive.apply(&mut gathered);
                let initial = gathered.last_chunk().map_or(0, |octets| u16::from_be_bytes(*octets));
                let Ciphers { info_hash, mut send, receive } = ciphers;
                let mut reply = Vec::new();
                second_flight(method.bit(), self.pad_octets, &mut reply);
                send.apply(&mut reply);
                self.output.append(&mut reply);
                self.state = State::Established(Box::new(Established {
                    info_hash,
                    method,
                    send: send.then(method, 0),
                    receive: receive.then(method, usize::from(initial)),
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
}
