//! Small torrents, a good one or a malformed one of each kind, and what is said of
//! each. `tests/tests/torrent_verdicts.rs` asks libtorrent about the same files.
//!
//! `torrents/verdicts` has a line for each file: its name, and the paths and lengths
//! of its files or why it is refused.

use bittorrent::metainfo::{FileKind, Limits, Metainfo};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What is said of a file, in a line.
fn verdict(octets: &[u8]) -> String {
    let metainfo = match Metainfo::parse(octets, &Limits::DEFAULT) {
        Ok(metainfo) => metainfo,
        Err(error) => return format!("refused: {error}"),
    };
    let files = metainfo.info.layout().files().iter().map(|file| {
        let kind = match &file.kind {
            FileKind::Symlink(target) => format!(" -> {}", target.join("/")),
            _ if file.is_padding() => " padding".to_owned(),
            _ => String::new(),
        };
        format!("{} {}{kind}", file.path.join("/"), file.length)
    });
    format!("{}: {}", metainfo.info.name(), files.collect::<Vec<_>>().join(", "))
}

#[test]
fn each_torrent_gets_its_verdict() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/torrents");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(&folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(name) = name.strip_suffix(".torrent") {
            let octets = fs::read(entry.path()).expect("a file");
            assert!(octets.len() <= 8 * 1024, "{name} is no small torrent");
            let verdict = verdict(&octets);
            assert_eq!(name.starts_with("good-"), !verdict.starts_with("refused: "), "{name}: {verdict}");
            found.insert(name.to_owned(), verdict);
        }
    }
    assert!(found.len() >= 90);
    let lines = found.iter().flat_map(|(name, verdict)| [name.as_str(), "\t", verdict.as_str(), "\n"]);
    let found: String = lines.collect();
    let expected = fs::read_to_string(folder.join("verdicts")).expect("the verdicts");
    let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert_eq!(differing, None, "what is found and what `verdicts` says");
    assert_eq!(found, expected, "a file without a verdict, or a verdict without a file");
}
