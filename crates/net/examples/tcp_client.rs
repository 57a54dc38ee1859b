//! The lecture's TCP client: sends a line, prints the line that comes back.
//!
//! cargo run -p utopia-net --example tcp_client

use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    print!("Input lowercase sentence: ");
    io::stdout().flush()?;
    let mut sentence = String::new();
    io::stdin().read_line(&mut sentence)?;

    // The three-way handshake happens here; then the bytes arrive, and in order.
    let mut connection = TcpStream::connect("127.0.0.1:12000")
        .map_err(|error| io::Error::other(format!("{error}; is the server (tcp_server) running?")))?;
    // No address is needed any more: the connection knows where it leads.
    connection.write_all(format!("{}\n", sentence.trim_end()).as_bytes())?;

    let mut reply = String::new();
    BufReader::new(&connection).read_line(&mut reply)?;
    println!("{} replies {}", connection.peer_addr()?, reply.trim_end());
    // Dropping the connection closes it.
    Ok(())
}
