//! The status page as HTML.

use crate::{Status, TorrentsStatus};
use std::fmt::Write;

/// What each service is for, in a few words.
fn purpose(name: &str) -> &'static str {
    match name {
        "dns" => "answers for your domain",
        "resolver" => "looks up any name for your programs",
        "smtp" => "takes mail for your domain from the world",
        "submission" => "takes mail from your users (STARTTLS)",
        "submissions" => "takes mail from your users (TLS)",
        "imap" => "lets your users read mail (STARTTLS)",
        "imaps" => "lets your users read mail (TLS)",
        "tracker" => "tells the peers of torrents of one another",
        "torrents" => "gives published files to peers",
        "files" => "published torrents and their files, for everybody",
        "http" => "this page and the metrics",
        _ => "",
    }
}

/// The page.
pub(crate) fn html(status: &Status) -> String {
    let title = status.domain.as_deref().unwrap_or("Utopia");
    let mut rows = String::new();
    for row in status.rows() {
        let host = row.host.map(|host| format!("{}: ", escape(host))).unwrap_or_default();
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td><code>{}</code></td><td>{host}{}</td></tr>",
            escape(row.name),
            escape(&row.transports),
            row.addresses,
            purpose(row.name)
        );
    }
    let mut lines = String::new();
    for try_line in &status.try_lines {
        let line = escape(&try_line.line);
        let _ = write!(
            lines,
            "<dt>{}</dt><dd><code>{line}</code><button type=\"button\" data-copy=\"{line}\">Copy</button></dd>",
            escape(&try_line.what)
        );
    }
    let torrents = status.torrents.as_ref().map(torrents).unwrap_or_default();
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title} is up</title><link rel=\"stylesheet\" href=\"/style.css\"><script src=\"/copy.js\" defer></script>\
         </head><body><main><h1>{title} <span>is up</span></h1>\
         <h2>What runs where</h2><table><thead><tr><th>service</th><th>transport</th><th>address</th><th>what it does</th>\
         </tr></thead><tbody>{rows}</tbody></table>{torrents}\
         <h2>Try it</h2><dl>{lines}</dl>\
         <p><a href=\"/status.json\">The same as JSON</a> · <a href=\"/metrics\">Metrics</a></p>\
         </main></body></html>",
        title = escape(title)
    )
}

/// What is published, in a line.
fn torrents(torrents: &TorrentsStatus) -> String {
    format!("<h2>Torrents</h2><p><a href=\"/torrents\">{torrents}</a></p>")
}

/// Text as it may stand in HTML, between tags and in quoted attributes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Service, TryLine};

    #[test]
    fn names_and_lines_are_escaped() {
        let status = Status {
            domain: Some("<b>.test".to_owned()),
            services: vec![Service {
                name: "dns".to_owned(),
                transport: "udp".to_owned(),
                address: "127.0.0.1:5300".parse().expect("an address"),
                host: None,
            }],
            try_lines: vec![TryLine { what: "Ask".to_owned(), line: "dig \"x\" 'y'".to_owned() }],
            ..Status::default()
        };
        let html = html(&status);
        assert!(html.contains("&lt;b&gt;.test"));
        assert!(!html.contains("<b>.test"));
        assert!(html.contains("data-copy=\"dig &quot;x&quot; &#39;y&#39;\""));
        assert!(html.contains("127.0.0.1:5300"));
    }
}
