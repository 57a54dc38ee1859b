//! The first octets of a connection, of either side: encryption where it is
//! wanted, then the handshake of BEP 3.

use crate::context::{Context, Counted};
use crate::keystream::{Keystream, Makers};
use crate::reach::{reach, reach_over};
use crate::swarm::{Admission, Ended, Link, Peer, Swarm};
use crate::transport::{Carrier, Protocol, Transport};
use bittorrent::encryption::{Attempt, Established, Initiator, Opening, Receiver, ServedKeys};
use bittorrent::wire::{Feature, Framer, Handshake, HandshakeReader, Limits, Reserved, Session, Settings};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long all that precedes the first message may take.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(20);
/// Octets read at once before the handshake is done.
const READ_OCTETS: usize = 1_024;

/// A connection after the handshakes.
struct Greeted {
    transport: Transport,
    session: Session,
    peer: Handshake,
    /// What came behind the peer's handshake.
    rest: Vec<u8>,
}

/// Connects to a peer and serves the connection until it ends; `dialling` is its
/// place among those on their way. One that is not reached may be met by the help
/// of a third.
pub(crate) async fn dial(swarm: Rc<Swarm>, address: SocketAddr, dialling: Counted) {
    match greet(&swarm, address, None).await {
        Ok(greeted) => {
            drop(dialling);
            serve(swarm, greeted, address, false).await;
        }
        Err(failure) => {
            fail(&swarm, address, &failure);
            if failure.kind() != io::ErrorKind::InvalidData {
                swarm.ask_to_meet(address);
            }
        }
    }
}

/// Connects to a peer who does the same at this moment, over uTP (BEP 55).
pub(crate) async fn meet(swarm: Rc<Swarm>, address: SocketAddr, dialling: Counted) {
    match greet(&swarm, address, Some(Protocol::Utp)).await {
        Ok(greeted) => {
            drop(dialling);
            serve(swarm, greeted, address, false).await;
        }
        Err(failure) => fail(&swarm, address, &failure),
    }
}

fn fail(swarm: &Swarm, address: SocketAddr, failure: &io::Error) {
    tracing::debug!(%address, %failure, "no peer there");
    // Whoever speaks something else, or is ourselves, is not soon tried again.
    swarm.contact_failed(Instant::now(), address, failure.kind() == io::ErrorKind::InvalidData);
}

/// Opens a connection and shakes hands, in one way after the other.
async fn greet(swarm: &Swarm, address: SocketAddr, over: Option<Protocol>) -> io::Result<Greeted> {
    let mut failure = io::Error::from(io::ErrorKind::Other);
    for attempt in swarm.context().encryption.attempts() {
        // Where nobody is, no other way of speaking helps.
        let carrier = match over {
            Some(protocol) => reach_over(swarm.context(), protocol, address).await?,
            None => reach(swarm.context(), address).await?,
        };
        match tokio::time::timeout(HANDSHAKE_PATIENCE, open(swarm, carrier, *attempt)).await? {
            Ok(greeted) => return Ok(greeted),
            // It answered in the clear, with something else: it does not wait for
            // encryption.
            Err(error) if *attempt == Attempt::Plain && error.kind() == io::ErrorKind::InvalidData => {
                return Err(error);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Our handshake for a torrent.
fn greeting(swarm: &Swarm, info_hash: [u8; 20]) -> Handshake {
    let mut features = vec![Feature::Fast, Feature::Extensions];
    if swarm.hashes.v1.is_some() && swarm.hashes.v2.is_some() {
        features.push(Feature::V2Upgrade);
    }
    if swarm.context().dht.get().is_some() && !swarm.is_private() {
        features.push(Feature::Dht);
    }
    Handshake { reserved: Reserved::of(&features), info_hash, peer_id: swarm.context().peer_id }
}

fn session(swarm: &Swarm, ours: Handshake) -> Session {
    let settings = Settings {
        merkle_tree: swarm.hashes.v2.is_some(),
        upgrade: swarm.hashes.v2.map(|hash| hash.truncated().0).filter(|hash| *hash != ours.info_hash),
        ..Settings::default()
    };
    let mut session = Session::new(Instant::now(), ours, settings);
    if let Some((pieces, piece_octets)) = swarm.geometry() {
        session.set_pieces(pieces, piece_octets);
    }
    session
}

fn refused(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// The side that connected.
async fn open(swarm: &Swarm, mut stream: Carrier, attempt: Attempt) -> io::Result<Greeted> {
    let Some(hash) = swarm.hashes.wire().next() else { return Err(refused("the torrent has no info-hash")) };
    let ours = greeting(swarm, hash.0);
    let mut session = session(swarm, ours);
    let (transport, mut octets, mut decrypt) = match attempt {
        Attempt::Plain => {
            stream.write_all(&ours.encode()).await?;
            (Some(stream), Vec::new(), None)
        }
        Attempt::Encrypted => {
            let methods = swarm.context().encryption.provided();
            let initiator = Initiator::new(hash.0, methods, &ours.encode(), &mut rand::rng());
            let (established, rest) = initiate(&mut stream, initiator).await?;
            (Some(stream), rest, Some(established))
        }
    };
    let Some(mut stream) = transport else { return Err(io::ErrorKind::NotConnected.into()) };
    let mut reader = HandshakeReader::default();
    if let Some(established) = &mut decrypt {
        established.receive.apply(&mut octets);
    }
    loop {
        let taken = reader.handle_input(&octets).map_err(refused)?;
        octets.drain(..taken);
        if let Some(peer) = reader.handshake() {
            session.handle_handshake(Instant::now(), &peer).map_err(refused)?;
            return Ok(Greeted {
                transport: wrap(stream, decrypt, &swarm.context().makers),
                session,
                peer,
                rest: octets,
            });
        }
        read_more(&mut stream, &mut octets, decrypt.as_mut()).await?;
    }
}

/// The transport after the handshakes.
fn wrap(stream: Carrier, established: Option<Established>, makers: &Makers) -> Transport {
    match established {
        Some(Established { send, receive, .. }) if !send.is_plain() || !receive.is_plain() => {
            let of = |cipher| Keystream::new(cipher, makers.clone());
            Transport::encrypted(stream, of(receive), of(send))
        }
        _ => Transport::plain(stream),
    }
}

async fn read_more(
    stream: &mut Carrier,
    octets: &mut Vec<u8>,
    established: Option<&mut Established>,
) -> io::Result<()> {
    let mut buffer = [0; READ_OCTETS];
    let read = stream.read(&mut buffer).await?;
    let read = buffer.get_mut(..read).filter(|read| !read.is_empty());
    let Some(read) = read else { return Err(io::ErrorKind::UnexpectedEof.into()) };
    if let Some(established) = established {
        established.receive.apply(read);
    }
    octets.extend_from_slice(read);
    Ok(())
}

/// Message stream encryption as the side that connected. Gives the octets that
/// came behind it, as they are on the wire.
async fn initiate(stream: &mut Carrier, mut initiator: Initiator) -> io::Result<(Established, Vec<u8>)> {
    let mut octets = Vec::new();
    loop {
        while let Some(output) = initiator.poll_output() {
            stream.write_all(&output).await?;
        }
        if let Some(established) = initiator.poll_established() {
            return Ok((established, octets));
        }
        read_more(stream, &mut octets, None).await?;
        let taken = initiator.handle_input(&octets).map_err(refused)?;
        octets.drain(..taken);
    }
}

/// Takes a connection that somebody opened, finds out which torrent it is about
/// and serves it until it ends.
pub(crate) async fn receive(context: Rc<Context>, stream: Carrier) {
    let address = stream.peer_addr();
    if context.filters(address) {
        return;
    }
    match tokio::time::timeout(HANDSHAKE_PATIENCE, accept(&context, stream)).await {
        Ok(Ok((swarm, greeted))) => serve(swarm, greeted, address, true).await,
        Ok(Err(error)) => tracing::debug!(%address, %error, "no handshake"),
        Err(_) => tracing::debug!(%address, "the handshake took too long"),
    }
}

async fn accept(context: &Context, mut stream: Carrier) -> io::Result<(Rc<Swarm>, Greeted)> {
    let mut octets = Vec::new();
    let opening = loop {
        read_more(&mut stream, &mut octets, None).await?;
        if let Some(opening) = Opening::detect(&octets) {
            break opening;
        }
    };
    if !context.encryption.accepts(opening) {
        return Err(refused("the encryption setting does not allow it"));
    }
    let mut decrypt = None;
    if opening == Opening::Encrypted {
        let served = context.served_keys();
        let mut receiver = Receiver::new(context.encryption, &mut rand::rng());
        let established = respond(&mut stream, &mut octets, &mut receiver, &served).await?;
        let established = decrypt.insert(established);
        established.receive.apply(&mut octets);
    }
    let mut reader = HandshakeReader::default();
    let mut greeted: Option<(Rc<Swarm>, Session)> = None;
    loop {
        let taken = reader.handle_input(&octets).map_err(refused)?;
        octets.drain(..taken);
        // The peer may wait for ours before it tells who it is.
        if let (None, Some(info_hash)) = (&greeted, reader.info_hash()) {
            let swarm = context.find(&info_hash).ok_or_else(|| refused("the torrent is not here"))?;
            swarm.may_admit(stream.peer_addr()).map_err(refused)?;
            let ours = greeting(&swarm, info_hash);
            let mut encoded = ours.encode();
            if let Some(established) = &mut decrypt {
                established.send.apply(&mut encoded);
            }
            stream.write_all(&encoded).await?;
            if stream.protocol() == Protocol::Utp {
                // In a packet of its own: Transmission looks at what follows the
                // handshake only when another one comes, and would wait for it.
                tokio::task::yield_now().await;
            }
            let session = session(&swarm, ours);
            greeted = Some((swarm, session));
        }
        if let Some(peer) = reader.handshake() {
            let Some((swarm, mut session)) = greeted else { return Err(io::ErrorKind::InvalidData.into()) };
            session.handle_handshake(Instant::now(), &peer).map_err(refused)?;
            return Ok((
                swarm,
                Greeted { transport: wrap(stream, decrypt, &context.makers), session, peer, rest: octets },
            ));
        }
        read_more(&mut stream, &mut octets, decrypt.as_mut()).await?;
    }
}

/// Message stream encryption as the side that accepted. What came behind it is
/// left in `octets`, as it is on the wire.
async fn respond(
    stream: &mut Carrier,
    octets: &mut Vec<u8>,
    receiver: &mut Receiver,
    served: &ServedKeys,
) -> io::Result<Established> {
    loop {
        let taken = receiver.handle_input(octets, served).map_err(refused)?;
        octets.drain(..taken);
        while let Some(output) = receiver.poll_output() {
            stream.write_all(&output).await?;
        }
        if let Some(established) = receiver.poll_established() {
            return Ok(established);
        }
        read_more(stream, octets, None).await?;
    }
}

/// Serves a connection that has shaken hands.
async fn serve(swarm: Rc<Swarm>, greeted: Greeted, address: SocketAddr, incoming: bool) {
    let Greeted { transport, session, peer, rest } = greeted;
    let now = Instant::now();
    let link = Rc::new(Link::new(address));
    let admission = Admission {
        link: link.clone(),
        id: peer.peer_id,
        fast: session.has(Feature::Fast),
        knows_trees: session.knows_trees(),
        extensions: session.has(Feature::Extensions),
        dht: session.has(Feature::Dht),
        incoming,
        protocol: transport.protocol(),
        encrypted: transport.is_encrypted(),
    };
    let key = match swarm.admit(now, admission) {
        Ok(key) => key,
        Err(why) => {
            tracing::debug!(%address, why, "a peer is turned away");
            if !incoming {
                swarm.contact_failed(now, address, false);
            }
            return;
        }
    };
    let limits = match swarm.geometry() {
        Some((pieces, _)) => Limits::of_pieces(pieces),
        None => Limits::UNKNOWN_PIECES,
    };
    let mut framer = Framer::new(limits);
    framer.push(&rest);
    let peer = Peer::new(swarm.clone(), key, link, transport, framer, session);
    let ended: Ended = peer.run().await;
    swarm.remove_peer(Instant::now(), key, &ended);
}
