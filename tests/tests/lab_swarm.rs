//! `utopia lab swarm`: a file gets from one seed to many peers, in real nodes; told,
//! checked, drawn, and shown live to a real headless Chromium.

use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;
use tests::peer;
use tests::utopia::{command, run, said, wait_for};

/// Sixteen peers, and half of the default's minute: much less would be too few rounds
/// of choking, on a busy machine, for all to come out as it should.
const SHORT: [&str; 6] = ["--file-size", "8388608", "--uplink", "250000", "--seed", "7"];

/// The hosts of the lab have their addresses for themselves, so one lab runs at
/// a time on a machine; the next waits here.
fn turn() -> File {
    let file = File::create(std::env::temp_dir().join("utopia-lab.lock")).expect("a lock file");
    file.lock().expect("the lock");
    file
}

/// A lab that ends with its test, however that ends.
struct Lab(Child);

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lines of `--json` up to one that is wanted, that one the last.
fn lines_to(out: &mut BufReader<ChildStdout>, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut lines = Vec::new();
    for line in out.lines() {
        let line = line.expect("text");
        lines.push(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
        if lines.last().is_some_and(&wanted) {
            break;
        }
    }
    assert!(lines.last().is_some_and(&wanted), "it ended too early: {lines:#?}");
    lines
}

fn is_figure(line: &Value, name: &str) -> bool {
    line["kind"] == "figure" && line["name"] == name
}

/// The value of the only figure with a name.
#[track_caller]
fn figure<'line>(lines: &'line [Value], name: &str) -> &'line Value {
    &lines.iter().find(|line| is_figure(line, name)).unwrap_or_else(|| panic!("no {name}"))["value"]
}

/// The page's picture as it is now.
fn picture(url: &str) -> Option<String> {
    let host = url.strip_prefix("http://")?.trim_end_matches('/');
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET /picture.svg HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("image/svg+xml"), "{response}");
    Some(response.split_off(response.find("<svg")?))
}

/// What Chromium makes of the page after two seconds of its time, and its complaints.
fn page(program: &Path, url: &str) -> (String, String) {
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(url)
        .output()
        .expect("chromium runs");
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_swarm_is_told_checked_drawn_and_shown_live() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = folder.path().join("swarm.svg");
    let mut lab = command(&[&["lab", "swarm", "--json"][..], &SHORT].concat());
    lab.arg("--svg").arg(&drawn).stdout(Stdio::piped());
    let mut lab = Lab(lab.spawn().expect("utopia runs"));
    let mut out = BufReader::new(lab.0.stdout.take().expect("a pipe"));

    let mut lines = lines_to(&mut out, |line| is_figure(line, "page"));
    let url = figure(&lines, "page")["url"].as_str().expect("a URL").to_owned();
    // Alice has joined: now there is something to be seen.
    lines.extend(lines_to(&mut out, |line| is_figure(line, "alice_first_piece_seconds")));
    let first = picture(&url).expect("a picture");
    for text in
        ["peer14", "alice", "rider (gives nothing)", "who (row) unchokes whom (column)", "how rare each is"]
    {
        assert!(first.contains(text), "no {text:?} in {first}");
    }
    wait_for("another picture", || picture(&url).filter(|next| *next != first));
    if let Some(program) = peer("chromium") {
        let (page, complaints) = page(&program, &url);
        assert!(page.contains("data-shown="), "the page's own script showed a picture: {page}");
        assert!(page.contains("which piece is where") && page.contains("peer14"), "{page}");
        assert!(!complaints.contains("Content Security Policy"), "{complaints}");
    }

    lines.extend(lines_to(&mut out, |line| line["kind"] == "end"));
    let end = lines.last().expect("an end");
    let failed: Vec<_> = lines.iter().filter(|line| line["holds"] == false).collect();
    assert_eq!((&end["passed"], failed.is_empty()), (&Value::Bool(true), true), "{failed:#?}");
    assert!(lab.0.wait().expect("it ends").success());

    let bound = figure(&lines, "plan")["bound_seconds"].as_f64().expect("seconds");
    assert!((bound - 31.581).abs() < 0.01, "16 F / (2u + 15u): {bound}");
    let hosts: Vec<&Value> =
        lines.iter().filter(|line| is_figure(line, "host")).map(|line| &line["value"]).collect();
    assert_eq!(hosts.len(), 16);
    let rider = hosts.iter().find(|host| host["role"] == "free-rider").expect("a free rider");
    assert_eq!(rider["sent"], 0, "{rider}");
    let completed = |host: &Value| host["completed"].as_f64().expect("seconds");
    assert!(hosts.iter().all(|host| completed(host) <= completed(rider)), "{hosts:#?}");

    let drawn = std::fs::read_to_string(&drawn).expect("a picture of the whole run");
    for text in
        ["Alice joins", "a third leaves", "they are back", "the seed leaves", "how rare each piece is"]
    {
        assert!(drawn.contains(text), "no {text:?} in {drawn}");
    }
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    for (arguments, expected) in [
        (["--peers", "5"], "between 6 and 40"),
        (["--peers", "41"], "between 6 and 40"),
        (["--file-size", "1"], "write between"),
        (["--uplink", "1"], "at least 8000"),
        (["--uplink", "100000000"], "too short to be seen"),
    ] {
        let output = run(&[&["lab", "swarm"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
}
