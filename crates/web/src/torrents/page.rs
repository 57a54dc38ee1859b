//! The page of published torrents as HTML.

use super::list::{File, LeftOut, List, Reading, Torrent};
use crate::page::escape;
use bittorrent_node::octets;
use std::fmt::Write;

/// Files of one torrent that are shown; the JSON has all.
const FILES_SHOWN_MAX: usize = 1_000;

/// The page.
pub(super) fn html(list: &List) -> String {
    let mut body = String::new();
    let total: u64 = list.torrents.iter().map(|torrent| torrent.octets).sum();
    let count = list.torrents.len();
    if count > 0 {
        let _ = write!(
            body,
            "<p class=\"lead\">{count} {}, {}. Take them with any BitTorrent client by the magnet link or the \
             torrent file, or simply download them here.</p>",
            if count == 1 { "torrent" } else { "torrents" },
            octets(total)
        );
    } else if list.reading.is_empty() {
        body.push_str(
            "<p class=\"lead\">Nothing is published yet. Put a file or a folder into one of the published \
             folders, and it will be here.</p>",
        );
    }
    for reading in &list.reading {
        body.push_str(&in_the_making(reading));
    }
    let mut folder = None;
    for torrent in &list.torrents {
        if folder != Some(&torrent.folder) {
            if let Some(name) = &torrent.folder {
                let _ = write!(body, "<h2>{}</h2>", escape(name));
            } else if folder.is_some() {
                body.push_str("<h2>Others</h2>");
            }
            folder = Some(&torrent.folder);
        }
        body.push_str(&card(torrent));
    }
    if !list.left_out.is_empty() {
        body.push_str("<h2>Left out</h2><ul class=\"left-out\">");
        for LeftOut { place, reason } in &list.left_out {
            let _ = write!(body, "<li><code>{}</code>: {}</li>", escape(place), escape(reason));
        }
        body.push_str("</ul>");
    }
    // While files are read the page looks again by itself.
    let refresh = if list.reading.is_empty() { "" } else { "<meta http-equiv=\"refresh\" content=\"3\">" };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">{refresh}\
         <title>Torrents</title><link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/copy.js\" defer></script>\
         </head><body><main><h1>Torrents</h1>{body}\
         <p><a href=\"/torrents.json\">The same as JSON</a></p></main></body></html>"
    )
}

fn in_the_making(reading: &Reading) -> String {
    let Reading { name, done_octets, total_octets } = reading;
    let said = if *done_octets == 0 {
        "waits until it rests".to_owned()
    } else {
        format!("is being read: {} of {}", octets(*done_octets), octets(*total_octets))
    };
    format!(
        "<article class=\"torrent\"><h3>{}</h3><p class=\"facts\">{said}</p>\
         <progress max=\"{total_octets}\" value=\"{done_octets}\"></progress></article>",
        escape(name)
    )
}

fn card(torrent: &Torrent) -> String {
    let mut facts = vec![octets(torrent.octets)];
    let count =
        |number: u32, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    if torrent.files.len() > 1 {
        facts.push(format!("{} files", torrent.files.len()));
    }
    facts.push(count(torrent.seeds, "seed", "seeds"));
    facts.push(count(torrent.leechers, "leecher", "leechers"));
    if torrent.completed > 0 {
        facts.push(count(torrent.completed, "download", "downloads"));
    }
    if torrent.sent_per_second > 0 {
        facts.push(format!("sends {}/s", octets(torrent.sent_per_second)));
    }
    if torrent.sent_octets > 0 {
        facts.push(format!("sent {}", octets(torrent.sent_octets)));
    }
    let name = escape(&torrent.name);
    let download = match &torrent.files[..] {
        [file] => format!("<a class=\"way first\" href=\"{}\">Download</a>", escape(&file.address)),
        _ => String::new(),
    };
    let magnet = escape(&torrent.magnet);
    let hash = torrent.info_hash.as_ref().or(torrent.info_hash_v2.as_ref()).map_or("", String::as_str);
    let mut out = format!(
        "<article class=\"torrent\"><h3>{name}</h3><p class=\"facts\">{}</p><p class=\"ways\">{download}\
         <a class=\"way\" href=\"{magnet}\">Magnet link</a><a class=\"way\" href=\"{}\">Torrent file</a>\
         <button type=\"button\" data-copy=\"{magnet}\">Copy magnet link</button></p>",
        facts.join(" · "),
        escape(&torrent.torrent)
    );
    if torrent.files.len() != 1 {
        out.push_str(&files(&torrent.files));
    }
    let _ = write!(out, "<p class=\"hash\"><code>{}</code></p></article>", escape(hash));
    out
}

fn files(files: &[File]) -> String {
    // Few are shown at once, many when they are asked for.
    let open = if files.len() <= 10 { " open" } else { "" };
    let mut out = format!("<details{open}><summary>Files</summary><ul class=\"files\">");
    for file in files.iter().take(FILES_SHOWN_MAX) {
        let shown = file.path.split_once('/').map_or(file.path.as_str(), |(_, path)| path);
        let _ = write!(
            out,
            "<li><a href=\"{}\">{}</a> <span>{}</span></li>",
            escape(&file.address),
            escape(shown),
            octets(file.octets)
        );
    }
    out.push_str("</ul>");
    if let Some(more) = files.len().checked_sub(FILES_SHOWN_MAX).filter(|more| *more > 0) {
        let _ = write!(out, "<p>and {more} more, which the <a href=\"/torrents.json\">JSON</a> lists</p>");
    }
    out.push_str("</details>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn torrent(name: &str, files: usize) -> Torrent {
        let file = |number: usize| File {
            path: format!("{name}/file {number}"),
            octets: 5,
            address: format!("/torrents/00/x/{number}"),
        };
        Torrent {
            name: name.to_owned(),
            folder: Some("Our <films>".to_owned()),
            octets: 1 << 30,
            info_hash: Some("00".repeat(20)),
            info_hash_v2: None,
            magnet: "magnet:?xt=urn:btih:00&dn=\"x\"".to_owned(),
            torrent: "/torrents/00.torrent".to_owned(),
            files: (0..files).map(file).collect(),
            seeds: 1,
            leechers: 2,
            completed: 3,
            connections: 2,
            sent_octets: 4096,
            sent_per_second: 1024,
        }
    }

    #[test]
    fn names_are_escaped_and_many_files_are_bounded() {
        let list = List {
            torrents: vec![torrent("<script>", 1), torrent("many", FILES_SHOWN_MAX + 7)],
            reading: vec![Reading { name: "a&b".to_owned(), done_octets: 1, total_octets: 2 }],
            left_out: vec![LeftOut { place: "/x/<y>".to_owned(), reason: "it is a link".to_owned() }],
        };
        let html = html(&list);
        for there in [
            "&lt;script&gt;",
            "Our &lt;films&gt;",
            "a&amp;b",
            "/x/&lt;y&gt;",
            "1 seed · 2 leechers · 3 downloads · sends 1 KiB/s · sent 4 KiB",
            "dn=&quot;x&quot;",
            "and 7 more",
            "http-equiv=\"refresh\"",
        ] {
            assert!(html.contains(there), "{there} is missing in {html}");
        }
        assert!(!html.contains("<script>"));
        assert_eq!(html.matches("<li><a").count(), FILES_SHOWN_MAX);
    }

    #[test]
    fn nothing_published_is_said() {
        let html = html(&List::default());
        assert!(html.contains("Nothing is published yet") && !html.contains("http-equiv"));
    }
}
