//! A torrent whose info dictionary is here and whose files have been looked at:
//! the rules, and blocks on their way to the disk.

use super::buffers::Buffers;
use super::{Ended, Entry, State, Swarm};
use crate::content::{Content, Held, Job, Looked, Notes, Worker, resume_file};
use crate::control::ControlError;
use crate::progress::{Progress, Stage};
use bittorrent::metainfo::{InfoHashV1, InfoHashes, Metainfo};
use bittorrent::torrent::{BlockUse, Octets, PeerFacts, PeerKey, PieceLengths, Priority, Torrent};
use bittorrent::wire::{ALLOWED_FAST_MAX, Block, HashRange, allowed_fast};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often it is noted which pieces are here while some come in.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(30);
/// Pieces that a choked peer may ask for (BEP 6 uses 10).
const ALLOWED_FAST_COUNT: usize = 10;

/// Octets a second below which a peer is idle.
const IDLE_PER_SECOND: f64 = 1.0;

const _: () = assert!(ALLOWED_FAST_COUNT <= ALLOWED_FAST_MAX);

/// The running part of a torrent.
pub(super) struct Active {
    pub(super) torrent: Torrent,
    pub(super) content: Arc<Content>,
    pub(super) worker: Worker,
    /// Blocks that came, of pieces that are not whole.
    pub(super) assembling: BTreeMap<u32, Vec<Option<Held>>>,
    /// Pieces came since the last checkpoint.
    pub(super) dirty: bool,
    checkpointed: Instant,
    /// Checkpoints that are being made.
    checkpoints: usize,
}

impl Active {
    pub(super) fn add_peer(&mut self, now: Instant, key: PeerKey, entry: &mut Entry, hashes: &InfoHashes) {
        let pieces = self.content.info().layout().piece_count();
        let allowed_fast = match (entry.link.address.ip(), hashes.wire().next()) {
            (IpAddr::V4(address), Some(hash)) if entry.fast => {
                allowed_fast(address, &hash.0, pieces, ALLOWED_FAST_COUNT)
            }
            _ => Vec::new(),
        };
        let facts = PeerFacts { fast: entry.fast, allowed_fast, ..PeerFacts::default() };
        if self.torrent.add_peer(now, key, facts).is_err() {
            entry.link.close("there are too many peers");
        }
    }

    pub(super) fn handle_block(
        &mut self,
        now: Instant,
        key: PeerKey,
        block: Block,
        buffer: Vec<u8>,
        buffers: &Buffers,
    ) {
        let octets = Octets { piece: block.piece, begin: block.begin, octets: block.length };
        if self.torrent.handle_block(now, key, octets) != BlockUse::Wanted {
            return buffers.put([buffer]);
        }
        let count = self.torrent.lengths().blocks(block.piece) as usize;
        let blocks = self.assembling.entry(block.piece).or_insert_with(|| (0..count).map(|_| None).collect());
        let index = (block.begin / bittorrent::wire::BLOCK_OCTETS) as usize;
        let before = blocks.get_mut(index).and_then(|place| place.replace(Held::Memory(buffer)));
        if let Some(Held::Memory(before)) = before {
            buffers.put([before]);
        }
        if buffers.are_scarce() {
            self.spill(buffers);
        }
    }

    /// Writes the largest begun piece before it is whole, so that its buffers come
    /// back.
    fn spill(&mut self, buffers: &Buffers) {
        let in_memory = |blocks: &[Option<Held>]| {
            blocks.iter().filter(|block| matches!(block, Some(Held::Memory(_)))).count()
        };
        let largest = self.assembling.iter_mut().max_by_key(|(_, blocks)| in_memory(blocks));
        let Some((piece, blocks)) = largest else { return };
        let mut spilled = Vec::new();
        for (index, place) in blocks.iter_mut().enumerate() {
            if let Some(held @ Held::Memory(_)) = place
                && let Held::Memory(buffer) = std::mem::replace(held, Held::Disk)
            {
                spilled.push((index as u32, buffer));
            }
        }
        if !spilled.is_empty() {
            buffers.go_to_disk(spilled.len());
            self.worker.send(Job::Spill { piece: *piece, blocks: spilled });
        }
    }

    pub(super) fn check_piece(&mut self, now: Instant, piece: u32, digests: bool, buffers: &Buffers) {
        let blocks = self.assembling.remove(&piece).unwrap_or_default();
        match blocks.into_iter().collect::<Option<Vec<_>>>() {
            Some(blocks) => {
                let in_memory = blocks.iter().filter(|block| matches!(block, Held::Memory(_)));
                buffers.go_to_disk(in_memory.count());
                self.worker.send(Job::Piece { piece, blocks, digests });
            }
            // The rules count blocks that are not here: ask for them again.
            None => self.torrent.handle_piece_unwritten(now, piece),
        }
    }

    pub(super) fn checkpoint(
        &mut self,
        now: Instant,
        context: &crate::context::Context,
        hashes: &InfoHashes,
        clean: bool,
        sent_before: u64,
    ) {
        let Some(hash) = hashes.wire().next() else { return };
        self.dirty = false;
        self.checkpointed = now;
        self.checkpoints += 1;
        self.worker.send(Job::Checkpoint {
            resume_file: resume_file(&context.data, &hash),
            have: self.torrent.have().to_bitfield(),
            clean,
            sent_octets: sent_before + self.torrent.totals().sent_octets,
        });
    }

    /// A checkpoint was made, or failed. Whether it was the last that is on its way.
    pub(super) fn handle_checkpoint(&mut self) -> bool {
        self.checkpoints = self.checkpoints.saturating_sub(1);
        self.checkpoints == 0
    }

    /// Peers that give or get something, or may.
    pub(super) fn busy_peers(&self, now: Instant) -> impl Iterator<Item = u32> {
        let busy = |view: &bittorrent::torrent::PeerView<'_>| {
            let moves = view.received_per_second + view.sent_per_second >= IDLE_PER_SECOND;
            let gives = view.am_interested && !view.peer_choking;
            let gets = view.peer_interested && !view.am_choking;
            moves || gives || gets
        };
        self.torrent.peers(now).filter(move |view| busy(view)).map(|view| view.key.0)
    }

    /// Octets of files in wanted pieces that are not here.
    pub(super) fn left_octets(&self) -> u64 {
        let lengths = self.torrent.lengths();
        self.torrent.missing().iter().map(|piece| u64::from(lengths.content_octets(piece))).sum()
    }

    pub(super) fn show(&self, now: Instant, progress: &mut Progress) {
        let lengths = self.torrent.lengths();
        let have = self.torrent.have();
        progress.have_pieces = have.count();
        progress.have_octets = have.iter().map(|piece| u64::from(lengths.content_octets(piece))).sum();
        progress.left_octets = self.left_octets();
        let totals = self.torrent.totals();
        progress.received_octets = totals.received_octets;
        progress.sent_octets = totals.sent_octets;
        progress.wasted_octets = totals.wasted_octets;
        progress.bad_pieces = totals.bad_pieces;
        (progress.received_per_second, progress.sent_per_second) = self.torrent.rates(now);
        progress.seeds = self.torrent.seeds();
    }
}

impl Swarm {
    /// Has the files looked at, once the info dictionary is here.
    pub(super) fn look(&self, worker: &Worker, recheck: bool) {
        let mut state = self.state.borrow_mut();
        if let Some(metainfo) = state.metainfo.as_ref().filter(|_| state.came_from_peers) {
            worker.send(Job::Keep { file: self.notes().metainfo, octets: metainfo.encode() });
        }
        state.looked = 0;
        let sealed = self.options.sealed.clone();
        let (overwrite, is_wanted) = (state.overwrite, |file| state.files.get(file) != Some(&Priority::Skip));
        let wanted = state.metainfo.as_ref().map(|metainfo| metainfo.info.layout().pieces_of(is_wanted));
        let wanted = wanted.unwrap_or_default();
        worker.send(Job::Look { notes: self.notes(), recheck, overwrite, wanted, sealed });
    }

    /// Where things about it are noted.
    pub(super) fn notes(&self) -> Notes {
        let hash = self.hashes.wire().next().unwrap_or(InfoHashV1([0; 20]));
        Notes::of(&self.context().data, &hash)
    }

    /// Its files lie in another folder now.
    pub(super) fn set_folder(&self, folder: &Path) {
        let mut state = self.state.borrow_mut();
        folder.clone_into(&mut state.folder);
        (state.overwrite, state.asks_to_overwrite) = (self.options.overwrite, false);
    }

    /// Begins to move its files; false where there is none yet.
    pub(super) fn begin_move(&self, to: &Path) -> bool {
        let state = self.state.borrow();
        if let Some(active) = &state.active {
            active.worker.send(Job::Move { to: to.to_owned(), note: self.notes().moved });
        }
        state.active.is_some()
    }

    /// Whether files lay here before there were hashes to check them by; tells it once.
    pub(super) fn take_unchecked(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().unchecked)
    }

    /// Notes which pieces are here.
    pub(super) fn note(&self, now: Instant) {
        let mut state = self.state.borrow_mut();
        let sent_before = state.sent_before;
        if let Some(active) = &mut state.active {
            active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
        }
    }

    /// Ends the rules, for the files to be looked at anew or to go; `None` where
    /// they have not begun.
    pub(super) fn deactivate(&self, now: Instant) -> Result<Option<(Arc<Content>, Worker)>, ControlError> {
        let mut state = self.state.borrow_mut();
        if state.metainfo.is_none() {
            return Err(ControlError::NoMetadata);
        }
        state.quiet(now, "the torrent's files are being checked");
        state.stage = Stage::Checking;
        state.looked = 0;
        let sent_before = state.sent_before;
        let Some(mut active) = state.active.take() else { return Ok(None) };
        // What was believed so far is not, should the check be cut short.
        active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
        let totals = active.torrent.totals();
        state.received_before += totals.received_octets;
        state.sent_earlier += totals.sent_octets;
        let held = active.assembling.into_values().flatten().flatten();
        self.context().buffers.put(in_memory(held));
        Ok(Some((active.content, active.worker)))
    }

    /// The files have been looked at: the rules begin.
    pub(super) fn activate(
        &self,
        now: Instant,
        content: Arc<Content>,
        worker: Worker,
        looked: Result<Looked, storage::StorageError>,
    ) {
        let mut state = self.state.borrow_mut();
        let began = looked.map_err(|error| error.to_string()).and_then(|Looked { have, sent_octets, fresh, strange }| {
            let pieces = content.info().layout().piece_count();
            if self.options.seeds_only && !have.is_full() {
                return Err(format!(
                    "{} of {pieces} pieces are what the torrent says; make a new torrent of it, or get the others",
                    have.count()
                ));
            }
            match strange {
                Some(strange) if self.options.seeds_only => {
                    return Err(format!("{strange}; make a new torrent of it"));
                }
                Some(strange) => {
                    // Whoever has it go on all the same wants it so.
                    state.asks_to_overwrite = true;
                    return Err(format!(
                        "{strange}; choose another folder, or have it overwritten: get --overwrite, or resume"
                    ));
                }
                None => {}
            }
            if self.options.sealed.is_none() {
                content.make_empty_files().map_err(|error| error.to_string())?;
            }
            let lengths = lengths(&content).map_err(|error| error.to_string())?;
            Ok((have, sent_octets, lengths, fresh))
        });
        let (have, sent_before, lengths, fresh) = match began {
            Ok(began) => began,
            Err(why) => return Self::pause(now, &mut state, why),
        };
        let rng: rand::rngs::StdRng = rand::make_rng();
        let mut torrent = Torrent::new(now, lengths, &have, state.rules.clone(), rng);
        if state.files.iter().any(|priority| *priority != Priority::Normal) {
            let priorities = super::control::piece_priorities(content.info(), &state.files);
            torrent.set_priorities(now, (0..).zip(priorities));
        }
        // A move may have ended that a crash cut short.
        state.folder = content.files().folder();
        state.take_name(&content);
        torrent.set_sent_before(sent_before);
        torrent.set_paused(now, state.halted);
        state.sent_before = sent_before;
        // Leave to overwrite was for what lay there then.
        state.overwrite = self.options.overwrite;
        let mut active = Active {
            torrent,
            content,
            worker,
            assembling: BTreeMap::new(),
            dirty: true,
            checkpointed: now,
            checkpoints: 0,
        };
        // Those who came before hear what we have, and are heard.
        let mut early = Vec::new();
        for (key, entry) in &mut state.peers {
            active.add_peer(now, PeerKey(*key), entry, &self.hashes);
            early.extend(std::mem::take(&mut entry.early).into_iter().map(|said| (PeerKey(*key), said)));
        }
        state.active = Some(active);
        state.contacts.rest_is_over();
        state.stage = if state.halted { Stage::Halted } else { state.standing() };
        for (key, said) in early {
            let result = state.active.as_mut().map(|active| said.tell(now, key, &mut active.torrent));
            if let (Some(Err(_)), Some(entry)) = (result, state.peers.get(&key.0)) {
                entry.link.close("its bitfield is not the torrent's");
            }
        }
        Self::gather_hashes(now, &mut state);
        if fresh
            && !state.hashes.are_missing()
            && let Some(active) = &mut state.active
        {
            // From now on its files are the torrent's, whatever is in them after a crash.
            active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
        }
        self.restore_readers(now, &mut state);
        self.act(now, &mut state);
        drop(state);
        self.stir.notify_one();
    }

    /// Without its piece layers nothing of a v2 torrent can be checked: peers are
    /// asked for them first.
    fn gather_hashes(now: Instant, state: &mut State) {
        let Some(active) = &mut state.active else { return };
        let v2 = active.content.info().layout().version() == bittorrent::metainfo::Version::V2;
        if v2 && state.hashes.begin(&active.content) {
            active.torrent.set_paused(now, true);
            state.hashes.ask(now, &state.peers);
        }
    }

    /// Hashes came from a peer.
    pub(super) fn handle_hashes(
        &self,
        now: Instant,
        state: &mut State,
        key: PeerKey,
        range: &HashRange,
        hashes: &[u8],
    ) -> Result<(), Ended> {
        let Some(active) = &mut state.active else { return Ok(()) };
        if let Some(known) = state.leaves.handle_hashes(key, range, hashes, active)? {
            active.torrent.handle_block_digests(now, known.piece, known.first, &known.digests);
        } else if state.hashes.handle_hashes(key, range, hashes, &active.content)? {
            active.torrent.set_paused(now, state.halted);
            // What lay here could not be checked before.
            let stamps = active.content.stamps().unwrap_or_default();
            if stamps.iter().flatten().any(|stamp| stamp.octets > 0) {
                state.unchecked = true;
                self.stir.notify_one();
            }
            if let Some(metainfo) = &state.metainfo {
                let piece_layers = active.content.layers().clone();
                let whole = Metainfo { piece_layers, ..Metainfo::clone(metainfo) };
                active.worker.send(Job::Keep { file: self.notes().metainfo, octets: whole.encode() });
            }
        }
        Ok(())
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&self, now: Instant) {
        let mut borrowed = self.state.borrow_mut();
        let state = &mut *borrowed;
        let sent_before = state.sent_before;
        super::said::ask_for_metadata(now, state);
        state.contacts.set_own(self.context().own.get());
        if let Some(active) = &mut state.active {
            active.torrent.handle_timeout(now);
            if state.hashes.are_missing() {
                state.hashes.ask(now, &state.peers);
            }
            if active.dirty && !state.hashes.are_missing() && now >= active.checkpointed + CHECKPOINT_INTERVAL
            {
                active.checkpoint(now, self.context(), &self.hashes, false, sent_before);
            }
        }
        self.act(now, state);
    }

    /// Ends: notes which pieces are here, so that the next run believes it. The
    /// disk's thread tells when that is durable.
    pub(super) fn begin_end(&self, now: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        for entry in state.peers.values() {
            entry.link.close("the torrent ends");
        }
        state.web_seeds.close_all();
        let sent_before = state.sent_before;
        match &mut state.active {
            Some(active) => {
                active.checkpoint(now, self.context(), &self.hashes, true, sent_before);
                true
            }
            None => false,
        }
    }

    /// Notes what is here once more where a piece came since that was noted; false
    /// where none did.
    pub(super) fn note_last(&self, now: Instant) -> bool {
        let mut state = self.state.borrow_mut();
        let sent_before = state.sent_before;
        let Some(active) = state.active.as_mut().filter(|active| active.dirty) else { return false };
        active.checkpoint(now, self.context(), &self.hashes, true, sent_before);
        true
    }
}

/// The buffers of blocks that are not on the disk.
pub(super) fn in_memory(held: impl Iterator<Item = Held>) -> impl Iterator<Item = Vec<u8>> {
    held.filter_map(|held| match held {
        Held::Memory(buffer) => Some(buffer),
        Held::Disk => None,
    })
}

/// The lengths of the pieces as the rules want them.
fn lengths(content: &Content) -> Result<PieceLengths, bittorrent::torrent::PieceLengthsError> {
    let layout = content.info().layout();
    if layout.version() == bittorrent::metainfo::Version::V2 {
        let files = layout.files().iter().filter(|file| !file.is_padding());
        PieceLengths::per_file(layout.piece_length(), files.map(|file| file.length))
    } else {
        let lengths = PieceLengths::uniform(layout.total_octets(), layout.piece_length())?;
        Ok(lengths.with_padding(layout.padded_pieces()))
    }
}

impl From<&'static str> for Ended {
    fn from(why: &'static str) -> Self {
        Self::Ours(why)
    }
}
