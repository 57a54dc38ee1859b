//! `utopia socket connect`: one server, two ways.

use super::input::{self, Cut, idle, typed_next};
use super::output::{Lines, Output};
use super::{ConnectArguments, Failure, Transport, read_file};
use net::{Network, Phase, Stream, tls};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long to wait for replies to datagrams once nobody types any more.
const REPLY_PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn run(arguments: &ConnectArguments, network: &Network) -> Result<(), Failure> {
    let addresses = net::system_addresses(&arguments.target).await.map_err(|error| {
        Failure(format!("no address known for {}: {error}; check the name", arguments.target))
    })?;
    match arguments.shared.transport() {
        Transport::Udp => match addresses.first() {
            Some(to) => datagrams(arguments, network, *to).await,
            None => Err(Failure(format!("no address known for {}; check the name", arguments.target))),
        },
        Transport::Tcp | Transport::Tls => {
            let stream = connect(arguments, network, &addresses).await?;
            converse(arguments, stream).await
        }
    }
}

/// Tries each address until one answers.
async fn connect(
    arguments: &ConnectArguments,
    network: &Network,
    addresses: &[SocketAddr],
) -> Result<Stream, Failure> {
    let timeouts = arguments.shared.timeouts();
    let mut why = Failure(format!("no address known for {}; check the name", arguments.target));
    for address in addresses {
        match network.connect(*address, timeouts.connect).await {
            Ok(stream) if arguments.shared.tls => {
                let host = arguments.target.rsplit_once(':').map_or("", |(host, _)| host);
                let config = client_config(arguments)?;
                let handshake = stream.connect_tls(config, host.trim_matches(['[', ']']));
                return timeouts.bound(Phase::Handshake, handshake).await.map_err(|error| {
                    Failure(format!(
                        "TLS with {address} failed: {error}; check that it speaks TLS and that --ca is right, \
                         or believe any certificate with --insecure"
                    ))
                });
            }
            Ok(stream) => return Ok(stream),
            Err(error) => why = explain(*address, arguments.shared.transport(), &error),
        }
    }
    Err(why)
}

fn explain(address: SocketAddr, transport: Transport, error: &io::Error) -> Failure {
    let transport = transport.name();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure(format!(
            "connection refused by {transport} {address}: nobody listens there; check address and port, or start \
             the server first"
        )),
        io::ErrorKind::TimedOut => Failure(format!(
            "no answer from {transport} {address}: {error}; check the address and firewalls, or wait longer with \
             --timeout"
        )),
        _ => Failure(format!("cannot reach {transport} {address}: {error}")),
    }
}

fn client_config(arguments: &ConnectArguments) -> Result<std::sync::Arc<tls::ClientConfig>, Failure> {
    if arguments.insecure {
        return tls::client_config_opportunistic().map_err(Failure::new);
    }
    let path = match &arguments.ca {
        Some(path) => path.clone(),
        None => tls::system_roots_file().ok_or_else(|| {
            Failure::new(
                "this machine keeps no certificates to trust; name some with --ca, or use --insecure",
            )
        })?,
    };
    tls::client_config_verified(&read_file(&path)?)
        .map_err(|error| Failure(format!("{}: {error}", path.display())))
}

/// Carries both ways until the server ends. The end of the input ends our
/// direction only: the rest of the reply still comes.
async fn converse(arguments: &ConnectArguments, stream: Stream) -> Result<(), Failure> {
    let shared = &arguments.shared;
    let output = shared.output();
    let (local, peer) = (stream.local_addr(), stream.peer_addr());
    let facts = stream.tls().map_or_else(String::new, |facts| format!("{} {}", facts.version, facts.cipher));
    if shared.json {
        output.notice("connected", peer, &facts)?;
    }
    let cut = match (shared.hex, shared.lines || shared.json) {
        (true, _) => Cut::Hex,
        (false, true) => Cut::Lines,
        (false, false) => Cut::Octets,
    };
    let mut typed = Some(input::read(cut));
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            read = reader.read(&mut buffer) => match read {
                Ok(0) => break,
                Ok(octets) => {
                    let octets = buffer.get(..octets).unwrap_or_default();
                    print(&output, &mut lines, peer, local, octets)?;
                }
                // A server that ends TLS without close_notify has ended all the same.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(Failure(format!("{peer} ended the connection: {error}"))),
            },
            piece = typed_next(&mut typed) => if let Some(piece) = piece {
                let piece = piece?;
                let write = async { writer.write_all(&piece).await?; writer.flush().await };
                shared.timeouts().bound(Phase::Write, write).await
                    .map_err(|error| Failure(format!("cannot send to {peer}: {error}")))?;
                output.sent(local, peer, &piece)?;
            } else {
                typed = None;
                writer.shutdown().await.ok();
            },
            () = idle(shared.timeout) => {
                return Err(Failure(format!("nothing happened with {peer} for the time of --timeout")));
            }
        }
    }
    if let Some(rest) = lines.rest() {
        output.received(peer, local, &rest, false)?;
    }
    Ok(())
}

fn print(
    output: &Output,
    lines: &mut Lines,
    from: SocketAddr,
    to: SocketAddr,
    octets: &[u8],
) -> io::Result<()> {
    if output.by_lines() {
        lines.push(octets, |line| output.received(from, to, &line, false))
    } else {
        output.received(from, to, octets, false)
    }
}

/// Each line typed is a datagram. At the end of the input, replies may still
/// come: as many as datagrams were sent, or until it takes too long.
async fn datagrams(arguments: &ConnectArguments, network: &Network, to: SocketAddr) -> Result<(), Failure> {
    let shared = &arguments.shared;
    let output = shared.output();
    let unreachable = |error: io::Error| explain(to, Transport::Udp, &error);
    let socket = network.datagrams_towards(to).map_err(unreachable)?;
    socket.connect(to).await.map_err(unreachable)?;
    let local = socket.local_addr()?;
    let mut typed = Some(input::read(if shared.hex { Cut::Hex } else { Cut::Datagrams }));
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut buffer = vec![0; usize::from(u16::MAX)];
    while typed.is_some() || received < sent {
        let patience =
            if typed.is_some() { shared.timeout } else { Some(shared.timeout.unwrap_or(REPLY_PATIENCE)) };
        tokio::select! {
            reply = socket.receive(&mut buffer) => {
                let reply = reply.map_err(unreachable)?;
                received += 1;
                output.received(reply.peer, local, buffer.get(..reply.octets).unwrap_or_default(), false)?;
            }
            piece = typed_next(&mut typed) => match piece {
                Some(piece) => {
                    let piece = piece?;
                    socket.send_to(&piece, to).await.map_err(unreachable)?;
                    sent += 1;
                    output.sent(local, to, &piece)?;
                }
                None => typed = None,
            },
            () = idle(patience) => break,
        }
    }
    if received == 0 && sent > 0 && shared.timeout != Some(Duration::ZERO) {
        return Err(Failure(format!(
            "no answer from udp {to}: the datagram or its reply may be lost, or the server does not reply; wait \
             longer with --timeout, or do not wait with --timeout 0"
        )));
    }
    Ok(())
}
