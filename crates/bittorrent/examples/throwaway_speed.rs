//! speed
use bittorrent::torrent::*;
use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
/// one leecher machine; `n` seeds answer; measure ns per block of leecher alone.
fn leech(n: u32, pieces: u32, piece_octets: u32, partial: bool) {
    let lengths = PieceLengths::uniform(u64::from(pieces) * u64::from(piece_octets), piece_octets).unwrap();
    let mut now = Instant::now();
    let mut t = Torrent::new(
        now,
        lengths.clone(),
        &PieceSet::empty(pieces),
        Settings::default(),
        ChaCha12Rng::seed_from_u64(1),
    );
    for k in 0..n {
        t.add_peer(now, PeerKey(k), PeerFacts { requests_max: 500, ..Default::default() }).unwrap();
        if partial {
            let mut s = PieceSet::empty(pieces);
            for p in 0..pieces {
                if (u64::from(p) * 2654435761 + u64::from(k) * 40503) % 97 < 60 {
                    s.insert(p);
                }
            }
            t.handle_bitfield(now, PeerKey(k), &s.to_bitfield()).unwrap();
        } else {
            t.handle_have_all(now, PeerKey(k));
        }
        t.handle_unchoke(now, PeerKey(k));
    }
    let mut q: Vec<VecDeque<Octets>> = vec![VecDeque::new(); n as usize];
    let mut spent = Duration::ZERO;
    let mut blocks = 0u64;
    let mut worst = Duration::ZERO;
    let start = Instant::now();
    let mut events = 0;
    loop {
        let s = Instant::now();
        while let Some((k, send)) = t.poll_send(now) {
            if let Send::Request(o) = send {
                q[k.0 as usize].push_back(o)
            } else if let Send::Cancel(o) = send {
                q[k.0 as usize].retain(|x| *x != o);
            }
        }
        while let Some(e) = t.poll_event() {
            events += 1;
            if let Event::PieceReady { piece, .. } = e {
                t.handle_piece_checked(now, piece, true, &[]);
            }
        }
        if t.is_finished() {
            break;
        }
        spent += s.elapsed();
        let mut any = false;
        for k in 0..n as usize {
            if let Some(o) = q[k].pop_front() {
                any = true;
                now += Duration::from_nanos(22_000);
                let s = Instant::now();
                t.handle_block(now, PeerKey(k as u32), o);
                let e = s.elapsed();
                worst = worst.max(e);
                spent += e;
                blocks += 1;
                if t.poll_timeout().is_some_and(|at| at <= now) {
                    let s = Instant::now();
                    t.handle_timeout(now);
                    spent += s.elapsed();
                }
            }
        }
        if !any {
            now += Duration::from_millis(100);
            t.handle_timeout(now);
        }
    }
    println!(
        "leech peers {n} pieces {pieces} x {piece_octets} partial {partial}: {blocks} blocks, {} ns per block, worst handle_block {worst:?}, all {:?} events {events}",
        spent.as_nanos() as u64 / blocks,
        start.elapsed()
    );
}
fn seed(n: u32, pieces: u32, piece_octets: u32, spread: bool) {
    let lengths = PieceLengths::uniform(u64::from(pieces) * u64::from(piece_octets), piece_octets).unwrap();
    let mut now = Instant::now();
    let mut t = Torrent::new(
        now,
        lengths.clone(),
        &PieceSet::full(pieces),
        Settings { seed_slots: Slots::Fixed(n), spread_first: spread, ..Default::default() },
        ChaCha12Rng::seed_from_u64(1),
    );
    for k in 0..n {
        t.add_peer(now, PeerKey(k), PeerFacts::default()).unwrap();
        t.handle_have_none(now, PeerKey(k));
        t.handle_interested(now, PeerKey(k));
    }
    t.handle_timeout(now);
    while t.poll_send(now).is_some() {}
    let mut spent = Duration::ZERO;
    let mut blocks = 0u64;
    let mut rejects = 0u64;
    let per = u64::from(piece_octets / BLOCK_OCTETS);
    // peer k downloads pieces k, k+n, k+2n, ... then others
    let mut next: Vec<u64> = vec![0; n as usize];
    let req = |next: &mut Vec<u64>, k: u32| {
        let b = next[k as usize];
        next[k as usize] += 1;
        let p = ((b / per) * u64::from(n) + u64::from(k)) as u32 % pieces;
        Octets { piece: p, begin: (b % per) as u32 * BLOCK_OCTETS, octets: BLOCK_OCTETS }
    };
    for k in 0..n {
        for _ in 0..100 {
            let o = req(&mut next, k);
            t.handle_request(now, PeerKey(k), o);
        }
    }
    let mut serve = Vec::new();
    let mut stall = 0;
    while blocks < 200_000 && stall < 1000 {
        let s = Instant::now();
        while let Some((k, send)) = t.poll_send(now) {
            match send {
                Send::Serve(o) => serve.push((k, o)),
                Send::Reject(_) => rejects += 1,
                _ => {}
            }
        }
        spent += s.elapsed();
        if serve.is_empty() {
            stall += 1;
            now += Duration::from_millis(10);
            t.handle_timeout(now);
        }
        for (k, o) in serve.drain(..) {
            now += Duration::from_micros(22);
            let next = req(&mut next, k.0);
            let s = Instant::now();
            t.handle_block_sent(now, k, o, true);
            t.handle_request(now, k, next);
            if t.poll_timeout().is_some_and(|at| at <= now) {
                t.handle_timeout(now);
            }
            spent += s.elapsed();
            blocks += 1;
            if o.begin / BLOCK_OCTETS == per as u32 - 1 {
                t.handle_have(now, k, o.piece);
            }
        }
    }
    println!(
        "seed peers {n} pieces {pieces} spread {spread}: {blocks} blocks, {} ns per block served (request, serve, sent), rejects {rejects} stall {stall}",
        spent.as_nanos() as u64 / blocks.max(1)
    );
}
fn main() {
    leech(1, 4096, 262144, false);
    leech(50, 4096, 262144, false);
    leech(50, 4096, 262144, true);
    leech(50, 100_000, 65536, true);
    leech(50, 1024, 4 << 20, true);
    leech(1000, 4096, 262144, true);
    for spread in [false, true] {
        seed(1, 20_000, 262144, spread);
        seed(50, 100_000, 262144, spread);
    }
}
