//! The lecture's UDP client: sends a line, prints what comes back.
//!
//! cargo run -p utopia-net --example udp_client

use std::io::{self, Write};
use std::net::UdpSocket;
use std::time::Duration;

fn main() -> io::Result<()> {
    print!("Input lowercase sentence: ");
    io::stdout().flush()?;
    let mut sentence = String::new();
    io::stdin().read_line(&mut sentence)?;

    // Port 0: the system gives this client any port that is free.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // There is no connection: the server's address goes with the datagram.
    socket.send_to(sentence.trim_end().as_bytes(), "127.0.0.1:12000")?;

    // The datagram or its reply may be lost, so do not wait for ever.
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut buffer = [0; 65_535];
    match socket.recv_from(&mut buffer) {
        Ok((length, server)) => println!("{server} replies {}", String::from_utf8_lossy(&buffer[..length])),
        Err(error) => println!("no reply: {error}; is the server (udp_server) running?"),
    }
    Ok(())
}
