//! Transmission's RPC as a client sees it, and the session behind it.

mod rig;
#[path = "rig/router.rs"]
mod router;

use bittorrent::metainfo::Version;
use bittorrent_node::rpc::{Config, REQUEST_OCTETS_MAX, Rpc, Standing};
use bittorrent_node::session::Session;
use bittorrent_node::{Names, Rules, Stage};
use net::{Network, Shutdown};
use rig::{PATIENCE, Side, torrent, until, write_files};
use router::router;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FILES: [usize; 3] = [300_000, 200_000, 500_000];

/// A service, and a client of it.
struct Remote {
    at: SocketAddr,
    shutdown: Shutdown,
    session_id: String,
}

/// The parts of a response.
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Remote {
    async fn start(side: &Side, config: Config) -> Self {
        let network = Network::new();
        let files = side.files();
        let session = Session::open(
            side.engine.clone(),
            network.clone(),
            Names::default(),
            &side.data,
            &files,
            Rules::default(),
        );
        let session = session.await.expect("a session");
        let shutdown = Shutdown::new();
        let rpc = Rpc::new(session, network, Names::default(), shutdown.clone(), None);
        let listen = vec![(Ipv4Addr::LOCALHOST, 0).into()];
        let prepared = rpc.prepare(&Config { listen, ..config }).expect("prepared");
        rpc.carry_out(prepared);
        let mut remote = Self { at: rpc.addresses()[0], shutdown, session_id: String::new() };
        let conflict = remote.send("POST", "/transmission/rpc", "", "{}").await;
        if conflict.status == 409 {
            let id = conflict.head.lines().find_map(|line| line.strip_prefix("x-transmission-session-id: "));
            id.expect("a session id").clone_into(&mut remote.session_id);
        }
        remote
    }

    async fn stop(self) {
        self.shutdown.request();
        assert!(self.shutdown.finish(PATIENCE).await);
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        let host = if headers.to_ascii_lowercase().contains("host:") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.at)
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = Network::new().connect(self.at, PATIENCE).await.expect("connected");
        // A server that refuses a body may stop reading it.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut octets = Vec::new();
        let _ = stream.read_to_end(&mut octets).await;
        let text = String::from_utf8(octets).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Response { status, head: head.to_owned(), body: body.to_owned() }
    }

    async fn post(&self, body: &Value) -> Value {
        let id = format!("X-Transmission-Session-Id: {}\r\n", self.session_id);
        let response = self.send("POST", "/transmission/rpc", &id, &body.to_string()).await;
        assert_eq!(response.status, 200, "{}", response.body);
        serde_json::from_str(&response.body).expect("JSON")
    }

    /// A request of the old protocol, which is carried out.
    async fn call(&self, method: &str, arguments: Value) -> Value {
        let answer = self.post(&json!({"method": method, "arguments": arguments})).await;
        assert_eq!(answer["result"], "success", "{method}");
        answer["arguments"].clone()
    }

    /// One that is refused; why.
    async fn refused(&self, method: &str, arguments: Value) -> String {
        let answer = self.post(&json!({"method": method, "arguments": arguments})).await;
        assert_ne!(answer["result"], "success", "{method}");
        answer["result"].as_str().expect("a reason").to_owned()
    }

    async fn field(&self, id: i64, field: &str) -> Value {
        let got = self.call("torrent-get", json!({"ids": [id], "fields": [field]})).await;
        got["torrents"][0][field].clone()
    }

    /// Waits until a field is as it should be.
    async fn until(&self, id: i64, field: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let value = self.field(id, field).await;
            if wanted(&value) {
                return value;
            }
            assert!(began.elapsed() < PATIENCE, "{field} is {value}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, octet| bits << 8 | u32::from(*octet)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[tokio::test]
async fn strangers_and_nonsense_are_turned_away() {
    let side = Side::start().await;
    let password = side.folder.path().join("password");
    storage::files::write_atomically(&password, b"secret\n", storage::files::SECRET).expect("written");
    let web = side.folder.path().join("web");
    std::fs::create_dir(&web).expect("a folder");
    std::fs::write(web.join("index.html"), "<html>").expect("written");
    let config = Config {
        hosts: vec!["seed.utopia.test".to_owned()],
        username: "alice".to_owned(),
        password_file: Some(password),
        web_folder: Some(web),
        ..Config::default()
    };
    let remote = Remote::start(&side, config).await;
    let rpc = "/transmission/rpc";
    let right = "Authorization: Basic YWxpY2U6c2VjcmV0\r\n";
    let status = async |method: &str, path: &str, headers: &str, body: &str| {
        remote.send(method, path, headers, body).await.status
    };
    // A page that got a name of its own to lead here (DNS rebinding).
    assert_eq!(status("POST", rpc, &format!("Host: evil.test\r\n{right}"), "{}").await, 421);
    assert_eq!(status("POST", rpc, &format!("Host: seed.utopia.test:80\r\n{right}"), "{}").await, 409);
    assert_eq!(status("POST", rpc, "", "{}").await, 401);
    assert_eq!(status("POST", rpc, "Authorization: Basic YWxpY2U6d3Jvbmc=\r\n", "{}").await, 401);
    assert_eq!(status("GET", rpc, right, "").await, 409, "some clients get the session id so");
    let conflict = remote.send("POST", rpc, right, "{}").await;
    let id = conflict.head.lines().find_map(|line| line.strip_prefix("x-transmission-session-id: "));
    let id = id.expect("a session id");
    assert!(conflict.head.contains("x-transmission-rpc-version: "));
    let allowed = format!("{right}X-Transmission-Session-Id: {id}\r\n");
    assert_eq!(status("POST", rpc, &format!("{right}X-Transmission-Session-Id: x{id}\r\n"), "{}").await, 409);
    assert_eq!(status("GET", rpc, &allowed, "").await, 405);
    let nonsense = remote.send("POST", rpc, &allowed, "{").await;
    assert!(nonsense.status == 200 && nonsense.body.contains("no JSON"), "{}", nonsense.body);
    let unknown = remote.send("POST", rpc, &allowed, r#"{"method":"fly"}"#).await;
    assert!(unknown.body.contains("method name not recognized"));
    let long = format!("{allowed}X-Long: {}\r\n", "x".repeat(1_000_000));
    assert_eq!(status("POST", rpc, &long, "{}").await, 431);
    let large = " ".repeat(REQUEST_OCTETS_MAX + 1);
    assert_eq!(status("POST", rpc, &allowed, &large).await, 413);
    // The folder of a web interface, and nothing beside it.
    assert_eq!(remote.send("GET", "/transmission/web/", right, "").await.body, "<html>");
    assert_eq!(status("GET", "/", right, "").await, 301);
    assert_eq!(status("GET", "/transmission/web/../password", right, "").await, 404);
    assert_eq!(status("GET", "/transmission/web/index.html", "", "").await, 401);
    remote.stop().await;
}

#[tokio::test]
async fn a_torrent_is_added_watched_set_and_removed() {
    let seed = Side::start().await;
    let metainfo = torrent(&FILES, Version::Hybrid);
    write_files(&seed.files(), &FILES);
    let handle = seed.add(&metainfo, seed.options()).await;
    until(&handle, |now| now.stage == Stage::Seeding).await;
    let side = Side::start().await;
    let remote = Remote::start(&side, Config::default()).await;
    let text = base64(&metainfo.encode());
    let adding = json!({"metainfo": text, "paused": true, "files-unwanted": [1], "priority-high": [2],
        "labels": ["film"], "peer-limit": 7});
    let added = remote.call("torrent-add", adding.clone()).await;
    let id = added["torrent-added"]["id"].as_i64().expect("an id");
    assert_eq!(added["torrent-added"]["name"], "film");
    let hash = added["torrent-added"]["hashString"].clone();
    assert_eq!(remote.call("torrent-add", adding).await["torrent-duplicate"]["id"], id);
    // What is told of it, in both forms and both protocols.
    let fields = json!([
        "id",
        "name",
        "files",
        "wanted",
        "priorities",
        "status",
        "labels",
        "peer-limit",
        "totalSize",
        "sizeWhenDone"
    ]);
    remote.until(id, "status", |status| *status == 0).await;
    let got = remote.call("torrent-get", json!({"ids": [hash], "fields": fields})).await;
    let told = &got["torrents"][0];
    assert_eq!(told["files"].as_array().expect("files").len(), 3, "padding is no file");
    assert_eq!(told["files"][2]["name"], "film/2");
    assert_eq!((&told["wanted"], &told["priorities"]), (&json!([1, 0, 1]), &json!([0, 0, 1])));
    assert_eq!((&told["labels"], &told["peer-limit"]), (&json!(["film"]), &json!(7)));
    assert_eq!((&told["totalSize"], &told["sizeWhenDone"]), (&json!(1_000_000), &json!(800_000)));
    let table =
        remote.call("torrent-get", json!({"fields": ["id", "name", "nothing"], "format": "table"})).await;
    assert_eq!(table["torrents"], json!([["id", "name", "nothing"], [id, "film", null]]));
    let new = json!({"jsonrpc": "2.0", "id": 1, "method": "torrent_get",
        "params": {"ids": [id], "fields": ["hash_string", "file_stats"]}});
    let answer = remote.post(&new).await;
    assert_eq!(answer["result"]["torrents"][0]["hash_string"], hash);
    assert_eq!(answer["result"]["torrents"][0]["file_stats"][0]["bytes_completed"], 0);
    let notification = json!({"jsonrpc": "2.0", "method": "session_get"}).to_string();
    let session_id = format!("X-Transmission-Session-Id: {}\r\n", remote.session_id);
    assert_eq!(remote.send("POST", "/transmission/rpc", &session_id, &notification).await.status, 204);
    // It runs, and is done.
    remote.call("torrent-start", json!({"ids": [id]})).await;
    remote.until(id, "status", |status| *status == 4).await;
    let ours = side.engine.torrents().await.expect("a list");
    ours[0].add_peers(vec![seed.address()]).await;
    remote.until(id, "percentDone", |done| *done == 1.0).await;
    assert_eq!(remote.field(id, "leftUntilDone").await, 0);
    assert!(!side.files().join("film/1").exists() && side.files().join("film/2").exists());
    let recent = remote.call("torrent-get", json!({"ids": "recently-active", "fields": ["id"]})).await;
    assert_eq!((&recent["torrents"], &recent["removed"]), (&json!([{"id": id}]), &json!([])));
    // It is set.
    remote
        .call(
            "torrent-set",
            json!({"ids": [id], "downloadLimit": 77, "downloadLimited": true,
        "seedRatioMode": 1, "seedRatioLimit": 9, "trackerAdd": ["http://127.0.0.1:9/announce"]}),
        )
        .await;
    assert_eq!(remote.field(id, "downloadLimit").await, 77);
    assert_eq!(remote.field(id, "trackers").await[0]["announce"], "http://127.0.0.1:9/announce");
    let refused = remote.refused("torrent-set", json!({"ids": [id], "files-wanted": [3]})).await;
    assert!(refused.contains("no file of it"), "{refused}");
    remote.refused("torrent-set", json!({"ids": [id], "downloadLimit": "fast"})).await;
    remote.refused("torrent-set", json!({"ids": [id], "trackerAdd": ["gopher://x/"]})).await;
    let to = side.folder.path().join("moved");
    remote.call("torrent-set-location", json!({"ids": [id], "location": to, "move": true})).await;
    assert_eq!(remote.field(id, "downloadDir").await, json!(to));
    remote.refused("torrent-set-location", json!({"ids": [id], "location": "moved"})).await;
    let renaming = json!({"ids": [id], "path": "film/2", "name": "two"});
    assert_eq!(remote.call("torrent-rename-path", renaming.clone()).await["name"], "two");
    remote.refused("torrent-rename-path", renaming).await;
    remote.refused("torrent-rename-path", json!({"ids": [id], "path": "film", "name": "../x"})).await;
    remote.call("torrent-rename-path", json!({"ids": [id], "path": "film", "name": "movie"})).await;
    assert_eq!((remote.field(id, "name").await, to.join("movie/two").exists()), (json!("movie"), true));
    assert_eq!(remote.field(id, "files").await[2]["name"], "movie/two");
    remote.call("torrent-verify", json!({"ids": [id]})).await;
    remote.until(id, "status", |status| *status == 6).await;
    // It has seeded enough, by its own measure; told to, it goes on.
    assert_eq!(remote.field(id, "isFinished").await, false);
    remote.call("torrent-set", json!({"ids": [id], "seedIdleMode": 1, "seedIdleLimit": 0})).await;
    remote.until(id, "isFinished", |finished| *finished == true).await;
    assert_eq!(remote.field(id, "status").await, 0);
    remote.call("torrent-set", json!({"ids": [id], "seedIdleMode": 2})).await;
    remote.call("torrent-start", json!({"ids": [id]})).await;
    remote.until(id, "status", |status| *status == 6).await;
    // It is gone, with its files.
    remote.call("torrent-remove", json!({"ids": [id], "delete-local-data": true})).await;
    assert!(!to.join("movie").exists());
    let recent = remote.call("torrent-get", json!({"ids": "recently-active", "fields": ["id"]})).await;
    assert_eq!((&recent["torrents"], &recent["removed"]), (&json!([]), &json!([id])));
    remote.stop().await;
}

#[tokio::test]
async fn what_was_added_and_set_is_there_after_a_restart() {
    let side = Side::start().await;
    let remote = Remote::start(&side, Config::default()).await;
    remote
        .call(
            "session-set",
            json!({"speed-limit-down": 123, "speed-limit-down-enabled": true,
        "download-queue-size": 1}),
        )
        .await;
    remote.refused("session-set", json!({"dht-enabled": true})).await;
    remote.refused("session-set", json!({"alt-speed-time-begin": 5000})).await;
    let mut hashes = Vec::new();
    for (count, version) in [(1, Version::V1), (2, Version::V2), (3, Version::Hybrid)] {
        let metainfo = torrent(&FILES[..count], version);
        let adding = if count == 3 {
            json!({"filename": metainfo.magnet().to_string()})
        } else {
            json!({"metainfo": base64(&metainfo.encode())})
        };
        let added = remote.call("torrent-add", adding).await;
        hashes.push(added["torrent-added"]["hashString"].clone());
    }
    // One place in the queue.
    let states = async |remote: &Remote| {
        let got =
            remote.call("torrent-get", json!({"fields": ["hashString", "status", "queuePosition"]})).await;
        let state = |hash: &Value| {
            let torrents = got["torrents"].as_array().expect("torrents");
            let found = torrents.iter().find(|torrent| torrent["hashString"] == *hash).expect("it is there");
            (found["status"].as_i64().expect("a number"), found["queuePosition"].as_i64().expect("a number"))
        };
        hashes.iter().map(state).collect::<Vec<_>>()
    };
    let settled = async |remote: &Remote, wanted: &[(i64, i64)]| {
        let began = std::time::Instant::now();
        while states(remote).await != wanted {
            assert!(began.elapsed() < PATIENCE, "{:?}", states(remote).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    settled(&remote, &[(4, 0), (3, 1), (3, 2)]).await;
    remote.call("torrent-stop", json!({"ids": [hashes[0]]})).await;
    settled(&remote, &[(0, 0), (4, 1), (3, 2)]).await;
    remote.call("torrent-start-now", json!({"ids": [hashes[2]]})).await;
    settled(&remote, &[(0, 0), (4, 1), (4, 2)]).await;
    remote.call("queue-move-top", json!({"ids": [hashes[2]]})).await;
    settled(&remote, &[(0, 1), (4, 2), (4, 0)]).await;
    remote.stop().await;
    let Side { engine, folder, .. } = side;
    engine.stop().await;
    let side = Side::in_folder(folder).await;
    let remote = Remote::start(&side, Config::default()).await;
    settled(&remote, &[(0, 1), (3, 2), (4, 0)]).await;
    // The time of the week that is all the week: the other limits hold at once.
    remote
        .call(
            "session-set",
            json!({"alt-speed-time-begin": 0, "alt-speed-time-end": 0,
        "alt-speed-time-day": 127, "alt-speed-time-enabled": true}),
        )
        .await;
    let session = remote.call("session-get", json!({"fields": ["alt-speed-enabled"]})).await;
    assert_eq!(session, json!({"alt-speed-enabled": true}));
    remote.call("session-set", json!({"alt-speed-time-day": 0})).await;
    let session = remote.call("session-get", json!({"fields": ["alt-speed-enabled"]})).await;
    assert_eq!(session, json!({"alt-speed-enabled": false}));
    let session = remote.call("session-get", json!({})).await;
    assert_eq!((&session["speed-limit-down"], &session["download-queue-size"]), (&json!(123), &json!(1)));
    assert_eq!(session["rpc-version"], 17);
    let stats = remote.call("session-stats", json!({})).await;
    assert_eq!((&stats["torrentCount"], &stats["pausedTorrentCount"]), (&json!(3), &json!(2)));
    let free = remote.call("free-space", json!({"path": side.folder.path()})).await;
    assert!(free["size-bytes"].as_u64().expect("a number") > 0);
    remote.refused("free-space", json!({"path": "relative"})).await;
    remote.refused("free-space", json!({"path": format!("/{}", "x".repeat(4_096))})).await;
    remote.refused("port-test", json!({})).await;
    remote.refused("session-close", json!({})).await;
    remote.stop().await;
}

#[tokio::test]
async fn the_ip_filter_is_read_by_command() {
    let side = Side::start().await;
    let remote = Remote::start(&side, Config::default()).await;
    let list = side.folder.path().join("list");
    std::fs::write(&list, "a:1.2.3.0-1.2.3.255\n5.6.7.8\n").expect("written");
    assert!(!Path::new("/nowhere/list").exists());
    remote.refused("blocklist-update", json!({})).await;
    remote.call("session-set", json!({"blocklist-url": list})).await;
    remote.call("session-set", json!({"blocklist-enabled": true})).await;
    assert_eq!(remote.call("blocklist-update", json!({})).await["blocklist-size"], 2);
    std::fs::write(&list, "1.2.3.0/24\n").expect("written");
    assert_eq!(remote.call("blocklist-update", json!({})).await["blocklist-size"], 1);
    remote.call("session-set", json!({"blocklist-enabled": false})).await;
    assert_eq!(
        remote.call("session-get", json!({"fields": ["blocklist-size"]})).await,
        json!({"blocklist-size": 0})
    );
    remote.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_router_hands_on_to_the_torrents_that_are_added() {
    let (search, table) = router();
    let (shutdown, folder) = (Shutdown::new(), tempfile::tempdir().expect("a folder"));
    let config = Config {
        peers_listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
        folder: folder.path().join("downloads"),
        gateway: Some(search),
        ..Config::default()
    };
    let started =
        Standing::start(&config, folder.path(), &Network::new(), &Names::default(), &shutdown).await;
    let standing = started.expect("it starts");
    let own = standing.peer_addresses()[0];
    let until_handed_on = async |wanted: &[SocketAddr]| {
        let handed_on = || table.lock().expect("not poisoned").values().copied().collect::<Vec<_>>();
        let told = async {
            while handed_on() != wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("the router is told");
    };
    until_handed_on(&[own, own]).await;
    drop(standing);
    until_handed_on(&[]).await;
    assert!(shutdown.finish(Duration::from_secs(9)).await, "all have ended");
}
