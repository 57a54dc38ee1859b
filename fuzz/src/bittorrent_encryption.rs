//! The handshake of BitTorrent's stream encryption, from both sides: any octets,
//! and any octets encrypted by a peer that knows the torrent.

use bittorrent::encryption::{
    Established, HandshakeError, INITIAL_PAYLOAD_OCTETS_MAX, Initiator, Method, Methods, Opening,
    PAD_OCTETS_MAX, PUBLIC_KEY_OCTETS, Policy, PrivateKey, Rc4, Receiver, ServedKeys, SharedSecret,
    hash_of_key,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::LazyLock;

/// The sizes of the pieces in which octets arrive.
const CHUNKS: [usize; 2] = [1, usize::MAX];
/// Seeds of the machines under test.
const RECEIVER_SEED: u64 = 1;
const INITIATOR_SEED: u64 = 2;
const TORRENT: [u8; 20] = *b"the torrent we speak";
/// What follows the handshake's octets of the input.
const STREAM: &[u8] = b"octets of the stream";

/// What a peer sends. The first two octets say how much padding a peer sends
/// that knows the torrent, the rest is what it encrypts.
pub fn bittorrent_encryption(input: &[u8]) {
    let opening = Opening::detect(input);
    assert_eq!(opening.is_none(), b"\x13BitTorrent protocol".starts_with(input) && input.len() < 20);
    // Of less, both sides await the rest of a public key.
    if input.len() >= PUBLIC_KEY_OCTETS {
        receive(input, Policy::Allowed);
        initiate(input);
    }
    let (pad, hidden) = input.split_first_chunk::<2>().unwrap_or((&[0; 2], &[]));
    let pad_octets = usize::from(u16::from_be_bytes(*pad)) % (PAD_OCTETS_MAX + 1);
    known_initiator(pad_octets, hidden);
    known_receiver(pad_octets, hidden);
}

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// How a handshake went: octets it took, those it sent, and its end.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    taken: usize,
    sent: Vec<u8>,
    end: Result<Option<Method>, HandshakeError>,
    /// The stream behind it, decrypted.
    stream: Vec<u8>,
}

/// Drives a handshake over an input in pieces of a size.
fn drive(
    input: &[u8],
    chunk: usize,
    mut handle: impl FnMut(&[u8]) -> (Result<usize, HandshakeError>, Option<Vec<u8>>, Option<Established>),
) -> Outcome {
    let mut outcome = Outcome { taken: 0, sent: Vec::new(), end: Ok(None), stream: Vec::new() };
    let mut established: Option<Established> = None;
    for octets in input.chunks(chunk) {
        let mut rest = octets;
        if established.is_none() {
            let (result, output, end) = handle(octets);
            outcome.sent.extend(output.unwrap_or_default());
            match result {
                Err(error) => {
                    outcome.end = Err(error);
                    // How much was taken before the fault depends on the pieces.
                    outcome.taken = 0;
                    return outcome;
                }
                Ok(taken) => {
                    outcome.taken += taken;
                    rest = &octets[taken..];
                }
            }
            established = end;
            assert!(established.is_some() || rest.is_empty(), "an unfinished handshake takes all");
        }
        if let Some(established) = &mut established {
            assert_eq!(established.info_hash, TORRENT);
            outcome.end = Ok(Some(established.method));
            let mut stream = rest.to_vec();
            established.receive.apply(&mut stream);
            outcome.stream.append(&mut stream);
        }
    }
    outcome
}

fn receive(input: &[u8], policy: Policy) -> Outcome {
    let served: ServedKeys = [[7; 20], TORRENT].into_iter().collect();
    let outcomes = CHUNKS.map(|chunk| {
        let mut receiver = Receiver::new(policy, &mut random(RECEIVER_SEED));
        drive(input, chunk, |octets| {
            let result = receiver.handle_input(octets, &served);
            (result, receiver.poll_output(), receiver.poll_established())
        })
    });
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "pieces change nothing: {outcomes:?}");
    assert!(outcomes[0].taken <= PUBLIC_KEY_OCTETS + 2 * PAD_OCTETS_MAX + 20 + 20 + 16);
    let [outcome, ..] = outcomes;
    outcome
}

fn initiate(input: &[u8]) -> Outcome {
    let outcomes = CHUNKS.map(|chunk| {
        let provided = Methods { plaintext: true, rc4: true };
        let mut initiator = Initiator::new(TORRENT, provided, b"initial", &mut random(INITIATOR_SEED));
        drive(input, chunk, |octets| {
            let result = initiator.handle_input(octets);
            (result, initiator.poll_output(), initiator.poll_established())
        })
    });
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "pieces change nothing: {outcomes:?}");
    assert!(outcomes[0].taken <= PUBLIC_KEY_OCTETS + 2 * PAD_OCTETS_MAX + 14);
    let [outcome, ..] = outcomes;
    outcome
}

/// A hand-made peer: the public key of the machine under test, its own, and
/// their secret. Seeds are fixed, so that all this is computed once.
struct Known {
    machine: [u8; PUBLIC_KEY_OCTETS],
    own: [u8; PUBLIC_KEY_OCTETS],
    secret: SharedSecret,
}

static AGAINST_RECEIVER: LazyLock<Known> = LazyLock::new(|| known(RECEIVER_SEED));
static AGAINST_INITIATOR: LazyLock<Known> = LazyLock::new(|| known(INITIATOR_SEED));

fn known(machine_seed: u64) -> Known {
    let machine = PrivateKey::generate(&mut random(machine_seed)).public_key();
    let key = PrivateKey::generate(&mut random(3));
    Known { machine, own: key.public_key(), secret: key.shared_secret(&machine).expect("a key") }
}

fn keystream(key: [u8; 20]) -> Rc4 {
    let mut rc4 = Rc4::new(&key);
    rc4.discard(1_024);
    rc4
}

/// The methods, and what follows the padding, of what a peer encrypted; or why
/// it is refused; None if it is cut short.
fn expected(hidden: &[u8]) -> Option<Result<(u32, &[u8]), HandshakeError>> {
    let (methods, rest) = hidden.split_first_chunk()?;
    let (pad, rest) = rest.split_first_chunk()?;
    let pad = u16::from_be_bytes(*pad);
    if usize::from(pad) > PAD_OCTETS_MAX {
        return Some(Err(HandshakeError::PadTooLong(pad)));
    }
    Some(Ok((u32::from_be_bytes(*methods), rest.get(usize::from(pad)..)?)))
}

/// A receiver against an initiator that knows the torrent and then encrypts
/// anything.
fn known_initiator(pad_octets: usize, hidden: &[u8]) {
    let Known { machine, own, secret } = &*AGAINST_RECEIVER;
    let mut octets = own.to_vec();
    octets.resize(PUBLIC_KEY_OCTETS + pad_octets, 0x55);
    octets.extend_from_slice(&secret.synchronisation());
    octets.extend_from_slice(&secret.conceal(hash_of_key(&TORRENT)));
    let plain = [hidden, STREAM].concat();
    let mut encrypted = plain.clone();
    keystream(secret.initiator_key(&TORRENT)).apply(&mut encrypted);
    let outcome = receive(&[&octets[..], &encrypted].concat(), Policy::Preferred);
    assert!(outcome.sent.starts_with(machine));
    let Some(verification) = plain.get(..8) else { return assert_eq!(outcome.end, Ok(None)) };
    let read = expected(&plain[8..]);
    if plain.len() >= 14 && *verification != [0; 8] {
        return assert_eq!(outcome.end, Err(HandshakeError::Verification));
    }
    match read {
        Some(Ok((provided, rest))) => {
            let method = match provided {
                bits if bits & 2 != 0 => Method::Rc4,
                bits if bits & 1 != 0 => Method::Plaintext,
                _ => return assert_eq!(outcome.end, Err(HandshakeError::NoMethod { provided })),
            };
            let Some((length, stream)) = rest.split_first_chunk() else {
                return assert_eq!(outcome.end, Ok(None));
            };
            assert_eq!(outcome.end, Ok(Some(method)));
            let initial = usize::from(u16::from_be_bytes(*length)).min(INITIAL_PAYLOAD_OCTETS_MAX);
            let encrypted_octets =
                if method == Method::Rc4 { stream.len() } else { initial.min(stream.len()) };
            assert_eq!(outcome.stream[..encrypted_octets], stream[..encrypted_octets]);
            let raw = &encrypted[encrypted.len() - (stream.len() - encrypted_octets)..];
            assert_eq!(outcome.stream[encrypted_octets..], *raw, "what is plain stays as it came");
        }
        // An offer that does not suit is refused before a padding too long.
        Some(Err(error)) => {
            let refused = matches!(outcome.end, Err(HandshakeError::NoMethod { .. }));
            assert!(refused || outcome.end == Err(error));
        }
        None => assert!(matches!(outcome.end, Ok(None) | Err(HandshakeError::NoMethod { .. }))),
    }
}

/// An initiator against a receiver that knows the torrent and then encrypts
/// anything behind the verification constant.
fn known_receiver(pad_octets: usize, hidden: &[u8]) {
    let Known { machine, own, secret } = &*AGAINST_INITIATOR;
    let mut octets = own.to_vec();
    octets.resize(PUBLIC_KEY_OCTETS + pad_octets, 0x55);
    let plain = [&[0; 8], hidden, STREAM].concat();
    let mut encrypted = plain.clone();
    keystream(secret.receiver_key(&TORRENT)).apply(&mut encrypted);
    let outcome = initiate(&[&octets[..], &encrypted].concat());
    assert!(outcome.sent.starts_with(machine));
    match expected(&plain[8..]) {
        Some(Ok((selected, stream))) => match selected {
            2 => {
                assert_eq!(outcome.end, Ok(Some(Method::Rc4)));
                assert_eq!(outcome.stream, stream);
            }
            1 => {
                assert_eq!(outcome.end, Ok(Some(Method::Plaintext)));
                assert_eq!(outcome.stream, encrypted[encrypted.len() - stream.len()..]);
            }
            selected => assert_eq!(outcome.end, Err(HandshakeError::BadSelection { selected })),
        },
        Some(Err(error)) => {
            let refused = matches!(outcome.end, Err(HandshakeError::BadSelection { .. }));
            assert!(refused || outcome.end == Err(error));
        }
        None => assert!(matches!(outcome.end, Ok(None) | Err(HandshakeError::BadSelection { .. }))),
    }
}
