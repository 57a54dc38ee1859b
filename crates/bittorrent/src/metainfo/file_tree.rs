//! The files of a v2 torrent: a tree of dictionaries (BEP 52).

use super::draft::{Draft, check_count};
use super::error::{Fault, MetainfoError, Within};
use super::limits::Limits;
use super::path::safe_component;
use crate::bencode::{Dictionary, Value};

/// The files of the tree, in its order. `single` says whether it is the tree of
/// a single-file torrent: one file at its root.
pub(super) struct FileTree {
    pub(super) drafts: Vec<Draft>,
    pub(super) single: bool,
}

/// Reads the tree.
pub(super) fn read(tree: &Dictionary<'_>, limits: &Limits) -> Result<FileTree, MetainfoError> {
    let mut drafts = Vec::new();
    folder(tree, &mut Vec::new(), &mut drafts, limits).within("file tree")?;
    let single = matches!(tree.entries(), [(_, only)] if properties(only).is_some());
    Ok(FileTree { drafts, single })
}

/// What a node says of its file, where it is one: it has an empty key alone.
fn properties<'n, 'a>(node: &'n Value<'a>) -> Option<&'n Value<'a>> {
    match node.dictionary()?.entries() {
        [(b"", properties)] => Some(properties),
        _ => None,
    }
}

fn folder<'a>(
    tree: &Dictionary<'a>,
    path: &mut Vec<&'a [u8]>,
    drafts: &mut Vec<Draft>,
    limits: &Limits,
) -> Result<(), MetainfoError> {
    // One level of the stack for each component: the depth is bounded here.
    if path.len() >= limits.path_components_max {
        return Err(Fault::TooMuch(limits.path_components_max as u64).into());
    }
    for (name, node) in tree.entries() {
        let place = || safe_component(name);
        if name.is_empty() {
            return Err(Fault::EmptyName.into());
        }
        path.push(name);
        if let Some(properties) = properties(node) {
            check_count(drafts.len(), limits)?;
            drafts.push(file(properties, path, limits).map_err(|error| error.within(&place()))?);
        } else {
            let inner = node.dictionary().ok_or_else(|| Fault::Kind("dictionary").at(&place()))?;
            folder(inner, path, drafts, limits).map_err(|error| error.within(&place()))?;
        }
        path.pop();
    }
    Ok(())
}

fn file(properties: &Value<'_>, path: &[&[u8]], limits: &Limits) -> Result<Draft, MetainfoError> {
    let entry = properties.dictionary().ok_or(Fault::Kind("dictionary"))?;
    let mut draft = Draft::read(entry, path, limits)?;
    if draft.padding {
        return Err(Fault::Padding.into());
    }
    if draft.length > 0 {
        let root = entry.bytes(b"pieces root").and_then(|root| <[u8; 32]>::try_from(root).ok());
        draft.pieces_root = root.filter(|root| *root != [0; 32]);
        if draft.pieces_root.is_none() {
            return Err(Fault::PiecesRoot.at("pieces root"));
        }
    }
    Ok(draft)
}
