//! Hashes of files' trees (BEP 52) from the piece layer up: asked of peers while they
//! are missing, as they are behind a magnet link, and given to peers that ask.

use super::{Ended, Entry};
use crate::content::Content;
use bittorrent::metainfo::merkle::{Below, Hash, HashRequest, Tree, TreeShape};
use bittorrent::torrent::PeerKey;
use bittorrent::wire::{HASHES_MAX, HashRange, Message};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Requests on their way to one peer.
const REQUESTS_PER_PEER_MAX: usize = 8;
/// How long an answer is waited for before another peer is asked.
const PATIENCE: Duration = Duration::from_secs(15);
/// Trees that are kept to answer from; each takes twice its piece layer.
const TREES_MAX: usize = 16;

/// What is known and asked of trees.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// Piece layers that are being gathered, by root.
    gathering: BTreeMap<Hash, Gathering>,
    /// Requests on their way: root and index of the first hash.
    asked: BTreeMap<(Hash, u32), (PeerKey, Instant)>,
    /// Peers that rejected a request, until when they are not asked again: they may
    /// have been without hashes themselves.
    refusing: BTreeMap<PeerKey, Instant>,
    /// Peers that did not answer in time: they are asked where nobody else can be.
    late: BTreeSet<PeerKey>,
    trees: BTreeMap<Hash, Tree>,
}

#[derive(Debug)]
struct Gathering {
    shape: TreeShape,
    files: Vec<usize>,
    layer: Vec<Option<Hash>>,
}

impl Gathering {
    /// The request for the hashes from `index` on, with the proof up to the root.
    fn request(&self, index: u32) -> HashRequest {
        let width = self.shape.width(self.shape.piece_layer);
        let length = u32::try_from(width).unwrap_or(HASHES_MAX).min(HASHES_MAX);
        HashRequest::to_root(&self.shape, self.shape.piece_layer, index, length)
    }
}

impl Hashes {
    /// Begins to gather the piece layers that are missing. Whether there is any.
    pub(super) fn begin(&mut self, content: &Content) -> bool {
        let layout = content.info().layout();
        let layers = content.layers();
        for index in layers.missing(layout) {
            let Some(file) = layout.files().get(index) else { continue };
            let Some(root) = file.pieces_root else { continue };
            let shape = TreeShape::new(file.length, layout.piece_length());
            let count = usize::try_from(shape.nodes(shape.piece_layer)).unwrap_or(usize::MAX);
            let made = || Gathering { shape, files: Vec::new(), layer: vec![None; count] };
            self.gathering.entry(root).or_insert_with(made).files.push(index);
        }
        !self.gathering.is_empty()
    }

    /// Whether piece layers are missing.
    pub(super) fn are_missing(&self) -> bool {
        !self.gathering.is_empty()
    }

    /// Asks peers for what is missing and not on its way.
    pub(super) fn ask(&mut self, now: Instant, peers: &BTreeMap<u32, Entry>) {
        self.asked.retain(|_, (key, until)| {
            let waits = now < *until;
            if !waits && peers.contains_key(&key.0) {
                self.late.insert(*key);
            }
            waits
        });
        self.refusing.retain(|_, until| now < *until);
        let mut room: BTreeMap<PeerKey, usize> = peers
            .keys()
            .map(|key| (PeerKey(*key), REQUESTS_PER_PEER_MAX))
            .filter(|(key, _)| !self.refusing.contains_key(key))
            .collect();
        for (key, _) in self.asked.values() {
            if let Some(room) = room.get_mut(key) {
                *room = room.saturating_sub(1);
            }
        }
        for (root, gathering) in &self.gathering {
            let step = gathering.request(0).length.max(1) as usize;
            for first in (0..gathering.layer.len()).step_by(step) {
                let index = u32::try_from(first).unwrap_or(u32::MAX);
                let here = gathering.layer.get(first).is_some_and(Option::is_some);
                if here || self.asked.contains_key(&(*root, index)) {
                    continue;
                }
                let Some(key) = choose(&mut room, &self.late) else { return };
                let Some(entry) = peers.get(&key.0) else { continue };
                self.asked.insert((*root, index), (key, now + PATIENCE));
                let request = gathering.request(index);
                entry.link.send(&Message::HashRequest(range_of(root, &request)));
            }
        }
    }

    /// Hashes came. Whether all piece layers are here now.
    ///
    /// # Errors
    /// When they are not those of the tree.
    pub(super) fn handle_hashes(
        &mut self,
        key: PeerKey,
        said: &HashRange,
        octets: &[u8],
        content: &Content,
    ) -> Result<bool, Ended> {
        let root = said.pieces_root;
        if self.asked.get(&(root, said.index)).is_none_or(|(asked, _)| *asked != key) {
            // Too late, or never asked for.
            return Ok(false);
        }
        self.asked.remove(&(root, said.index));
        self.late.remove(&key);
        let Some(gathering) = self.gathering.get_mut(&root) else { return Ok(false) };
        let request = gathering.request(said.index);
        if *said != range_of(&root, &request) {
            return Err(Ended::Broke("hashes that were not asked for".to_owned()));
        }
        let (hashes, _) = octets.as_chunks::<32>();
        let proven = request.verify(&gathering.shape, &root, hashes);
        let proven = proven.map_err(|error| Ended::Broke(error.to_string()))?;
        let places = gathering.layer.iter_mut().skip(said.index as usize);
        for (place, hash) in places.zip(proven) {
            *place = Some(*hash);
        }
        let Some(layer) = gathering.layer.iter().copied().collect::<Option<Vec<Hash>>>() else {
            return Ok(false);
        };
        let layout = content.info().layout();
        for file in &gathering.files {
            let inserted = content.layers().insert(layout, *file, layer.clone());
            inserted.map_err(|fault| Ended::Broke(format!("a piece layer: {fault}")))?;
        }
        self.gathering.remove(&root);
        Ok(self.gathering.is_empty())
    }

    /// A peer has no hashes to give.
    pub(super) fn handle_reject(&mut self, now: Instant, key: PeerKey, said: &HashRange) {
        self.asked.remove(&(said.pieces_root, said.index));
        self.refusing.insert(key, now + PATIENCE);
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, key: PeerKey) {
        self.asked.retain(|_, (asked, _)| *asked != key);
        self.refusing.remove(&key);
        self.late.remove(&key);
    }

    /// The answer to a peer's request; `None` where it cannot be given: only piece
    /// layers and what is above them are kept.
    pub(super) fn answer(&mut self, content: &Content, asked: &HashRange) -> Option<Vec<u8>> {
        let tree = self.tree(content, asked.pieces_root)?;
        Some(request_of(asked).answer(tree).ok()?.concat())
    }

    /// The same of what lies below the piece layer.
    pub(super) fn answer_below(
        &mut self,
        content: &Content,
        asked: &HashRange,
        below: &Below,
    ) -> Option<Vec<u8>> {
        let tree = self.tree(content, asked.pieces_root);
        Some(below.answer(&request_of(asked), tree)?.concat())
    }

    /// The tree of a file from its piece layer up; `None` for a file that has none.
    fn tree(&mut self, content: &Content, root: Hash) -> Option<&Tree> {
        if !self.trees.contains_key(&root) {
            let layout = content.info().layout();
            let file = layout.files().iter().find(|file| file.pieces_root == Some(root))?;
            let shape = TreeShape::new(file.length, layout.piece_length());
            let layer = content.layers().get(&root)?.to_vec();
            let tree = Tree::new(shape, shape.piece_layer, layer)?;
            while self.trees.len() >= TREES_MAX {
                self.trees.pop_first();
            }
            self.trees.insert(root, tree);
        }
        self.trees.get(&root)
    }
}

/// Who is asked next: whoever answers in time and has the most room, of which a
/// request takes some.
fn choose(room: &mut BTreeMap<PeerKey, usize>, late: &BTreeSet<PeerKey>) -> Option<PeerKey> {
    let with_room = room.iter_mut().filter(|(_, room)| **room > 0);
    let (key, room) = with_room.max_by_key(|(key, room)| (!late.contains(key), **room))?;
    *room -= 1;
    Some(*key)
}

/// What is said to ask for hashes of the tree with this root.
pub(super) fn range_of(root: &Hash, request: &HashRequest) -> HashRange {
    let HashRequest { base_layer, index, length, proof_layers } = *request;
    HashRange { pieces_root: *root, base_layer, index, length, proof_layers }
}

/// What is asked for, without the root.
pub(super) fn request_of(range: &HashRange) -> HashRequest {
    let HashRange { base_layer, index, length, proof_layers, .. } = *range;
    HashRequest { base_layer, index, length, proof_layers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_answer_is_asked_last() {
        let [one, other] = [PeerKey(1), PeerKey(2)];
        let mut room = BTreeMap::from([(one, 2), (other, 2)]);
        let silent = choose(&mut room, &BTreeSet::new()).expect("a peer");
        let late = BTreeSet::from([silent]);
        room.insert(silent, 2);
        let asked: Vec<_> = std::iter::from_fn(|| choose(&mut room, &late)).collect();
        let honest = if silent == one { other } else { one };
        assert_eq!(asked, [honest, honest, silent, silent]);
    }
}
