//! Packets gathered into trains.

use bittorrent::utp::Transmit;
use net::{TRAIN_DATAGRAMS_MAX, TRAIN_OCTETS_MAX, TRAIN_PARTS_MAX, Train, Trains};
use std::io::{self, IoSlice};
use std::ops::Range;

/// Packets gathered before they are sent.
pub(super) const PACKETS_MAX: usize = 256;

/// Packets to be sent together; their headers lie in `headers`, in order.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) headers: Vec<u8>,
    pub(super) packets: Vec<Transmit>,
}

/// Where a train lies among the parts of all.
#[derive(Debug)]
struct Car {
    first: usize,
    parts: Range<usize>,
    datagram_octets: usize,
    octets: usize,
    datagrams: usize,
    /// A datagram shorter than the others ends the train.
    is_ended: bool,
}

impl Outgoing {
    /// Sends everything and forgets it.
    pub(super) async fn send(&mut self, trains: &Trains) -> io::Result<()> {
        let (parts, cars) = self.gather();
        let mut list = Vec::with_capacity(cars.len());
        for car in cars {
            let (Some(first), Some(parts)) = (self.packets.get(car.first), parts.get(car.parts)) else {
                continue;
            };
            let (to, from) = (first.path.peer, first.path.local);
            let (datagram_octets, fragmentable) = (car.datagram_octets, first.fragmentable);
            list.push(Train { to, from, parts, datagram_octets, fragmentable });
        }
        let sent = trains.send(&list).await;
        drop(list);
        drop(parts);
        self.packets.clear();
        self.headers.clear();
        sent
    }

    fn gather(&self) -> (Vec<IoSlice<'_>>, Vec<Car>) {
        let mut parts = Vec::with_capacity(self.packets.len() * 2);
        let mut cars: Vec<Car> = Vec::new();
        let mut headers = &self.headers[..];
        for (index, packet) in self.packets.iter().enumerate() {
            let Some((header, rest)) = headers.split_at_checked(packet.header_octets) else { break };
            headers = rest;
            let start = parts.len();
            parts.push(IoSlice::new(header));
            let payload = packet.payload.parts().iter().filter(|part| !part.is_empty());
            parts.extend(payload.map(|part| IoSlice::new(part)));
            let octets = packet.header_octets + packet.payload.len();
            let same = |car: &Car| {
                self.packets.get(car.first).is_some_and(|first| {
                    first.path == packet.path && first.fragmentable == packet.fragmentable
                })
            };
            match cars.last_mut() {
                Some(car)
                    if !car.is_ended
                        && octets <= car.datagram_octets
                        && car.octets + octets <= TRAIN_OCTETS_MAX
                        && car.datagrams < TRAIN_DATAGRAMS_MAX
                        && parts.len() - car.parts.start <= TRAIN_PARTS_MAX
                        && same(car) =>
                {
                    car.parts.end = parts.len();
                    car.octets += octets;
                    car.datagrams += 1;
                    car.is_ended = octets < car.datagram_octets;
                }
                _ => cars.push(Car {
                    first: index,
                    parts: start..parts.len(),
                    datagram_octets: octets,
                    octets,
                    datagrams: 1,
                    is_ended: false,
                }),
            }
        }
        (parts, cars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bittorrent::utp::{Path, Payload};
    use bytes::Bytes;

    #[test]
    fn packets_of_one_size_and_way_make_a_train() {
        let path = |port| Path { peer: ([127, 0, 0, 1], port).into(), local: None };
        let packet = |port, octets, fragmentable| Transmit {
            path: path(port),
            header_octets: 20,
            payload: Payload::Whole(Bytes::from(vec![0; octets])),
            fragmentable,
        };
        let sizes = [
            (1, 100, false),
            (1, 100, false),
            (1, 50, false),
            (1, 100, false),
            (1, 100, true),
            (2, 100, true),
        ];
        let mut outgoing = Outgoing::default();
        outgoing.packets.extend(sizes.map(|(port, octets, may)| packet(port, octets, may)));
        outgoing.packets.extend((0..100).map(|_| packet(3, 0, false)));
        outgoing.packets.extend((0..3).map(|_| packet(4, 30_000, false)));
        outgoing.headers.resize(outgoing.packets.len() * 20, 0);
        let (_, cars) = outgoing.gather();
        let datagrams: Vec<_> = cars.iter().map(|car| car.datagrams).collect();
        assert_eq!(datagrams, [3, 1, 1, 1, 64, 36, 2, 1]);
        assert_eq!(cars[0].octets, 310);
    }
}
