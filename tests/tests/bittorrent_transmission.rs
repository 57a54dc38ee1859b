//! `utopia torrent` and Transmission, each as seed and as leecher of the other. It
//! refuses peers on loopback addresses, so that each has a host of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::namespace::Hosts;
use tests::nginx::Nginx;
use tests::torrent::{Place, Running, address, ended};
use tests::utopia::{command, told, wait_for};
use tests::{Peer, peer, skip};

/// Which host is whose.
const OURS: usize = 0;
const THEIRS: usize = 1;
const PEER_PORT: u16 = 6_881;
const TRACKER_PORT: u16 = 8_000;
/// How long it may take; it looks for peers every ten seconds at most.
const PATIENCE: Duration = Duration::from_mins(3);
/// What it runs when all is here.
const HOOK: &str = "#!/bin/sh\ntouch \"$(dirname \"$0\")/done\"\n";

/// Transmission with a torrent file or a link: gets it into `folder`, or seeds what
/// lies there, until the test ends. Tells by a file `done` beside its settings. On
/// loopback it has no peers, only web seeds.
fn transmission(
    hosts: Option<&Hosts>,
    place: &Place,
    what: &str,
    folder: &Path,
    encryption: &str,
) -> (Peer, std::path::PathBuf) {
    let settings =
        tempfile::tempdir_in(place.path("source").parent().expect("a folder")).expect("a folder").keep();
    fs::create_dir_all(folder).expect("a folder");
    fs::write(settings.join("settings.json"), r#"{"dht-enabled": false}"#).expect("written");
    let hook = settings.join("hook");
    fs::write(&hook, HOOK).expect("written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("allowed");
    let mut cli = Command::new("transmission-cli");
    cli.arg("--config-dir").arg(&settings).arg("--download-dir").arg(folder);
    cli.args(["--port", &PEER_PORT.to_string(), "--no-portmap", encryption, "--finish"]).arg(hook).arg(what);
    let mut there = match hosts {
        Some(hosts) => hosts.on(THEIRS, &cli),
        None => cli,
    };
    there.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    (Peer::start(&mut there).expect("it runs"), settings.join("done"))
}

fn wait_until(done: &Path) {
    let began = Instant::now();
    while !done.exists() {
        assert!(began.elapsed() < PATIENCE, "Transmission has it not within {PATIENCE:?}");
        sleep(Duration::from_millis(100));
    }
}

/// Our tracker, and torrents that name it.
fn tracker(hosts: &Hosts) -> (Running, String) {
    let at = Hosts::address(OURS, TRACKER_PORT);
    let track = command(&["torrent", "track", "--http", &at.to_string()]);
    (Running::start(hosts.on(OURS, &track), 1), format!("http://{at}/announce"))
}

/// Gets in both directions, a torrent file or a link, with Transmission's setting of
/// encryption and arguments of ours.
fn trade(place: &Place, format: &str, by_link: bool, theirs: &str, ours: &[&str]) {
    if peer("transmission-cli").is_none() || peer("ip").is_none() {
        return;
    }
    let Some(hosts) = Hosts::new() else { return };
    let (tracker, url) = tracker(&hosts);
    let (file, magnet) = place.torrent(format, &[url]);
    let name = file.to_str().expect("a name");
    let shown = Command::new("transmission-show").arg(name).output().expect("transmission-show runs");
    if !shown.status.success() || !shown.stderr.is_empty() {
        // 3.0 reads no torrent that has a part for v2.
        return skip("this Transmission reads no hybrid torrents");
    }
    let ours_at = Hosts::address(OURS, PEER_PORT).to_string();
    let theirs_at = Hosts::address(THEIRS, PEER_PORT);
    let what = if by_link { magnet.as_str() } else { name };
    let own = [&["--listen", &ours_at, "--no-lsd", "--dht", "off"], ours].concat();

    let mut seed = command(&["torrent", "seed"]);
    seed.arg(place.source()).arg("--torrent").arg(&file).args(&own);
    seed.arg("--data").arg(place.path("seed-data"));
    let seeding = Running::start(hosts.on(OURS, &seed), 2);
    let out = place.path("theirs");
    let (getting, done) = transmission(Some(&hosts), place, what, &out, theirs);
    wait_until(&done);
    place.compare(&out);
    drop(getting);
    seeding.stop();

    let (seeding, _) = transmission(Some(&hosts), place, name, &place.path("source"), theirs);
    let mut knock = Command::new("bash");
    knock.args(["-c", &format!("true </dev/tcp/{}/{}", theirs_at.ip(), theirs_at.port())]);
    wait_for("Transmission listens", || {
        let knocked = hosts.on(OURS, &knock).stderr(Stdio::null()).status().expect("bash runs");
        knocked.success().then_some(())
    });
    let out = place.path("ours");
    let mut get = command(&["torrent", "get", what, "--peer", &theirs_at.to_string()]);
    get.args(&own).arg("--out").arg(&out).arg("--data").arg(place.path("get-data"));
    told(ended(hosts.on(OURS, &get)));
    place.compare(&out);
    drop(seeding);
    tracker.stop();
}

#[test]
fn transmission_and_we_get_what_the_other_seeds() {
    trade(&Place::with_file(3_000_000), "v1", false, "--encryption-tolerated", &[]);
}

#[test]
fn a_link_is_enough_for_transmission_and_us() {
    trade(&Place::with_file(3_000_000), "v1", true, "--encryption-preferred", &[]);
}

#[test]
fn transmission_and_we_trade_under_encryption_alone() {
    trade(&Place::with_file(3_000_000), "v1", false, "--encryption-required", &["--encryption", "required"]);
}

#[test]
fn transmission_and_we_trade_hybrid_torrents() {
    trade(&Place::with_file(3_000_000), "hybrid", false, "--encryption-tolerated", &[]);
}

#[test]
fn transmission_and_we_trade_over_utp_alone() {
    let place = Place::with_file(3_000_000);
    trade(&place, "v1", false, "--encryption-tolerated", &["--transport", "utp"]);
}

#[test]
fn transmission_gets_a_torrent_of_ours_from_its_web_seed() {
    let (Some(nginx), Some(_)) = (peer("nginx"), peer("transmission-cli")) else { return };
    let (place, at) = (Place::with_file(3_000_000), address());
    let server = Nginx::start(&nginx, &place.path("nginx"), &place.path("source"), at, "");
    let (file, _) = place.torrent_with("v1", &["--web-seed", &format!("http://{at}/film.bin")]);
    let (what, out) = (file.to_str().expect("a name"), place.path("theirs"));
    let (getting, done) = transmission(None, &place, what, &out, "--encryption-tolerated");
    wait_until(&done);
    place.compare(&out);
    assert!(server.requests().iter().any(|request| request.status == 206));
    drop(getting);
}
