//! The task that owns all connections of a socket.

use super::alarm::{Alarm, IDLE};
use super::credit::Credit;
use super::outgoing::{Outgoing, PACKETS_MAX};
use super::socket::{OtherDatagram, UtpOptions};
use super::stream::{Incoming, UtpStream, error_of};
use bittorrent::utp::{CloseReason, ConnectionId, Endpoint, Event, Measured, Path, is_utp};
use bytes::Bytes;
use net::{Arrivals, Trains};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;

/// Commands taken before the socket is looked at again.
const COMMANDS_MAX: usize = 128;
/// Less than one part of so many is moved out of the buffer it arrived in.
const USEFUL_SHARE: usize = 8;
/// How long connections may take to end after the socket was given up.
const CLOSING: Duration = Duration::from_secs(30);

/// What streams and their socket want of the task.
#[derive(Debug)]
pub(super) enum Command {
    Connect { to: SocketAddr, reply: oneshot::Sender<io::Result<UtpStream>> },
    Write { id: ConnectionId, octets: Bytes },
    Used { id: ConnectionId, octets: usize },
    Finish { id: ConnectionId },
    Abandon { id: ConnectionId },
    Measure { id: ConnectionId, reply: oneshot::Sender<Option<Measured>> },
    Close { done: oneshot::Sender<()> },
}

/// The task's side of a stream.
#[derive(Debug)]
struct Handle {
    credit: Arc<Credit>,
    incoming: UnboundedSender<Incoming>,
    /// Waits for the other side's answer, with the stream it gets then.
    connecting: Option<(oneshot::Sender<io::Result<UtpStream>>, UtpStream)>,
}

impl Drop for Handle {
    /// Whoever waits for a task that is gone must not wait for ever.
    fn drop(&mut self) {
        self.credit.close(CloseReason::Reset);
    }
}

#[derive(Debug)]
pub(super) struct Engine {
    trains: Arc<Trains>,
    options: UtpOptions,
    endpoint: Endpoint<StdRng>,
    /// For the streams that are made here; it does not keep the task alive.
    sender: mpsc::WeakUnboundedSender<Command>,
    commands: UnboundedReceiver<Command>,
    streams: HashMap<ConnectionId, Handle>,
    accepted: mpsc::Sender<UtpStream>,
    others: Option<mpsc::Sender<OtherDatagram>>,
    outgoing: Outgoing,
    /// Empty between two turns.
    events: Vec<(ConnectionId, Event)>,
    closing: Option<(Instant, Vec<oneshot::Sender<()>>)>,
}

impl Engine {
    pub(super) fn new(
        trains: Arc<Trains>,
        options: UtpOptions,
        (sender, commands): (mpsc::WeakUnboundedSender<Command>, UnboundedReceiver<Command>),
        accepted: mpsc::Sender<UtpStream>,
        others: Option<mpsc::Sender<OtherDatagram>>,
    ) -> Self {
        let random = StdRng::from_rng(&mut rand::rng());
        let endpoint = Endpoint::new(Instant::now(), options.config.clone(), random);
        Self {
            trains,
            options,
            endpoint,
            sender,
            commands,
            streams: HashMap::new(),
            accepted,
            others,
            outgoing: Outgoing::default(),
            events: Vec::new(),
            closing: None,
        }
    }

    /// Carries packets until nobody is left to carry them for.
    pub(super) async fn run(mut self) {
        let mut arrivals = Arrivals::default();
        let mut commands = Vec::with_capacity(COMMANDS_MAX);
        let mut alarm = Alarm::new();
        loop {
            if let Err(error) = self.flush().await {
                tracing::warn!(%error, "the uTP socket failed");
                return;
            }
            if self.is_done() {
                return;
            }
            alarm.set(self.wake_at());
            let taken = tokio::select! {
                biased;
                received = self.trains.receive(&mut arrivals) => received.map(|()| None),
                count = self.commands.recv_many(&mut commands, COMMANDS_MAX) => Ok(Some(count)),
                () = alarm.as_mut() => Ok(None),
            };
            let now = Instant::now();
            match taken {
                // Streams and socket are all gone.
                Ok(Some(0)) => self.close_all(now, None),
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the uTP socket failed");
                    return;
                }
            }
            for arrival in arrivals.drain() {
                let path = Path { peer: arrival.peer, local: arrival.local };
                for octets in arrival.datagrams() {
                    self.handle_datagram(now, path, octets);
                }
                self.handle_events(now, arrival.octets.len());
            }
            // What streams did meanwhile joins the same packets.
            while commands.len() < COMMANDS_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                commands.push(command);
            }
            for command in commands.drain(..) {
                self.handle_command(now, command);
            }
            self.endpoint.handle_timeout(now);
            self.handle_events(now, 0);
        }
    }

    fn handle_datagram(&mut self, now: Instant, path: Path, octets: Bytes) {
        if is_utp(&octets) && self.endpoint.handle_packet(now, path, &octets).is_ok() {
            return;
        }
        if let Some(others) = &self.others {
            // A full queue loses it, as a full socket would.
            others.try_send(OtherDatagram { octets, peer: path.peer, local: path.local }).ok();
        }
    }

    /// Sends everything that may be sent now.
    async fn flush(&mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            while self.outgoing.packets.len() < PACKETS_MAX
                && let Some(transmit) = self.endpoint.poll_transmit(now, &mut self.outgoing.headers)
            {
                self.outgoing.packets.push(transmit);
            }
            if self.outgoing.packets.is_empty() {
                return Ok(());
            }
            self.outgoing.send(&self.trains).await?;
        }
    }

    fn wake_at(&self) -> Instant {
        let closing = self.closing.as_ref().map(|(until, _)| *until);
        let at = [self.endpoint.poll_timeout(), closing].into_iter().flatten().min();
        at.unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn is_done(&mut self) -> bool {
        let Some((until, done)) = &mut self.closing else { return false };
        if !self.endpoint.is_settled() && Instant::now() < *until {
            return false;
        }
        for done in done.drain(..) {
            done.send(()).ok();
        }
        true
    }

    fn close_all(&mut self, now: Instant, done: Option<oneshot::Sender<()>>) {
        let (_, waiting) = self.closing.get_or_insert_with(|| (now + CLOSING, Vec::new()));
        waiting.extend(done);
        for id in self.streams.keys() {
            self.endpoint.finish(*id);
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Connect { to, reply } => self.connect(now, to, reply),
            Command::Write { id, octets } => {
                if let Some(handle) = self.streams.get(&id) {
                    handle.credit.piece_taken();
                    // Whoever has credit finds room; else the connection is over.
                    self.endpoint.write(id, octets);
                }
            }
            Command::Used { id, octets } => self.endpoint.release(id, octets),
            Command::Finish { id } => self.endpoint.finish(id),
            Command::Abandon { id } => {
                self.streams.remove(&id);
                self.endpoint.abandon(now, id);
            }
            Command::Measure { id, reply } => drop(reply.send(self.endpoint.measured(id))),
            Command::Close { done } => self.close_all(now, Some(done)),
        }
    }

    fn connect(&mut self, now: Instant, to: SocketAddr, reply: oneshot::Sender<io::Result<UtpStream>>) {
        if self.closing.is_some() {
            return;
        }
        let path = Path { peer: to, local: None };
        match self.endpoint.connect(now, path) {
            Ok(id) => {
                let Some((stream, mut handle)) = self.stream(id, path) else { return };
                handle.connecting = Some((reply, stream));
                self.streams.insert(id, handle);
            }
            Err(error) => drop(reply.send(Err(io::Error::other(error)))),
        }
    }

    fn stream(&self, id: ConnectionId, path: Path) -> Option<(UtpStream, Handle)> {
        let commands = self.sender.upgrade()?;
        let (incoming, reader) = mpsc::unbounded_channel();
        let config = &self.options.config;
        let credit = Arc::new(Credit::new(config.send_octets_max));
        let names = (id, path, self.trains.local_addr());
        let stream = UtpStream::new(names, commands, credit.clone(), reader, config.receive_octets_max);
        Some((stream, Handle { credit, incoming, connecting: None }))
    }

    /// Tells streams what happened. If little of the `arrived` octets that came
    /// together is of use, it is moved, so that it does not keep their buffer.
    fn handle_events(&mut self, now: Instant, arrived: usize) {
        let mut events = std::mem::take(&mut self.events);
        events.extend(std::iter::from_fn(|| self.endpoint.poll_event()));
        let useful = |(_, event): &(_, Event)| match event {
            Event::Octets(octets) => octets.len(),
            _ => 0,
        };
        let is_sparse = events.iter().map(useful).sum::<usize>() < arrived / USEFUL_SHARE;
        for (id, event) in events.drain(..) {
            match event {
                Event::Octets(octets) if is_sparse => {
                    if let Some(handle) = self.streams.get(&id) {
                        handle.incoming.send(Incoming::Octets(Bytes::copy_from_slice(&octets))).ok();
                    }
                }
                Event::Accepted(path) => self.accept(id, path),
                Event::Connected => self.connected(now, id),
                Event::Octets(octets) => {
                    if let Some(handle) = self.streams.get(&id) {
                        // Bounded by the connection's window.
                        handle.incoming.send(Incoming::Octets(octets)).ok();
                    }
                }
                Event::Writable(octets) => {
                    if let Some(handle) = self.streams.get(&id) {
                        handle.credit.give(octets);
                    }
                }
                Event::Finished => {
                    if let Some(handle) = self.streams.get(&id) {
                        handle.incoming.send(Incoming::Finished).ok();
                    }
                }
                Event::Closed(reason) => {
                    if let Some(mut handle) = self.streams.remove(&id) {
                        handle.credit.close(reason);
                        if let Some((reply, _)) = handle.connecting.take() {
                            reply.send(Err(error_of(reason))).ok();
                        }
                    }
                }
            }
        }
        self.events = events;
    }

    fn accept(&mut self, id: ConnectionId, path: Path) {
        let Some((stream, handle)) = self.stream(id, path).filter(|_| self.closing.is_none()) else {
            return self.endpoint.reset(id);
        };
        // Nobody asked for it: what does not fit is refused.
        match self.accepted.try_send(stream) {
            Ok(()) => {
                self.streams.insert(id, handle);
                self.set_path(id, path.peer);
            }
            Err(_) => self.endpoint.reset(id),
        }
    }

    fn connected(&mut self, now: Instant, id: ConnectionId) {
        let Some((reply, stream)) = self.streams.get_mut(&id).and_then(|handle| handle.connecting.take())
        else {
            return;
        };
        self.set_path(id, stream.peer_addr());
        if let Err(Ok(_unwanted)) = reply.send(Ok(stream)) {
            self.streams.remove(&id);
            self.endpoint.abandon(now, id);
        }
    }

    /// Datagrams may be as large as the first link carries; the path is probed.
    fn set_path(&mut self, id: ConnectionId, peer: SocketAddr) {
        let octets = self.trains.link_datagram_octets(peer).unwrap_or(0);
        let octets = octets.min(self.options.datagram_octets_max);
        if octets > 0 {
            self.endpoint.set_path_octets_max(id, octets);
        }
    }
}
