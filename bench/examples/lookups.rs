//! Times answering alone, without sockets: batches of queries for the names of a
//! zone of 100,000, against merely copying them. Nanoseconds a query, of the
//! thread's own time. Between batches as much memory is touched as the system
//! needs for the sockets, so that the caches are as cold as in a server.

use dns::answer::{Answerer, Located, Query, Transport, Verdict};
use dns::zone::{WireRecord, Zone, Zones};
use domain::base::iana::Rtype;
use std::hint::black_box;
use std::sync::Arc;

const NAMES: usize = 100_000;
const BATCH: usize = 64;
const STRIDE: usize = 4160;
const POLLUTION_OCTETS: usize = 512 * 1024;
const ROUNDS: usize = 7;

fn main() {
    let zones = zones();
    for (what, label) in [("existing", "host"), ("missing", "nohost")] {
        let queries = queries(label);
        let mut best = [f64::INFINITY; 2];
        for _ in 0..ROUNDS {
            for (answers, best) in [false, true].into_iter().zip(&mut best) {
                *best = best.min(round(&zones, &queries, answers));
            }
        }
        let [copied, answered] = best;
        println!("{what}: {:.0} ns a query over copying ({copied:.0} ns)", answered - copied);
    }
}

fn zones() -> Zones {
    let name = |text: &str| dns::master::name(text).expect("a name");
    let soa = [&b"\x02ns\x05bench\x04test\x00\x00"[..], &[0; 20]].concat();
    let record = |owner: &str, rtype, data: &[u8]| WireRecord {
        owner: name(owner),
        rtype,
        ttl: 3600,
        data: data.into(),
    };
    let mut records = vec![
        record("bench.test", Rtype::SOA, &soa),
        record("bench.test", Rtype::NS, b"\x02ns\x05bench\x04test\x00"),
    ];
    records.extend(
        (0..NAMES).map(|n| record(&format!("host{n}.bench.test"), Rtype::A, &(n as u32).to_be_bytes())),
    );
    let mut zones = Zones::new(0x1234_5678_9ABC_DEF1);
    zones.insert(Arc::new(Zone::new(name("bench.test"), zones.seed(), records).expect("a zone")));
    zones
}

fn queries(label: &str) -> Vec<Vec<u8>> {
    let mut order: Vec<usize> = (0..NAMES).collect();
    order.sort_by_key(|n| (*n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let query = |n: usize| {
        let mut query = vec![n as u8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for part in [&*format!("{label}{n}"), "bench", "test"] {
            query.push(part.len() as u8);
            query.extend_from_slice(part.as_bytes());
        }
        query.extend_from_slice(&[0, 0, 1, 0, 1]);
        query
    };
    order.into_iter().map(query).collect()
}

fn round(zones: &Zones, all: &[Vec<u8>], answers: bool) -> f64 {
    let mut incoming = vec![0_u8; BATCH * STRIDE];
    let mut replies = vec![0_u8; BATCH * STRIDE];
    let mut pollution = vec![1_u8; POLLUTION_OCTETS];
    let mut answerer = Answerer::new(1232);
    let mut queries = vec![Query::default(); BATCH];
    let start = nanoseconds();
    for batch in all.chunks(BATCH) {
        for octet in pollution.iter_mut().step_by(64) {
            *octet = octet.wrapping_add(1);
        }
        for (buffer, query) in incoming.chunks_mut(STRIDE).zip(batch) {
            buffer[..query.len()].copy_from_slice(query);
        }
        if answers {
            let mut located = [const { None }; BATCH];
            let mut near = None;
            for (index, query) in batch.iter().enumerate() {
                let message = &incoming[index * STRIDE..][..query.len()];
                assert_eq!(queries[index].read(message), Verdict::Answer);
                located[index] = Located::find(zones, &queries[index], near.as_ref(), net::prefetch);
                near = located[index].or(near);
            }
            Located::fetch(&mut located[..batch.len()], net::prefetch);
            for (index, query) in batch.iter().enumerate() {
                let message = &incoming[index * STRIDE..][..query.len()];
                let reply = &mut replies[index * STRIDE..][..4096];
                let Some(located) = &located[index] else { continue };
                let written = answerer.answer_located(
                    zones,
                    located,
                    message,
                    &queries[index],
                    Transport::Datagram,
                    reply,
                );
                black_box(written);
            }
        } else {
            for (index, query) in batch.iter().enumerate() {
                let length = query.len().max(49);
                replies[index * STRIDE..][..length].copy_from_slice(&incoming[index * STRIDE..][..length]);
                black_box(&mut replies);
            }
        }
    }
    black_box(&pollution);
    (nanoseconds() - start) / all.len() as f64
}

fn nanoseconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|run| run.parse().ok()).unwrap_or_default()
}
