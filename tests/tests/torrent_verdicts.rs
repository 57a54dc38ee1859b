//! Which torrents are good and which are malformed: our verdicts beside
//! libtorrent's. docs/torrent-verdicts.md explains where they differ.

use bittorrent::metainfo::{Fault, Limits, Metainfo, MetainfoError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};
use tests::{pypi, skip};

/// Of our own torrents, those that libtorrent takes and we refuse.
const TAKEN_BY_LIBTORRENT: [&str; 2] = ["integer-leading-zero", "octets-behind-the-end"];

/// Of libtorrent's, those that both refuse, but each for another of their faults.
const OTHER_REASON: [&str; 5] = [
    "bad_name.torrent",
    "v2_empty_filename.torrent",
    "v2_large_file.torrent",
    "zero.torrent",
    "zero2.torrent",
];

/// Torrents that its table does not list: what its other tests expect of them.
const UNLISTED: [(&str, bool); 4] = [
    ("sample.torrent", true),
    ("v2_empty_file.torrent", true),
    ("v2_hybrid-missing-tailpad.torrent", true),
    ("v2_invalid_root_hash.torrent", false),
];

/// Says of each file whether libtorrent takes it.
const READER: &str = r#"
import sys, libtorrent as lt
for file in sys.argv[1:]:
    try:
        lt.load_torrent_file(file)
        print("taken")
    except Exception as error:
        print("refused", error)
"#;

fn read(file: &Path) -> Result<Metainfo, MetainfoError> {
    Metainfo::parse(&fs::read(file).expect("a file"), &Limits::DEFAULT)
}

fn torrents(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "torrent"));
    files.sort();
    files
}

fn name(file: &Path) -> String {
    file.file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn libtorrent_says_the_same_of_our_torrents() {
    let Some(python) = pypi::python("libtorrent") else { return };
    let files = torrents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/bittorrent/tests/torrents"));
    let output = Command::new(python).args(["-c", READER]).args(&files).output().expect("python runs");
    let theirs = String::from_utf8(output.stdout).expect("text");
    assert_eq!(theirs.lines().count(), files.len(), "{}", String::from_utf8_lossy(&output.stderr));
    for (file, theirs) in files.iter().zip(theirs.lines()) {
        let ours = read(file);
        let differs = ours.is_ok() != (theirs == "taken");
        let may = TAKEN_BY_LIBTORRENT.iter().any(|name| file.ends_with(format!("{name}.torrent")));
        assert_eq!(differs, may, "{}: ours {ours:?}, theirs {theirs}", file.display());
    }
}

/// The files named in a table of its `test_torrent_info.cpp`, with the error that
/// follows the name.
fn table(source: &str, begins: &str, ends: &str) -> BTreeMap<String, String> {
    let begin = source.find(begins).expect("the table's begin");
    let table = &source[begin..];
    let table = &table[..table.find(ends).expect("the table's end")];
    let entries = table.split("{\"").flat_map(|part| part.split("{ \"")).filter_map(|entry| {
        let (name, rest) = entry.split_once('"')?;
        let error = rest.trim_start_matches([',', ' ']);
        let end = error.find(|letter: char| !letter.is_ascii_alphanumeric() && !"_:".contains(letter))?;
        name.ends_with(".torrent").then(|| (name.to_owned(), error[..end].to_owned()))
    });
    entries.collect()
}

/// Whether our reason is what libtorrent calls so.
fn is_reason(error: &MetainfoError, theirs: &str) -> bool {
    let MetainfoError { place, fault } = error;
    let at = |end: &str| place.ends_with(end);
    match theirs {
        "errors::torrent_missing_piece_length" => at("piece length"),
        "errors::torrent_missing_name" => at("name") || at("path"),
        "errors::torrent_invalid_name" => place.contains("path["),
        "errors::torrent_missing_info" => at("info"),
        "errors::torrent_is_no_dict" => place.is_empty() && *fault == Fault::Kind("dictionary"),
        "errors::torrent_invalid_length" => at("length"),
        "errors::torrent_missing_pieces" => at("pieces"),
        "errors::torrent_invalid_hashes" => matches!(fault, Fault::PieceHashes { .. }),
        "errors::too_many_pieces_in_torrent" => at("pieces") && matches!(fault, Fault::TooMuch(_)),
        "errors::no_files_in_torrent" => *fault == Fault::NoContent,
        "errors::torrent_inconsistent_files" => *fault == Fault::Hybrid,
        "errors::torrent_file_parse_failed" => place.contains("file tree"),
        "errors::torrent_invalid_piece_layer" => place.starts_with("piece layers"),
        "errors::torrent_missing_pieces_root" => *fault == Fault::PiecesRoot,
        "errors::torrent_invalid_pad_file" => *fault == Fault::Padding,
        "errors::too_many_duplicate_filenames" => *fault == Fault::Names,
        "errors::invalid_bencoding" | "bdecode_errors::depth_exceeded" => {
            matches!(fault, Fault::Bencoding(_))
        }
        _ => false,
    }
}

#[test]
fn libtorrents_own_torrents_get_its_verdicts() {
    let Some(checkout) = env::var_os("UTOPIA_LIBTORRENT") else {
        return skip("UTOPIA_LIBTORRENT does not name a checkout of libtorrent's sources");
    };
    let folder = Path::new(&checkout).join("test");
    let source = fs::read_to_string(folder.join("test_torrent_info.cpp")).expect("libtorrent's tests");
    let good = table(&source, " test_torrents[]", "struct test_failing_torrent_t");
    let malformed = table(&source, "test_error_torrents[]", "} // anonymous namespace");
    assert!(good.len() >= 62 && malformed.len() >= 42, "{} and {}", good.len(), malformed.len());
    let mut wrong = Vec::new();
    for file in torrents(&folder.join("test_torrents")) {
        let (name, ours) = (name(&file), read(&file));
        let unlisted = UNLISTED.iter().find(|(unlisted, _)| *unlisted == name).map(|(_, good)| *good);
        let right = match (&ours, malformed.get(&name)) {
            (Ok(_), None) => good.contains_key(&name) || unlisted == Some(true),
            (Err(error), Some(reason)) => is_reason(error, reason) != OTHER_REASON.contains(&name.as_str()),
            (Err(_), None) => unlisted == Some(false),
            (Ok(_), Some(_)) => false,
        };
        if !right {
            let ours = ours.map_or_else(|error| error.to_string(), |_| "taken".to_owned());
            wrong.push(format!("{name}: ours {ours}; theirs {:?}", malformed.get(&name)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
