//! The pages in a real headless Chromium.

use event::metrics::Metrics;
use net::{Network, Shutdown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tests::peer;
use tests::utopia::{Utopia, wait_for};
use web::{Config, Service, Status, TryLine};

/// Runs Chromium on a page and returns what it printed.
fn chromium(program: &Path, arguments: &[&str], url: &str) -> (String, String) {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(arguments)
        .arg(url)
        .output()
        .expect("chromium runs");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn status() -> Status {
    Status {
        domain: Some("utopia.test".to_owned()),
        services: vec![Service {
            name: "dns".to_owned(),
            transport: "udp".to_owned(),
            address: "127.0.0.1:5300".parse().expect("an address"),
            host: None,
        }],
        try_lines: vec![TryLine { what: "Ask".to_owned(), line: "dig @127.0.0.1 -p 5300 <name>".to_owned() }],
        ..Status::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_status_page_shows_what_runs_where_within_its_own_content_policy() {
    let Some(program) = peer("chromium") else { return };
    let shutdown = Shutdown::new();
    let config = Config { listen: vec!["127.0.0.1:0".parse().expect("an address")], ..Config::default() };
    let pages = web::Server::new(web::Parts {
        network: Network::new(),
        status: Arc::new(status),
        metrics: Arc::new(Metrics::new()),
        torrents: None,
        shutdown: shutdown.clone(),
    });
    pages.carry_out(pages.prepare(&config).expect("an address to listen on"));
    let url = format!("http://{}/", pages.addresses()[0]);

    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("page.png");
    let (page, complaints, size) = tokio::task::spawn_blocking(move || {
        let (page, complaints) = chromium(&program, &["--dump-dom"], &url);
        let screenshot = format!("--screenshot={}", picture.display());
        chromium(&program, &[&screenshot, "--window-size=900,700"], &url);
        (page, complaints, std::fs::metadata(&picture).map_or(0, |metadata| metadata.len()))
    })
    .await
    .expect("chromium ran");

    assert!(page.contains("<h1>utopia.test <span>is up</span></h1>"), "{page}");
    assert!(page.contains("127.0.0.1:5300"), "{page}");
    assert!(page.contains("dig @127.0.0.1 -p 5300 &lt;name&gt;"), "{page}");
    assert!(page.contains("data-ready=\"true\""), "the page's own script ran: {page}");
    assert!(!complaints.contains("Content Security Policy"), "{complaints}");
    assert!(size > 5_000, "a picture of {size} octets");
    assert!(shutdown.finish(std::time::Duration::from_secs(10)).await);
}

#[test]
fn the_page_of_torrents_shows_what_is_published_within_its_content_policy() {
    let Some(program) = peer("chromium") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let utopia = Utopia::start(&data);
    std::fs::create_dir(data.join("torrents/<b>album")).expect("a folder");
    std::fs::write(data.join("torrents/<b>album/song & dance.mp3"), "la la").expect("written");
    std::fs::write(data.join("torrents/<b>album/empty"), "").expect("written");
    std::fs::write(data.join("torrents/film.mkv"), "a picture").expect("written");
    let url = format!("http://{}/torrents", utopia.at("http"));
    let (page, complaints) = wait_for("both are published", || {
        let (page, complaints) = chromium(&program, &["--dump-dom"], &url);
        let shown = page.matches("class=\"torrent\"").count() == 2 && !page.contains("<progress");
        shown.then_some((page, complaints))
    });
    assert!(page.contains("<h3>&lt;b&gt;album</h3>"), "{page}");
    assert!(page.contains("song &amp; dance.mp3</a>"), "{page}");
    assert!(page.contains("href=\"magnet:?xt=urn:btih:"), "{page}");
    assert!(page.contains("data-ready=\"true\""), "the page's own script ran: {page}");
    assert!(!complaints.contains("Content Security Policy"), "{complaints}");
    let (status, _) = chromium(&program, &["--dump-dom"], &format!("http://{}/", utopia.at("http")));
    assert!(status.contains("2 published, 14 B"), "{status}");
    let picture = folder.path().join("page.png");
    chromium(&program, &[&format!("--screenshot={}", picture.display()), "--window-size=900,700"], &url);
    let size = std::fs::metadata(&picture).map_or(0, |metadata| metadata.len());
    assert!(size > 5_000, "a picture of {size} octets");
    utopia.stop();
}
