//! Runs any octets through an endpoint, for fuzzing.

use super::{Config, Endpoint, Path};
use bytes::Bytes;
use rand_core::{Infallible, TryRng};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Counts instead of being random: the same octets do the same every time.
#[derive(Debug, Default)]
struct Counting(u64);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        octets.fill(self.0 as u8);
        Ok(())
    }
}

/// Runs `octets` through an endpoint with one connection of its own: they are a
/// sequence of packets, each behind two octets: its length, and how much time
/// passes before it. The connection's number is 1, its first packet 2, so that a
/// fuzzer can reach it. Octets stay within the bounds of the endpoint.
///
/// # Panics
/// When a bound does not hold: that is what is looked for. `now` is only the
/// beginning.
pub fn exercise(now: Instant, octets: &[u8]) {
    let config = Config {
        receive_octets_max: 4_096,
        send_octets_max: 4_096,
        connections_max: 8,
        half_open_max: 4,
        datagram_octets_max: 2_048,
    };
    let connections_max = config.connections_max;
    let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1);
    let path = Path { peer, local: None };
    let mut endpoint = Endpoint::new(now, config, Counting::default());
    let mut now = now;
    let own = endpoint.connect(now, path).ok();
    let mut headers = Vec::new();
    let mut rest = octets;
    while let [length, wait, after @ ..] = rest {
        let (packet, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(*wait) * u64::from(*wait));
        endpoint.handle_timeout(now);
        if let Some(own) = own {
            endpoint.write(own, Bytes::copy_from_slice(packet));
        }
        // What is wrong with it is told, and the next packet is taken.
        endpoint.handle_packet(now, path, &Bytes::copy_from_slice(packet)).ok();
        let mut events = 0;
        while let Some((id, event)) = endpoint.poll_event() {
            events += 1;
            assert!(events < 10_000, "events without end");
            if let super::Event::Octets(octets) = event {
                endpoint.release(id, octets.len());
            }
        }
        let mut packets = 0;
        while endpoint.poll_transmit(now, &mut headers).is_some() {
            packets += 1;
            headers.clear();
            assert!(packets < 10_000, "packets without end");
        }
        assert!(endpoint.len() <= connections_max, "more connections than allowed");
    }
}
