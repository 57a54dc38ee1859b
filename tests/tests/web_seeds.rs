//! Web seeds (BEP 17, 19): nginx has the files, or a part of them, or others; we
//! and libtorrent get them.

use net::tls::Authority;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};
use tests::nginx::Nginx;
use tests::torrent::{Place, Running, address, ended, getting, lines, seed};
use tests::utopia::{command, own_address, told};
use tests::{libtorrent, peer};

/// The address of a folder at a web server.
fn at(address: SocketAddr) -> String {
    format!("http://{address}/")
}

/// Gets a torrent by our program; gives the lines it showed.
#[track_caller]
fn get(place: &Place, what: &Path, out: &str, more: &[&str]) -> Vec<Value> {
    let out = place.path(out);
    let mut getting = getting(place, what.to_str().expect("a name"), &out, more);
    getting.args(["--json", "--dht", "off"]);
    let shown = lines(&told(ended(getting)));
    place.compare(&out);
    shown
}

/// Whether any line shows a web seed in this state.
fn was(shown: &[Value], state: &str) -> bool {
    shown.iter().any(|line| {
        line["web_seeds"].as_array().is_some_and(|all| all.iter().any(|seed| seed["state"] == state))
    })
}

fn number(line: &Value, key: &str) -> u64 {
    line[key].as_u64().unwrap_or_else(|| panic!("no {key} in {line}"))
}

#[test]
fn files_come_from_a_web_server_alone_by_few_requests() {
    let Some(nginx) = peer("nginx") else { return };
    for (name, place) in [("file", Place::with_file(3_000_000)), ("folder", Place::with_folder())] {
        let address = address();
        let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), address, "");
        for format in ["v1", "v2", "hybrid"] {
            let before = server.requests().len();
            let (file, _) = place.torrent_with(format, &["--web-seed", &at(address)]);
            let shown = get(&place, &file, format, &[]);
            let last = shown.last().expect("a line");
            assert_eq!(number(&last["web_seeds"][0], "received_octets"), number(last, "received_octets"));
            let requests = &server.requests()[before..];
            // One for the whole file, or a part each of two connections; one for each
            // file of a folder.
            assert!(requests.len() <= 8, "{requests:?}");
            assert!(requests.iter().all(|it| it.status == 206 && !it.path.contains(".pad")), "{requests:?}");
            let connections: BTreeSet<u64> = requests.iter().map(|it| it.connection).collect();
            assert!(connections.len() <= 2, "{name} {format}: {requests:?}");
        }
    }
}

#[test]
fn libtorrent_gets_a_torrent_of_ours_from_its_web_seed() {
    let Some(nginx) = peer("nginx") else { return };
    if !libtorrent::is_here() {
        return;
    }
    for place in [Place::with_file(3_000_000), Place::with_folder()] {
        let server_at = address();
        let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, "");
        for format in ["v1", "v2", "hybrid"] {
            let (file, _) = place.torrent_with(format, &["--web-seed", &at(server_at)]);
            let out = place.path(&format!("theirs-{format}"));
            // Nobody is at the peer's address.
            told(libtorrent::get(file.to_str().expect("a name"), &out, address(), address(), "plain"));
            place.compare(&out);
        }
        assert!(!server.requests().is_empty());
    }
}

#[test]
fn a_web_seed_and_a_peer_share_the_work_and_the_limit_holds() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_file(6_000_000);
    let (server_at, peer_at) = (address(), address());
    let _server =
        Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, "limit_rate 1m;");
    let (file, _) = place.torrent_with("hybrid", &["--web-seed", &at(server_at)]);
    let ours = seed(&place, &file, peer_at, &["--upload-limit", "1000000"]);
    let begun = Instant::now();
    let more = ["--peer", &peer_at.to_string(), "--download-limit", "1500000"];
    let shown = get(&place, &file, "out", &more);
    assert!(begun.elapsed() > Duration::from_secs_f64(3.5), "{:?}", begun.elapsed());
    let from_web = shown.iter().map(|line| number(&line["web_seeds"][0], "received_octets")).max();
    let from_web = from_web.expect("a line");
    assert!((1..6_000_000).contains(&from_web), "{from_web} octets of both");
    ours.stop();
}

#[test]
fn a_web_seed_with_other_octets_is_banned_and_the_peer_has_the_rest() {
    let Some(nginx) = peer("nginx") else { return };
    for format in ["v1", "v2", "hybrid"] {
        let place = Place::with_file(2_000_000);
        let (server_at, peer_at) = (address(), address());
        let mut octets = fs::read(place.source()).expect("read");
        for at in [5, 700_000, 1_999_999] {
            octets[at] ^= 1;
        }
        fs::create_dir(place.path("wrong")).expect("a folder");
        fs::write(place.path("wrong/film.bin"), octets).expect("written");
        let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("wrong"), server_at, "");
        let (file, _) = place.torrent_with(format, &["--web-seed", &at(server_at)]);
        let ours = seed(&place, &file, peer_at, &["--upload-limit", "1000000"]);
        let shown = get(&place, &file, "out", &["--peer", &peer_at.to_string()]);
        let last = shown.last().expect("a line");
        assert!(number(last, "bad_pieces") > 0 && was(&shown, "gone"), "{last}");
        assert_eq!(last["web_seeds"][0]["failure"], "banned: it sent wrong octets");
        assert!(!server.requests().is_empty());
        ours.stop();
    }
}

#[test]
fn a_web_seed_that_goes_and_comes_back_is_asked_again() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_file(4_000_000);
    let server_at = address();
    let start =
        |more: &str| Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, more);
    let server = start("limit_rate 500k;");
    let (file, _) = place.torrent_with("v1", &["--web-seed", &at(server_at)]);
    let out = place.path("out");
    let mut get = getting(&place, file.to_str().expect("a name"), &out, &["--json", "--dht", "off"]);
    let mut child = get.stdout(Stdio::piped()).spawn().expect("utopia runs");
    let mut shown = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut wait = |what: &str, happened: &dyn Fn(&Value) -> bool| {
        let read = |line: std::io::Result<String>| -> Value {
            serde_json::from_str(&line.expect("a line")).expect("JSON")
        };
        assert!(shown.by_ref().map(read).any(|line| happened(&line)), "{what}");
    };
    wait("it begins", &|line| number(line, "have_pieces") > 2);
    drop(server);
    wait("it rests", &|line| line["web_seeds"][0]["state"] == "resting");
    let _server = start("limit_rate 500k;");
    wait("it goes on", &|line| line["web_seeds"][0]["state"] == "active");
    for _ in shown {}
    assert!(child.wait().expect("it ends").success());
    place.compare(&out);
}

#[test]
fn a_server_without_ranges_sends_the_file_once() {
    let Some(nginx) = peer("nginx") else { return };
    for place in [Place::with_file(5_000_000), Place::with_folder()] {
        let server_at = address();
        let server =
            Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, "max_ranges 0;");
        let (file, _) = place.torrent_with("hybrid", &["--web-seed", &at(server_at)]);
        get(&place, &file, "out", &[]);
        let requests = server.requests();
        assert!(requests.len() <= 5 && requests.iter().all(|it| it.status == 200), "{requests:?}");
    }
}

#[test]
fn redirections_are_followed_and_a_busy_server_is_left_alone_as_long_as_it_asks() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_file(3_000_000);
    let (server_at, busy_at) = (address(), address());
    let server = Nginx::start(
        &nginx,
        &place.path("nginx"),
        &place.path("source"),
        server_at,
        "location /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }",
    );
    let busy = "location / { add_header Retry-After 600 always; return 503; }";
    let busy = Nginx::start(&nginx, &place.path("busy"), &place.path("source"), busy_at, busy);
    let (moved, busy_url) = (format!("{}moved/film.bin", at(server_at)), at(busy_at));
    let (file, _) = place.torrent_with("v1", &["--web-seed", &moved, "--web-seed", &busy_url]);
    let shown = get(&place, &file, "out", &["--download-limit", "400000"]);
    let redirected = server.requests().iter().filter(|it| it.status == 302).count();
    assert!((1..=2).contains(&redirected), "{:?}", server.requests());
    assert!(was(&shown, "resting"));
    assert!((1..=2).contains(&busy.requests().len()), "{:?}", busy.requests());
}

#[test]
fn a_web_seed_that_lacks_files_is_asked_for_the_others_only() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_folder();
    let (server_at, peer_at) = (address(), address());
    fs::create_dir_all(place.path("some/album/deep")).expect("a folder");
    fs::copy(place.source().join("one"), place.path("some/album/one")).expect("copied");
    // Longer than the torrent's.
    fs::write(place.path("some/album/deep/two"), "another").expect("written");
    let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("some"), server_at, "");
    let (file, _) = place.torrent_with("v2", &["--web-seed", &at(server_at)]);
    let out = place.path("out");
    let more = ["--dht", "off", "--peer", &peer_at.to_string()];
    let mut get = getting(&place, file.to_str().expect("a name"), &out, &more).spawn().expect("utopia runs");
    // The peer comes when the web seed has given what it has.
    let end = Instant::now() + Duration::from_mins(1);
    while !server.requests().iter().any(|it| it.path.ends_with("/one") && it.status == 206) {
        assert!(Instant::now() < end, "{:?}", server.requests());
        std::thread::sleep(Duration::from_millis(20));
    }
    let ours = seed(&place, &file, peer_at, &[]);
    assert!(get.wait().expect("it ends").success());
    place.compare(&out);
    let requests = server.requests();
    let lacking = |name: &str| requests.iter().filter(|it| it.path.ends_with(name)).count();
    assert!(lacking("/three") <= 2 && lacking("/two") <= 2, "{requests:?}");
    ours.stop();
}

#[test]
fn a_magnet_link_names_web_seeds() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_file(3_000_000);
    let (server_at, peer_at) = (address(), address());
    let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), server_at, "");
    let (file, magnet) = place.torrent_with("v1", &["--web-seed", &at(server_at)]);
    assert!(magnet.contains("&ws=http"), "{magnet}");
    // The peer tells what it is and sends hardly anything.
    let ours = seed(&place, &file, peer_at, &["--upload-limit", "50000"]);
    get(&place, magnet.as_ref(), "out", &["--peer", &peer_at.to_string()]);
    assert!(!server.requests().is_empty());
    ours.stop();
}

/// Whom the machine trusts is believed over https, nobody else: a tracker behind
/// nginx, and a web seed.
#[test]
fn a_tracker_and_a_web_seed_speak_https() {
    let Some(nginx) = peer("nginx") else { return };
    let place = Place::with_file(1_000_000);
    let (server_at, tracker_at, peer_at) = (address(), address(), address());
    let authority = Authority::create("Test", SystemTime::now()).expect("an authority");
    let issued = authority.issue(&[&server_at.ip().to_string()], SystemTime::now()).expect("a certificate");
    let (trusted, chain, key) = (place.path("ca.pem"), place.path("chain.pem"), place.path("key.pem"));
    for (file, pem) in
        [(&trusted, authority.cert_pem()), (&chain, &issued.cert_chain_pem), (&key, &issued.key_pem)]
    {
        fs::write(file, pem).expect("written");
    }
    let more = format!(
        "ssl_certificate {}; ssl_certificate_key {}; location /announce {{ proxy_pass http://{tracker_at}; }}",
        chain.display(),
        key.display()
    );
    let server = Nginx::start_tls(&nginx, &place.path("nginx"), &place.path("source"), server_at, &more);
    let tracker = Running::start(command(&["torrent", "track", "--http", &tracker_at.to_string()]), 1);
    let (web_seed, announce) = (format!("https://{server_at}/"), format!("https://{server_at}/announce"));
    let (file, _) = place.torrent_with("v1", &["--web-seed", &web_seed, "--tracker", &announce]);
    let name = file.to_str().expect("a name");

    // Nobody else has it.
    let mut alone = getting(&place, name, &place.path("out"), &["--dht", "off"]);
    alone.env("SSL_CERT_FILE", &trusted);
    told(ended(alone));
    place.compare(&place.path("out"));
    let asked = |path: &str| server.requests().iter().filter(|it| it.path.starts_with(path)).count();
    // It begins, has all, and leaves.
    assert!(asked("/announce?") == 3 && asked("/film.bin") >= 1, "{:?}", server.requests());

    // The usual certificates say nothing of this server: nothing comes from it.
    let before = server.requests().len();
    let ours = seed(&place, &file, peer_at, &["--dht", "off"]);
    get(&place, &file, "stranger", &["--peer", &peer_at.to_string()]);
    assert_eq!(server.requests().len(), before);
    ours.stop();
    tracker.stop();
}

#[test]
fn a_script_of_bep_17_gives_pieces() {
    let place = Place::with_file(1_000_000);
    let octets = fs::read(place.source()).expect("read");
    let listener = TcpListener::bind(SocketAddr::new(own_address(), 0)).expect("a port");
    let script_at = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut busy = true;
        for mut stream in listener.incoming().flatten() {
            let mut head = BufReader::new(stream.try_clone().expect("the same"));
            let mut first = String::new();
            head.read_line(&mut first).expect("a request");
            while {
                let mut line = String::new();
                head.read_line(&mut line).expect("a head") > 2
            } {}
            if std::mem::take(&mut busy) {
                // BEP 17: come again in a second.
                let _ =
                    stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1");
                continue;
            }
            let query = |key: &str| {
                let (_, rest) = first.split_once(&format!("{key}="))?;
                rest.split(['&', ' ']).next().map(str::to_owned)
            };
            assert!(query("info_hash").is_some_and(|hash| hash.len() >= 20), "{first}");
            let piece: usize = query("piece").and_then(|piece| piece.parse().ok()).expect("a piece");
            let of_piece = &octets[piece * 65_536..octets.len().min((piece + 1) * 65_536)];
            let ranges = query("ranges").unwrap_or_else(|| format!("0-{}", of_piece.len() - 1));
            let mut body = Vec::new();
            for range in ranges.split(',') {
                let (first, last) = range.split_once('-').expect("a range");
                body.extend_from_slice(
                    &of_piece[first.parse().expect("a number")..=last.parse().expect("a number")],
                );
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&body);
        }
    });
    let (file, _) = place.torrent("v1", &[]);
    // No program writes httpseeds any more: it stands before the info dictionary.
    let mut torrent = fs::read(&file).expect("read");
    let url = format!("http://{script_at}/seed.php");
    let entry = format!("9:httpseedsl{}:{url}e", url.len());
    let info = torrent.windows(6).position(|octets| octets == b"4:info").expect("an info dictionary");
    torrent.splice(info..info, entry.into_bytes());
    fs::write(&file, torrent).expect("written");
    let shown = get(&place, &file, "out", &[]);
    assert!(was(&shown, "resting"), "it was busy");
}
