//! `cargo xtask tidy`: checks what the compiler cannot. Each finding names the
//! place and what to do.

mod floors;
mod manifest;
mod sources;
mod standards;

use crate::root;
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn run() -> Result<(), String> {
    let root = root();
    let mut findings = floors::check(&root)?;
    findings.extend(manifest::check(&read(&root.join("Cargo.toml"))?));
    let mut citations = standards::Citations::new();
    for file in files(&root, "rs")? {
        let place = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        let text = read(&file)?;
        findings.extend(sources::check(&place, &text));
        if place.starts_with("crates/") {
            standards::cite(&place, &text, &mut citations);
        }
    }
    let tables = read(&root.join("docs/standards.md"))?;
    findings.extend(standards::check(&tables, &citations, |path| read(&root.join(path)).ok()));
    for file in files(&root.join("crates"), "toml")? {
        let place = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        findings.extend(manifest::check_member(&place, &read(&file)?));
    }
    if findings.is_empty() {
        println!("tidy");
        return Ok(());
    }
    Err(format!("{} untidy:\n  {}", findings.len(), findings.join("\n  ")))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// All files with this ending below `folder`, build output and corpora aside.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if !["target", ".git", "corpus", "utopia-data"].iter().any(|skipped| name == *skipped) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|have| have == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
