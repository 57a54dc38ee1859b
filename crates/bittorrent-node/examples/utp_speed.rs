//! How fast one transfer over uTP is on this machine's loopback, and what it
//! costs: `utp_speed sink ADDRESS` in one process, `utp_speed source ADDRESS MIB
//! [DATAGRAM_OCTETS]` in another; each prints its own figures.

use bittorrent_node::utp::{UtpOptions, UtpSocket};
use net::Network;
use std::io;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["sink", address] => runtime.block_on(sink(address)),
        ["source", address, mib] => runtime.block_on(source(address, mib, None)),
        ["source", address, mib, datagram] => runtime.block_on(source(address, mib, Some(datagram))),
        _ => Err(io::Error::other("sink ADDRESS | source ADDRESS MIB [DATAGRAM_OCTETS]")),
    }
}

fn invalid(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
}

async fn sink(address: &str) -> io::Result<()> {
    let address = address.parse().map_err(invalid)?;
    let socket = UtpSocket::bind(&Network::new(), address, UtpOptions::default(), None)?;
    let mut stream = socket.accept().await?;
    let (begin, mut octets) = (Instant::now(), 0);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => octets += count,
        }
    }
    report("sink", octets, begin);
    stream.shutdown().await?;
    drop(stream);
    socket.close().await;
    Ok(())
}

async fn source(address: &str, mib: &str, datagram: Option<&str>) -> io::Result<()> {
    let to: std::net::SocketAddr = address.parse().map_err(invalid)?;
    let octets = mib.parse::<usize>().map_err(invalid)? << 20;
    let mut options = UtpOptions::default();
    if let Some(datagram) = datagram {
        options.datagram_octets_max = datagram.parse().map_err(invalid)?;
    }
    let any = if to.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UtpSocket::bind(&Network::new(), any.parse().map_err(invalid)?, options, None)?;
    let mut stream = socket.connect(to).await?;
    let begin = Instant::now();
    let block = vec![7; 128 << 10];
    let mut rest = octets;
    while rest > 0 {
        let count = rest.min(block.len());
        stream.write_all(&block[..count]).await?;
        rest -= count;
    }
    let measured = socket.measured(&stream).await;
    stream.shutdown().await?;
    // The end of the other side: everything arrived.
    let more = stream.read(&mut [0; 1]).await?;
    assert_eq!(more, 0, "the sink sends nothing");
    report("source", octets, begin);
    println!("{measured:?}");
    drop(stream);
    socket.close().await;
    Ok(())
}

fn report(who: &str, octets: usize, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    let gib = octets as f64 / f64::from(1 << 30);
    // User and system time in ticks of 10 ms (proc_pid_stat(5), fields 14 and 15).
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    let (user, system) = (ticks(11) / 100.0, ticks(12) / 100.0);
    let rate = octets as f64 / 1e6 / seconds;
    let cost = (user + system) / gib;
    println!("{who}: {rate:.0} MB/s, {cost:.2} CPU-seconds per GiB ({user:.2} user, {system:.2} system)");
}
