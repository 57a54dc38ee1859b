//! `utopia up` publishes what lies in a folder: to libtorrent and aria2 with only
//! our tracker, over HTTP, as a web seed; what changes, restarts, kills, reloads.

use serde_json::Value;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tests::mail::Smtp;
use tests::torrent::{Running, address, ended, hash_table, octets};
use tests::utopia::{Utopia, command, own_address, said, told, wait_for};
use tests::{libtorrent, peer};

/// A running program with its folder of torrents.
struct Place {
    folder: tempfile::TempDir,
    utopia: Option<Utopia>,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let utopia = Utopia::start(&folder.path().join("data"));
        Self { folder, utopia: Some(utopia) }
    }

    fn utopia(&self) -> &Utopia {
        self.utopia.as_ref().expect("it runs")
    }

    /// Ends it, and starts it again.
    fn restart(&mut self, end: impl FnOnce(Utopia)) {
        end(self.utopia.take().expect("it runs"));
        self.utopia = Some(Utopia::start(&self.data()));
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Something in the published folder.
    fn at(&self, name: &str) -> PathBuf {
        self.data().join("torrents").join(name)
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.utopia().at("http"))
    }

    fn list(&self) -> Value {
        serde_json::from_slice(&curl(&[&self.url("/torrents.json")]).stdout).expect("JSON")
    }

    /// Waits until just these are published.
    #[track_caller]
    fn published(&self, names: &[&str]) -> Value {
        wait_for(&format!("{names:?} are published"), || {
            let list = self.list();
            let torrents = list["torrents"].as_array().expect("torrents");
            let there: Vec<_> =
                torrents.iter().map(|torrent| torrent["name"].as_str().expect("text")).collect();
            (there == names && list["reading"] == serde_json::json!([])).then_some(list)
        })
    }

    /// A torrent file as the page gives it.
    fn torrent_file(&self, torrent: &Value) -> PathBuf {
        let file = self.out(&format!("{}.torrent", text(&torrent["info_hash"])));
        told(curl(&["-o", file.to_str().expect("a name"), &self.url(text(&torrent["torrent"]))]));
        file
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Runs curl, which fails where the server refuses.
fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .args(["-sS", "--fail", "--max-time", "60"])
        .args(arguments)
        .output()
        .expect("curl runs")
}

/// The status and body of an answer, whatever it is.
fn answer(arguments: &[&str]) -> (String, Vec<u8>) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "-w", "%{stderr}%{http_code}"]).args(arguments);
    let output = command.output().expect("curl runs");
    (String::from_utf8_lossy(&output.stderr).into_owned(), output.stdout)
}

fn is_same(ours: &Path, theirs: &Path) -> bool {
    if ours.is_dir() {
        return fs::read_dir(ours).expect("a folder").all(|entry| {
            let name = entry.expect("an entry").file_name();
            is_same(&ours.join(&name), &theirs.join(&name))
        });
    }
    fs::read(ours).expect("a file") == fs::read(theirs).unwrap_or_default()
}

/// Gets with aria2 until all is there.
fn aria2(program: &Path, torrent: &Path, out: &Path) -> Output {
    let at = address();
    let mut command = Command::new("timeout");
    command.arg("180").arg(program).args([
        "-q",
        "--seed-time=0",
        "--enable-dht=false",
        "--bt-enable-lpd=false",
    ]);
    command.arg(format!("--interface={}", at.ip())).arg(format!("--listen-port={}", at.port()));
    command.arg("--dir").arg(out).arg(torrent).output().expect("timeout runs")
}

#[test]
fn what_is_put_into_the_folder_is_had_by_torrent_magnet_link_and_http() {
    if peer("curl").is_none() || !libtorrent::is_here() {
        return;
    }
    let place = Place::new();
    fs::write(place.at("film.mkv"), octets(3_000_000, 1)).expect("written");
    fs::create_dir_all(place.at("an album/deep")).expect("folders");
    for (name, count) in [("one é.mp3", 70_000), ("deep/two", 1), ("deep/three", 200_001), ("empty", 0)] {
        fs::write(place.at("an album").join(name), octets(count, count as u64 + 1)).expect("written");
    }
    let list = place.published(&["an album", "film.mkv"]);
    for torrent in list["torrents"].as_array().expect("torrents") {
        let name = text(&torrent["name"]);
        let file = place.torrent_file(torrent);
        // From us as a peer, who is found by our tracker, by either way in; then from
        // our web server alone.
        for (number, (what, ways)) in [
            (file.to_str().expect("a name"), "peers"),
            (text(&torrent["magnet"]), "peers"),
            (file.to_str().expect("a name"), "web"),
        ]
        .into_iter()
        .enumerate()
        {
            let out = place.out(&format!("{name}-{number}"));
            told(libtorrent::find(what, &out, address(), ways));
            assert!(is_same(&place.at(name), &out.join(name)), "{name} by {ways}");
        }
        if let Some(aria2c) = peer("aria2c") {
            let out = place.out(&format!("{name}-aria2"));
            told(aria2(&aria2c, &file, &out));
            assert!(is_same(&place.at(name), &out.join(name)), "{name} by aria2");
        }
    }
    let list = place.list();
    let film = &list["torrents"][1];
    assert!(film["sent_octets"].as_u64() >= Some(3_000_000), "{film}");
    assert!(film["completed"].as_u64() >= Some(2), "the tracker was told: {film}");

    // Plain HTTP, whole and in part.
    let url = place.url(text(&film["files"][0]["address"]));
    let whole = octets(3_000_000, 1);
    assert_eq!(curl(&[&url]).stdout, whole);
    assert_eq!(curl(&["-r", "100-299", &url]).stdout, whole[100..300]);
    assert_eq!(curl(&["-r", "-5", &url]).stdout, whole[2_999_995..]);
    let head = told(curl(&["-I", &url])).to_lowercase();
    for line in [
        "content-length: 3000000",
        "accept-ranges: bytes",
        "content-disposition: attachment; filename=\"film.mkv\"",
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("a tag").trim();
    assert_eq!(answer(&["-H", &format!("If-None-Match: {tag}"), &url]).0, "304");
    assert!(told(curl(&["-I", "-r", "0-9", &url])).starts_with("HTTP/1.1 200"), "a range is of GET only");
    assert_eq!(answer(&["-r", "3000000-", &url]).0, "416");
    assert_eq!(answer(&["-r", "0-9", "-H", "If-Range: \"other\"", &url]), ("200".to_owned(), whole));

    let status: Value = serde_json::from_str(&told(place.utopia().ask(&["status", "--json"]))).expect("JSON");
    assert_eq!(status["torrents"]["published"], 2);
    assert!(status["tracker"]["completed"].as_u64() >= Some(4), "{status}");
    let shown = told(place.utopia().ask(&["status"]));
    assert!(shown.contains("torrents: 2 published, "), "{shown}");
    let metrics = wait_for("the metrics are told", || {
        let metrics = told(curl(&[&place.url("/metrics")]));
        metrics.contains("utopia_torrents_seeded 2").then_some(metrics)
    });
    assert!(metrics.contains("utopia_tracker_completed_total"), "{metrics}");
}

#[test]
fn what_must_not_be_published_is_not() {
    if peer("curl").is_none() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.at("empty")).expect("a folder");
    fs::write(place.at(".secret"), "no").expect("written");
    std::os::unix::fs::symlink("../utopia.toml", place.at("link")).expect("a link");
    fs::create_dir(place.at("album")).expect("a folder");
    fs::write(place.at("album/.secret"), "no").expect("written");
    fs::write(place.at("album/song"), "la la").expect("written");
    std::os::unix::fs::symlink("../../utopia.toml", place.at("album/link")).expect("a link");
    assert!(Command::new("mkfifo").arg(place.at("pipe")).status().expect("mkfifo runs").success());
    let list = place.published(&["album"]);
    let torrent = &list["torrents"][0];
    assert_eq!(torrent["files"].as_array().map(Vec::len), Some(1), "{torrent}");
    let said = list["left_out"].to_string();
    for reason in
        ["it is hidden", "it is a link", "there is no file in this folder", "neither a file nor a folder"]
    {
        assert!(said.contains(reason), "{reason} is missing in {said}");
    }
    let id = text(&torrent["info_hash"]);
    for path in [
        "/torrents/../../utopia.toml",
        &format!("/torrents/{id}/../utopia.toml"),
        &format!("/torrents/{id}/album/../../utopia.toml"),
        &format!("/torrents/{id}/album/..%2f..%2futopia.toml"),
        &format!("/torrents/{id}/album/.secret"),
        &format!("/torrents/{id}/album/link"),
        &format!("/torrents/{id}//etc/passwd"),
        &format!("/torrents/{id}/%2fetc%2fpasswd"),
        &format!("/torrents/{id}/album/%00"),
        "/torrents/0000000000000000000000000000000000000000.torrent",
        "/torrents/x/y",
    ] {
        assert_eq!(answer(&["--path-as-is", &place.url(path)]).0, "404", "{path}");
    }
    // The tracker serves what is published, and nothing else.
    let announce = |hash: &str| {
        let hash = (0..20)
            .map(|octet| &hash[2 * octet..2 * octet + 2])
            .fold(String::new(), |all, octet| all + "%" + octet);
        let query = format!(
            "info_hash={hash}&peer_id=-XX0000-abcdefghijkl&port=7&uploaded=0&downloaded=0&left=1&compact=1"
        );
        let url = format!("http://{}/announce?{query}", place.utopia().at("tracker"));
        String::from_utf8_lossy(&curl(&[&url]).stdout).into_owned()
    };
    assert!(announce(id).contains("5:peers"), "{}", announce(id));
    assert!(announce(&"07".repeat(20)).contains("this torrent is not served here"));

    // What changes gets another torrent; what is removed is gone.
    let old = place.url(text(&torrent["files"][0]["address"]));
    assert_eq!(answer(&[&old]), ("200".to_owned(), b"la la".to_vec()));
    fs::write(place.at("album/song"), "another").expect("written");
    let changed = wait_for("it is another torrent", || {
        let list = place.list();
        let now = list["torrents"][0]["info_hash"].as_str()?.to_owned();
        (now != id).then_some(list)
    });
    assert_eq!(answer(&[&old]).0, "404");
    assert!(announce(id).contains("not served here"));
    assert_eq!(answer(&[&place.url(text(&changed["torrents"][0]["files"][0]["address"]))]).1, b"another");
    fs::remove_dir_all(place.at("album")).expect("removed");
    place.published(&[]);
    assert!(announce(text(&changed["torrents"][0]["info_hash"])).contains("not served here"));
}

/// Octets that a process has read in its life.
fn read_octets(utopia: &Utopia) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", utopia.id())).expect("what it has read");
    io.lines()
        .find_map(|line| line.strip_prefix("rchar: "))
        .and_then(|count| count.parse().ok())
        .expect("a number")
}

#[test]
fn a_restart_reads_no_file_again_and_a_kill_does_no_harm() {
    if peer("curl").is_none() {
        return;
    }
    let mut place = Place::new();
    const OCTETS: usize = 50_000_000;
    fs::write(place.at("film"), octets(OCTETS, 3)).expect("written");
    let first = place.published(&["film"])["torrents"][0]["magnet"].clone();
    assert!(read_octets(place.utopia()) > OCTETS as u64);
    let ends: [fn(Utopia); 2] = [Utopia::stop, Utopia::kill];
    for end in ends {
        place.restart(end);
        assert_eq!(place.published(&["film"])["torrents"][0]["magnet"], first);
        let read = read_octets(place.utopia());
        assert!(read < OCTETS as u64 / 2, "{read} octets were read");
    }
    // In the middle of reading.
    for number in 0..3 {
        let name = format!("more {number}");
        fs::write(place.at(&name), octets(OCTETS, 10 + number)).expect("written");
        wait_for("it is being read", || {
            let list = place.list();
            list["reading"][0]["done_octets"].as_u64().filter(|done| *done > 0).or_else(|| {
                list["torrents"].as_array()?.iter().any(|torrent| torrent["name"] == *name).then_some(0)
            })
        });
        place.restart(Utopia::kill);
    }
    let list = place.published(&["film", "more 0", "more 1", "more 2"]);
    for torrent in list["torrents"].as_array().expect("torrents") {
        let file = place.torrent_file(torrent);
        let file = file.to_str().expect("a name");
        let out = place.out("again");
        let web = told(tests::utopia::run(&["torrent", "info", "--json", file]));
        assert_eq!(serde_json::from_str::<Value>(&web).expect("JSON")["info_hash"], torrent["info_hash"]);
        assert_eq!(curl(&[&place.url(text(&torrent["files"][0]["address"]))]).stdout.len(), OCTETS);
        drop(out);
    }
}

#[test]
fn a_reload_adds_and_removes_folders_and_drops_no_connection() {
    if peer("curl").is_none() {
        return;
    }
    let place = Place::new();
    fs::write(place.at("first"), octets(100_000, 4)).expect("written");
    let first = place.published(&["first"]);
    let more = place.out("more");
    fs::create_dir(&more).expect("a folder");
    fs::write(more.join("second"), octets(200_000, 5)).expect("written");
    let file = place.data().join("utopia.toml");
    let before = fs::read_to_string(&file).expect("the configuration");
    let reload = |text: &str| {
        fs::write(&file, text).expect("written");
        place.utopia().ask(&["reload"])
    };
    let mut mail = Smtp::connect(place.utopia().at("smtp"));
    let folder = format!(
        "{before}\n[[torrents.publish]]\npath = {:?}\nname = \"More & more\"\nformat = \"v2\"\n",
        more.display().to_string()
    );
    told(reload(&folder));
    let both = place.published(&["first", "second"]);
    assert_eq!(both["torrents"][0]["magnet"], first["torrents"][0]["magnet"], "it is as it was");
    assert_eq!(both["torrents"][1]["info_hash"], Value::Null, "{both}");
    let page = told(curl(&[&place.url("/torrents")]));
    assert!(page.contains("<h2>More &amp; more</h2>"), "{page}");

    // What is wrong changes nothing.
    for wrong in ["\n[[torrents.publish]]\npath = \"x\"\ntrackers = [\"nowhere\"]\n", "\n[torrents.x]\n"] {
        assert!(!reload(&format!("{folder}{wrong}")).status.success(), "{wrong}");
    }
    let held = TcpListener::bind(SocketAddr::new(own_address(), 0)).expect("a port");
    let taken = held.local_addr().expect("its address");
    let elsewhere = before.replace("[torrents]\nlisten = [", &format!("[torrents]\nlisten = [\"{taken}\", "));
    assert_ne!(elsewhere, before);
    let refused = said(&reload(&elsewhere));
    assert!(refused.contains(&format!("torrents cannot listen on {taken}")), "{refused}");
    drop(held);
    place.published(&["first", "second"]);

    // Other addresses: peers and trackers hear of the new ones.
    let moved = address();
    let elsewhere = before.replace(
        &format!("[torrents]\nlisten = [\"{}\"]", place.utopia().at("torrents")),
        &format!("[torrents]\nlisten = [\"{moved}\"]"),
    );
    assert_ne!(elsewhere, before);
    told(reload(&elsewhere));
    place.published(&["first"]);
    let status = told(place.utopia().ask(&["status"]));
    assert!(status.contains(&moved.to_string()), "{status}");
    if libtorrent::is_here() {
        let torrent = place.torrent_file(&first["torrents"][0]);
        let out = place.out("moved");
        told(libtorrent::find(torrent.to_str().expect("a name"), &out, address(), "peers"));
        assert!(is_same(&place.at("first"), &out.join("first")));
    }

    // Off.
    let off = elsewhere.replace(&format!("[torrents]\nlisten = [\"{moved}\"]"), "[torrents]\nlisten = []");
    told(reload(&off));
    place.published(&[]);
    assert!(mail.say("NOOP").starts_with("250"), "the connection is open still");
    told(reload(&before));
    place.published(&["first"]);
}

#[test]
fn what_is_published_is_found_in_the_hash_table() {
    if peer("curl").is_none() {
        return;
    }
    let place = Place::new();
    let nodes = tests::torrent::Place::with_file(1);
    let (nodes, node) = hash_table(&nodes);
    let file = place.data().join("utopia.toml");
    let before = fs::read_to_string(&file).expect("the configuration");
    let with_node = before.replace("[torrents]\n", &format!("[torrents]\ndht_routers = [\"{node}\"]\n"));
    assert_ne!(with_node, before);
    fs::write(&file, with_node).expect("written");
    told(place.utopia().ask(&["reload"]));
    fs::write(place.at("film.mkv"), octets(300_000, 9)).expect("written");
    let list = place.published(&["film.mkv"]);
    // No tracker, no web seed: nothing but the info-hash.
    let link = format!("magnet:?xt=urn:btih:{}", text(&list["torrents"][0]["info_hash"]));
    let out = place.out("out");
    let mut get = command(&["torrent", "get", &link, "--dht-node", &node.to_string()]);
    get.args(["--listen", &address().to_string()])
        .arg("--out")
        .arg(&out)
        .arg("--data")
        .arg(place.out("get-data"));
    told(ended(get));
    assert!(is_same(&place.at("film.mkv"), &out.join("film.mkv")));
    nodes.into_iter().for_each(Running::stop);
}
