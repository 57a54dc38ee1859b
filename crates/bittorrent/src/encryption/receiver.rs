//! The side that accepted the connection, B.

use super::cipher::Cipher;
use super::handshake::{
    Course, Established, HandshakeError, Next, Step, VERIFICATION_OCTETS, checked_pad, first_flight,
    methods_and_pad, pad_length, second_flight,
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
    side: Side,
    course: Course<State>,
}

/// What it has for the handshake.
#[derive(Debug)]
struct Side {
    private_key: PrivateKey,
    policy: Policy,
    /// Our public key and padding, sent when the initiator's key is there.
    first_flight: Vec<u8>,
    pad_octets: usize,
}

/// What it waits for.
#[derive(Debug)]
enum State {
    /// The initiator's public key.
    Key,
    /// HASH('req1', S) behind the initiator's padding.
    Synchronisation { sought: [u8; 20], secret: SharedSecret },
    /// The torrent.
    Torrent { secret: SharedSecret },
    /// The verification constant, the methods and the length of the padding.
    Provision(Ciphers),
    /// The padding and the length of the initial payload.
    Pad { octets: usize, method: Method, ciphers: Ciphers },
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
        let side = Side {
            first_flight: first_flight(&private_key.public_key(), random),
            private_key,
            policy,
            pad_octets: pad_length(random),
        };
        Self { side, course: Course::new(State::Key, Vec::new()) }
    }

    /// Takes octets that arrived, and says how many of them were the
    /// handshake's; the rest is the stream that follows it, the initial payload
    /// first. `served` are the torrents that may be asked for.
    ///
    /// # Errors
    /// When the peer does not follow the protocol, asks for a torrent that is
    /// not served or offers no method that the policy allows: the connection is
    /// to be closed.
    pub fn handle_input(&mut self, octets: &[u8], served: &ServedKeys) -> Result<usize, HandshakeError> {
        let side = &mut self.side;
        self.course.handle_input(octets, |state, step, octets, output| {
            side.advance(state, step, octets, output, served)
        })
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
        served: &ServedKeys,
    ) -> Result<Next<State>, HandshakeError> {
        Ok(match state {
            State::Key => {
                let Some(key) = step.exactly(PUBLIC_KEY_OCTETS, octets) else {
                    return Ok(Next::More(State::Key));
                };
                let key = key.as_slice().try_into().map_err(|_| HandshakeError::DegenerateKey)?;
                let secret = self.private_key.shared_secret(key).ok_or(HandshakeError::DegenerateKey)?;
                output.append(&mut self.first_flight);
                Next::Then(State::Synchronisation { sought: secret.synchronisation(), secret })
            }
            State::Synchronisation { sought, secret } => {
                if step.until(&sought, octets)? {
                    Next::Then(State::Torrent { secret })
                } else {
                    Next::More(State::Synchronisation { sought, secret })
                }
            }
            State::Torrent { secret } => {
                let Some(concealed) = step.exactly(20, octets) else {
                    return Ok(Next::More(State::Torrent { secret }));
                };
                let concealed = concealed.try_into().map_err(|_| HandshakeError::UnknownTorrent)?;
                let hash_of_key = secret.conceal(concealed);
                let info_hash = *served.find(&hash_of_key).ok_or(HandshakeError::UnknownTorrent)?;
                let (receive, send) = Cipher::pair(&secret, &info_hash);
                Next::Then(State::Provision(Ciphers { info_hash, send, receive }))
            }
            State::Provision(mut ciphers) => {
                let Some(mut gathered) = step.exactly(VERIFICATION_OCTETS + 6, octets) else {
                    return Ok(Next::More(State::Provision(ciphers)));
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
                Next::Then(State::Pad { octets: checked_pad(pad)?, method, ciphers })
            }
            State::Pad { octets: length, method, mut ciphers } => {
                let Some(mut gathered) = step.exactly(length + 2, octets) else {
                    return Ok(Next::More(State::Pad { octets: length, method, ciphers }));
                };
                ciphers.receive.apply(&mut gathered);
                let initial = gathered.last_chunk().map_or(0, |octets| u16::from_be_bytes(*octets));
                let Ciphers { info_hash, mut send, receive } = ciphers;
                let mut reply = Vec::new();
                second_flight(method.bit(), self.pad_octets, &mut reply);
                send.apply(&mut reply);
                output.append(&mut reply);
                Next::Established(Established {
                    info_hash,
                    method,
                    send: send.then(method, 0),
                    receive: receive.then(method, usize::from(initial)),
                })
            }
        })
    }
}
