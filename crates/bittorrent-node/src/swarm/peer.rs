//! The task of one peer: octets in and out of its connection.

use super::link::{Item, Link};
use super::outgoing::Outgoing;
use super::pace::{Alarm, Rest, SendAhead, UNSENT_OCTETS_MIN};
use super::reception::{Found, Reception};
use super::{Ended, Swarm};
use crate::transport::Transport;
use crate::uplink::{HELD_SPAN, Share, TELL_SPAN};
use bittorrent::torrent::PeerKey;
use bittorrent::wire::{BLOCK_OCTETS, Frame, Framer, Message, Session, Timeout};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Interval, MissedTickBehavior};

/// How often the times of a connection are looked at.
const TICK: Duration = Duration::from_secs(1);
/// Octets read before it is written again: requests must not wait until a quick
/// peer has sent all that was asked for.
const READ_OCTETS_MAX: usize = 512 * 1024;

/// One connection that has shaken hands.
pub(crate) struct Peer {
    swarm: Rc<Swarm>,
    key: PeerKey,
    link: Rc<Link>,
    transport: Transport,
    reception: Reception,
    session: Session,
    outgoing: Option<Outgoing>,
    ahead: SendAhead,
    share: Share,
    /// Blocks are held back until then, or what was acknowledged is told.
    held: Alarm,
    rest: Rest,
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
        let share = swarm.context().uplink.share(Instant::now());
        Self {
            swarm,
            key,
            link,
            transport,
            reception: Reception::new(framer),
            session,
            outgoing: None,
            ahead: SendAhead::new(Instant::now()),
            share,
            held: Alarm::default(),
            rest: Rest::new(Instant::now()),
            ticks,
        }
    }

    /// Serves the connection until it ends.
    pub(crate) async fn run(mut self) -> Ended {
        self.transport.set_unsent_max(UNSENT_OCTETS_MIN).ok();
        let ended = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.reception.end(&self.swarm.context().buffers);
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
        loop {
            // What is read may queue what is to be written, also for this peer.
            let read = self.poll_read(cx, now)?;
            let _ = self.poll_write(cx, now)?;
            if read.is_pending() {
                return Ok(());
            }
        }
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

    /// Reads until there is nothing more or no room for more, which is pending, or
    /// so much that what is asked for by it should be sent.
    fn poll_read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Poll<()>, Ended> {
        if self.rest.poll(cx).is_pending() {
            return Ok(Poll::Pending);
        }
        let mut read = 0;
        while read < READ_OCTETS_MAX {
            self.hand_over(cx, now)?;
            // A buffer comes back when the disk has taken some.
            let context = self.swarm.context();
            if self.reception.waits_for_buffer()
                || context.download_is_throttled(cx, now, self.swarm.download_limit())
            {
                return Ok(Poll::Pending);
            }
            let allowed =
                context.download_allowance(now, READ_OCTETS_MAX as u64, self.swarm.download_limit());
            let blocks_max = (allowed / u64::from(BLOCK_OCTETS)) as usize;
            let received = self.reception.poll_receive(cx, &mut self.transport, &context.buffers, blocks_max);
            let octets = match received {
                Poll::Pending => {
                    // Where nothing had come there is nothing to acknowledge.
                    let rests = read > 0 && self.transport.may_rest() && self.reception.is_in_block();
                    if rests && self.rest.begin(now) {
                        // The task must be woken when it is over.
                        let _ = self.rest.poll(cx);
                    }
                    return Ok(Poll::Pending);
                }
                Poll::Ready(Ok(0)) => return Err(Ended::Theirs),
                Poll::Ready(Ok(octets)) => octets,
                Poll::Ready(Err(error)) => return Err(Ended::Failed(error)),
            };
            read += octets;
            self.rest.note(octets);
            context.count_download(octets, self.swarm.download_limit());
            self.session.handle_octets(now);
        }
        self.hand_over(cx, now)?;
        Ok(Poll::Ready(()))
    }

    /// Handles all messages and blocks that are whole.
    fn hand_over(&mut self, cx: &Context<'_>, now: Instant) -> Result<(), Ended> {
        let (swarm, session, key) = (&self.swarm, &mut self.session, self.key);
        self.reception.hand_over(cx, &swarm.context().buffers, |found| {
            let checked = match &found {
                Found::Frame(Frame::Block(block)) => session.handle_block(now, block),
                Found::Frame(Frame::Message(message)) => session.handle_message(now, message),
                Found::Frame(Frame::Unknown { .. }) | Found::Block(..) => Ok(()),
            };
            checked.map_err(|violation| Ended::Broke(violation.to_string()))?;
            match found {
                Found::Frame(Frame::Message(message)) => swarm.handle_message(now, key, &message)?,
                Found::Block(block, buffer) => swarm.handle_block(now, key, block, buffer),
                Found::Frame(_) => {}
            }
            Ok(())
        })
    }

    /// Writes until nothing waits, or the connection takes no more.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Poll<()>, Ended> {
        let mut held = None;
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
                        if self.share.may_write(now, || self.transport.backlog()) {
                            let opened = self.swarm.open_block(octets, self.transport.can_send_file());
                            let Some(outgoing) = opened else {
                                self.swarm.handle_block_sent(now, self.key, octets, false);
                                continue;
                            };
                            let on_wire = octets.octets as usize + bittorrent::wire::PIECE_HEADER_OCTETS;
                            self.swarm.context().count_upload(on_wire, self.swarm.upload_limit());
                            self.outgoing.insert(outgoing)
                        } else {
                            self.link.put_back(Item::Serve(octets));
                            held = Some(HELD_SPAN);
                            let Some(Item::Octets(octets)) = self.link.take_messages() else { break };
                            self.outgoing.insert(Outgoing::octets(octets))
                        }
                    }
                    Some(Item::Octets(octets)) => self.outgoing.insert(Outgoing::octets(octets)),
                },
            };
            match outgoing.poll(cx, &mut self.transport) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(Err(error)) => {
                    let served = outgoing.served().filter(|_| error.kind() == io::ErrorKind::UnexpectedEof);
                    if let Some(octets) = served {
                        self.swarm.handle_lost(octets);
                    }
                    return Err(Ended::Failed(error));
                }
                Poll::Ready(Ok(())) => {}
            }
            let served = self.outgoing.take().and_then(|outgoing| outgoing.served());
            self.session.message_sent(now, &Message::KeepAlive);
            if let Some(octets) = served {
                self.share.note_written(u64::from(octets.octets));
                if let Some(unsent_max) = self.ahead.note(now, octets.octets) {
                    // Where it cannot be bounded it is as long as the system likes.
                    self.transport.set_unsent_max(unsent_max).ok();
                }
                self.swarm.handle_block_sent(now, self.key, octets, true);
            }
        }
        let tells = || self.share.tell(now, || self.transport.backlog()).then_some(TELL_SPAN);
        if let Some(span) = held.or_else(tells) {
            self.held.set(span);
            // The task must be woken then.
            let _ = self.held.poll(cx);
        }
        match self.transport.poll_flush(cx) {
            Poll::Ready(Err(error)) => Err(Ended::Failed(error)),
            _ => Ok(Poll::Ready(())),
        }
    }
}
