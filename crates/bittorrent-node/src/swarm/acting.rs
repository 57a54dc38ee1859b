//! What the rules want done is done, and what came of it at the disk is told them.

use super::active::{Active, in_memory};
use super::{Entry, Link, State, Swarm};
use crate::content::{Checked, Content, Done};
use crate::progress::Stage;
use bittorrent::metainfo::Verdict;
use bittorrent::torrent::{Event, Octets, PeerKey, Reason, Send};
use bittorrent::wire::{Block, Message};
use std::time::Instant;

/// Octets of a piece that are read ahead of what is sent.
const READ_AHEAD_OCTETS: u32 = 1024 * 1024;

impl Swarm {
    /// A job has been done.
    pub(super) fn handle_done(&self, now: Instant, done: Done) {
        let mut state = self.state.borrow_mut();
        match done {
            Done::Piece(checked) => self.handle_checked(now, &mut state, checked),
            Done::Spilled { piece, buffers, result } => {
                self.context().buffers.put_from_disk(buffers);
                if let Err(error) = result {
                    if let Some(active) = &mut state.active {
                        let held = active.assembling.remove(&piece);
                        self.context().buffers.put(in_memory(held.into_iter().flatten().flatten()));
                        active.torrent.handle_piece_unwritten(now, piece);
                    }
                    Self::pause(now, &mut state, error.to_string());
                }
            }
            Done::Leaves { of, range, below } => {
                let state = &mut *state;
                let (Some(entry), Some(active)) = (state.peers.get(&of.0), &state.active) else { return };
                let answer =
                    below.and_then(|below| state.hashes.answer_below(&active.content, &range, &below));
                match answer {
                    Some(hashes) => entry.link.send(&Message::Hashes { range, hashes: &hashes }),
                    None => entry.link.send(&Message::HashReject(range)),
                }
            }
            Done::Looking { pieces } => {
                state.looked = pieces;
            }
            Done::Looked { .. } | Done::Moved { .. } | Done::Renamed { .. } | Done::Forgotten { .. } => {}
            Done::Checkpointed { result, .. } => {
                let last = state.active.as_mut().is_some_and(Active::handle_checkpoint);
                match result {
                    Err(error) => Self::pause(now, &mut state, error.to_string()),
                    Ok(()) if last && state.stage == Stage::Downloading => {
                        state.stage = state.standing();
                        self.stir.notify_one();
                    }
                    Ok(()) => {}
                }
            }
            Done::Noted { result: Err(error) } => Self::pause(now, &mut state, error.to_string()),
            Done::Noted { result: Ok(()) } => {}
        }
        self.act(now, &mut state);
    }

    fn handle_checked(&self, now: Instant, state: &mut State, checked: Checked) {
        let Checked { piece, result, buffers } = checked;
        self.context().buffers.put_from_disk(buffers);
        let Some(active) = &mut state.active else { return };
        match result {
            Ok((Verdict::Right, digests)) => active.torrent.handle_piece_checked(now, piece, true, &digests),
            Ok((Verdict::Wrong, digests)) => {
                self.tell_failed(piece);
                active.torrent.handle_piece_checked(now, piece, false, &digests);
                if active.torrent.has_suspects(piece) {
                    state.leaves.ask(now, piece, active, &state.peers);
                }
            }
            Ok((Verdict::Unknown, _)) => active.torrent.handle_piece_unwritten(now, piece),
            Ok((Verdict::Contradiction, _)) => {
                active.torrent.handle_piece_unwritten(now, piece);
                let why = "the torrent contradicts itself: its v1 and v2 hashes are of different content";
                Self::pause(now, state, why.to_owned());
            }
            Err(error) => {
                active.torrent.handle_piece_unwritten(now, piece);
                Self::pause(now, state, error.to_string());
            }
        }
    }

    /// Does what the rules want done.
    pub(super) fn act(&self, now: Instant, state: &mut State) {
        loop {
            let Some(active) = &mut state.active else { return };
            if let Some(event) = active.torrent.poll_event() {
                self.tell_event(state, &event);
                self.handle_event(now, state, event);
                continue;
            }
            let Some((key, send)) = active.torrent.poll_send(now) else { return };
            self.tell_sent(now, state, key, &send);
            match state.peers.get_mut(&key.0) {
                Some(entry) => {
                    if let (Send::Serve(octets), Some(active)) = (&send, &state.active) {
                        read_ahead(entry, &active.content, *octets);
                    }
                    hand(&entry.link, send);
                }
                None => state.web_seeds.hand(key, &send),
            }
        }
    }

    fn handle_event(&self, now: Instant, state: &mut State, event: Event) {
        let Some(active) = &mut state.active else { return };
        let close = |state: &State, peer: PeerKey, why| match state.peers.get(&peer.0) {
            Some(entry) => entry.link.close(why),
            None => state.web_seeds.close(peer),
        };
        match event {
            Event::PieceReady { piece, digests } => {
                active.check_piece(now, piece, digests, &self.context().buffers);
            }
            Event::PieceCompleted { piece } => {
                active.dirty = true;
                state.readers.handle_piece(piece);
            }
            Event::Finished => {
                let sent_before = state.sent_before;
                // It is told once it would survive a power cut.
                active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
            }
            Event::Completed => {}
            Event::Ban { peer, piece } => {
                if let Some(entry) = state.peers.get(&peer.0) {
                    let address = entry.link.address;
                    tracing::info!(%address, piece, torrent = %state.name, "banned: it sent wrong octets");
                    state.banned.insert(address.ip());
                } else if let Some(address) = state.banned.insert_left(peer) {
                    tracing::info!(%address, piece, torrent = %state.name, "banned: it sent wrong octets and left");
                } else if let Some(seed) = state.web_seeds.ban(peer) {
                    tracing::info!(%seed, piece, torrent = %state.name, "banned: it sent wrong octets");
                }
                close(state, peer, "it sent wrong octets");
            }
            Event::Disconnect { peer, reason: Reason::Useless } => {
                close(state, peer, "neither needs the other");
            }
            Event::Disconnect { peer, reason: Reason::Faults } => {
                close(state, peer, "it sent too much that makes no sense");
            }
            Event::Snubbed { peer } => {
                if let Some(entry) = state.peers.get(&peer.0) {
                    tracing::debug!(peer = %entry.link.address, "snubbed by it");
                }
            }
            Event::SeedingGoalReached => {
                state.quiet(now, "the torrent has seeded enough");
                state.stage = Stage::Done;
                self.stir.notify_one();
            }
        }
    }
}

/// Has the system read what will be sent after these octets: whoever reads a file on
/// this thread must not wait for the disk.
fn read_ahead(entry: &mut Entry, content: &Content, Octets { piece, begin, octets }: Octets) {
    let (last, end) = entry.read_ahead;
    let piece_octets = content.info().layout().piece_octets(piece);
    if piece == last && begin.saturating_add(octets) <= end {
        return;
    }
    let end = begin.saturating_add(READ_AHEAD_OCTETS.max(octets)).min(piece_octets);
    entry.read_ahead = (piece, end);
    content.read_ahead(piece, begin, end.saturating_sub(begin));
}

/// Puts what the rules want sent into a peer's queue.
fn hand(link: &Link, send: Send) {
    let block = |Octets { piece, begin, octets }| Block { piece, begin, length: octets };
    match send {
        Send::Bitfield(octets) => link.send(&Message::Bitfield(&octets)),
        Send::HaveAll => link.send(&Message::HaveAll),
        Send::HaveNone => link.send(&Message::HaveNone),
        Send::Choke => link.send(&Message::Choke),
        Send::Unchoke => link.send(&Message::Unchoke),
        Send::Interested => link.send(&Message::Interested),
        Send::NotInterested => link.send(&Message::NotInterested),
        Send::Have { piece } => link.send(&Message::Have(piece)),
        Send::Request(octets) => link.send(&Message::Request(block(octets))),
        Send::Cancel(octets) => link.send(&Message::Cancel(block(octets))),
        Send::Reject(octets) => link.send(&Message::Reject(block(octets))),
        Send::AllowedFast { piece } => link.send(&Message::AllowedFast(piece)),
        Send::Suggest { piece } => link.send(&Message::Suggest(piece)),
        Send::Serve(octets) => link.serve(octets),
    }
}
