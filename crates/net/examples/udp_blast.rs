//! Asks a datagram server as fast as it replies, a window of questions at a
//! time, and prints the replies per second.
//!
//! cargo run --release -p utopia-net --example udp_blast -- 127.0.0.1:5300 5 512

use net::Network;
use net::batch::BatchOptions;
use std::io;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "127.0.0.1:5300".to_owned());
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    let window = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(512_usize);
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(&server)?;
    let starter = socket.try_clone()?;
    // What comes back is sent again: each datagram of the window circles.
    let options =
        BatchOptions { patience: Duration::from_millis(50), ..BatchOptions::at(socket.local_addr()?) };
    let mut batch = Network::new().adopt_datagram_batch(socket, &options)?;
    let (begin, mut replies) = (Instant::now(), 0_u64);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let count = batch.receive()?;
        if count == 0 {
            // The start, or all were lost.
            for _ in 0..window {
                starter.send(&[b'q'; 40])?;
            }
        }
        for (datagram, mut reply) in batch.exchanges() {
            let _ = reply.push(datagram.octets);
        }
        replies += batch.send()? as u64;
    }
    println!("{:.0} replies/s", replies as f64 / begin.elapsed().as_secs_f64());
    Ok(())
}
