//! Hybrid torrents: the part for v1 and the part for v2 must be the same files
//! (BEP 52, "upgrade path").

use super::draft::Draft;
use super::error::Fault;
use super::file_tree::FileTree;
use std::collections::BTreeSet;

/// Checks that the files of v1 are those of the tree at the same places, and
/// gives them the roots of theirs.
///
/// Empty files may come in another order, since they are in no piece. Attributes
/// may differ. Behind the last file there may be padding or not: both are in use.
pub(super) fn join(
    drafts: &mut [Draft],
    folder: bool,
    tree: &FileTree,
    piece_length: u32,
) -> Result<(), Fault> {
    let piece = u64::from(piece_length);
    if !folder && !tree.single {
        return Err(Fault::Hybrid);
    }
    let mut theirs = tree.drafts.iter().filter(|draft| draft.has_content());
    let (mut end_v1, mut end_v2) = (0u64, 0u64);
    for draft in drafts.iter_mut() {
        // Sums of numbers of at most 2^44: they are stopped long before they overflow.
        let begin = end_v1;
        end_v1 = end_v1.checked_add(draft.length).ok_or(Fault::Hybrid)?;
        if !draft.has_content() {
            continue;
        }
        let their = theirs.next().ok_or(Fault::Hybrid)?;
        end_v2 = end_v2.next_multiple_of(piece);
        if their.path != draft.path || their.length != draft.length || begin != end_v2 {
            return Err(Fault::Hybrid);
        }
        end_v2 = end_v2.checked_add(their.length).ok_or(Fault::Hybrid)?;
        draft.pieces_root = their.pieces_root;
    }
    if theirs.next().is_some() || end_v1 > end_v2.next_multiple_of(piece) {
        return Err(Fault::Hybrid);
    }
    let empty = |drafts: &[Draft]| -> BTreeSet<Vec<String>> {
        let empty = drafts.iter().filter(|draft| draft.length == 0 && !draft.padding);
        empty.map(|draft| draft.path.clone()).collect()
    };
    if empty(drafts) == empty(&tree.drafts) { Ok(()) } else { Err(Fault::Hybrid) }
}
