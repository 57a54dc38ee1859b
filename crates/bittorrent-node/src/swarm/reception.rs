//! How the octets of a peer come to where they stay.
//!
//! A block is received into the buffer it is hashed and written from. While
//! blocks come one after the other, a read guesses that more follow: each begins
//! a header behind the last, so that one system call brings several into their
//! buffers. What came otherwise is moved once.

use super::Ended;
use super::buffers::Buffers;
use crate::transport::Transport;
use bittorrent::wire::{Block, Frame, Framer, PIECE_HEADER_OCTETS};
use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::task::{Context, Poll, ready};

/// Blocks that one read may bring behind the one that is on its way.
pub(super) const GUESSES_MAX: usize = 7;

/// A block on its way in.
#[derive(Debug)]
struct Incoming {
    block: Block,
    buffer: Vec<u8>,
    filled: usize,
}

/// Where a header and the block behind it would lie.
#[derive(Debug)]
struct Guess {
    header: [u8; PIECE_HEADER_OCTETS],
    buffer: Vec<u8>,
    /// Octets that came, the header's first.
    octets: usize,
}

/// What was found in the octets of a peer.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A message, or the header of a block.
    Frame(Frame<'a>),
    /// A block is whole, in a buffer of its length.
    Block(Block, Vec<u8>),
}

/// Receives from one peer.
#[derive(Debug)]
pub(super) struct Reception {
    framer: Framer,
    incoming: Option<Incoming>,
    /// A block was announced for which there is no buffer yet.
    announced: Option<Block>,
    /// Blocks to guess in the next read: more while guesses are filled, none
    /// once one was wrong.
    eager: usize,
    /// What a read brought behind the block that was on its way, in order.
    guesses: VecDeque<Guess>,
    /// The octets of the guess whose header was handed to the framer.
    body: Option<(Vec<u8>, usize)>,
}

impl Reception {
    /// With what of the peer's octets was looked at already.
    pub(super) fn new(framer: Framer) -> Self {
        Self { framer, incoming: None, announced: None, eager: 0, guesses: VecDeque::new(), body: None }
    }

    /// Whether a block waits for a buffer: nothing can be read before.
    pub(super) fn waits_for_buffer(&self) -> bool {
        self.announced.is_some()
    }

    /// Whether the rest of a block is still to come.
    pub(super) fn is_in_block(&self) -> bool {
        self.incoming.is_some()
    }

    /// Gives all buffers back, at the end.
    pub(super) fn end(&mut self, buffers: &Buffers) {
        let guesses = self.guesses.drain(..).map(|guess| guess.buffer);
        let body = self.body.take().map(|(buffer, _)| buffer);
        let incoming = self.incoming.take().map(|incoming| incoming.buffer);
        buffers.put(guesses.chain(body).chain(incoming));
    }

    /// Hands over all that has come. Where a block waits for a buffer, the task is
    /// woken when it may go on.
    ///
    /// # Errors
    /// What `handle` says, and when the octets are no messages.
    pub(super) fn hand_over(
        &mut self,
        cx: &Context<'_>,
        buffers: &Buffers,
        mut handle: impl FnMut(Found<'_>) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        loop {
            if let Some(Incoming { block, mut buffer, .. }) = self.incoming.take_if(|it| it.left() == 0) {
                buffer.truncate(block.length as usize);
                handle(Found::Block(block, buffer))?;
            }
            if let Some(block) = self.announced {
                let Some((buffer, filled)) = self.place(cx, buffers, block) else { return Ok(()) };
                self.announced = None;
                self.incoming = Some(Incoming { block, buffer, filled });
            }
            if let Some(incoming) = &mut self.incoming {
                incoming.filled += self.framer.take_block(incoming.rest());
                if incoming.left() > 0 && !self.push_guess(buffers) {
                    return Ok(());
                }
                continue;
            }
            match self.framer.next().map_err(|error| Ended::Broke(error.to_string()))? {
                Some(frame) => {
                    let block = if let Frame::Block(block) = frame { Some(block) } else { None };
                    handle(Found::Frame(frame))?;
                    self.announced = block;
                    if block.is_none() {
                        self.push_body(buffers);
                    }
                }
                None if self.body.is_some() => self.push_body(buffers),
                None => {
                    let Some(Guess { header, buffer, octets }) = self.guesses.pop_front() else {
                        return Ok(());
                    };
                    let header = header.get(..octets).unwrap_or(&header);
                    self.framer.push(header);
                    self.body = Some((buffer, octets - header.len()));
                }
            }
        }
    }

    /// The buffer of a block that was announced, and how much of it is there: that
    /// of the guess where it was right.
    fn place(&mut self, cx: &Context<'_>, buffers: &Buffers, block: Block) -> Option<(Vec<u8>, usize)> {
        if self.framer.is_empty()
            && let Some((buffer, octets)) = self.body.take()
        {
            let filled = octets.min(block.length as usize);
            self.framer.block_read(filled);
            self.framer.push(buffer.get(filled..octets).unwrap_or_default());
            return Some((buffer, filled));
        }
        self.push_body(buffers);
        Some((buffers.take(cx)?, 0))
    }

    /// The guess was wrong: what lies where a block was expected is something else.
    fn push_body(&mut self, buffers: &Buffers) {
        if let Some((buffer, octets)) = self.body.take() {
            self.framer.push(buffer.get(..octets).unwrap_or_default());
            buffers.put_unused([buffer]);
            self.eager = 0;
        }
    }

    /// The same of a whole guess. Whether there was one.
    fn push_guess(&mut self, buffers: &Buffers) -> bool {
        let Some(Guess { header, buffer, octets }) = self.guesses.pop_front() else { return false };
        let header = header.get(..octets).unwrap_or(&header);
        self.framer.push(header);
        self.body = Some((buffer, octets - header.len()));
        self.push_body(buffers);
        true
    }

    /// One read, into the block that is on its way and behind it. All that came
    /// before has been handed over. `blocks_max` bounds how many more blocks it
    /// may bring.
    pub(super) fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport,
        buffers: &Buffers,
        blocks_max: usize,
    ) -> Poll<io::Result<usize>> {
        let Some(incoming) = &mut self.incoming else {
            let octets = ready!(transport.poll_read(cx, self.framer.room()))?;
            self.framer.filled(octets);
            return Poll::Ready(Ok(octets));
        };
        let room = incoming.left();
        let guessed = buffers.take_unused(self.eager.min(blocks_max));
        if guessed.is_empty() {
            let mut places = [IoSliceMut::new(incoming.rest()), IoSliceMut::new(self.framer.room())];
            let octets = ready!(transport.poll_read_vectored(cx, &mut places))?;
            self.framer.block_read(octets.min(room));
            self.framer.filled(octets.saturating_sub(room));
            incoming.filled += octets.min(room);
            self.eager = usize::from(octets > room);
            return Poll::Ready(Ok(octets));
        }
        let empty = |buffer| Guess { header: [0; PIECE_HEADER_OCTETS], buffer, octets: 0 };
        self.guesses.extend(guessed.into_iter().map(empty));
        let mut places = Vec::with_capacity(1 + 2 * self.guesses.len());
        places.push(IoSliceMut::new(incoming.rest()));
        for Guess { header, buffer, .. } in &mut self.guesses {
            places.push(IoSliceMut::new(header));
            places.push(IoSliceMut::new(buffer));
        }
        let read = transport.poll_read_vectored(cx, &mut places);
        let Poll::Ready(Ok(octets)) = read else {
            buffers.put_unused(self.guesses.drain(..).map(|guess| guess.buffer));
            return read;
        };
        self.framer.block_read(octets.min(room));
        incoming.filled += octets.min(room);
        let mut left = octets.saturating_sub(room);
        let count = self.guesses.len();
        for guess in &mut self.guesses {
            guess.octets = left.min(PIECE_HEADER_OCTETS + guess.buffer.len());
            left -= guess.octets;
        }
        let came = self.guesses.iter().take_while(|guess| guess.octets > 0).count();
        buffers.put_unused(self.guesses.drain(came..).map(|guess| guess.buffer));
        self.eager = if came == count { (2 * count).min(GUESSES_MAX) } else { came.max(1) };
        Poll::Ready(Ok(octets))
    }
}

impl Incoming {
    /// Octets that have not come.
    fn left(&self) -> usize {
        (self.block.length as usize).saturating_sub(self.filled)
    }

    /// Where they are to lie.
    fn rest(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.filled..self.block.length as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Carrier;
    use bittorrent::wire::{BLOCK_OCTETS, Limits, Message, piece_header};
    use net::{ListenBounds, ListenOptions, Network};
    use rand::{RngExt as _, SeedableRng as _};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt as _;

    /// What a peer says: blocks, mostly whole ones one after the other, and other
    /// messages between them.
    fn say(rng: &mut rand::rngs::StdRng, out: &mut Vec<u8>, count: u32) -> Vec<String> {
        let mut said = Vec::new();
        for index in 0..count {
            match rng.random_range(0..20) {
                0 => {
                    Message::Have(index).encode_to(out);
                    said.push(format!("have {index}"));
                }
                1 => {
                    Message::KeepAlive.encode_to(out);
                    said.push("keep-alive".to_owned());
                }
                short => {
                    let length = if short == 2 { rng.random_range(1..BLOCK_OCTETS) } else { BLOCK_OCTETS };
                    let block = Block { piece: index, begin: 0, length };
                    out.extend_from_slice(&piece_header(&block));
                    let octets: Vec<u8> = (0..length).map(|at| (at ^ index) as u8).collect();
                    out.extend_from_slice(&octets);
                    said.push(format!("{block:?} {:?}", crc(&octets)));
                }
            }
        }
        said
    }

    fn crc(octets: &[u8]) -> u64 {
        octets.iter().fold(0, |sum: u64, octet| sum.wrapping_mul(31).wrapping_add(u64::from(*octet)))
    }

    #[tokio::test]
    async fn blocks_and_messages_come_as_they_were_said_however_they_are_cut() {
        for seed in 0..8 {
            let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
            let mut octets = Vec::new();
            let said = say(&mut rng, &mut octets, 400);
            let network = Network::new();
            let options =
                ListenOptions { address: ([127, 0, 0, 1], 0).into(), bounds: ListenBounds::new(10, 10) };
            let listener = network.listen(&options).expect("a listener");
            let address = listener.local_addr().expect("an address");
            let sending = async {
                let mut stream = network.connect(address, Duration::from_secs(5)).await.expect("connected");
                let mut rest = octets.as_slice();
                while !rest.is_empty() {
                    let (now, later) = rest.split_at(rng.random_range(1..200_000).min(rest.len()));
                    stream.write_all(now).await.expect("written");
                    tokio::task::yield_now().await;
                    rest = later;
                }
            };
            let receiving = async {
                let stream = listener.accept().await.expect("accepted");
                let mut transport = Transport::plain(Carrier::Tcp(stream));
                let mut reception = Reception::new(Framer::new(Limits::of_pieces(400)));
                let buffers = Buffers::new(20 * BLOCK_OCTETS as usize);
                let mut heard = Vec::new();
                let mut guessed = 0;
                std::future::poll_fn(|cx| {
                    loop {
                        let handle = |found: Found<'_>| {
                            match found {
                                Found::Frame(Frame::Message(Message::Have(index))) => {
                                    heard.push(format!("have {index}"));
                                }
                                Found::Frame(Frame::Message(_)) => heard.push("keep-alive".to_owned()),
                                Found::Frame(_) => {}
                                Found::Block(block, octets) => {
                                    heard.push(format!("{block:?} {:?}", crc(&octets)));
                                    buffers.put([octets]);
                                }
                            }
                            Ok(())
                        };
                        reception.hand_over(cx, &buffers, handle).expect("messages");
                        assert!(!reception.waits_for_buffer());
                        match ready!(reception.poll_receive(cx, &mut transport, &buffers, 7)) {
                            Ok(0) => return Poll::Ready(()),
                            read => guessed += usize::from(read.expect("octets") > 40_000),
                        }
                    }
                })
                .await;
                reception.end(&buffers);
                assert_eq!(buffers.take_unused(10).len(), 10, "all buffers are back");
                (heard, guessed)
            };
            let ((), (heard, guessed)) = tokio::join!(sending, receiving);
            assert_eq!(heard, said, "seed {seed}");
            assert!(guessed > 0, "no read brought several blocks");
        }
    }
}
