//! One name for one file: what to do where two files have the same.

use super::draft::Draft;
use super::error::Fault;
use super::limits::{LetterCase, Limits};
use std::collections::BTreeSet;

/// Gives another name to every file whose path is taken by an earlier file or by
/// a folder: `name.ext` becomes `name.1.ext`. Padding files are never made, so
/// theirs do not matter.
///
/// # Errors
/// When more than `renames_max` names had to be tried in vain.
pub(super) fn settle(drafts: &mut [Draft], limits: &Limits) -> Result<(), Fault> {
    let mut taken = BTreeSet::new();
    for draft in drafts.iter().filter(|draft| !draft.padding) {
        for end in 1..draft.path.len() {
            let folder = key(draft.path.get(..end).unwrap_or_default(), limits);
            if !taken.contains(&folder) {
                taken.insert(folder);
            }
        }
    }
    let mut vain = 0;
    for draft in drafts.iter_mut().filter(|draft| !draft.padding) {
        if taken.insert(key(&draft.path, limits)) {
            continue;
        }
        let raw = draft.path.iter().map(|component| component.as_bytes().to_vec()).collect();
        draft.raw_path.get_or_insert(raw);
        let Some(last) = draft.path.last().cloned() else { continue };
        let mut number = 1usize;
        loop {
            if let Some(name) = draft.path.last_mut() {
                *name = numbered(&last, number);
            }
            if taken.insert(key(&draft.path, limits)) {
                break;
            }
            number += 1;
            vain += 1;
            if vain > limits.renames_max {
                return Err(Fault::Names);
            }
        }
    }
    Ok(())
}

fn key(path: &[String], limits: &Limits) -> String {
    let path = path.join("/");
    match limits.letter_case {
        LetterCase::Distinct => path,
        LetterCase::Same => path.to_lowercase(),
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
        let names = settled(&["a/b.txt", "a/b.txt", "a/b.1.txt", "a/b.txt", ".hidden", ".hidden"], &Limits::DEFAULT);
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
