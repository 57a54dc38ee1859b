//! Writing the info dictionary.

use super::super::merkle::Hash;
use super::hashing::Hashes;
use super::plan::{CreateOptions, FileSpec, Plan};
use crate::bencode::Item;
use std::collections::BTreeMap;

/// The octets of the info dictionary.
pub(super) fn info(plan: &Plan, options: &CreateOptions, hashes: &Hashes) -> Vec<u8> {
    let mut entries = vec![
        ("name", options.name.as_str().into()),
        ("piece length", Item::Integer(plan.piece_length.into())),
    ];
    if plan.version.has_v1() {
        entries.push(("pieces", hashes.v1.as_slice().into()));
        entries.extend(v1_files(plan));
    }
    if plan.version.has_v2() {
        entries.push(("meta version", Item::Integer(2)));
        entries.push(("file tree", file_tree(plan, options, hashes)));
    }
    if options.private {
        entries.push(("private", Item::Integer(1)));
    }
    if let Some(source) = &options.source {
        entries.push(("source", source.as_str().into()));
    }
    Item::dictionary(entries).encode()
}

fn v1_files(plan: &Plan) -> Vec<(&'static str, Item)> {
    if let ([only], true) = (plan.files.as_slice(), plan.single) {
        return properties(&only.spec);
    }
    let mut list = Vec::new();
    for file in &plan.files {
        let mut entries = properties(&file.spec);
        entries.push(("path", path(&file.spec.path)));
        list.push(Item::dictionary(entries));
        if file.padding > 0 {
            let name = file.padding.to_string();
            list.push(Item::dictionary([
                ("attr", "p".into()),
                ("length", Item::Integer(file.padding.into())),
                ("path", Item::List(vec![".pad".into(), name.as_str().into()])),
            ]));
        }
    }
    vec![("files", Item::List(list))]
}

/// Length and attributes (BEP 47), as both versions write them.
fn properties(file: &FileSpec) -> Vec<(&'static str, Item)> {
    let mut entries = vec![("length", Item::Integer(i64::try_from(file.length).unwrap_or(i64::MAX)))];
    let mut letters = String::new();
    letters.extend(file.hidden.then_some('h'));
    letters.extend(file.symlink.is_some().then_some('l'));
    letters.extend(file.executable.then_some('x'));
    if !letters.is_empty() {
        entries.push(("attr", letters.as_str().into()));
    }
    if let Some(target) = &file.symlink {
        entries.push(("symlink path", path(target)));
    }
    entries
}

fn path(components: &[String]) -> Item {
    Item::List(components.iter().map(|component| component.as_str().into()).collect())
}

fn file_tree(plan: &Plan, options: &CreateOptions, hashes: &Hashes) -> Item {
    let mut tree = BTreeMap::new();
    let mut roots = hashes.files.iter().map(|file| file.root);
    let name = [options.name.clone()];
    for file in &plan.files {
        let root = if file.spec.length > 0 { roots.next() } else { None };
        let path = if plan.single { &name } else { file.spec.path.as_slice() };
        plant(&mut tree, path, &file.spec, root);
    }
    Item::Dictionary(tree)
}

fn plant(tree: &mut BTreeMap<Vec<u8>, Item>, path: &[String], file: &FileSpec, root: Option<Hash>) {
    let Some((first, rest)) = path.split_first() else {
        let mut entries = properties(file);
        entries.extend(root.map(|root| ("pieces root", root.as_slice().into())));
        tree.insert(Vec::new(), Item::dictionary(entries));
        return;
    };
    let node = tree.entry(first.as_bytes().to_vec()).or_insert_with(|| Item::Dictionary(BTreeMap::new()));
    if let Item::Dictionary(inner) = node {
        plant(inner, rest, file, root);
    }
}
