//! `utopia torrent` with foreign peers: libtorrent and aria2, as seed
//! and as leecher; trackers, magnet links and kills.

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::torrent::{Place, Running, address, ended, get, getting, hash_table, seed};
use tests::utopia::{command, own_address, run, said, told};
use tests::{libtorrent, peer};

const FORMATS: [&str; 3] = ["v1", "v2", "hybrid"];

#[test]
fn libtorrent_reads_what_we_create() {
    if !libtorrent::is_here() {
        return;
    }
    for place in [Place::with_file(1_000_000), Place::with_folder()] {
        for format in FORMATS {
            let (file, _) = place.torrent(format, &[]);
            let theirs = told(libtorrent::read(&[&file]));
            let ours: Value = serde_json::from_str(&told(run(&[
                "torrent",
                "info",
                "--json",
                file.to_str().expect("a name"),
            ])))
            .expect("JSON");
            let hash = |key: &str| ours[key].as_str().unwrap_or("-").to_owned();
            let fields: Vec<&str> = theirs.split_whitespace().collect();
            assert_eq!(fields[0], ours["name"].as_str().expect("a name"));
            assert_eq!(fields[2], ours["pieces"].to_string());
            assert_eq!(fields[3..], [hash("info_hash"), hash("info_hash_v2")], "{format}");
        }
    }
}

#[test]
fn we_get_what_libtorrent_seeds_and_it_gets_what_we_seed() {
    if !libtorrent::is_here() {
        return;
    }
    for place in [Place::with_file(3_000_000), Place::with_folder()] {
        for (number, format) in FORMATS.into_iter().enumerate() {
            let encryption = if number == 0 { "rc4" } else { "plain" };
            let (file, _) = place.torrent(format, &[]);
            let at = address();
            let theirs = libtorrent::seed(&file, &place.path("source"), at, encryption);
            let out = place.path(&format!("ours-{format}"));
            get(&place, file.to_str().expect("a name"), &out, &["--peer", &at.to_string()]);
            drop(theirs);

            let at = address();
            let ours = seed(&place, &file, at, &[]);
            let out = place.path(&format!("theirs-{format}"));
            told(libtorrent::get(file.to_str().expect("a name"), &out, address(), at, encryption));
            place.compare(&out);
            ours.stop();
        }
    }
}

#[test]
fn libtorrent_and_we_trade_over_utp_alone() {
    if !libtorrent::is_here() {
        return;
    }
    let place = Place::with_file(3_000_000);
    let (file, magnet) = place.torrent("hybrid", &[]);
    for (how, encryption) in [("utp", "allowed"), ("utp-rc4", "required")] {
        let at = address();
        let theirs = libtorrent::seed(&file, &place.path("source"), at, how);
        let out = place.path(&format!("ours-{how}"));
        // Slow enough to be seen.
        let at = at.to_string();
        let mut more = vec!["--peer", &at, "--json", "--download-limit", "2000000"];
        more.extend(["--transport", "utp", "--encryption", encryption]);
        let shown = told(ended(getting(&place, &magnet, &out, &more)));
        place.compare(&out);
        assert_protocol(&shown, "utp", how == "utp-rc4");
        drop(theirs);

        // We are reachable over both; it comes over the one it speaks.
        let at = address();
        let ours = seed(&place, &file, at, &["--encryption", encryption]);
        let out = place.path(&format!("theirs-{how}"));
        told(libtorrent::get(file.to_str().expect("a name"), &out, address(), at, how));
        place.compare(&out);
        ours.stop();
    }
}

/// Every peer that a download showed was connected so.
#[track_caller]
fn assert_protocol(shown: &str, protocol: &str, encrypted: bool) {
    let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let peers: Vec<Value> =
        lines.flat_map(|line| line["peers"].as_array().cloned().unwrap_or_default()).collect();
    assert!(!peers.is_empty(), "{shown}");
    for peer in peers {
        assert_eq!((&peer["protocol"], &peer["encrypted"]), (&protocol.into(), &encrypted.into()), "{peer}");
    }
}

#[test]
fn who_is_not_reached_over_one_protocol_is_reached_over_the_other() {
    let place = Place::with_file(2_000_000);
    let (file, _) = place.torrent("v1", &[]);
    let file = file.to_str().expect("a name");
    for (number, (theirs, ours, protocol)) in [
        ("utp", "tcp-first", "utp"),
        ("tcp", "utp-first", "tcp"),
        ("tcp-first", "tcp-first", "tcp"),
        ("tcp-first", "utp-first", "utp"),
    ]
    .into_iter()
    .enumerate()
    {
        let at = address();
        let seed = seed(&place, file.as_ref(), at, &["--transport", theirs]);
        let out = place.path(&format!("out-{number}"));
        let at = at.to_string();
        let more = ["--peer", &at, "--transport", ours, "--json", "--download-limit", "2000000"];
        let shown = told(ended(getting(&place, file, &out, &more)));
        place.compare(&out);
        assert_protocol(&shown, protocol, false);
        seed.stop();
    }
}

#[test]
fn a_magnet_link_finds_its_peers_in_the_hash_table() {
    let place = Place::with_folder();
    let (nodes, node) = hash_table(&place);
    let node = node.to_string();
    for (number, transport) in ["tcp-first", "tcp", "utp"].into_iter().enumerate() {
        let (file, magnet) = place.torrent(FORMATS[number], &[]);
        let more = ["--dht-node", &node, "--transport", transport];
        let ours = seed(&place, &file, address(), &more);
        let out = place.path(&format!("ours-{transport}"));
        let more = [&more[..], &["--json", "--download-limit", "300000"]].concat();
        let shown = told(ended(getting(&place, &magnet, &out, &more)));
        place.compare(&out);
        let lines: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert!(lines.iter().any(|line| line["dht_nodes"].as_u64() > Some(0)), "{shown}");
        let mut peers = lines.iter().filter_map(|line| line["peers"].as_array()).flatten();
        assert!(peers.any(|peer| peer["source"] == "dht"), "{shown}");
        ours.stop();
    }
    nodes.into_iter().for_each(Running::stop);
}

#[test]
fn libtorrent_and_we_find_each_other_in_the_hash_table() {
    if !libtorrent::is_here() {
        return;
    }
    let place = Place::with_folder();
    let (nodes, node) = hash_table(&place);
    let (file, magnet) = place.torrent("v1", &[]);
    let theirs = libtorrent::seed_in_dht(&file, &place.path("source"), address(), node);
    let node_name = node.to_string();
    let more = ["--dht-node", node_name.as_str()];
    get(&place, &magnet, &place.path("ours"), &more);
    drop(theirs);

    let (file, magnet) = place.torrent("hybrid", &[]);
    let ours = seed(&place, &file, address(), &more);
    let out = place.path("theirs");
    told(libtorrent::get_by_dht(&magnet, &out, address(), node));
    place.compare(&out);
    ours.stop();
    nodes.into_iter().for_each(Running::stop);
}

#[test]
fn neighbours_find_each_other() {
    let place = Place::with_file(1_000_000);
    let (file, magnet) = place.torrent("hybrid", &[]);
    let file = file.to_str().expect("a name");
    // A group of this test alone.
    let group = format!("239.192.152.143:{}", address().port());
    let more = ["--dht", "off", "--lsd-group", &group];
    let slow = [&more[..], &["--json", "--download-limit", "500000"]].concat();
    let sources = |lines: &mut dyn Iterator<Item = String>| {
        let lines = lines.map(|line| serde_json::from_str::<Value>(&line).expect("JSON"));
        let peers = lines.flat_map(|line| line["peers"].as_array().cloned().unwrap_or_default());
        let sources: Vec<Value> = peers.map(|peer| peer["source"].clone()).collect();
        // Who of both connects depends on who spoke first.
        let expected = |source: &Value| source == "lsd" || source == "incoming";
        assert!(!sources.is_empty() && sources.iter().all(expected), "{sources:?}");
    };
    // The seed is there, and somebody comes.
    let ours = seed(&place, file.as_ref(), address(), &more);
    let out = place.path("later");
    let shown = told(ended(getting(&place, &magnet, &out, &slow)));
    sources(&mut shown.lines().map(str::to_owned));
    place.compare(&out);
    ours.stop();
    // Who is there already hears of the seed that comes.
    let out = place.path("earlier");
    let mut earlier = getting(&place, file, &out, &slow);
    earlier.stdout(Stdio::piped());
    let mut earlier = earlier.spawn().expect("utopia runs");
    let mut lines = BufReader::new(earlier.stdout.take().expect("a pipe")).lines();
    assert!(lines.by_ref().any(|line| line.is_ok_and(|line| line.contains("downloading"))));
    let ours = seed(&place, file.as_ref(), address(), &more);
    sources(&mut lines.map(|line| line.expect("a line")));
    assert!(earlier.wait().expect("it ends").success());
    place.compare(&out);
    ours.stop();
}

#[test]
fn libtorrent_and_we_find_each_other_as_neighbours() {
    if !libtorrent::is_here() {
        return;
    }
    let place = Place::with_folder();
    // The usual group is shared with whatever else runs here: a torrent that nobody has.
    fs::write(place.source().join("own"), own_address().to_string()).expect("written");
    let more = ["--dht", "off", "--lsd-group", "239.192.152.143:6771"];
    let (file, magnet) = place.torrent("v1", &[]);
    let theirs = libtorrent::seed_to_neighbours(&file, &place.path("source"), address());
    get(&place, &magnet, &place.path("ours"), &more);
    drop(theirs);

    let (file, magnet) = place.torrent("hybrid", &[]);
    let ours = seed(&place, &file, address(), &more);
    let out = place.path("theirs");
    told(libtorrent::get_from_neighbours(&magnet, &out, address()));
    place.compare(&out);
    ours.stop();
}

#[test]
fn a_magnet_link_is_enough() {
    if !libtorrent::is_here() {
        return;
    }
    let place = Place::with_folder();
    for format in FORMATS {
        let (file, magnet) = place.torrent(format, &[]);
        let at = address();
        let theirs = libtorrent::seed(&file, &place.path("source"), at, "plain");
        get(&place, &magnet, &place.path(&format!("ours-{format}")), &["--peer", &at.to_string()]);
        drop(theirs);

        let at = address();
        let ours = seed(&place, &file, at, &[]);
        let out = place.path(&format!("theirs-{format}"));
        told(libtorrent::get(&magnet, &out, address(), at, "plain"));
        place.compare(&out);
        ours.stop();
    }
}

/// aria2, which finds peers by trackers only and seeds for so many minutes, however
/// much it has sent: by itself it breaks off when that is as much as the torrent has.
fn aria(program: &Path, minutes: &str, folder: &Path, torrent: &Path) -> Command {
    let mut aria = Command::new(program);
    aria.arg(format!("--seed-time={minutes}")).arg("--seed-ratio=0.0");
    aria.args(["--enable-dht=false", "--enable-peer-exchange=false", "--bt-enable-lpd=false"]);
    aria.args(["--console-log-level=warn", "--summary-interval=0", "--bt-tracker-interval=1"]);
    aria.arg(format!("--listen-port={}", address().port())).arg("--dir").arg(folder).arg(torrent);
    aria
}

#[test]
fn peers_find_each_other_through_our_tracker() {
    let Some(aria2) = peer("aria2c") else { return };
    let place = Place::with_file(3_000_000);
    let (udp, http) = (address(), address());
    let track = command(&["torrent", "track", "--udp", &udp.to_string(), "--http", &http.to_string()]);
    let tracker = Running::start(track, 2);
    let trackers = [format!("udp://{udp}"), format!("http://{http}/announce")];
    let (file, magnet) = place.torrent("v1", &trackers);
    let at = address();
    let ours = seed(&place, &file, at, &[]);

    // Ours by file and by link.
    get(&place, file.to_str().expect("a name"), &place.path("by-file"), &[]);
    get(&place, &magnet, &place.path("by-link"), &["--encryption", "required"]);

    // aria2, which asks over UDP and HTTP, gets it from us.
    let out = place.path("aria2");
    told(ended(aria(&aria2, "0", &out, &file)));
    place.compare(&out);
    ours.stop();

    // And gives it to us.
    let mut seeding = aria(&aria2, "60", &out, &file);
    let seeding = seeding.arg("--check-integrity=true").stdout(Stdio::null()).spawn();
    let seeding = Running::from(seeding.expect("aria2 runs"));
    get(&place, file.to_str().expect("a name"), &place.path("of-aria2"), &[]);
    drop(seeding);
    tracker.stop();
}

#[test]
fn a_download_that_is_killed_goes_on_and_a_clean_stop_is_believed() {
    let place = Place::with_file(20_000_000);
    let (file, _) = place.torrent("v1", &[]);
    let at = address();
    let ours = seed(&place, &file, at, &["--upload-limit", "8000000"]);
    let out = place.path("out");
    let file = file.to_str().expect("a name");
    for kill in ["-KILL", "-KILL", "-TERM"] {
        let mut get = getting(&place, file, &out, &["--json", "--peer", &at.to_string()]);
        let mut child = get.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("utopia runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut begun = None;
        for line in lines {
            let progress: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
            if progress["stage"] != "downloading" {
                continue;
            }
            let have = progress["have_pieces"].as_u64().expect("a number");
            // Two more pieces than it began with.
            if have > *begun.get_or_insert(have) + 1 {
                break;
            }
        }
        assert!(Command::new("kill").args([kill, &child.id().to_string()]).status().expect("kill").success());
        child.wait().expect("it ends");
    }
    let last = told(ended(getting(&place, file, &out, &["--json", "--peer", &at.to_string()])));
    place.compare(&out);
    let first = last.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let first = first.into_iter().find(|progress| progress["stage"] == "downloading").expect("it began");
    let had = first["have_octets"].as_u64().expect("a number");
    let received = last.lines().last().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let received = received.expect("a line")["received_octets"].as_u64().expect("a number");
    assert!(had > 0, "what was here is used");
    assert!(received <= 20_000_000 - had + 65_536, "{received} octets for what {had} left");
    ours.stop();
}

#[test]
fn only_the_files_that_are_wanted_come() {
    let place = Place::with_folder();
    // Padding stands between the files of a hybrid one.
    for version in ["v2", "hybrid"] {
        let (file, _) = place.torrent(version, &[]);
        let name = file.to_str().expect("a name");
        let at = address();
        let ours = seed(&place, &file, at, &[]);
        let info: Value =
            serde_json::from_str(&told(run(&["torrent", "info", "--json", name]))).expect("JSON");
        let files = info["files"].as_array().expect("files");
        let wanted = files.iter().find(|file| file["path"] == "one").expect("the file");
        let out = place.path(&format!("out-{version}"));
        let more = ["--peer", &at.to_string(), "--files", &wanted["index"].to_string()];
        told(ended(getting(&place, name, &out, &more)));
        assert_eq!(
            fs::read(out.join("album/one")).expect("a file"),
            fs::read(place.source().join("one")).expect("a file")
        );
        assert!(!out.join("album/deep/er/three").exists());
        ours.stop();
        for none in ["77", "4-2", "one"] {
            let refused = ended(getting(&place, name, &out, &["--files", none]));
            let said = String::from_utf8_lossy(&refused.stderr);
            assert!(!refused.status.success() && said.contains(&format!("--files {none}: ")), "{said}");
        }
    }
}

#[test]
fn a_file_that_is_not_the_torrents_is_not_seeded_and_not_touched() {
    let place = Place::with_file(500_000);
    let (file, _) = place.torrent("hybrid", &[]);
    let at = address();
    let ours = seed(&place, &file, at, &[]);
    let own = place.path("own");
    fs::create_dir(&own).expect("a folder");
    let own = own.join(place.source().file_name().expect("a name"));
    let mut edited = fs::read(place.source()).expect("the file");
    edited[100_000] ^= 1;
    fs::write(&own, &edited).expect("written");
    let mut seeding = command(&["torrent", "seed", "--peer", &at.to_string()]);
    seeding.args(["--listen", &address().to_string()]).arg("--torrent").arg(&file);
    seeding.arg("--data").arg(place.path("own-data")).arg(&own);
    let refused = ended(seeding);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("7 of 8 pieces are what the torrent says"), "{said}");
    assert!(fs::read(&own).expect("the file") == edited, "it was written to");
    ours.stop();
}

#[test]
fn what_lies_in_the_way_is_not_lost_and_a_log_tells_how_it_gets_on() {
    let place = Place::with_file(3_000_000);
    let (file, _) = place.torrent("hybrid", &[]);
    let at = address();
    let ours = seed(&place, &file, at, &[]);
    let out = place.path("out");
    fs::create_dir(&out).expect("a folder");
    fs::write(out.join("film.bin"), "mine").expect("written");
    let getting = |more: &[&str]| {
        getting(&place, file.to_str().expect("a name"), &out, &[&["--peer", &at.to_string()], more].concat())
    };
    let refused = ended(getting(&[]));
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let last = said.lines().last().expect("a line");
    assert!(last.starts_with("utopia: film.bin: ") && last.contains("get --overwrite"), "{said}");
    assert_eq!(fs::read(out.join("film.bin")).expect("read"), b"mine");
    // A terminal that goes is no power cut: what is here is noted.
    let mut cut_off = getting(&["--overwrite", "--download-limit", "300000"]);
    let mut running = cut_off.stderr(Stdio::piped()).spawn().expect("it runs");
    let lines = BufReader::new(running.stderr.take().expect("a pipe")).lines();
    for line in lines.map(|line| line.expect("a line")) {
        if line.contains(", 1") {
            let hung_up = Command::new("kill").arg("-HUP").arg(running.id().to_string()).status();
            assert!(hung_up.expect("kill runs").success());
        } else if line.starts_with("utopia: ") {
            assert!(line.contains("the same command goes on from here"), "{line}");
        }
    }
    assert_eq!(running.wait().expect("it ends").code(), Some(1));
    let whole = ended(getting(&[]));
    let said = String::from_utf8_lossy(&whole.stderr).into_owned();
    let began = said.lines().find(|line| line.contains("downloading")).expect("a line");
    assert!(!began.contains(", 0 % of"), "{said}");
    assert!(whole.status.success(), "{said}");
    place.compare(&out);
    ours.stop();
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let garbage = folder.path().join("garbage.torrent");
    fs::write(&garbage, b"d4:infode").expect("written");
    for (arguments, expected) in [
        (vec!["torrent", "info", "none.torrent"], "none.torrent: there is no such file"),
        (vec!["torrent", "info", garbage.to_str().expect("a name")], "garbage.torrent: "),
        (vec!["torrent", "info", "magnet:?dn=x"], "a magnet link without an info-hash"),
        (vec!["torrent", "create", "/nowhere/at/all"], "/nowhere/at/all: "),
        (
            vec!["torrent", "create", "/etc/hostname", "--tracker", "ftp://x"],
            "--tracker ftp://x: a tracker's URL begins",
        ),
        (vec!["torrent", "get", "http://127.0.0.1:1/x.torrent"], "127.0.0.1: "),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let line = said(&output);
        assert_eq!(line.lines().count(), 1, "{line}");
        assert!(line.starts_with("utopia: ") && line.contains(expected), "{line}");
    }
    assert_eq!(run(&["torrent", "track"]).status.code(), Some(2));
}
