//! The page that lists the files of a torrent, where there are several.

use crate::http_file::encode_path;
use bittorrent::metainfo::{File, Layout};
use std::fmt::Write as _;

/// Files on the page at most.
const FILES_MAX: usize = 10_000;

/// The path of a file below the server's root, percent-encoded (RFC 3986).
pub(super) fn path(file: &File) -> String {
    let mut path = String::new();
    encode_path(file.path.iter().map(String::as_str), &mut path);
    path
}

/// A list of the files, as HTML.
pub(super) fn page(layout: &Layout, wanted: &[usize]) -> String {
    let title = escape(layout.name());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n<h1>{title}</h1>\n<ul>\n"
    );
    for file in wanted.iter().take(FILES_MAX).filter_map(|index| layout.files().get(*index)) {
        let name = escape(&file.path.join("/"));
        let _ = writeln!(page, "<li><a href=\"{}\">{name}</a> ({} octets)", path(file), file.length);
    }
    page.push_str("</ul>\n</html>\n");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
