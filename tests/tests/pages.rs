//! The pages in a real headless Chromium.

use event::metrics::Metrics;
use net::{Network, Shutdown};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tests::peer;
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
