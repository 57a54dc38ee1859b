//! `utopia torrent get --stream`: files over HTTP while they come, read by curl and
//! as a player reads.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::peer;
use tests::torrent::{Place, Running, address, getting, seed};

/// A download that streams.
struct Download {
    child: Child,
    url: String,
    /// The newest line it showed.
    line: Arc<Mutex<Value>>,
}

impl Download {
    /// Begins to get a torrent from a peer, slowly.
    fn start(place: &Place, torrent: &Path, from: SocketAddr, per_second: u64) -> Self {
        let at = format!("--stream={}", address());
        let (from, per_second) = (from.to_string(), per_second.to_string());
        let more = ["--json", "--dht", "off", &at, "--peer", &from, "--download-limit", &per_second];
        let mut get = getting(place, torrent.to_str().expect("a name"), &place.path("out"), &more);
        let mut child = get.stdout(Stdio::piped()).spawn().expect("utopia runs");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut next = move || -> Option<Value> {
            Some(serde_json::from_str(&lines.next()?.expect("a line")).expect("JSON"))
        };
        let url = next().expect("a line")["stream"].as_str().expect("an address").to_owned();
        let line = Arc::new(Mutex::new(next().expect("a line")));
        let newest = line.clone();
        std::thread::spawn(move || {
            while let Some(line) = next() {
                *newest.lock().expect("not poisoned") = line;
            }
        });
        Self { child, url, line }
    }

    fn have_octets(&self) -> u64 {
        self.line.lock().expect("not poisoned")["have_octets"].as_u64().expect("a number")
    }

    fn connect(&self) -> TcpStream {
        let address: SocketAddr =
            self.url.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        TcpStream::connect(address).expect("it listens")
    }

    /// Asks for a file from an octet on, as a player does; gives the body's stream.
    fn play(&self, path: &str, from: usize) -> BufReader<TcpStream> {
        let mut stream = self.connect();
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("set");
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes={from}-\r\n\r\n")
            .expect("sent");
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).expect("a status");
        assert!(line.starts_with("HTTP/1.1 206 "), "{line}");
        while line != "\r\n" {
            line.clear();
            reader.read_line(&mut line).expect("a head");
        }
        reader
    }

    /// Reads some octets and compares them.
    #[track_caller]
    fn expect(reader: &mut impl Read, expected: &[u8]) {
        let mut octets = vec![0; expected.len()];
        reader.read_exact(&mut octets).expect("octets");
        assert!(octets == expected, "the octets are others");
    }

    fn stop(mut self) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().expect("kill").success());
        self.child.wait().expect("it ends");
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn curl(program: &Path, arguments: &[&str]) -> Output {
    let mut curl = Command::new(program);
    curl.args(["-s", "--max-time", "60"]).args(arguments).output().expect("curl runs")
}

fn seeding(place: &Place, format: &str) -> (std::path::PathBuf, SocketAddr, Running) {
    let (file, _) = place.torrent(format, &[]);
    let at = address();
    let running = seed(place, &file, at, &["--dht", "off"]);
    (file, at, running)
}

#[test]
fn a_player_gets_octets_in_order_and_jumps_while_most_is_not_here() {
    let place = Place::with_file(24_000_000);
    let whole = fs::read(place.source()).expect("read");
    let (file, at, ours) = seeding(&place, "hybrid");
    let download = Download::start(&place, &file, at, 1_500_000);
    // A player is given the address that is printed: of one file it is the file.
    let mut stream = download.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 302 ") && answer.contains("location: /film.bin\r\n"), "{answer}");
    let mut playing = download.play("film.bin", 0);
    Download::expect(&mut playing, &whole[..1_000_000]);
    assert!(download.have_octets() < 6_000_000, "{} octets are here", download.have_octets());
    // The end, where a player looks for an index: while the middle is not here.
    let mut end = download.play("film.bin", 23_900_000);
    Download::expect(&mut end, &whole[23_900_000..]);
    assert!(download.have_octets() < 12_000_000, "{} octets are here", download.have_octets());
    // A jump ends the first reader.
    drop(playing);
    let mut jumped = download.play("film.bin", 12_345_678);
    Download::expect(&mut jumped, &whole[12_345_678..13_345_678]);
    assert!(download.have_octets() < 20_000_000, "{} octets are here", download.have_octets());
    // It goes on.
    Download::expect(&mut jumped, &whole[13_345_678..16_000_000]);
    download.stop();
    ours.stop();
}

#[test]
fn curl_gets_ranges_as_rfc_9110_says() {
    let Some(program) = peer("curl") else { return };
    for format in ["v1", "v2", "hybrid"] {
        let place = Place::with_folder();
        let whole = fs::read(place.source().join("deep/er/three")).expect("read");
        let (file, at, ours) = seeding(&place, format);
        let download = Download::start(&place, &file, at, 10_000_000);
        let url = format!("{}deep/er/three", download.url);
        assert!(curl(&program, &[&url]).stdout == whole, "{format}: all of it");
        assert!(curl(&program, &["-r", "100000-100099", &url]).stdout == whole[100_000..100_100]);
        assert!(curl(&program, &["-r", "-7", &url]).stdout == whole[whole.len() - 7..]);
        let head = |more: &[&str], url: &str| {
            let output = curl(&program, &[&["-o", "/dev/null", "-D", "-"], more, &[url]].concat());
            String::from_utf8(output.stdout).expect("a head").to_ascii_lowercase()
        };
        let part = head(&["-r", "5-9"], &url);
        assert!(part.contains(" 206 ") && part.contains("content-range: bytes 5-9/200001\r\n"), "{part}");
        let tag = part.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").trim();
        let same = head(&["-r", "5-9", "-H", &format!("If-Range: {tag}")], &url);
        assert!(same.contains(" 206 "), "{same}");
        let other = head(&["-r", "5-9", "-H", "If-Range: \"another\""], &url);
        assert!(other.contains(" 200 ") && other.contains("content-length: 200001\r\n"), "{other}");
        let beyond = head(&["-r", "200001-"], &url);
        assert!(beyond.contains(" 416 ") && beyond.contains("content-range: bytes */200001\r\n"), "{beyond}");
        let only_head = head(&["-I"], &url);
        assert!(
            only_head.contains(" 200 ") && only_head.contains("content-length: 200001\r\n"),
            "{only_head}"
        );
        assert!(head(&["-X", "POST"], &url).contains(" 405 "));
        assert!(head(&[], &format!("{}none", download.url)).contains(" 404 "));
        assert!(head(&["-H", "Host: evil.test"], &url).contains(" 421 "));
        let page = String::from_utf8(curl(&program, &[&download.url]).stdout).expect("a page");
        assert!(page.contains("<a href=\"/deep/er/three\">") && !page.contains(".pad"), "{page}");
        assert_eq!(curl(&program, &[&format!("{}deep/empty", download.url)]).stdout, b"");
        download.stop();
        ours.stop();
    }
}

#[test]
fn readers_are_bounded_and_make_room_when_they_leave() {
    let place = Place::with_file(8_000_000);
    let whole = fs::read(place.source()).expect("read");
    let (file, at, ours) = seeding(&place, "v1");
    let download = Download::start(&place, &file, at, 300_000);
    let readers: Vec<_> = (0..16).map(|number| download.play("film.bin", number * 400_000)).collect();
    let mut one_more = download.connect();
    write!(one_more, "GET /film.bin HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut line = String::new();
    BufReader::new(one_more).read_line(&mut line).expect("a status");
    assert!(line.starts_with("HTTP/1.1 503 "), "{line}");
    drop(readers);
    tests::utopia::wait_for("there is room again", || {
        let mut stream = download.connect();
        write!(stream, "GET /film.bin HTTP/1.1\r\nHost: localhost\r\nRange: bytes=9-99\r\n\r\n")
            .expect("sent");
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).expect("a status");
        line.starts_with("HTTP/1.1 206 ").then_some(())
    });
    Download::expect(&mut download.play("film.bin", 7_900_000), &whole[7_900_000..]);
    download.stop();
    ours.stop();
}
