//! The lecture's UDP server: a line comes in, it goes back in upper case.
//!
//! cargo run -p utopia-net --example udp_server

use std::net::UdpSocket;

fn main() -> std::io::Result<()> {
    // One socket serves all clients: UDP knows no connections.
    let socket = UdpSocket::bind("127.0.0.1:12000")?;
    println!("The server is ready to receive on {}", socket.local_addr()?);
    // No UDP datagram is longer than this.
    let mut buffer = [0; 65_535];
    loop {
        // Each datagram carries the address of its sender ...
        let (length, client) = socket.recv_from(&mut buffer)?;
        let sentence = String::from_utf8_lossy(&buffer[..length]);
        println!("{client} says {sentence}");
        // ... and the reply goes back to exactly that address.
        socket.send_to(sentence.to_uppercase().as_bytes(), client)?;
    }
}
