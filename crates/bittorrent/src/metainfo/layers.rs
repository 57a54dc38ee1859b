//! The piece layers of v2 torrents: the hashes of the pieces of each file that
//! has more than one (BEP 52).

use super::error::{Fault, MetainfoError};
use super::layout::{File, Layout};
use super::merkle::{Hash, TreeShape};
use crate::bencode::{Dictionary, Item};
use std::collections::BTreeMap;

/// The piece layers that are known. They are no part of the info dictionary: a
/// download from a magnet link asks peers for them. Files with the same content
/// share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PieceLayers {
    layers: BTreeMap<Hash, Vec<Hash>>,
}

impl PieceLayers {
    /// None is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the dictionary `piece layers` and verifies each against its root. Files
    /// may lack theirs.
    pub(super) fn read(layers: &Dictionary<'_>, layout: &Layout) -> Result<Self, MetainfoError> {
        let mut read = Self::new();
        let wanted = wanted(layout);
        for (index, (key, value)) in layers.entries().iter().enumerate() {
            let layer = || -> Result<(Hash, Vec<Hash>), Fault> {
                let root = Hash::try_from(*key).map_err(|_| Fault::UnknownLayer)?;
                let octets = value.bytes().ok_or(Fault::Kind("string"))?;
                let (hashes, rest) = octets.as_chunks::<32>();
                if !rest.is_empty() {
                    return Err(Fault::LayerLength);
                }
                check(wanted.get(&root).ok_or(Fault::UnknownLayer)?, &root, hashes)?;
                Ok((root, hashes.to_vec()))
            };
            let (root, hashes) = layer().map_err(|fault| fault.at(&format!("piece layers[{index}]")))?;
            read.layers.insert(root, hashes);
        }
        Ok(read)
    }

    /// Takes the piece layer of a file, padding left out.
    ///
    /// # Errors
    /// When the file has not more than one piece, or the layer does not hash to its
    /// root.
    pub fn insert(&mut self, layout: &Layout, file: usize, hashes: Vec<Hash>) -> Result<(), Fault> {
        let file = layout.files().get(file).ok_or(Fault::UnknownLayer)?;
        let (shape, root) = shape(file, layout).zip(file.pieces_root).ok_or(Fault::UnknownLayer)?;
        check(&[shape], &root, &hashes)?;
        self.layers.insert(root, hashes);
        Ok(())
    }

    /// The piece layer of the file with this root.
    pub fn get(&self, root: &Hash) -> Option<&[Hash]> {
        self.layers.get(root).map(Vec::as_slice)
    }

    /// The files whose piece layer is needed and not known.
    pub fn missing<'s>(&'s self, layout: &'s Layout) -> impl Iterator<Item = usize> + 's {
        let files = layout.files().iter().enumerate();
        let missing = files.filter(|(_, file)| {
            shape(file, layout).is_some()
                && file.pieces_root.is_some_and(|root| !self.layers.contains_key(&root))
        });
        missing.map(|(index, _)| index)
    }

    /// The hash of a piece and the layer of the tree at which it stands; nothing
    /// for v1 torrents and where the piece layer is not known.
    pub fn piece_hash(&self, layout: &Layout, piece: u32) -> Option<(Hash, u32)> {
        let (file, index) = layout.merkle_file(piece)?;
        let root = file.pieces_root?;
        let whole = TreeShape::new(file.length, layout.piece_length());
        if file.length <= layout.piece_length().into() {
            return Some((root, whole.height()));
        }
        Some((*self.layers.get(&root)?.get(index as usize)?, whole.piece_layer))
    }

    /// As a dictionary to be written.
    pub(super) fn item(&self) -> Item {
        let layer = |(root, hashes): (&Hash, &Vec<Hash>)| (root.to_vec(), Item::Bytes(hashes.concat()));
        Item::Dictionary(self.layers.iter().map(layer).collect())
    }
}

/// The shape of a file's tree if it has a piece layer: more than one piece.
fn shape(file: &File, layout: &Layout) -> Option<TreeShape> {
    let has = file.pieces_root.is_some() && file.length > layout.piece_length().into();
    has.then(|| TreeShape::new(file.length, layout.piece_length()))
}

/// By root, the shapes of the files that have a piece layer.
fn wanted(layout: &Layout) -> BTreeMap<Hash, Vec<TreeShape>> {
    let mut wanted: BTreeMap<Hash, Vec<TreeShape>> = BTreeMap::new();
    for file in layout.files() {
        if let (Some(root), Some(shape)) = (file.pieces_root, shape(file, layout)) {
            let shapes = wanted.entry(root).or_default();
            // Of a thousand equal files one is looked at.
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
    }
    wanted
}

fn check(shapes: &[TreeShape], root: &Hash, hashes: &[Hash]) -> Result<(), Fault> {
    let first = shapes.first().ok_or(Fault::UnknownLayer)?;
    if shapes.iter().any(|shape| shape.nodes(shape.piece_layer) != hashes.len() as u64) {
        return Err(Fault::LayerLength);
    }
    // As many pieces of the same length: one tree.
    if first.fits(hashes, root) { Ok(()) } else { Err(Fault::LayerHash) }
}
