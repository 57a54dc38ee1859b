//! The methods about all torrents together.

use super::methods::{Outcome, Service, absolute, nothing, object};
use super::request::Request;
use crate::progress::Stage;
use crate::session::{Entry, Session, merged, plain};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The number of the protocol that is spoken: that of Transmission 4.0.
const RPC_VERSION: u32 = 17;
/// The same as clients compare it today.
pub(super) const RPC_VERSION_SEMVER: &str = "5.3.0";
const RPC_VERSION_MINIMUM: u32 = 14;
/// Clients read the first words as a version of Transmission.
const VERSION: &str = concat!("4.0.0 (Utopia ", env!("CARGO_PKG_VERSION"), ")");

pub(super) async fn answer(service: &mut Service, request: &Request) -> Outcome {
    match request.method.as_str() {
        "sessionget" => Ok(get(service, request).await),
        "sessionset" => set(service, request).await,
        "sessionstats" => object(stats(&service.session)),
        "sessionclose" => match &service.closing {
            Some(closing) => {
                closing.request();
                nothing()
            }
            None => Err("it runs as a part of a host: stop that".to_owned()),
        },
        "porttest" => Err("nobody outside is asked: look from outside whether the port is open".to_owned()),
        "freespace" => {
            let path = request.text("path").ok_or_else(|| "no path".to_owned())?;
            let (free, total) = room(&absolute(path)?).await?;
            object(json!({"path": path, "size-bytes": free, "total_size": total}))
        }
        "groupget" => object(json!({"group": []})),
        "groupset" => {
            Err("groups of bandwidth are not supported: set limits for torrents, or for all".to_owned())
        }
        _ => Err("method name not recognized".to_owned()),
    }
}

async fn room(folder: &Path) -> Result<(u64, u64), String> {
    let folder = folder.to_owned();
    let told = tokio::task::spawn_blocking(move || storage::files::room(&folder)).await;
    told.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
}

/// What is as it is while it runs.
fn fixed(service: &Service) -> Map<String, Value> {
    let session = &service.session;
    let port = session.engine().addresses().first().map_or(0, std::net::SocketAddr::port);
    let abilities = session.engine().abilities();
    let fields = json!({
        "anti-brute-force-enabled": true,
        "anti-brute-force-threshold": 100,
        "blocklist-size": session.filter_ranges(),
        "cache-size-mb": 0,
        "config-dir": session.data(),
        "dht-enabled": abilities.dht,
        "encryption": abilities.encryption,
        "incomplete-dir": "",
        "incomplete-dir-enabled": false,
        "lpd-enabled": abilities.lsd,
        "peer-port": port,
        "peer-port-random-on-start": false,
        "pex-enabled": true,
        "port-forwarding-enabled": false,
        "rename-partial-files": false,
        "rpc-version": RPC_VERSION,
        "rpc-version-minimum": RPC_VERSION_MINIMUM,
        "rpc-version-semver": RPC_VERSION_SEMVER,
        "script-torrent-added-enabled": false,
        "script-torrent-added-filename": "",
        "script-torrent-done-enabled": false,
        "script-torrent-done-filename": "",
        "script-torrent-done-seeding-enabled": false,
        "script-torrent-done-seeding-filename": "",
        "session-id": service.session_id,
        "tcp-enabled": abilities.tcp,
        "trash-original-torrent-files": false,
        "units": {
            "speed-units": ["B/s", "kB/s", "MB/s", "GB/s", "TB/s"],
            "speed-bytes": 1000,
            "size-units": ["B", "kB", "MB", "GB", "TB"],
            "size-bytes": 1000,
            "memory-units": ["B", "KiB", "MiB", "GiB", "TiB"],
            "memory-bytes": 1024,
        },
        "utp-enabled": abilities.utp,
        "version": VERSION,
    });
    object(fields).unwrap_or_default()
}

async fn get(service: &Service, request: &Request) -> Map<String, Value> {
    let session = &service.session;
    let mut all = fixed(service);
    if let Ok(Value::Object(settings)) = serde_json::to_value(session.settings()) {
        all.extend(settings);
    }
    let wanted: Option<Vec<String>> = match request.argument("fields") {
        Some(Value::Array(names)) => Some(names.iter().filter_map(Value::as_str).map(plain).collect()),
        _ => None,
    };
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.contains(&plain(name)));
    if is_wanted("download-dir-free-space") {
        // A folder that is not there yet has no room that could be told.
        let free = room(&session.settings().download_dir).await.map_or(-1, |(free, _)| free.cast_signed());
        all.insert("download-dir-free-space".to_owned(), json!(free));
    }
    all.retain(|name, _| is_wanted(name));
    all
}

async fn set(service: &mut Service, request: &Request) -> Outcome {
    let fixed = fixed(service);
    for (name, value) in &request.arguments {
        let known = fixed.iter().find(|(other, _)| plain(other) == plain(name));
        if known.is_some_and(|(_, now)| now != value) {
            return Err(format!("{name} cannot be changed while it runs; say so when it is started"));
        }
    }
    let settings = merged(service.session.settings(), &request.arguments)?;
    if settings != *service.session.settings() {
        service.session.set_settings(settings).await?;
    }
    nothing()
}

fn stats(session: &Session) -> Value {
    let (mut active, mut paused, mut count) = (0, 0, 0);
    let (mut down, mut up, mut received, mut sent, mut ever) = (0.0, 0.0, 0, 0, 0);
    for (_, entry) in session.entries() {
        let progress = entry.progress();
        count += 1;
        if matches!(progress.stage, Stage::Halted | Stage::Done | Stage::Paused(_)) {
            paused += 1;
        }
        if progress.received_per_second > 0.0 || progress.sent_per_second > 0.0 {
            active += 1;
        }
        down += progress.received_per_second;
        up += progress.sent_per_second;
        received += progress.received_octets;
        sent += progress.sent_octets;
        ever += downloaded_ever(entry);
    }
    let seconds = session.uptime().as_secs();
    json!({
        "activeTorrentCount": active,
        "downloadSpeed": down as u64,
        "pausedTorrentCount": paused,
        "torrentCount": count,
        "uploadSpeed": up as u64,
        "cumulative-stats": {
            "uploadedBytes": sent, "downloadedBytes": ever, "filesAdded": count,
            "secondsActive": seconds, "sessionCount": 1,
        },
        "current-stats": {
            "uploadedBytes": sent, "downloadedBytes": received, "filesAdded": count,
            "secondsActive": seconds, "sessionCount": 1,
        },
    })
}

fn downloaded_ever(entry: &Entry) -> u64 {
    entry.record.received_before + entry.progress().received_octets
}
