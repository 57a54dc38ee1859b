//! Where symlinks lead (BEP 47): to a file or folder of the same torrent, or
//! nowhere.

use super::draft::Draft;
use std::collections::{BTreeMap, BTreeSet};

/// Symlinks that are followed to find where one leads; the same number as
/// Linux's before it says that there are too many.
const FOLLOWED_MAX: usize = 40;

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
    let mut known = Known { there: BTreeSet::new(), links: BTreeMap::new() };
    for draft in drafts.iter().filter(|draft| !draft.padding) {
        known.there.extend((1..=draft.path.len()).map_while(|end| draft.path.get(..end)));
    }
    for (_, draft, target) in links() {
        known.links.insert(draft.path.as_slice(), target.as_slice());
    }
    let mut resolved = BTreeMap::new();
    for (index, draft, target) in links() {
        // From the torrent's folder, as BEP 47 says; from the symlink's own, as
        // some programs wrote it.
        let beside = draft.path.split_last().map(|(_, folder)| [folder, target].concat());
        let ways = [Some(target.clone()), beside];
        let leads = ways.into_iter().flatten().find(|way| !way.is_empty() && known.leads_somewhere(way));
        resolved.insert(index, leads);
    }
    resolved
}

struct Known<'d> {
    /// Files, symlinks and folders.
    there: BTreeSet<&'d [String]>,
    /// What symlinks name.
    links: BTreeMap<&'d [String], &'d [String]>,
}

impl Known<'_> {
    fn leads_somewhere(&self, way: &[String]) -> bool {
        let mut way = way.to_vec();
        for _ in 0..FOLLOWED_MAX {
            if self.there.contains(way.as_slice()) {
                return true;
            }
            let link = (1..way.len()).find_map(|end| {
                let (folder, rest) = way.split_at_checked(end)?;
                Some([self.links.get(folder)?, rest].concat())
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
            let files: Vec<_> = files.iter().map(|(path, target)| (path.as_str(), target.as_deref())).collect();
            let resolved = resolve(&drafts(&files));
            resolved.get(&(files.len() - 1)).cloned().flatten()
        };
        assert!(chain(FOLLOWED_MAX - 3).is_some());
        assert!(chain(FOLLOWED_MAX).is_none());
    }
}
