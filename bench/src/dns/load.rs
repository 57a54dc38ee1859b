//! The load: queries in batches from a thread of their own.

use crate::threads::Measured;
use net::Network;
use net::batch::BatchOptions;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// How long each server is measured, in each round.
const ROUND: Duration = Duration::from_secs(1);
/// Queries on their way at once, about: more than a server's batch, less than
/// what a socket's buffer holds.
const WINDOW: usize = 192;

/// What a round measured.
pub(super) struct Load {
    pub(super) answered: f64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// Keeps [`WINDOW`] queries on their way, in batches: each answer is replied to
/// with the next query.
pub(super) fn blast(server: &Measured, queries: &[Vec<u8>]) -> io::Result<Load> {
    let options =
        BatchOptions { patience: Duration::from_millis(50), ..BatchOptions::at(([127, 0, 0, 1], 0).into()) };
    let mut batch =
        Network::new().datagram_batches(&options)?.pop().ok_or_else(|| io::Error::other("no socket"))?;
    let first = batch.late_replies()?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut next = queries.iter().cycle();
    let address = batch.local_addr();
    let inject = |next: &mut dyn Iterator<Item = &Vec<u8>>| {
        for query in next.take(WINDOW) {
            runtime.block_on(first.send(query, address, server.address));
        }
    };
    inject(&mut next);
    let (start, cpu_start) = (Instant::now(), server.cpu_seconds());
    let mut answered = 0.0;
    while start.elapsed() < ROUND {
        if batch.receive()? == 0 {
            // All were lost.
            inject(&mut next);
        }
        for (datagram, mut reply) in batch.exchanges() {
            answered += f64::from(u8::from(datagram.octets.len() > 12));
            if let Some(query) = next.next() {
                let _ = reply.push(query);
            }
        }
        batch.send()?;
    }
    Ok(Load {
        answered,
        seconds: start.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu_start,
    })
}

/// Asks one question until there is an answer; returns the octets of that.
pub(super) fn ask(server: SocketAddr, query: &[u8]) -> io::Result<usize> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    for _ in 0..150 {
        if socket.send(query).is_ok()
            && let Ok(octets) = socket.recv(&mut [0; 4_096])
        {
            return Ok(octets);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(io::Error::other(format!("the server at {server} does not answer")))
}
