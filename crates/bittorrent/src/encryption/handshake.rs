//! What both sides of the handshake share: its errors, its end, and the reading
//! of octets step by step.

use super::cipher::Cipher;
use super::policy::Method;
use rand_core::Rng;
use thiserror::Error;

/// Octets of the longest padding, of which there are four (MSE/PE,
/// "constants").
pub const PAD_OCTETS_MAX: usize = 512;

/// Octets of the verification constant, which are zero.
pub(super) const VERIFICATION_OCTETS: usize = 8;

/// Why a handshake came to nothing. All but [`Finished`](Self::Finished) are the
/// peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// A public key with which anyone could guess the secret.
    #[error("the peer's public key is degenerate")]
    DegenerateKey,
    /// What must follow the padding did not come within
    /// [`PAD_OCTETS_MAX`] octets. The peer speaks another protocol, or of a
    /// torrent that it does not serve.
    #[error("no synchronisation within the longest padding")]
    NoSynchronisation,
    /// The initiator asks for a torrent that is not served here.
    #[error("the peer asks for a torrent that is not served")]
    UnknownTorrent,
    /// The verification constant is not zero.
    #[error("the verification constant is wrong")]
    Verification,
    /// A padding longer than allowed.
    #[error("a padding of {0} octets")]
    PadTooLong(u16),
    /// The offer of an initiator has nothing that suits the receiver.
    #[error("no method in common: the peer provides {provided:#x}")]
    NoMethod {
        /// Its `crypto_provide`.
        provided: u32,
    },
    /// A receiver selected what was not offered.
    #[error("the peer selected {selected:#x}, which was not provided")]
    BadSelection {
        /// Its `crypto_select`.
        selected: u32,
    },
    /// The handshake has ended already: a mistake of the caller.
    #[error("the handshake has ended")]
    Finished,
}

/// What a handshake leaves.
#[derive(Debug)]
pub struct Established {
    /// The torrent that both sides know.
    pub info_hash: [u8; 20],
    /// What was agreed on.
    pub method: Method,
    /// For all that is sent from now on.
    pub send: Cipher,
    /// For all that is received from now on; at the receiver's side this begins
    /// with the initiator's initial payload.
    pub receive: Cipher,
}

/// How far a side's handshake has come. `S` are the states in which it awaits
/// octets.
#[derive(Debug)]
pub(super) struct Course<S> {
    stage: Stage<S>,
    step: Step,
    output: Vec<u8>,
}

#[derive(Debug)]
enum Stage<S> {
    Awaiting(S),
    /// With nothing more to come.
    Established(Box<Established>),
    /// By an error, or by giving away what was established.
    Ended,
}

/// What comes of the octets that a state was given.
#[derive(Debug)]
pub(super) enum Next<S> {
    /// It needs more of them.
    More(S),
    /// Another state follows.
    Then(S),
    /// The handshake is done.
    Established(Established),
}

impl<S> Course<S> {
    /// Begins in a state, with octets to be sent.
    pub(super) fn new(state: S, output: Vec<u8>) -> Self {
        Self { stage: Stage::Awaiting(state), step: Step::default(), output }
    }

    /// Gives one state after the other what arrived, of which `advance` takes what
    /// it needs and to which it may reply. Says how many octets were taken.
    pub(super) fn handle_input(
        &mut self,
        octets: &[u8],
        mut advance: impl FnMut(S, &mut Step, &mut &[u8], &mut Vec<u8>) -> Result<Next<S>, HandshakeError>,
    ) -> Result<usize, HandshakeError> {
        let mut rest = octets;
        loop {
            let state = match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Awaiting(state) => state,
                Stage::Ended => return Err(HandshakeError::Finished),
                established @ Stage::Established(_) => {
                    self.stage = established;
                    break;
                }
            };
            match advance(state, &mut self.step, &mut rest, &mut self.output)? {
                Next::Then(state) => self.stage = Stage::Awaiting(state),
                Next::More(state) => {
                    self.stage = Stage::Awaiting(state);
                    break;
                }
                Next::Established(established) => self.stage = Stage::Established(Box::new(established)),
            }
        }
        Ok(octets.len() - rest.len())
    }

    /// Octets to be sent, if there are any.
    pub(super) fn poll_output(&mut self) -> Option<Vec<u8>> {
        (!self.output.is_empty()).then(|| std::mem::take(&mut self.output))
    }

    /// What the handshake led to, once, at its end.
    pub(super) fn poll_established(&mut self) -> Option<Established> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Established(established) => Some(*established),
            other => {
                self.stage = other;
                None
            }
        }
    }
}

/// Gathers the octets of one step, and none beyond it.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Never longer than the step asks for, at most [`PAD_OCTETS_MAX`] and 20.
    gathered: Vec<u8>,
}

impl Step {
    /// Takes from `octets` until there are `length`; then gives them.
    pub(super) fn exactly(&mut self, length: usize, octets: &mut &[u8]) -> Option<Vec<u8>> {
        let missing = length.saturating_sub(self.gathered.len());
        let (taken, rest) = octets.split_at_checked(missing).unwrap_or((octets, &[]));
        self.gathered.extend_from_slice(taken);
        *octets = rest;
        (self.gathered.len() >= length).then(|| std::mem::take(&mut self.gathered))
    }

    /// Takes from `octets` until `pattern` has come, behind at most the longest
    /// padding.
    pub(super) fn until(&mut self, pattern: &[u8], octets: &mut &[u8]) -> Result<bool, HandshakeError> {
        while let Some((octet, rest)) = octets.split_first() {
            self.gathered.push(*octet);
            *octets = rest;
            if self.gathered.ends_with(pattern) {
                self.gathered.clear();
                return Ok(true);
            }
            if self.gathered.len() >= PAD_OCTETS_MAX + pattern.len() {
                return Err(HandshakeError::NoSynchronisation);
            }
        }
        Ok(false)
    }
}

/// A random length of padding.
pub(super) fn pad_length(random: &mut impl Rng) -> usize {
    random.next_u32() as usize % (PAD_OCTETS_MAX + 1)
}

/// A public key and random padding behind it.
pub(super) fn first_flight(public_key: &[u8], random: &mut impl Rng) -> Vec<u8> {
    let mut octets = public_key.to_vec();
    let key = octets.len();
    octets.resize(key + pad_length(random), 0);
    if let Some(pad) = octets.get_mut(key..) {
        random.fill_bytes(pad);
    }
    octets
}

/// VC, the methods, and a padding of zeros, which encryption hides.
pub(super) fn second_flight(methods: u32, pad_octets: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; VERIFICATION_OCTETS]);
    out.extend_from_slice(&methods.to_be_bytes());
    out.extend_from_slice(&(pad_octets as u16).to_be_bytes());
    out.resize(out.len() + pad_octets, 0);
}

/// The four octets of methods and the two of a padding's length.
pub(super) fn methods_and_pad(octets: &[u8]) -> Option<(u32, u16)> {
    let (methods, rest) = octets.split_first_chunk()?;
    Some((u32::from_be_bytes(*methods), u16::from_be_bytes(*rest.first_chunk()?)))
}

/// A padding's length, if it is allowed.
pub(super) fn checked_pad(octets: u16) -> Result<usize, HandshakeError> {
    let length = usize::from(octets);
    if length > PAD_OCTETS_MAX { Err(HandshakeError::PadTooLong(octets)) } else { Ok(length) }
}
