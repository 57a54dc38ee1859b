//! `utopia socket listen`: many clients at once.

use super::input::{self, Cut, idle, typed_next};
use super::output::{Lines, Output};
use super::{Failure, ListenArguments, Transport, read_file, upper};
use net::{ListenBounds, ListenOptions, Network, Phase, Stream, tls};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{broadcast, mpsc};

/// Pieces of input a slow client may lag behind before it misses some.
const BROADCASTS_MAX: usize = 256;
/// Senders of datagrams that are told what is typed, the last ones to speak.
const SENDERS_MAX: usize = 1_024;

pub(super) async fn run(arguments: &ListenArguments, network: &Network) -> Result<(), Failure> {
    match arguments.shared.transport() {
        Transport::Udp => datagrams(arguments, network).await,
        Transport::Tcp | Transport::Tls => connections(arguments, network).await,
    }
}

fn explain(arguments: &ListenArguments, error: &io::Error) -> Failure {
    let (transport, address) = (arguments.shared.transport().name(), arguments.address);
    let flags = if transport == "udp" { "-lunp" } else { "-ltnp" };
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("choose another port, or end the program that holds it (ss {flags} names it)")
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        _ => "choose another address".to_owned(),
    };
    Failure(format!("cannot listen on {transport} {address}: {error}; {remedy}"))
}

/// What all clients share.
struct Room {
    output: Output,
    clients: AtomicUsize,
    typed: broadcast::Sender<Arc<[u8]>>,
    upper: bool,
    timeout: Option<Duration>,
    write_patience: Duration,
}

async fn connections(arguments: &ListenArguments, network: &Network) -> Result<(), Failure> {
    let shared = &arguments.shared;
    let config = if shared.tls { Some(server_config(arguments)?) } else { None };
    let options = ListenOptions {
        address: arguments.address,
        bounds: ListenBounds::new(arguments.connections_max, arguments.connections_max),
    };
    let listener = network.listen(&options).map_err(|error| explain(arguments, &error))?;
    let room = Arc::new(Room {
        output: shared.output(),
        clients: AtomicUsize::new(0),
        typed: broadcast::Sender::new(BROADCASTS_MAX),
        upper: arguments.upper,
        timeout: shared.timeout,
        write_patience: shared.timeouts().write,
    });
    let note = if shared.tls && arguments.cert.is_none() {
        "with a certificate made for this run: connect with --insecure"
    } else {
        ""
    };
    room.output.notice("listening", listener.local_addr()?, note)?;
    let cut = match (shared.hex, shared.lines || shared.json) {
        (true, _) => Cut::Hex,
        (false, true) => Cut::Lines,
        (false, false) => Cut::Octets,
    };
    let mut typed = Some(input::read(cut));
    let (gone, mut gone_one) = mpsc::channel::<Result<(), Failure>>(1);
    let mut open = 0_usize;
    loop {
        tokio::select! {
            stream = listener.accept() => {
                open += 1;
                let (room, gone, config) = (room.clone(), gone.clone(), config.clone());
                let stream = stream?;
                let handshake = shared.timeouts().handshake;
                tokio::spawn(async move {
                    let peer = stream.peer_addr();
                    let stream = match config {
                        Some(config) => net::within(handshake, Phase::Handshake, stream.accept_tls(config)).await,
                        None => Ok(stream),
                    };
                    let result = match stream {
                        Ok(stream) => client(&room, stream).await,
                        Err(error) => {
                            room.output.notice("closed", peer, &format!("no TLS: {error}")).map_err(Failure::from)
                        }
                    };
                    gone.send(result).await.ok();
                });
            }
            piece = typed_next(&mut typed) => match piece {
                // Fails only while there is no client.
                Some(piece) => { room.typed.send(piece?.into()).ok(); }
                None => typed = None,
            },
            // Each client has a time of its own.
            () = idle(shared.timeout), if open == 0 => return Ok(()),
            Some(result) = gone_one.recv() => {
                open -= 1;
                result?;
                if arguments.once {
                    return Ok(());
                }
            }
        }
    }
}

/// One client, until it ends. An error here is of the output, not of the client.
async fn client(room: &Room, stream: Stream) -> Result<(), Failure> {
    let peer = stream.peer_addr();
    room.clients.fetch_add(1, Ordering::Relaxed);
    let facts = stream.tls().map_or_else(String::new, |facts| format!("{} {}", facts.version, facts.cipher));
    room.output.notice("connected", peer, &facts)?;
    let result = converse(room, stream).await;
    room.clients.fetch_sub(1, Ordering::Relaxed);
    match result {
        Ok(why) => Ok(room.output.notice("closed", peer, why)?),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(error) => Ok(room.output.notice("closed", peer, &error.to_string())?),
    }
}

async fn converse(room: &Room, mut stream: Stream) -> io::Result<&'static str> {
    let (local, peer) = (stream.local_addr(), stream.peer_addr());
    let mut typed = room.typed.subscribe();
    let mut lines = Lines::default();
    let mut buffer = vec![0; 16 * 1024];
    let by_lines = room.upper || room.output.by_lines();
    loop {
        let mut pieces = Vec::new();
        let mut ended = false;
        tokio::select! {
            read = stream.read(&mut buffer) => {
                let octets = match read {
                    Ok(octets) => octets,
                    // A client that ends TLS without close_notify has ended all the same.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
                    Err(error) => return Err(error),
                };
                let octets = buffer.get(..octets).unwrap_or_default();
                ended = octets.is_empty();
                if ended {
                    pieces.extend(lines.rest());
                } else if by_lines {
                    lines.push(octets, |line| { pieces.push(line); io::Result::Ok(()) })?;
                } else {
                    pieces.push(octets.to_vec());
                }
            }
            piece = typed.recv() => match piece {
                Ok(piece) => {
                    send(room, &mut stream, &piece).await?;
                    room.output.sent(local, peer, &piece)?;
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    room.output.notice("lagging", peer, &format!("missed {missed} pieces"))?;
                }
                Err(broadcast::error::RecvError::Closed) => return Ok("stopping"),
            },
            () = idle(room.timeout) => return Ok("nothing came for the time of --timeout"),
        }
        for piece in pieces {
            let named = by_lines && room.clients.load(Ordering::Relaxed) > 1;
            room.output.received(peer, local, &piece, named)?;
            if room.upper {
                let reply = upper(&piece);
                send(room, &mut stream, &reply).await?;
                room.output.sent(local, peer, &reply)?;
            }
        }
        if ended {
            stream.shutdown().await.ok();
            return Ok("");
        }
    }
}

async fn send(room: &Room, stream: &mut Stream, octets: &[u8]) -> io::Result<()> {
    let write = async {
        stream.write_all(octets).await?;
        stream.flush().await
    };
    net::within(room.write_patience, Phase::Write, write).await
}

async fn datagrams(arguments: &ListenArguments, network: &Network) -> Result<(), Failure> {
    let shared = &arguments.shared;
    let output = shared.output();
    let socket = network.datagrams(arguments.address).map_err(|error| explain(arguments, &error))?;
    output.notice("listening", socket.local_addr()?, "")?;
    let mut typed = Some(input::read(if shared.hex { Cut::Hex } else { Cut::Datagrams }));
    // Who spoke last, with the address of ours they spoke to.
    let mut senders: Vec<(SocketAddr, SocketAddr)> = Vec::new();
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        tokio::select! {
            received = socket.receive(&mut buffer) => {
                let received = received?;
                let octets = buffer.get(..received.octets).unwrap_or_default();
                senders.retain(|(peer, _)| *peer != received.peer);
                if senders.len() == SENDERS_MAX {
                    senders.remove(0);
                }
                senders.push((received.peer, received.local));
                output.received(received.peer, received.local, octets, senders.len() > 1)?;
                if arguments.upper {
                    let reply = upper(octets);
                    // Whether it arrives is nobody's promise.
                    if socket.send_from(&reply, received.local, received.peer).await.is_ok() {
                        output.sent(received.local, received.peer, &reply)?;
                    }
                }
                if arguments.once {
                    return Ok(());
                }
            }
            piece = typed_next(&mut typed) => match piece {
                Some(piece) => {
                    let piece = piece?;
                    for (peer, local) in &senders {
                        if socket.send_from(&piece, *local, *peer).await.is_ok() {
                            output.sent(*local, *peer, &piece)?;
                        }
                    }
                }
                None => typed = None,
            },
            () = idle(shared.timeout) => return Ok(()),
        }
    }
}

fn server_config(arguments: &ListenArguments) -> Result<Arc<tls::ServerConfig>, Failure> {
    if let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) {
        return tls::server_config(&read_file(cert)?, &read_file(key)?)
            .map_err(|error| Failure(format!("{} with {}: {error}", cert.display(), key.display())));
    }
    let now = SystemTime::now();
    let ip = arguments.address.ip().to_string();
    tls::Authority::create("utopia socket", now)
        .and_then(|authority| authority.issue(&["localhost", "127.0.0.1", "::1", &ip], now))
        .and_then(|issued| tls::server_config(&issued.cert_chain_pem, &issued.key_pem))
        .map_err(Failure::new)
}
