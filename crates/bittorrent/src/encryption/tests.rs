//! Both sides of the handshake against each other, and against peers that do
//! not keep to it.

use super::key_exchange::hash;
use super::served_keys::hash_of_key;
use super::*;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const TORRENT: [u8; 20] = *b"the torrent we speak";
const OTHER: [u8; 20] = *b"another that we have";

fn random(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn served() -> ServedKeys {
    [OTHER, TORRENT].into_iter().collect()
}

/// One direction of a connection: octets on their way.
#[derive(Default)]
struct Link(Vec<u8>);

impl Link {
    fn take(&mut self, length: usize) -> Vec<u8> {
        let end = length.clamp(1, self.0.len().max(1)).min(self.0.len());
        self.0.drain(..end).collect()
    }
}

/// What a side has of the connection after the handshake.
struct Side {
    established: Established,
    received: Vec<u8>,
}

/// Runs both machines, octets arriving in pieces of the given lengths; behind
/// the handshake either side sends a text. Gives both sides.
fn run(
    provided: Methods,
    policy: Policy,
    initial: &[u8],
    seed: u64,
    cuts: &[usize],
) -> Result<(Side, Side), HandshakeError> {
    let mut random = random(seed);
    let mut initiator = Initiator::new(TORRENT, provided, initial, &mut random);
    let mut receiver = Receiver::new(policy, &mut random);
    let (mut to_receiver, mut to_initiator) = (Link::default(), Link::default());
    let (mut one, mut other): (Option<Side>, Option<Side>) = (None, None);
    let mut cuts = cuts.iter().copied().cycle();
    loop {
        to_receiver.0.extend(initiator.poll_output().unwrap_or_default());
        to_initiator.0.extend(receiver.poll_output().unwrap_or_default());
        if to_receiver.0.is_empty() && to_initiator.0.is_empty() {
            break;
        }
        let mut piece = to_receiver.take(cuts.next().unwrap_or(1));
        let mut used = 0;
        if other.is_none() {
            used = receiver.handle_input(&piece, &served())?;
            if let Some(mut established) = receiver.poll_established() {
                to_initiator.0.extend(receiver.poll_output().unwrap_or_default());
                let mut text = b"from the receiver".to_vec();
                established.send.apply(&mut text);
                to_initiator.0.append(&mut text);
                other = Some(Side { established, received: Vec::new() });
            } else {
                assert_eq!(used, piece.len(), "an unfinished handshake takes all");
            }
        }
        if let Some(side) = &mut other {
            side.established.receive.apply(&mut piece[used..]);
            side.received.extend_from_slice(&piece[used..]);
        }
        let mut piece = to_initiator.take(cuts.next().unwrap_or(1));
        let mut used = 0;
        if one.is_none() {
            used = initiator.handle_input(&piece)?;
            if let Some(mut established) = initiator.poll_established() {
                let mut text = b"from the initiator".to_vec();
                established.send.apply(&mut text);
                to_receiver.0.append(&mut text);
                one = Some(Side { established, received: Vec::new() });
            } else {
                assert_eq!(used, piece.len(), "an unfinished handshake takes all");
            }
        }
        if let Some(side) = &mut one {
            side.established.receive.apply(&mut piece[used..]);
            side.received.extend_from_slice(&piece[used..]);
        }
    }
    Ok((one.expect("established"), other.expect("established")))
}

const BOTH: Methods = Methods { plaintext: true, rc4: true };
const RC4: Methods = Methods { plaintext: false, rc4: true };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn both_sides_meet_however_octets_are_cut(
        seed: u64,
        plain: bool,
        initial in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(prop_oneof![1usize..4, 1usize..40, 1usize..1_500], 1..12),
    ) {
        let (provided, policy) = if plain { (BOTH, Policy::Allowed) } else { (RC4, Policy::Required) };
        let (one, other) = run(provided, policy, &initial, seed, &cuts).expect("established");
        let method = if plain { Method::Plaintext } else { Method::Rc4 };
        prop_assert_eq!((one.established.method, other.established.method), (method, method));
        prop_assert_eq!((one.established.info_hash, other.established.info_hash), (TORRENT, TORRENT));
        prop_assert_eq!(&one.received[..], b"from the receiver");
        prop_assert_eq!(&other.received[..], [&initial[..], b"from the initiator"].concat());
        prop_assert_eq!((one.established.send.is_plain(), other.established.receive.is_plain()), (plain, plain));
    }
}

#[test]
fn a_largest_initial_payload_arrives_and_no_more() {
    let initial = vec![7; INITIAL_PAYLOAD_OCTETS_MAX + 3];
    let (_, other) = run(RC4, Policy::Preferred, &initial, 5, &[9_000]).expect("established");
    assert_eq!(other.received.len(), INITIAL_PAYLOAD_OCTETS_MAX + "from the initiator".len());
}

#[test]
fn paddings_take_all_lengths_up_to_the_bound() {
    let lengths = (0..200).map(|seed| {
        let mut initiator = Initiator::new(TORRENT, RC4, b"", &mut random(seed));
        initiator.poll_output().expect("a key").len() - PUBLIC_KEY_OCTETS
    });
    let lengths: Vec<usize> = lengths.collect();
    assert!(lengths.iter().all(|length| *length <= PAD_OCTETS_MAX));
    assert!(lengths.iter().any(|length| *length < 50) && lengths.iter().any(|length| *length > 450));
}

#[test]
fn policies_that_do_not_meet_end_with_the_reason() {
    let run = |provided, policy| run(provided, policy, b"x", 3, &[100]).map(drop);
    assert_eq!(run(RC4, Policy::Disabled), Err(HandshakeError::NoMethod { provided: 2 }));
    let plain = Methods { plaintext: true, rc4: false };
    assert_eq!(run(plain, Policy::Required), Err(HandshakeError::NoMethod { provided: 1 }));
    assert_eq!(run(plain, Policy::Preferred), Ok(()));
}

/// Feeds both in one go until the receiver or the initiator fails.
fn failure(receiver: &mut Receiver, octets: &[u8]) -> HandshakeError {
    receiver.handle_input(octets, &served()).expect_err("refused")
}

/// A hand-made initiator: its key, and the secret shared with `receiver`.
fn hand_made(receiver: &mut Receiver, seed: u64) -> SharedSecret {
    let key = PrivateKey::generate(&mut random(seed));
    assert_eq!(receiver.handle_input(&key.public_key(), &served()), Ok(PUBLIC_KEY_OCTETS));
    let reply = receiver.poll_output().expect("a key");
    assert!((PUBLIC_KEY_OCTETS..=PUBLIC_KEY_OCTETS + PAD_OCTETS_MAX).contains(&reply.len()));
    key.shared_secret(reply.first_chunk().expect("a key")).expect("a secret")
}

#[test]
fn a_receiver_refuses_what_is_no_handshake() {
    let receiver = || Receiver::new(Policy::Allowed, &mut random(1));
    assert_eq!(failure(&mut receiver(), &[0; 96]), HandshakeError::DegenerateKey);
    // The longest padding is 512 octets, the mark behind it 20.
    let mut exact = receiver();
    let secret = hand_made(&mut exact, 2);
    exact.handle_input(&[1; PAD_OCTETS_MAX], &served()).expect("a padding");
    exact.handle_input(&secret.synchronisation(), &served()).expect("found");
    assert_eq!(failure(&mut exact, &secret.conceal([0; 20])), HandshakeError::UnknownTorrent);
    assert_eq!(failure(&mut exact, b"more"), HandshakeError::Finished);
    let mut beyond = receiver();
    hand_made(&mut beyond, 2);
    beyond.handle_input(&[1; PAD_OCTETS_MAX + 19], &served()).expect("not yet");
    assert_eq!(failure(&mut beyond, &[1]), HandshakeError::NoSynchronisation);

    let hidden = |plain: &[u8]| {
        let mut receiver = receiver();
        let secret = hand_made(&mut receiver, 4);
        let mut octets = secret.synchronisation().to_vec();
        octets.extend_from_slice(&secret.conceal(hash_of_key(&TORRENT)));
        let mut plain = plain.to_vec();
        Cipher::rc4(&secret.initiator_key(&TORRENT)).apply(&mut plain);
        octets.append(&mut plain);
        failure(&mut receiver, &octets)
    };
    assert_eq!(hidden(b"\0\0\0\0\0\0\0\x01\0\0\0\x02\0\0"), HandshakeError::Verification);
    assert_eq!(hidden(b"\0\0\0\0\0\0\0\0\0\0\0\x02\x02\x01"), HandshakeError::PadTooLong(513));
    assert_eq!(hidden(b"\0\0\0\0\0\0\0\0\0\0\0\x04\0\0"), HandshakeError::NoMethod { provided: 4 });
}

#[test]
fn an_initiator_refuses_what_is_no_handshake() {
    let answer = |methods: u32, pad: u16| {
        let mut initiator = Initiator::new(TORRENT, RC4, b"", &mut random(7));
        let first = initiator.poll_output().expect("a key");
        let key = PrivateKey::generate(&mut random(8));
        let secret = key.shared_secret(first.first_chunk().expect("a key")).expect("a secret");
        let mut octets = key.public_key().to_vec();
        octets.resize(PUBLIC_KEY_OCTETS + PAD_OCTETS_MAX, 3);
        let mut hidden = [&[0; 8][..], &methods.to_be_bytes(), &pad.to_be_bytes()].concat();
        Cipher::rc4(&secret.receiver_key(&TORRENT)).apply(&mut hidden);
        octets.extend_from_slice(&hidden);
        initiator.handle_input(&octets)
    };
    assert_eq!(answer(2, 512), Ok(PUBLIC_KEY_OCTETS + PAD_OCTETS_MAX + 14));
    assert_eq!(answer(2, 513), Err(HandshakeError::PadTooLong(513)));
    assert_eq!(answer(1, 0), Err(HandshakeError::BadSelection { selected: 1 }));
    assert_eq!(answer(3, 0), Err(HandshakeError::BadSelection { selected: 3 }));
    let mut initiator = Initiator::new(TORRENT, RC4, b"", &mut random(7));
    assert_eq!(initiator.handle_input(&[255; 96]), Err(HandshakeError::DegenerateKey));
    assert_eq!(initiator.handle_input(b"x"), Err(HandshakeError::Finished));
    let mut initiator = Initiator::new(TORRENT, RC4, b"", &mut random(7));
    let key = PrivateKey::generate(&mut random(9)).public_key();
    assert_eq!(initiator.handle_input(&key), Ok(96));
    assert_eq!(initiator.handle_input(&[1; 519]), Ok(519));
    assert_eq!(initiator.handle_input(&[1]), Err(HandshakeError::NoSynchronisation));
}

#[test]
fn garbage_ends_within_the_bound_of_a_handshake() {
    for seed in 0..50 {
        let mut receiver = Receiver::new(Policy::Required, &mut random(seed));
        let mut garbage = vec![0; 4_096];
        random(seed + 1_000).fill_bytes(&mut garbage);
        // Few keys are beyond the prime; all others lead to a vain search.
        assert!(matches!(
            failure(&mut receiver, &garbage),
            HandshakeError::NoSynchronisation | HandshakeError::DegenerateKey
        ));
    }
}

#[test]
fn torrents_come_and_go() {
    let mut served = ServedKeys::new();
    served.insert(TORRENT);
    let shown = hash(&[b"req2", &TORRENT]);
    assert_eq!(served.find(&shown), Some(&TORRENT));
    served.remove(&TORRENT);
    assert_eq!(served.find(&shown), None);
}
