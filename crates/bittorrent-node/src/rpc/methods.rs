//! The methods of Transmission's RPC.

use super::changes::wishes;
use super::fields::{Torrent, shown_files};
use super::request::{Id, Ids, Request};
use super::session_methods;
use crate::What;
use crate::control::{ControlError, Data};
use crate::session::{AddError, NewTorrent, Session, merged, plain, seconds_now};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bittorrent::metainfo::{Limits, Metainfo};
use net::Shutdown;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Seconds within which a torrent has done something "recently".
const RECENT_SECONDS: i64 = 60;
/// The largest path in a request, in octets.
const PATH_OCTETS_MAX: usize = 4_096;

/// What a method gives.
pub(super) type Outcome = Result<Map<String, Value>, String>;

/// How an answer comes.
pub(super) enum Answer {
    Now(Outcome),
    /// When files were deleted or moved; other requests are answered meanwhile.
    Later(std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>>),
}

/// Who answers: owns the session.
pub(super) struct Service {
    pub(super) session: Session,
    /// Told to end by `session-close`, where that is allowed.
    pub(super) closing: Option<Shutdown>,
    pub(super) session_id: String,
    /// Files that were moved.
    pub(super) moved: mpsc::UnboundedSender<(i64, PathBuf)>,
}

#[expect(clippy::unnecessary_wraps, reason = "it is what most methods give")]
pub(super) fn nothing() -> Outcome {
    Ok(Map::new())
}

pub(super) fn object(value: Value) -> Outcome {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => nothing(),
    }
}

/// A path of this machine that means the same wherever we were started.
pub(super) fn absolute(path: &str) -> Result<PathBuf, String> {
    if path.len() <= PATH_OCTETS_MAX && path.starts_with('/') && !path.contains('\0') {
        Ok(PathBuf::from(path))
    } else {
        Err(format!("{path}: write a path that begins with /"))
    }
}

/// A torrent that came in a request.
pub(super) fn parse(octets: &[u8]) -> Result<What, String> {
    let metainfo = Metainfo::parse(octets, &Limits::DEFAULT);
    metainfo
        .map(|metainfo| What::Metainfo(Arc::new(metainfo)))
        .map_err(|error| format!("the torrent: {error}"))
}

pub(super) fn said(error: ControlError) -> String {
    error.to_string()
}

impl Service {
    pub(super) async fn answer(&mut self, request: &Request) -> Answer {
        let outcome = match request.method.as_str() {
            "torrentget" => self.get(request).await,
            "torrentadd" => self.add(request).await,
            "torrentset" => return self.set(request).await,
            "torrentremove" => return self.remove(request).await,
            "torrentsetlocation" => return self.set_location(request),
            "torrentrenamepath" => return self.rename(request),
            "torrentstart" | "torrentstartnow" | "torrentstop" | "torrentverify" | "torrentreannounce" => {
                self.act(request).await
            }
            "queuemovetop" | "queuemoveup" | "queuemovedown" | "queuemovebottom" => {
                self.requeue(request).await
            }
            "blocklistupdate" => return self.update_filter(),
            _ => return Answer::Now(session_methods::answer(self, request).await),
        };
        Answer::Now(outcome)
    }

    fn update_filter(&self) -> Answer {
        if !self.session.settings().blocklist_enabled {
            return Answer::Now(Err("blocklist-enabled is off: there is no list to update".to_owned()));
        }
        let loading = self.session.filter_loading();
        Answer::Later(Box::pin(async move { object(json!({"blocklist-size": loading.await?})) }))
    }

    /// The torrents that a request is about, in the order of their ids.
    pub(super) fn ids(&self, request: &Request) -> Result<Vec<i64>, String> {
        Ok(match request.ids()? {
            Ids::All => self.session.entries().map(|(id, _)| id).collect(),
            Ids::Recent => {
                let since = seconds_now() - RECENT_SECONDS;
                let recent = self.session.entries().filter(|(_, entry)| {
                    let record = &entry.record;
                    // A torrent that has peers may change at any time.
                    record.active.max(record.added).max(record.edited).max(record.started) >= since
                        || entry.progress().connections > 0
                        || entry.progress().stage == crate::Stage::Checking
                });
                recent.map(|(id, _)| id).collect()
            }
            Ids::These(ids) => {
                let find = |id: &Id| match id {
                    Id::Number(id) => self.session.entry(*id).map(|_| *id),
                    Id::Hash(hash) => self.session.find(hash),
                };
                ids.iter().filter_map(find).collect()
            }
        })
    }

    async fn get(&mut self, request: &Request) -> Outcome {
        let Some(Value::Array(fields)) = request.argument("fields") else {
            return Err("no fields specified".to_owned());
        };
        let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
        let table = request.text("format") == Some("table");
        let mut torrents = Vec::new();
        if table {
            torrents.push(json!(fields));
        }
        for id in self.ids(request)? {
            let Some(entry) = self.session.entry(id) else { continue };
            // It may be ending just now.
            let Ok(details) = entry.handle.details().await else { continue };
            let settings = match serde_json::to_value(&entry.record.settings) {
                Ok(Value::Object(settings)) => settings,
                _ => Map::new(),
            };
            let torrent = Torrent {
                id,
                entry,
                progress: entry.progress(),
                details,
                session: self.session.settings(),
                data: self.session.data(),
                settings,
            };
            torrents.push(if table {
                fields.iter().map(|name| torrent.field(name).unwrap_or(Value::Null)).collect()
            } else {
                let told = fields.iter().filter_map(|name| Some(((*name).to_owned(), torrent.field(name)?)));
                Value::Object(told.collect())
            });
        }
        let mut answer = Map::from_iter([("torrents".to_owned(), Value::Array(torrents))]);
        if request.ids()? == Ids::Recent {
            answer.insert("removed".to_owned(), self.session.removed().collect());
        }
        Ok(answer)
    }

    async fn act(&mut self, request: &Request) -> Outcome {
        let ids = self.ids(request)?;
        match request.method.as_str() {
            "torrentstart" => self.session.start(&ids, false).await?,
            "torrentstartnow" => self.session.start(&ids, true).await?,
            "torrentstop" => self.session.stop(&ids).await?,
            method => {
                for id in ids {
                    let Some(entry) = self.session.entry(id) else { continue };
                    let done = match method {
                        "torrentverify" => entry.handle.recheck().await,
                        _ => entry.handle.reannounce().await,
                    };
                    match done {
                        // It is what is wanted already.
                        Ok(()) | Err(ControlError::Checking) => {}
                        Err(error) => return Err(said(error)),
                    }
                }
            }
        }
        nothing()
    }

    async fn requeue(&mut self, request: &Request) -> Outcome {
        let mut ids = self.ids(request)?;
        ids.sort_by_key(|id| self.session.entry(*id).map(|entry| entry.record.queue_position));
        let place: fn(usize, usize) -> usize = match request.method.as_str() {
            "queuemovetop" => |_, _| 0,
            "queuemoveup" => |at, _| at.saturating_sub(1),
            "queuemovedown" => |at, _| at + 1,
            _ => |_, count| count,
        };
        // Several keep their order among themselves.
        if matches!(request.method.as_str(), "queuemovetop" | "queuemovedown") {
            ids.reverse();
        }
        self.session.requeue(&ids, place).await?;
        nothing()
    }

    async fn add(&mut self, request: &Request) -> Outcome {
        let what = match (request.text("metainfo"), request.text("filename")) {
            (Some(text), _) if !text.is_empty() => {
                let plain: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
                parse(
                    &BASE64_STANDARD
                        .decode(plain)
                        .map_err(|error| format!("metainfo: no base64: {error}"))?,
                )?
            }
            (_, Some(name)) if name.starts_with("magnet:") => {
                What::Magnet(Box::new(name.parse().map_err(|error| format!("the magnet link: {error}"))?))
            }
            (_, Some(name)) => self.read_torrent(name).await?,
            _ => return Err("no filename or metainfo specified".to_owned()),
        };
        let mut settings = crate::session::TorrentSettings {
            peer_limit: self.session.settings().peer_limit_per_torrent,
            sequential_download: self.session.settings().sequential_download,
            ..crate::session::TorrentSettings::default()
        };
        settings = merged(&settings, &request.arguments)?;
        let priorities = match &what {
            What::Metainfo(metainfo) => {
                let shown = shown_files(metainfo);
                wishes(request, &shown, &[])?
            }
            What::Magnet(_) => Vec::new(),
        };
        let folder = request.text("download-dir").filter(|folder| !folder.is_empty());
        let new = NewTorrent {
            what,
            folder: folder.map(absolute).transpose()?,
            halted: request.flag("paused"),
            priorities,
            settings,
        };
        let added = self.session.add(new).await.map_err(|error: AddError| error.to_string())?;
        let Some(entry) = self.session.entry(added.id) else { return Err("it was removed again".to_owned()) };
        let told = json!({
            "id": added.id,
            "name": entry.progress().name,
            "hashString": entry.record.hash,
        });
        let key = if added.duplicate { "torrent-duplicate" } else { "torrent-added" };
        Ok(Map::from_iter([(key.to_owned(), told)]))
    }

    /// A torrent file of this machine. One on the web was fetched before.
    async fn read_torrent(&self, name: &str) -> Result<What, String> {
        let file = absolute(name)?;
        let read = tokio::task::spawn_blocking(move || {
            storage::files::read(&file, Limits::DEFAULT.metainfo_octets_max as u64)
        });
        let read = read.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        parse(&read.ok_or_else(|| format!("{name}: there is no such file on the machine that downloads"))?)
    }

    async fn remove(&mut self, request: &Request) -> Answer {
        let data = if request.flag("delete-local-data") == Some(true) { Data::Delete } else { Data::Keep };
        let removals = match self.ids(request) {
            Ok(ids) => self.session.remove(&ids, data).await,
            Err(why) => Err(why),
        };
        match removals {
            Err(why) => Answer::Now(Err(why)),
            Ok(removals) => Answer::Later(Box::pin(async move {
                let mut outcome = nothing();
                for removed in futures_util::future::join_all(removals).await {
                    if let Err(error @ ControlError::Disk(_)) = removed {
                        outcome = Err(error.to_string());
                    }
                }
                outcome
            })),
        }
    }
}

/// Whether a name is that of a method which gets a torrent from the web.
pub(super) fn fetched_by(request: &Request) -> Option<String> {
    let name = request.text("filename").filter(|_| request.method == plain("torrent-add"))?;
    let absent = request.text("metainfo").is_none_or(str::is_empty);
    let web = name.starts_with("http://") || name.starts_with("https://");
    (web && absent).then(|| name.to_owned())
}
