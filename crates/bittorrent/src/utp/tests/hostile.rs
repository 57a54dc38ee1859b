//! Packets from people who mean no good: everything stays bounded, nothing
//! panics, connections of others live on.

use super::*;
use proptest::prelude::*;

fn header(kind: Kind, connection_id: u16, seq_nr: u16, ack_nr: u16) -> Header {
    Header {
        kind,
        connection_id,
        timestamp_microseconds: 7,
        timestamp_difference_microseconds: 9,
        window_octets: 1 << 20,
        seq_nr: Seq(seq_nr),
        ack_nr: Seq(ack_nr),
    }
}

fn written(header: Header, payload: &[u8]) -> Bytes {
    let mut octets = Vec::new();
    header.write(Extensions::default(), &mut octets);
    octets.extend_from_slice(payload);
    octets.into()
}

fn from(host: u8, port: u16) -> Path {
    Path { peer: SocketAddr::new(Ipv4Addr::new(192, 0, 2, host).into(), port), local: None }
}

fn endpoint(now: Instant, config: Config) -> Endpoint<ChaCha8Rng> {
    Endpoint::new(now, config, ChaCha8Rng::seed_from_u64(5))
}

fn sent(endpoint: &mut Endpoint<ChaCha8Rng>, now: Instant) -> Vec<(Path, Vec<u8>)> {
    let (mut headers, mut all) = (Vec::new(), Vec::new());
    while let Some(transmit) = endpoint.poll_transmit(now, &mut headers) {
        let mut octets = std::mem::take(&mut headers);
        transmit.payload.parts().iter().for_each(|part| octets.extend_from_slice(part));
        all.push((transmit.path, octets));
    }
    all
}

/// Opens a connection by hand; the number that its packets come to, and the ack.
fn open(endpoint: &mut Endpoint<ChaCha8Rng>, now: Instant, path: Path) -> (u16, u16) {
    endpoint.handle_packet(now, path, &written(header(Kind::Syn, 100, 1, 0), &[])).expect("a packet");
    let answers = sent(endpoint, now);
    let answer = Packet::parse(&answers[0].1).expect("an answer").header;
    assert_eq!((answer.kind, answer.connection_id, answer.ack_nr), (Kind::State, 100, Seq(1)));
    (101, answer.seq_nr.previous().0)
}

#[test]
fn a_flood_of_syn_costs_no_connection_and_no_more_than_its_bound() {
    let now = Instant::now();
    let mut endpoint = endpoint(now, Config { half_open_max: 100, ..Config::default() });
    for port in 0..60_000 {
        let syn = written(header(Kind::Syn, port, 1, 0), &[]);
        endpoint.handle_packet(now, from(1, port), &syn).expect("a packet");
    }
    assert!(endpoint.is_empty() && endpoint.poll_event().is_none());
    assert_eq!(endpoint.half_open_len(), 100);
    // As many answers as wait at most; the rest is lost, as on a wire.
    assert!(sent(&mut endpoint, now).len() <= 256);
    // The newest one can still be confirmed, by who got the answer.
    let path = from(9, 9);
    let (id, ack_nr) = open(&mut endpoint, now, path);
    let wrong = written(header(Kind::Data, id, 2, ack_nr.wrapping_add(1)), b"guessed");
    endpoint.handle_packet(now, path, &wrong).expect("a packet");
    assert!(endpoint.is_empty());
    let right = written(header(Kind::Data, id, 2, ack_nr), b"hello");
    endpoint.handle_packet(now, path, &right).expect("a packet");
    let (_, event) = endpoint.poll_event().expect("accepted");
    assert_eq!(event, Event::Accepted(path));
    assert!(matches!(endpoint.poll_event(), Some((_, Event::Octets(octets))) if octets == "hello"));
}

#[test]
fn connections_are_bounded_and_none_are_accepted_where_none_are_wanted() {
    let now = Instant::now();
    let mut full = endpoint(now, Config { connections_max: 3, ..Config::default() });
    for port in 1..10 {
        let (id, ack_nr) = open(&mut full, now, from(1, port));
        full.handle_packet(now, from(1, port), &written(header(Kind::Data, id, 2, ack_nr), b"x"))
            .expect("a packet");
        sent(&mut full, now);
    }
    assert_eq!(full.len(), 3);
    assert_eq!(full.connect(now, from(2, 2)), Err(ConnectError::TooMany(3)));
    let mut closed = endpoint(now, Config { half_open_max: 0, ..Config::default() });
    closed.handle_packet(now, from(1, 1), &written(header(Kind::Syn, 1, 1, 0), &[])).expect("a packet");
    assert!(sent(&mut closed, now).is_empty());
}

#[test]
fn strangers_get_resets_at_a_bounded_rate_and_never_for_a_reset() {
    let now = Instant::now();
    let mut endpoint = endpoint(now, Config::default());
    for id in 0..5_000 {
        endpoint
            .handle_packet(now, from(1, 1), &written(header(Kind::Data, id, 77, 0), b"x"))
            .expect("a packet");
        endpoint
            .handle_packet(now, from(1, 1), &written(header(Kind::Reset, id, 77, 0), b""))
            .expect("a packet");
    }
    let resets = sent(&mut endpoint, now);
    assert_eq!(resets.len(), 100);
    let first = Packet::parse(&resets[0].1).expect("a packet").header;
    assert_eq!((first.kind, first.connection_id, first.ack_nr), (Kind::Reset, 0, Seq(77)));
    assert!(
        endpoint
            .handle_packet(now, from(1, 1), &Bytes::from_static(b"d1:ad2:id20:xxxxxxxxxxxxxxxxxxxx"))
            .is_err()
    );
    assert!(sent(&mut endpoint, now).is_empty());
}

#[test]
fn packets_far_ahead_and_beyond_the_window_are_not_kept() {
    let now = Instant::now();
    let config = Config { receive_octets_max: 10_000, ..Config::default() };
    let mut endpoint = endpoint(now, config);
    let path = from(1, 1);
    let (id, ack_nr) = open(&mut endpoint, now, path);
    endpoint.handle_packet(now, path, &written(header(Kind::State, id, 2, ack_nr), &[])).expect("a packet");
    for seq_nr in (0..u16::MAX).rev() {
        if seq_nr != 2 {
            let data = written(header(Kind::Data, id, seq_nr, ack_nr), &[1; 100]);
            endpoint.handle_packet(now, path, &data).expect("a packet");
        }
    }
    let answers = sent(&mut endpoint, now);
    let last = Packet::parse(&answers.last().expect("an answer").1).expect("a packet");
    assert_eq!((last.header.ack_nr, last.header.window_octets), (Seq(1), 0));
    let waiting = last.selective_ack.expect("bits").arrived().filter(|bit| *bit).count();
    assert_eq!(waiting, 100);
}

#[test]
fn acknowledgements_of_what_was_never_sent_and_foreign_resets_do_nothing() {
    let now = Instant::now();
    let mut endpoint = endpoint(now, Config::default());
    let path = from(1, 1);
    let (id, ack_nr) = open(&mut endpoint, now, path);
    endpoint.handle_packet(now, path, &written(header(Kind::Data, id, 2, ack_nr), b"x")).expect("a packet");
    for ahead in [1, 2, 1_000, 0x7FFF] {
        let far = written(header(Kind::Data, id, 3, ack_nr.wrapping_add(ahead)), b"y");
        endpoint.handle_packet(now, path, &far).expect("a packet");
    }
    // Another address; an id nobody has; a number we never sent.
    endpoint
        .handle_packet(now, from(2, 1), &written(header(Kind::Reset, id, 0, ack_nr), &[]))
        .expect("a packet");
    endpoint
        .handle_packet(now, path, &written(header(Kind::Reset, 7_000, 0, ack_nr), &[]))
        .expect("a packet");
    let beyond = ack_nr.wrapping_add(2_000);
    endpoint.handle_packet(now, path, &written(header(Kind::Reset, id, 0, beyond), &[])).expect("a packet");
    let events: Vec<_> = std::iter::from_fn(|| endpoint.poll_event()).map(|(_, event)| event).collect();
    assert_eq!(events, [Event::Accepted(path), Event::Octets(Bytes::from_static(b"x"))]);
    endpoint.handle_packet(now, path, &written(header(Kind::Reset, id, 0, ack_nr), &[])).expect("a packet");
    assert!(matches!(endpoint.poll_event(), Some((_, Event::Closed(CloseReason::Reset)))));
    assert!(endpoint.is_empty() && endpoint.poll_timeout().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Whatever packets come, in whatever order: bounds hold and nothing panics.
    #[test]
    fn any_packets_are_survived(
        packets in proptest::collection::vec((0u8..6, 0u16..4, 0u16..8, 0u16..8, 0u8..40, any::<u8>()), 0..60)
    ) {
        let mut octets = Vec::new();
        for (kind, id, seq_nr, ack_nr, payload, wait) in packets {
            let mut packet = vec![kind << 4 | 1, u8::from(payload % 3 == 1), 0, id as u8];
            packet.extend([0, 0, 0, wait, 0, 0, payload, wait, 0, 0, wait, payload]);
            packet.extend([0, seq_nr as u8, 0, ack_nr as u8]);
            packet.extend([0, 4, payload, wait, payload, 0].iter().chain(&vec![wait; usize::from(payload)]));
            octets.extend([packet.len() as u8, wait]);
            octets.extend(packet);
        }
        exercise(Instant::now(), &octets);
    }

    #[test]
    fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        exercise(Instant::now(), &octets);
    }
}
