//! Tests of metainfo as a whole.

mod assembly;
mod bounds;
mod hostile;
mod layout;
mod magnet;
mod reading;
mod verify;

use super::create::{CreateOptions, Creator, FileSpec};
use super::{Limits, Metainfo, MetainfoError, Version};
use crate::bencode::Item;
use std::collections::BTreeMap;

/// Octets of a block, for sums.
pub(super) const BLOCK: u64 = 16 * 1024;

/// Octets that differ from piece to piece.
pub(super) fn content(file: usize, length: u64) -> Vec<u8> {
    (0..length).map(|at| (at / 64 * 7 + at % 251 + file as u64 * 31) as u8).collect()
}

/// The files of a torrent to be made.
pub(super) fn specs(files: &[(&str, u64)]) -> Vec<FileSpec> {
    let spec = |(path, length): &(&str, u64)| FileSpec {
        path: path.split('/').filter(|component| !component.is_empty()).map(Into::into).collect(),
        length: *length,
        ..FileSpec::default()
    };
    files.iter().map(spec).collect()
}

/// A torrent of files with [`content`].
pub(super) fn made(files: &[(&str, u64)], version: Version, piece_length: u32) -> Metainfo {
    let options =
        CreateOptions { version, piece_length: Some(piece_length), ..CreateOptions::new("torrent") };
    let mut creator = Creator::new(specs(files), options).expect("a creator");
    let order: Vec<_> = creator.order().collect();
    for index in order {
        creator.update(&content(index, files[index].1)).expect("room");
    }
    creator.finish().expect("a torrent")
}

/// A dictionary to be changed.
pub(super) type Entries = BTreeMap<Vec<u8>, Item>;

pub(super) fn entries<'k>(entries: impl IntoIterator<Item = (&'k str, Item)>) -> Entries {
    entries.into_iter().map(|(key, item)| (key.as_bytes().to_vec(), item)).collect()
}

pub(super) fn strings(strings: &[&str]) -> Item {
    Item::List(strings.iter().map(|string| (*string).into()).collect())
}

/// An entry of a v1 torrent's list.
pub(super) fn file(path: &[&str], length: i64) -> Item {
    Item::dictionary([("length", length.into()), ("path", strings(path))])
}

/// The info dictionary of a v1 torrent of one file of 20,000 octets.
pub(super) fn single_v1() -> Entries {
    entries([
        ("length", 20_000.into()),
        ("name", "name".into()),
        ("piece length", 16_384.into()),
        ("pieces", vec![7; 40].into()),
    ])
}

/// The info dictionary of a v1 torrent of these files, of 16,384 octets at most.
pub(super) fn multi_v1(files: Vec<Item>) -> Entries {
    entries([
        ("files", Item::List(files)),
        ("name", "name".into()),
        ("piece length", 16_384.into()),
        ("pieces", vec![7; 20].into()),
    ])
}

/// The node of a file in a file tree.
pub(super) fn leaf(length: i64, root: u8) -> Item {
    Item::dictionary([(
        "",
        Item::dictionary([("length", length.into()), ("pieces root", vec![root; 32].into())]),
    )])
}

/// The info dictionary of a v2 torrent.
pub(super) fn v2(tree: Item) -> Entries {
    entries([
        ("file tree", tree),
        ("meta version", 2.into()),
        ("name", "name".into()),
        ("piece length", 16_384.into()),
    ])
}

/// The octets of a metainfo with this info dictionary and more.
pub(super) fn document<'k>(info: &Entries, more: impl IntoIterator<Item = (&'k str, Item)>) -> Vec<u8> {
    let mut document = entries(more);
    document.insert(b"info".to_vec(), Item::Dictionary(info.clone()));
    Item::Dictionary(document).encode()
}

/// Reads a metainfo that has an info dictionary alone.
pub(super) fn parse(info: &Entries) -> Result<Metainfo, MetainfoError> {
    parse_within(info, &Limits::DEFAULT)
}

pub(super) fn parse_within(info: &Entries, limits: &Limits) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse(&document(info, []), limits)
}
