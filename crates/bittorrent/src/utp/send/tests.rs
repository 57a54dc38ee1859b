//! What is sent, lost, repeated and acknowledged.

use super::*;
use crate::utp::packet::{Extensions, Header, Kind, Packet};

const REORDERING: Duration = Duration::from_millis(5);

/// A buffer with so many packets of ten octets under way.
fn sent(now: Instant, packets: usize) -> SendBuffer {
    let mut buffer = SendBuffer::new(Seq(65_534), 1 << 20);
    assert!(buffer.write(Bytes::from(vec![0; packets * 10])).is_empty());
    for _ in 0..packets {
        buffer.cut(now, 10, false).expect("a packet");
    }
    buffer
}

fn acknowledge(buffer: &mut SendBuffer, now: Instant, ack_nr: u16, bits: &[u8]) -> Acknowledged {
    let mut octets = Vec::new();
    let header = Header {
        kind: Kind::State,
        connection_id: 0,
        timestamp_microseconds: 0,
        timestamp_difference_microseconds: 0,
        window_octets: 0,
        seq_nr: Seq(0),
        ack_nr: Seq(ack_nr),
    };
    header.write(Extensions { selective_ack: bits, datagram_octets_max: None }, &mut octets);
    let packet = Packet::parse(&octets).expect("a packet");
    buffer.acknowledge(now, Seq(ack_nr), packet.selective_ack, true, REORDERING).expect("sent")
}

#[test]
fn numbers_wrap_and_what_was_never_sent_is_refused() {
    let now = Instant::now();
    let mut buffer = sent(now, 4);
    assert_eq!(buffer.next(), Seq(2));
    let later = now + Duration::from_millis(7);
    assert_eq!(buffer.acknowledge(later, Seq(2), None, true, REORDERING), Err(NeverSent));
    let brought = acknowledge(&mut buffer, later, 0, &[]);
    assert_eq!((brought.packets, brought.octets, brought.in_flight_octets), (3, 30, 40));
    assert_eq!(brought.round_trip, Some(Duration::from_millis(7)));
    assert_eq!(acknowledge(&mut buffer, later, 65_535, &[]).packets, 0);
    assert_eq!(buffer.free_octets(), (1 << 20) - 10);
    acknowledge(&mut buffer, later, 1, &[]);
    assert!(!buffer.has_outstanding() && buffer.in_flight_octets() == 0);
}

/// BEP 29: a packet is lost when three after it arrived; one event halves once.
#[test]
fn three_later_packets_make_one_lost() {
    let now = Instant::now();
    let mut buffer = sent(now, 10);
    // 65,534 is missing; 65,535, 0 and 1 arrive one by one.
    assert!(!acknowledge(&mut buffer, now, 65_533, &[0b001, 0, 0, 0]).lost);
    assert!(!acknowledge(&mut buffer, now, 65_533, &[0b011, 0, 0, 0]).lost);
    let brought = acknowledge(&mut buffer, now, 65_533, &[0b111, 0, 0, 0]);
    assert!(brought.lost && buffer.lost_octets().is_some());
    assert_eq!(buffer.lost_octets(), Some(10));
    let again = buffer.resend(now).expect("the lost one");
    assert_eq!((again.seq_nr, again.transmissions), (Seq(65_534), 2));
    assert!(buffer.resend(now).is_none());
    // Another one of the same window is lost: no new event.
    let brought = acknowledge(&mut buffer, now, 1, &[0b111, 0, 0, 0]);
    assert!(!brought.lost && buffer.lost_octets().is_some());
    // A packet sent after that is lost: a new one.
    buffer.resend(now);
    acknowledge(&mut buffer, now, 7, &[]);
    let _ = buffer.write(Bytes::from(vec![0; 40]));
    (0..4).for_each(|_| drop(buffer.cut(now, 10, false)));
    assert!(acknowledge(&mut buffer, now, 7, &[0b111, 0, 0, 0]).lost);
}

#[test]
fn repeated_acknowledgements_do_without_a_mask() {
    let now = Instant::now();
    let mut buffer = sent(now, 5);
    acknowledge(&mut buffer, now, 65_534, &[]);
    assert!((0..2).all(|_| !acknowledge(&mut buffer, now, 65_534, &[]).lost));
    assert!(acknowledge(&mut buffer, now, 65_534, &[]).lost);
    assert_eq!(buffer.resend(now).map(|again| again.seq_nr), Some(Seq(65_535)));
    // The same again is no reason to send it a third time.
    (0..6).for_each(|_| assert_eq!(acknowledge(&mut buffer, now, 65_534, &[]).packets, 0));
    assert!(buffer.lost_octets().is_none());
}

#[test]
fn a_lost_probe_is_no_congestion() {
    let now = Instant::now();
    let mut buffer = SendBuffer::new(Seq(1), 1 << 20);
    let _ = buffer.write(Bytes::from(vec![0; 1_000]));
    buffer.cut(now, 100, true);
    (0..3).for_each(|_| drop(buffer.cut(now, 10, false)));
    let brought = acknowledge(&mut buffer, now, 0, &[0b111, 0, 0, 0]);
    assert_eq!((brought.lost, brought.probe_lost), (false, true));
    assert_eq!(buffer.resend(now).map(|again| again.payload.len()), Some(100));
}

#[test]
fn all_is_lost_after_a_timeout_and_sent_in_order() {
    let now = Instant::now();
    let mut buffer = sent(now, 6);
    acknowledge(&mut buffer, now, 65_533, &[0b1, 0, 0, 0]);
    buffer.mark_all_lost();
    assert_eq!(buffer.in_flight_octets(), 0);
    let order: Vec<_> = std::iter::from_fn(|| buffer.resend(now)).map(|again| again.seq_nr.0).collect();
    assert_eq!(order, [65_534, 0, 1, 2, 3]);
    buffer.repeat_last();
    assert_eq!(buffer.resend(now).map(|again| (again.seq_nr.0, again.transmissions)), Some((3, 3)));
}

#[test]
fn octets_and_packets_are_bounded() {
    let now = Instant::now();
    let mut buffer = SendBuffer::new(Seq(0), 5_000);
    assert_eq!(buffer.write(Bytes::from(vec![0; 6_000])).len(), 1_000);
    assert_eq!(buffer.write(Bytes::from_static(b"x")).len(), 1);
    let packets = std::iter::from_fn(|| buffer.cut(now, 1, false)).count();
    assert_eq!(packets, PACKETS_MAX);
    buffer.finish();
    assert!(!buffer.wants_fin() && !buffer.is_finished());
    assert_eq!(buffer.write(Bytes::from_static(b"x")).len(), 1);
    buffer.abandon();
    assert!(buffer.wants_fin());
}
