//! A bare echo on the hot path's sockets: how fast a server could be that does
//! nothing. `cargo xtask bench dns` measures the name server against it.
//!
//! cargo run --release -p utopia-net --example udp_echo_batch -- 127.0.0.1:5300 1

use net::Network;
use net::batch::BatchOptions;
use std::io;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let address = address.parse().map_err(io::Error::other)?;
    let sockets = arguments.next().and_then(|sockets| sockets.parse().ok()).unwrap_or(1);
    let batches = Network::new().datagram_batches(&BatchOptions { sockets, ..BatchOptions::at(address) })?;
    println!("{}", batches[0].local_addr());
    let threads: Vec<_> = batches
        .into_iter()
        .map(|mut batch| {
            std::thread::spawn(move || -> io::Result<()> {
                loop {
                    batch.receive()?;
                    for (datagram, mut reply) in batch.exchanges() {
                        // The buffers are equally long, so it fits.
                        let _ = reply.push(datagram.octets);
                    }
                    batch.send()?;
                }
            })
        })
        .collect();
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| io::Error::other("a thread died"))?)
}
