//! The floors of the house: a crate depends only on floors below its own, and
//! floor 1 depends on no asynchronous runtime.

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Crates that bring a runtime, a socket or a clock of their own.
const RUNTIMES: &[&str] = &["tokio", "async-std", "smol", "async-io", "mio", "socket2", "hyper", "rustls"];
/// From this floor up (tests, benches, chores) everything may be used.
const OUTSIDE: u64 = 8;

pub(super) fn check(root: &Path) -> Result<Vec<String>, String> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .exec()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let mut floors = BTreeMap::new();
    let mut findings = Vec::new();
    for package in metadata.workspace_packages() {
        match package.metadata["utopia"]["floor"].as_u64() {
            Some(floor) => {
                floors.insert(package.name.to_string(), floor);
            }
            None => {
                findings.push(format!("{}: add [package.metadata.utopia] floor = N", package.manifest_path));
            }
        }
    }
    for package in metadata.workspace_packages() {
        let Some(&floor) = floors.get(package.name.as_str()) else { continue };
        let below: Vec<_> = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.kind == DependencyKind::Normal)
            .filter_map(|dependency| Some((dependency.name.as_str(), *floors.get(dependency.name.as_str())?)))
            .collect();
        findings.extend(arrows(&package.name, floor, &below));
        if floor <= 1 {
            findings.extend(runtimes(&metadata, &package.name, &package.id));
        }
    }
    Ok(findings)
}

/// Dependencies that do not point to a lower floor.
fn arrows(name: &str, floor: u64, dependencies: &[(&str, u64)]) -> Vec<String> {
    dependencies
        .iter()
        .filter(|(_, below)| *below >= floor && floor < OUTSIDE)
        .map(|(dependency, below)| {
            format!(
                "{name} (floor {floor}) depends on {dependency} (floor {below}): arrows run downward only"
            )
        })
        .collect()
}

/// Runtimes that a crate of the lowest floors pulls in, however indirectly.
fn runtimes(metadata: &Metadata, name: &str, id: &PackageId) -> Vec<String> {
    let Some(resolve) = &metadata.resolve else { return Vec::new() };
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::new();
    let mut waiting = vec![id];
    while let Some(id) = waiting.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        waiting.extend(node.deps.iter().filter_map(|dependency| {
            let normal = dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            normal.then_some(&dependency.pkg)
        }));
    }
    seen.iter()
        .filter_map(|id| metadata.packages.iter().find(|package| &&package.id == id))
        .filter(|package| RUNTIMES.contains(&package.name.as_str()))
        .map(|package| {
            format!(
                "{name} (rules only) pulls in {}: floor 1 takes bytes and time as arguments",
                package.name
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_that_do_not_run_downward_are_found() {
        assert!(arrows("utopia-host", 5, &[("utopia-net", 2), ("utopia-web", 4)]).is_empty());
        assert_eq!(arrows("utopia-dns-server", 3, &[("utopia-mail-server", 3)]).len(), 1);
        assert_eq!(arrows("utopia-dns", 1, &[("utopia-net", 2)]).len(), 1);
        assert!(arrows("xtask", OUTSIDE, &[("utopia-lab", 6)]).is_empty());
    }

    #[test]
    fn a_crate_with_a_runtime_is_found() {
        let root = crate::root();
        let metadata =
            MetadataCommand::new().manifest_path(root.join("Cargo.toml")).exec().expect("metadata");
        let find =
            |name: &str| metadata.packages.iter().find(|package| package.name == name).expect("a package");
        let net = find("utopia-net");
        assert!(runtimes(&metadata, &net.name, &net.id).iter().any(|finding| finding.contains("tokio")));
        let dns = find("utopia-dns");
        assert_eq!(runtimes(&metadata, &dns.name, &dns.id), Vec::<String>::new());
    }
}
