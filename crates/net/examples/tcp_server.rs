//! The lecture's TCP server: each line that comes in goes back in upper case.
//!
//! cargo run -p utopia-net --example tcp_server

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

fn main() -> io::Result<()> {
    // The welcoming socket: clients knock here ...
    let listener = TcpListener::bind("127.0.0.1:12000")?;
    println!("The server is ready to receive on {}", listener.local_addr()?);
    for connection in listener.incoming() {
        // ... and each gets a socket of its own, served by a thread of its own.
        let connection = connection?;
        thread::spawn(move || {
            if let Err(error) = serve(connection) {
                println!("a client left early: {error}");
            }
        });
    }
    Ok(())
}

fn serve(mut connection: TcpStream) -> io::Result<()> {
    let client = connection.peer_addr()?;
    println!("{client} is connected");
    // TCP is a stream of bytes without borders: a line ends where we say it ends.
    for sentence in BufReader::new(connection.try_clone()?).lines() {
        let sentence = sentence?;
        println!("{client} says {sentence}");
        connection.write_all(format!("{}\n", sentence.to_uppercase()).as_bytes())?;
    }
    println!("{client} is gone");
    Ok(())
}
