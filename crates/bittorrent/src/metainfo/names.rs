//! One name for one file: what to do where two files have the same.

use super::draft::Draft;
use super::error::Fault;
use super::limits::{LetterCase, Limits};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Gives another name to every file whose path is taken by an earlier file or by
/// a folder: `name.ext` becomes `name.1.ext`. Padding files are never made, so
/// theirs do not matter.
///
/// # Errors
/// When more than `renames_max` names had to be tried in vain.
pub(super) fn settle(drafts: &mut [Draft], limits: &Limits) -> Result<(), Fault> {
    let mut taken = Taken { nodes: vec![BTreeMap::new()], letter_case: limits.letter_case };
    let folders: Vec<_> = drafts.iter().map(|draft| taken.folder(draft)).collect();
    let mut vain = 0;
    for (draft, folder) in drafts.iter_mut().zip(folders) {
        let (Some(folder), Some(last)) = (folder, draft.path.last()) else { continue };
        if taken.take(folder, last) {
            continue;
        }
        let mut number = 1usize;
        let name = loop {
            let name = numbered(last, number);
            if taken.take(folder, &name) {
                break name;
            }
            number += 1;
            vain += 1;
            if vain > limits.renames_max {
                return Err(Fault::Names);
            }
        };
        draft.raw_path.get_or_insert_with(|| {
            draft.path.iter().map(|component| component.as_bytes().to_vec()).collect()
        });
        if let Some(last) = draft.path.last_mut() {
            *last = name;
        }
    }
    Ok(())
}

/// The names that are taken, as a tree: the memory it needs is that of the names,
/// however deep they are.
struct Taken {
    /// What is in each folder: name and node. The first is the torrent's own.
    nodes: Vec<BTreeMap<String, usize>>,
    letter_case: LetterCase,
}

impl Taken {
    /// Takes the names of the folders that a file is in; gives the innermost.
    /// Nothing for padding.
    fn folder(&mut self, draft: &Draft) -> Option<usize> {
        let (_, folders) = draft.path.split_last().filter(|_| !draft.padding)?;
        folders.iter().try_fold(0, |node, name| {
            let fresh = self.nodes.len();
            let key = self.key(name);
            let inner = *self.nodes.get_mut(node)?.entry(key).or_insert(fresh);
            if inner == fresh {
                self.nodes.push(BTreeMap::new());
            }
            Some(inner)
        })
    }

    /// Takes the name of a file in a folder; whether it was free.
    fn take(&mut self, folder: usize, name: &str) -> bool {
        let key = self.key(name);
        match self.nodes.get_mut(folder).map(|names| names.entry(key)) {
            Some(Entry::Vacant(free)) => {
                // A file is nobody's folder: it needs no node.
                free.insert(usize::MAX);
                true
            }
            _ => false,
        }
    }

    fn key(&self, name: &str) -> String {
        match self.letter_case {
            LetterCase::Distinct => name.to_owned(),
            LetterCase::Same => name.to_lowercase(),
        }
    }
}

fn numbered(name: &str, number: usize) -> String {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => format!("{stem}.{number}.{extension}"),
        _ => format!("{name}.{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(path: &str) -> Draft {
        Draft {
            path: path.split('/').map(Into::into).collect(),
            raw_path: None,
            length: 1,
            padding: path.starts_with(".pad"),
            executable: false,
            hidden: false,
            symlink: None,
            pieces_root: None,
        }
    }

    fn settled(paths: &[&str], limits: &Limits) -> Result<Vec<String>, Fault> {
        let mut drafts: Vec<_> = paths.iter().map(|path| draft(path)).collect();
        settle(&mut drafts, limits)?;
        Ok(drafts.iter().map(|draft| draft.path.join("/")).collect())
    }

    #[test]
    fn a_name_that_is_taken_gets_a_number() {
        let names =
            settled(&["a/b.txt", "a/b.txt", "a/b.1.txt", "a/b.txt", ".hidden", ".hidden"], &Limits::DEFAULT);
        let expected = ["a/b.txt", "a/b.1.txt", "a/b.1.1.txt", "a/b.2.txt", ".hidden", ".hidden.1"];
        assert_eq!(names.expect("settled"), expected);
    }

    #[test]
    fn a_file_gives_way_to_a_folder_of_its_name() {
        let names = settled(&["a", "a/b", "a/b/c"], &Limits::DEFAULT).expect("settled");
        assert_eq!(names, ["a.1", "a/b.1", "a/b/c"]);
    }

    #[test]
    fn padding_may_share_a_name() {
        assert_eq!(settled(&[".pad/7", ".pad/7"], &Limits::DEFAULT).expect("settled"), [".pad/7", ".pad/7"]);
    }

    #[test]
    fn the_case_of_letters_counts_where_the_file_system_says_so() {
        let paths = ["Ä/readme", "ä/README"];
        assert_eq!(settled(&paths, &Limits::DEFAULT).expect("settled"), paths);
        let fat = Limits { letter_case: LetterCase::Same, ..Limits::DEFAULT };
        assert_eq!(settled(&paths, &fat).expect("settled"), ["Ä/readme", "ä/README.1"]);
    }

    #[test]
    fn a_flood_of_one_name_is_refused() {
        let limits = Limits { renames_max: 10, ..Limits::DEFAULT };
        // The n-th file of a name tries n - 2 names in vain: 0 + 1 + 2 + 3 + 4 = 10.
        assert!(settled(&["x"; 6], &limits).is_ok());
        assert_eq!(settled(&["x"; 7], &limits), Err(Fault::Names));
    }
}
