//! The task of one peer: octets in and out of its connection.

use super::link::{Item, Link};
use super::outgoing::Outgoing;
use super::{Ended, Swarm};
use crate::transport::Transport;
use bittorrent::torrent::PeerKey;
use bittorrent::wire::{Block, Frame, Framer, Message, Session, Timeout};
use std::io::{self, IoSliceMut};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the times of a connection are looked at.
const TICK: Duration = Duration::from_secs(1);

/// A block on its way in.
#[derive(Debug)]
struct Incoming {
    block: Block,
    buffer: Vec<u8>,
    filled: usize,
}

/// One connection that has shaken hands.
pub(crate) struct Peer {
    swarm: Rc<Swarm>,
    key: PeerKey,
    link: Rc<Link>,
    transport: Transport,
    framer: Framer,
    session: Session,
    incoming: Option<Incoming>,
    /// A block was announced for which there is no buffer yet.
    announced: Option<Block>,
    outgoing: Option<Outgoing>,
    ticks: Interval,
}

impl Peer {
    pub(crate) fn new(
        swarm: Rc<Swarm>,
        key: PeerKey,
        link: Rc<Link>,
        transport: Transport,
        framer: Framer,
        session: Session,
    ) -> Self {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            swarm,
            key,
            link,
            transport,
            framer,
            session,
            incoming: None,
            announced: None,
            outgoing: None,
            ticks,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self) -> Ended {
        let ended = std::future::poll_fn(|cx| self.poll(cx)).await;
        let buffer = self.incoming.take().map(|incoming| incoming.buffer);
        self.swarm.context().buffers.put(buffer);
        ended
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Ended> {
        self.link.listen(cx);
        let now = Instant::now();
        if let Err(ended) = self.progress(cx, now) {
            return Poll::Ready(ended);
        }
        match self.link.closing() {
            Some(why) => Poll::Ready(Ended::Ours(why)),
            None => Poll::Pending,
        }
    }

    fn progress(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), Ended> {
        while self.ticks.poll_tick(cx).is_ready() {
            self.handle_tick(now)?;
        }
        // What is read may queue what is to be written, also for this peer.
        let _ = self.poll_read(cx, now)?;
        let _ = self.poll_write(cx, now)?;
        Ok(())
    }

    fn handle_tick(&mut self, now: Instant) -> Result<(), Ended> {
        match self.session.handle_timeout(now) {
            Some(Timeout::KeepAlive) => self.link.send(&Message::KeepAlive),
            Some(Timeout::Idle) => return Err(Ended::Ours("it said nothing for too long")),
            Some(Timeout::Handshake) => return Err(Ended::Ours("its handshake took too long")),
            None => {}
        }
        self.swarm.handle_peer_tick(now, self.key);
        if let Some((pieces, piece_octets)) = self.swarm.geometry() {
            self.session.set_pieces(pieces, piece_octets);
        }
        Ok(())
    }

    /// Reads until there is nothing more, or no room for more.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Poll<()>, Ended> {
        loop {
            self.read_frames(cx, now)?;
            if self.announced.is_some() {
                // A buffer comes back when the disk has taken some.
                return Ok(Poll::Pending);
            }
            if self.swarm.context().download_is_throttled(cx, now, self.swarm.download_limit()) {
                return Ok(Poll::Pending);
            }
            let octets = match self.receive(cx) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Ok(0)) => return Err(Ended::Theirs),
                Poll::Ready(Ok(octets)) => octets,
                Poll::Ready(Err(error)) => return Err(Ended::Failed(error)),
            };
            self.swarm.context().count_download(octets, self.swarm.download_limit());
            self.session.handle_octets(now);
            self.take_block(now);
        }
    }

    /// One read, into the block that is on its way and behind it.
    fn receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(incoming) = &mut self.incoming else {
            let octets = ready!(self.transport.poll_read(cx, self.framer.room()))?;
            self.framer.filled(octets);
            return Poll::Ready(Ok(octets));
        };
        let length = incoming.block.length as usize;
        let place = incoming.buffer.get_mut(incoming.filled..length).unwrap_or_default();
        let room = place.len();
        let mut places = [IoSliceMut::new(place), IoSliceMut::new(self.framer.room())];
        let octets = ready!(self.transport.poll_read_vectored(cx, &mut places))?;
        let of_block = octets.min(room);
        incoming.filled += of_block;
        self.framer.block_read(of_block);
        self.framer.filled(octets - of_block);
        Poll::Ready(Ok(octets))
    }

    /// Hands over the block that is on its way, if it is whole.
    fn take_block(&mut self, now: Instant) {
        let whole = self.incoming.take_if(|incoming| incoming.filled == incoming.block.length as usize);
        if let Some(Incoming { block, mut buffer, .. }) = whole {
            buffer.truncate(block.length as usize);
            self.swarm.handle_block(now, self.key, block, buffer);
        }
    }

    /// Handles all messages that are whole.
    fn read_frames(&mut self, cx: &Context<'_>, now: Instant) -> Result<(), Ended> {
        loop {
            if let Some(block) = self.announced.take() {
                let Some(mut buffer) = self.swarm.context().buffers.take(cx) else {
                    self.announced = Some(block);
                    return Ok(());
                };
                let place = buffer.get_mut(..block.length as usize).unwrap_or_default();
                let filled = self.framer.take_block(place);
                self.incoming = Some(Incoming { block, buffer, filled });
                self.take_block(now);
            }
            if self.incoming.is_some() {
                return Ok(());
            }
            match self.framer.next().map_err(|error| Ended::Broke(error.to_string()))? {
                None => return Ok(()),
                Some(Frame::Unknown { .. }) => {}
                Some(Frame::Block(block)) => {
                    self.session
                        .handle_block(now, &block)
                        .map_err(|violation| Ended::Broke(violation.to_string()))?;
                    self.announced = Some(block);
                }
                Some(Frame::Message(message)) => {
                    self.session
                        .handle_message(now, &message)
                        .map_err(|violation| Ended::Broke(violation.to_string()))?;
                    self.swarm.handle_message(now, self.key, &message)?;
                }
            }
        }
    }

    /// Writes until nothing waits, or the connection takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Poll<()>, Ended> {
        loop {
            let outgoing = match &mut self.outgoing {
                Some(outgoing) => outgoing,
                None => match self.link.take() {
                    None => break,
                    Some(Item::Serve(octets)) => {
                        if self.swarm.context().upload_is_throttled(cx, now, self.swarm.upload_limit()) {
                            self.link.put_back(Item::Serve(octets));
                            break;
                        }
                        let opened = self.swarm.open_block(octets, self.transport.can_send_file());
                        let Some(outgoing) = opened else {
                            self.swarm.handle_block_sent(now, self.key, octets, false);
                            continue;
                        };
                        let on_wire = octets.octets as usize + bittorrent::wire::PIECE_HEADER_OCTETS;
                        self.swarm.context().count_upload(on_wire, self.swarm.upload_limit());
                        self.outgoing.insert(outgoing)
                    }
                    Some(Item::Octets(octets)) => self.outgoing.insert(Outgoing::octets(octets)),
                },
            };
            match outgoing.poll(cx, &mut self.transport) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(error)) => return Err(Ended::Failed(error)),
                Poll::Ready(Ok(())) => {}
            }
            let served = self.outgoing.take().and_then(|outgoing| outgoing.served());
            self.session.message_sent(now, &Message::KeepAlive);
            if let Some(octets) = served {
                self.swarm.handle_block_sent(now, self.key, octets, true);
            }
        }
        match self.transport.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(Ended::Failed(error)),
            _ => Ok(Poll::Ready(())),
        }
    }
}
