//! `utopia torrent get --rpc` and Transmission's own remote control.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tests::torrent::{Place, Running, address, getting, seed};
use tests::utopia::{Utopia, command, said, told};
use tests::{peer, skip};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// `transmission-remote` towards one of ours.
struct Remote(SocketAddr);

impl Remote {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut remote = Command::new("transmission-remote");
        remote.arg(self.0.to_string()).args(arguments).output().expect("transmission-remote runs")
    }

    /// Something that succeeds; what it prints.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let printed = told(self.run(arguments));
        assert!(!printed.contains("Error") && !printed.contains("responded: \"success\" ("), "{printed}");
        printed
    }

    /// A change that is carried out.
    #[track_caller]
    fn done(&self, arguments: &[&str]) {
        let printed = self.told(arguments);
        assert!(printed.contains("success"), "{arguments:?}: {printed}");
    }

    /// Waits until it prints something.
    #[track_caller]
    fn until(&self, arguments: &[&str], wanted: &str) -> String {
        let began = Instant::now();
        loop {
            let printed = self.told(arguments);
            if printed.contains(wanted) {
                return printed;
            }
            assert!(began.elapsed() < PATIENCE, "{wanted} was waited for: {printed}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

#[test]
fn transmission_remote_controls_a_download_and_adds_another() {
    if peer("transmission-remote").is_none() {
        return;
    }
    let place = Place::with_file(3_000_000);
    let (file, magnet) = place.torrent("v1", &[]);
    let album = Place::with_folder();
    let (album_file, _) = album.torrent("hybrid", &[]);
    let (seed_at, album_at) = (address(), address());
    let seeding = seed(&place, &file, seed_at, &[]);
    let album_seeding = seed(&album, &album_file, album_at, &[]);
    let remote = Remote(address());
    let out = place.path("out");
    let rpc = remote.0.to_string();
    // What is begun by command is controlled, too.
    let more = ["--rpc", &rpc, "--peer", &album_at.to_string(), "--no-lsd", "--dht", "off"];
    let ours = Running::start(getting(&place, text(&album_file), &out, &more), 0);
    listening(&remote);
    remote.until(&["-l"], "album");
    remote.until(&["-t", "1", "-i"], "Percent Done: 100%");
    album.compare(&out);

    // A file and a link, to a folder of their own.
    let elsewhere = place.path("elsewhere");
    remote.done(&["--start-paused"]);
    remote.done(&["-a", text(&file), "-w", text(&elsewhere)]);
    remote.until(&["-l"], "Stopped");
    remote.done(&["--no-start-paused"]);
    remote.done(&["-t", "2", "-d", "500", "-u", "77", "-pr", "9", "-sr", "3.5"]);
    let info = remote.told(&["-t", "2", "-i"]);
    for wanted in ["Download Limit: 500 kB/s", "Upload Limit: 77 kB/s", "Peer limit: 9", "Ratio Limit: 3.5"] {
        assert!(info.contains(wanted), "{wanted}: {info}");
    }
    remote.done(&["-t", "2", "-D", "-U"]);
    remote.done(&["-t", "2", "-s"]);
    remote.until(&["-t", "2", "-i"], "State: Idle");
    remote.done(&["-t", "2", "-S"]);
    remote.until(&["-t", "2", "-i"], "State: Stopped");
    remote.done(&["-t", "2", "-rad"]);
    let link = format!("{magnet}&x.pe={seed_at}");
    remote.done(&["-a", &link, "-w", text(&elsewhere)]);
    remote.until(&["-t", "3", "-i"], "Percent Done: 100%");
    place.compare(&elsewhere);
    let peers = remote.told(&["-t", "3", "-pi"]);
    assert!(peers.contains("Address"), "{peers}");
    let pieces = remote.told(&["-t", "3", "-ip"]);
    assert!(!pieces.is_empty());

    // Files of a folder; padding is none of them.
    let files = remote.told(&["-t", "1", "-f"]);
    assert!(files.contains("album (5 files)"), "{files}");
    remote.done(&["-t", "1", "-G", "0"]);
    remote.done(&["-t", "1", "-ph", "1"]);
    let files = remote.told(&["-t", "1", "-f"]);
    assert!(files.lines().any(|line| line.contains("High") && line.contains("1:")), "{files}");
    assert!(files.lines().any(|line| line.contains("No") && line.contains("0:")), "{files}");
    remote.done(&["-t", "1", "-g", "all"]);

    // Trackers, places, checks.
    remote.done(&["-t", "3", "-td", "udp://127.0.0.1:9/announce"]);
    assert!(remote.told(&["-t", "3", "-it"]).contains("udp://127.0.0.1:9"));
    remote.done(&["-t", "3", "-tr", "0"]);
    let moved = place.path("moved");
    remote.done(&["-t", "3", "--move", text(&moved)]);
    place.compare(&moved);
    remote.done(&["-t", "3", "-v"]);
    remote.until(&["-t", "3", "-i"], "State: Idle");

    // All together.
    remote.done(&["-d", "950", "-u", "900", "-asd", "5", "-asu", "6", "-gsr", "2.5"]);
    remote.done(&["-as"]);
    assert!(remote.told(&["-si"]).contains("Download speed limit: 5 kB/s"));
    remote.done(&["-AS"]);
    let session = remote.told(&["-si"]);
    for wanted in
        ["Download speed limit: 950 kB/s", "Upload speed limit: 900 kB/s", "Default seed ratio limit: 2.5"]
    {
        assert!(session.contains(wanted), "{wanted}: {session}");
    }
    assert!(remote.told(&["-st"]).contains("CURRENT SESSION"));
    // What cannot be is said.
    let refused = remote.run(&["-pt"]);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("from outside"), "{refused:?}");

    remote.done(&["-t", "3", "-rad"]);
    assert!(!moved.join("film.bin").exists());
    remote.done(&["--exit"]);
    ours.ended();
    drop((seeding, album_seeding));
}

/// Waits until the service listens.
#[track_caller]
fn listening(remote: &Remote) {
    let began = Instant::now();
    while !remote.run(&["-l"]).status.success() {
        assert!(began.elapsed() < PATIENCE, "it does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What was answered is there, and a move that was cut short is ended.
#[test]
fn what_was_added_and_moved_survives_a_kill() {
    if peer("transmission-remote").is_none() {
        return;
    }
    let place = Place::with_file(40_000_000);
    let (file, _) = place.torrent("v1", &[]);
    let album = Place::with_folder();
    let (album_file, _) = album.torrent("v1", &[]);
    let remote = Remote(address());
    let rpc = remote.0.to_string();
    let begin = || {
        let more = ["--rpc", &rpc, "--no-lsd", "--dht", "off"];
        let ours = Running::start(getting(&place, text(&album_file), &place.path("out"), &more), 0);
        listening(&remote);
        ours
    };
    // Its files are there before it is added: it is checked, and seeds.
    let first = place.path("first");
    std::fs::create_dir(&first).expect("a folder");
    std::fs::copy(place.source(), first.join("film.bin")).expect("copied");
    let ours = begin();
    remote.done(&["-a", text(&file), "-w", text(&first)]);
    drop(ours);
    let ours = begin();
    let id = |printed: &str| {
        let line = printed.lines().find(|line| line.contains("film.bin")).expect("it is there").to_owned();
        line.split_whitespace().next().expect("an id").trim_end_matches('*').to_owned()
    };
    let number = id(&remote.told(&["-l"]));
    remote.until(&["-t", &number, "-i"], "State: Idle");
    // To another file system, where there is one: octets are copied then.
    let shared = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let to = shared.path().join("to");
    let mut moving = Command::new("transmission-remote");
    moving.arg(&rpc).args(["-t", &number, "--move", text(&to)]);
    let mut moving = moving
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it runs");
    let began = Instant::now();
    while !to.exists() && began.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    drop(ours);
    moving.wait().expect("it ends");
    let ours = begin();
    let number = id(&remote.told(&["-l"]));
    let info = remote.until(&["-t", &number, "-i"], "Percent Done: 100%");
    assert!(info.contains(&format!("Location: {}", text(&to))), "{info}");
    place.compare(&to);
    assert!(!first.join("film.bin").exists(), "nothing is left where it was");
    remote.done(&["--exit"]);
    ours.ended();
}

#[test]
fn the_web_interface_of_transmission_shows_our_torrents() {
    let web = Path::new("/usr/share/transmission/web");
    let Some(chromium) = peer("chromium") else { return };
    if !web.join("index.html").exists() {
        return skip("the web interface of transmission-common is not installed");
    }
    let place = Place::with_file(100_000);
    let (file, _) = place.torrent("v1", &[]);
    let rpc = address().to_string();
    let _ours =
        seed(&place, &file, address(), &["--rpc", &rpc, "--rpc-web", text(web), "--dht", "off", "--no-lsd"]);
    let profile = place.path("profile");
    let mut browser = Command::new("timeout");
    browser.arg("60").arg(chromium).args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=10000",
    ]);
    browser.arg(format!("--user-data-dir={}", text(&profile))).arg("--dump-dom");
    let shown = told(browser.arg(format!("http://{rpc}/transmission/web/")).output().expect("chromium runs"));
    assert!(shown.contains("film.bin"), "{shown}");
}

/// `[rpc]` of a running domain: what is added by it is kept over a restart, and a
/// reload closes it.
#[test]
fn a_domain_s_torrents_are_controlled_remotely() {
    if peer("transmission-remote").is_none() {
        return;
    }
    let place = Place::with_file(1_000_000);
    let (file, magnet) = place.torrent("v1", &[]);
    let seed_at = address();
    let _seeding = seed(&place, &file, seed_at, &[]);
    let data = place.path("data");
    Utopia::start(&data).stop();
    let configuration = data.join("utopia.toml");
    let before = std::fs::read_to_string(&configuration).expect("a configuration");
    let (remote, peers) = (Remote(address()), address());
    let section = format!("\n[rpc]\nlisten = [\"{}\"]\npeers_listen = [\"{peers}\"]\n", remote.0);
    std::fs::write(&configuration, before.clone() + &section).expect("written");
    let open = command(&["config", "check"]).arg(&configuration).output().expect("utopia runs");
    assert!(said(&open).contains("rpc.password_file: without a password"), "{}", said(&open));
    let password = data.join("secrets/rpc");
    std::fs::create_dir_all(data.join("secrets")).expect("a folder");
    std::fs::write(&password, "secret\n").expect("written");
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("its owner's");
    let section = section + "username = \"alice\"\npassword_file = \"secrets/rpc\"\n";
    std::fs::write(&configuration, before.clone() + &section).expect("written");
    let utopia = Utopia::start(&data);
    assert_eq!((utopia.at("rpc"), utopia.at("downloads")), (remote.0, peers));
    assert!(!remote.run(&["-l"]).status.success(), "without a password");
    remote.done(&["-n", "alice:secret", "-a", &format!("{magnet}&x.pe={seed_at}")]);
    remote.until(&["-n", "alice:secret", "-t", "1", "-i"], "Percent Done: 100%");
    place.compare(&data.join("downloads"));
    let refused = remote.run(&["-n", "alice:secret", "--exit"]);
    assert!(String::from_utf8_lossy(&refused.stdout).contains("part of a host"), "{refused:?}");
    utopia.stop();
    let utopia = Utopia::start(&data);
    remote.until(&["-n", "alice:secret", "-t", "1", "-i"], "Percent Done: 100%");
    // Without the section nobody is answered any more.
    std::fs::write(&configuration, before).expect("written");
    told(utopia.ask(&["reload"]));
    assert!(!remote.run(&["-l"]).status.success());
    utopia.stop();
}
