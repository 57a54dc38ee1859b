//! Where symlinks lead (BEP 47): to a file or folder of the same torrent, or
//! nowhere.

use super::draft::Draft;
use std::collections::{BTreeMap, BTreeSet};

/// Symlinks that are followed to find where one leads; the same number as
/// Linux's before it says that there are too many.
const FOLLOWED_MAX: usize = 40;

/// Steps that are made in all, so that a torrent of symlinks alone is read soon:
/// the ways that are left then lead nowhere.
const STEPS_MAX: usize = 100_000;

/// For each file that is a symlink: the components below the torrent's folder of
/// what it leads to, or nothing where that is not in the torrent. The other
/// files have no entry.
pub(super) fn resolve(drafts: &[Draft]) -> BTreeMap<usize, Option<Vec<String>>> {
    let links = || {
        let links = drafts.iter().enumerate();
        links.filter_map(|(index, draft)| draft.symlink.as_ref().map(|target| (index, draft, target)))
    };
    if links().next().is_none() {
        return BTreeMap::new();
    }
    let mut known = Known { there: BTreeSet::new(), links: BTreeMap::new(), steps_left: STEPS_MAX };
    for draft in drafts.iter().filter(|draft| !draft.padding) {
        known.there.extend((1..=draft.path.len()).map_while(|end| draft.path.get(..end)));
    }
    // First those that name what is there: the ways of others lead through them.
    let mut resolved = BTreeMap::new();
    for (index, draft, target) in links() {
        let direct = ways(draft, target).find(|way| known.there.contains(way.as_slice()));
        known.links.insert(&draft.path, direct.clone().unwrap_or_else(|| target.clone()));
        resolved.insert(index, direct);
    }
    for (index, draft, target) in links() {
        let found = resolved.entry(index).or_default();
        if found.is_none() {
            *found = ways(draft, target).find(|way| known.leads_somewhere(way));
        }
    }
    resolved
}

/// What a symlink may mean: a path from the torrent's folder, as BEP 47 says, or
/// from the symlink's own, as some programs wrote it.
fn ways(draft: &Draft, target: &[String]) -> impl Iterator<Item = Vec<String>> {
    let beside = draft.path.split_last().map(|(_, folder)| [folder, target].concat());
    let ways = [Some(target.to_vec()), beside].into_iter().flatten();
    // The torrent's folder itself is no target.
    ways.filter(|way| !way.is_empty())
}

struct Known<'d> {
    /// Files, symlinks and folders.
    there: BTreeSet<&'d [String]>,
    /// What symlinks name.
    links: BTreeMap<&'d [String], Vec<String>>,
    /// Steps that may still be made.
    steps_left: usize,
}

impl Known<'_> {
    fn leads_somewhere(&mut self, way: &[String]) -> bool {
        let mut way = way.to_vec();
        for _ in 0..FOLLOWED_MAX.min(self.steps_left) {
            self.steps_left -= 1;
            if self.there.contains(way.as_slice()) {
                return true;
            }
            let link = (1..way.len()).find_map(|end| {
                let (folder, rest) = way.split_at_checked(end)?;
                Some([self.links.get(folder)?.as_slice(), rest].concat())
            });
            match link {
                Some(further) => way = further,
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(path: &str) -> Vec<String> {
        path.split('/').filter(|component| !component.is_empty()).map(Into::into).collect()
    }

    fn drafts(files: &[(&str, Option<&str>)]) -> Vec<Draft> {
        let draft = |(path, target): &(&str, Option<&str>)| Draft {
            path: components(path),
            raw_path: None,
            length: 0,
            padding: false,
            executable: false,
            hidden: false,
            symlink: target.map(components),
            pieces_root: None,
        };
        files.iter().map(draft).collect()
    }

    #[test]
    fn symlinks_lead_to_files_folders_and_through_other_symlinks() {
        let files = drafts(&[
            ("Headers", Some("Versions/Current/Headers")),
            ("Versions/A/Headers/one.h", None),
            ("Versions/Current", Some("A")),
            ("Versions/A/Headers/two.h", Some("Versions/A/Headers/one.h")),
            ("outside", Some("etc/passwd")),
            ("root", Some("")),
        ]);
        let resolved = resolve(&files);
        assert_eq!(resolved.get(&0), Some(&Some(components("Versions/Current/Headers"))));
        assert_eq!(resolved.get(&1), None);
        assert_eq!(resolved.get(&2), Some(&Some(components("Versions/A"))));
        assert_eq!(resolved.get(&3), Some(&Some(components("Versions/A/Headers/one.h"))));
        assert_eq!(resolved.get(&4), Some(&None));
        assert_eq!(resolved.get(&5), Some(&None));
    }

    #[test]
    fn symlinks_in_a_circle_lead_nowhere() {
        let files = drafts(&[("a", Some("b/x")), ("b", Some("a/y"))]);
        assert!(resolve(&files).values().all(Option::is_none));
    }

    #[test]
    fn a_chain_is_followed_to_the_bound_and_no_further() {
        let chain = |length: usize| {
            let mut files = vec![("target/file".to_owned(), None)];
            files.extend((0..length).map(|at| (format!("l{at}"), Some(format!("l{}", at + 1)))));
            files.push((format!("l{length}"), Some("target".into())));
            files.push(("start".into(), Some("l0/file".into())));
            let files: Vec<_> =
                files.iter().map(|(path, target)| (path.as_str(), target.as_deref())).collect();
            let resolved = resolve(&drafts(&files));
            resolved.get(&(files.len() - 1)).cloned().flatten()
        };
        assert!(chain(FOLLOWED_MAX - 3).is_some());
        assert!(chain(FOLLOWED_MAX).is_none());
    }

    #[test]
    fn the_steps_of_all_symlinks_are_bounded() {
        let count = STEPS_MAX / FOLLOWED_MAX;
        let mut files: Vec<_> =
            (0..count).map(|at| (format!("f/l{at}"), Some("loop/x".to_owned()))).collect();
        files.push(("loop".into(), Some("loop/y".into())));
        let there = || {
            [
                ("target/x".into(), None),
                ("late".into(), Some("way/x".into())),
                ("way".into(), Some("target".into())),
            ]
        };
        let late = |files: Vec<(String, Option<String>)>| {
            let files: Vec<_> =
                files.iter().map(|(path, target)| (path.as_str(), target.as_deref())).collect();
            resolve(&drafts(&files)).get(&(files.len() - 2)).cloned().flatten()
        };
        assert!(late([files[..2].to_vec(), there().to_vec()].concat()).is_some());
        files.extend(there());
        assert!(late(files).is_none());
    }
}
