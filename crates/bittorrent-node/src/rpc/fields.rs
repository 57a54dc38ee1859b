//! The fields of a torrent that clients ask for (`torrent-get`).

use super::lines::{peer_object, peers_from, share, tracker, tracker_list, tracker_stats};
use crate::details::Details;
use crate::progress::{Progress, Stage};
use crate::session::{Entry, SessionSettings, number, plain};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bittorrent::metainfo::{File, Metainfo};
use bittorrent::torrent::{PieceSet, Priority};
use serde_json::{Map, Value, json};
use std::path::Path;

/// All that is known of a torrent when it is asked for.
pub(super) struct Torrent<'a> {
    pub(super) id: i64,
    pub(super) entry: &'a Entry,
    pub(super) progress: Progress,
    pub(super) details: Details,
    pub(super) session: &'a SessionSettings,
    pub(super) data: &'a Path,
    /// What is set for it, under the names it is asked for by.
    pub(super) settings: Map<String, Value>,
}

/// A file as clients see it: padding is none.
struct Shown<'a> {
    number: usize,
    file: &'a File,
}

/// Which numbers in the info dictionary the files have that clients see.
pub(super) fn shown_files(metainfo: &Metainfo) -> Vec<usize> {
    let files = metainfo.info.layout().files().iter().enumerate();
    files.filter(|(_, file)| !file.is_padding()).map(|(number, _)| number).collect()
}

impl Torrent<'_> {
    fn metainfo(&self) -> Option<&Metainfo> {
        self.details.metainfo.as_deref()
    }

    fn shown(&self) -> Vec<Shown<'_>> {
        let Some(metainfo) = self.metainfo() else { return Vec::new() };
        let files = metainfo.info.layout().files().iter().enumerate();
        let files = files.filter(|(_, file)| !file.is_padding());
        files.map(|(number, file)| Shown { number, file }).collect()
    }

    /// The path of a file as it is on the disk.
    fn path(&self, file: &Shown<'_>) -> String {
        if let Some(member) = self.details.members.as_ref().and_then(|members| members.get(file.number)) {
            return member.path.to_string_lossy().into_owned();
        }
        let folder = self.metainfo().and_then(|metainfo| metainfo.info.layout().folder());
        let path = folder.into_iter().chain(file.file.path.iter().map(String::as_str));
        path.collect::<Vec<_>>().join("/")
    }

    fn priority(&self, file: usize) -> Priority {
        self.details.files.get(file).copied().unwrap_or_default()
    }

    /// Octets of a file that are here.
    fn here(&self, file: &Shown<'_>) -> u64 {
        let (Some(metainfo), Some(have)) = (self.metainfo(), &self.details.have) else { return 0 };
        let layout = metainfo.info.layout();
        let (begin, end) = (file.file.offset, file.file.offset + file.file.length);
        let here = layout.file_pieces(file.number).filter(|piece| have.contains(*piece)).map(|piece| {
            let from = u64::from(piece) * u64::from(layout.piece_length());
            let to = from + u64::from(layout.piece_length());
            to.min(end).saturating_sub(from.max(begin))
        });
        here.sum()
    }

    /// Octets of all files, and of those that are wanted.
    fn sizes(&self) -> (u64, u64) {
        let shown = self.shown();
        let all = shown.iter().map(|shown| shown.file.length).sum();
        let wanted = shown.iter().filter(|shown| self.priority(shown.number) != Priority::Skip);
        (all, wanted.map(|shown| shown.file.length).sum())
    }

    /// Octets of the files that are here, and of wanted ones that are not. Padding
    /// is part of neither.
    fn here_and_left(&self) -> (u64, u64) {
        let (mut here, mut left) = (0, 0);
        for file in self.shown() {
            let part = self.here(&file);
            here += part;
            if !self.priority_is_skip(&file) {
                left += file.file.length - part.min(file.file.length);
            }
        }
        (here, left)
    }

    fn is_complete(&self) -> bool {
        Entry::is_complete(&self.progress)
    }

    /// Transmission's number of what it does.
    pub(super) fn status(&self) -> u8 {
        match self.progress.stage {
            Stage::Checking => 2,
            Stage::Halted if !self.entry.record.halted && self.is_complete() => 5,
            Stage::Halted if !self.entry.record.halted => 3,
            Stage::Metadata | Stage::Downloading => 4,
            Stage::Seeding => 6,
            Stage::Halted | Stage::Done | Stage::Paused(_) => 0,
        }
    }

    /// What is wrong: by a tracker (2) or here (3).
    fn error(&self) -> (u8, String) {
        if let Stage::Paused(why) = &self.progress.stage {
            return (3, why.clone());
        }
        let asked: Vec<_> = self.details.trackers.iter().filter_map(|line| line.answer.as_ref()).collect();
        match asked.iter().find_map(|answer| answer.failure.clone()) {
            Some(why) if asked.iter().all(|answer| answer.failure.is_some()) => (2, why),
            _ => (0, String::new()),
        }
    }

    fn eta(&self) -> i64 {
        const NONE: i64 = -1;
        const UNKNOWN: i64 = -2;
        let (left, rate) = match self.progress.stage {
            Stage::Downloading => (self.progress.left_octets, self.progress.received_per_second),
            Stage::Seeding => {
                let goal = self.entry.record.settings.goal(self.session).share_ratio;
                let Some(goal) = goal else { return NONE };
                let wanted = (self.progress.total_octets as f64 * goal) as u64;
                (wanted.saturating_sub(self.progress.sent_octets), self.progress.sent_per_second)
            }
            _ => return NONE,
        };
        if rate < 1.0 { UNKNOWN } else { (left as f64 / rate) as i64 }
    }

    fn downloaded(&self) -> u64 {
        self.entry.record.received_before + self.progress.received_octets
    }

    fn ratio(&self) -> f64 {
        let (all, _) = self.sizes();
        // Whoever made the torrent has received nothing, and has a ratio too.
        let received = if self.downloaded() > 0 { self.downloaded() } else { all };
        if received == 0 { -1.0 } else { self.progress.sent_octets as f64 / received as f64 }
    }

    /// A field by its name, however it is spelled; `None` where there is no such.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        let record = &self.entry.record;
        let progress = &self.progress;
        let own =
            |metainfo: fn(&Metainfo) -> Value, otherwise: Value| self.metainfo().map_or(otherwise, metainfo);
        let text = |text: Option<&String>| Value::from(text.cloned().unwrap_or_default());
        Some(match plain(name).as_str() {
            "activitydate" => json!(record.active),
            "addeddate" => json!(record.added),
            "availability" => self.availability(),
            "bytescompleted" => self.shown().iter().map(|file| self.here(file)).collect(),
            "comment" => own(|metainfo| json!(metainfo.comment.clone().unwrap_or_default()), json!("")),
            "corruptever" => {
                let piece = self.metainfo().map_or(0, |metainfo| metainfo.info.layout().piece_length());
                json!((record.corrupt_before + progress.bad_pieces).saturating_mul(piece.into()))
            }
            "creator" => own(|metainfo| json!(metainfo.created_by.clone().unwrap_or_default()), json!("")),
            "datecreated" => own(|metainfo| json!(metainfo.creation_date_seconds.unwrap_or(0)), json!(0)),
            "desiredavailable" => self.desired_available(),
            "donedate" => json!(record.done),
            "downloaddir" => json!(self.details.folder),
            "downloadedever" => json!(self.downloaded()),
            "editdate" => json!(record.edited),
            "error" => json!(self.error().0),
            "errorstring" => json!(self.error().1),
            "eta" => json!(self.eta()),
            "etaidle" => json!(-1),
            "filecount" => json!(self.shown().len()),
            "files" => self.files(),
            "filestats" => self.file_stats(),
            "hashstring" => json!(record.hash),
            "haveunchecked" => json!(0),
            "havevalid" => json!(self.here_and_left().0),
            "id" => json!(self.id),
            "isfinished" => json!(record.finished),
            "isprivate" => own(|metainfo| json!(metainfo.info.is_private()), json!(false)),
            "isstalled" => json!(
                self.session.queue_stalled_enabled
                    && matches!(self.status(), 4 | 6)
                    && self.entry.is_stalled(self.session.queue_stalled_minutes)
            ),
            "leftuntildone" => json!(self.here_and_left().1),
            "magnetlink" => match (self.metainfo(), &record.magnet) {
                (Some(metainfo), _) => json!(metainfo.magnet().to_string()),
                (None, link) => text(link.as_ref()),
            },
            "manualannouncetime" => json!(-1),
            "maxconnectedpeers" => json!(record.settings.peer_limit),
            "metadatapercentcomplete" => json!(f64::from(u8::from(self.metainfo().is_some()))),
            "name" => json!(progress.name),
            "peers" => progress.peers.iter().map(|peer| peer_object(peer, progress.pieces)).collect(),
            "peersconnected" => json!(progress.connections),
            "peersfrom" => peers_from(&progress.peers),
            "peersgettingfromus" => {
                json!(progress.peers.iter().filter(|peer| !peer.am_choking && peer.peer_interested).count())
            }
            "peerssendingtous" => {
                json!(progress.peers.iter().filter(|peer| !peer.peer_choking && peer.am_interested).count())
            }
            "percentcomplete" => json!(share(self.here_and_left().0, self.sizes().0)),
            "percentdone" => {
                let wanted = self.sizes().1;
                json!(share(wanted.saturating_sub(self.here_and_left().1), wanted))
            }
            "pieces" => {
                let octets = self.details.have.as_ref().map(PieceSet::to_bitfield).unwrap_or_default();
                json!(BASE64_STANDARD.encode(octets))
            }
            "piececount" => json!(progress.pieces),
            "piecesize" => own(|metainfo| json!(metainfo.info.layout().piece_length()), json!(0)),
            "priorities" => {
                let told = |file: &Shown<'_>| number(self.priority(file.number)).max(-1);
                // A file that is not wanted has the usual priority.
                let told = |file| if self.priority_is_skip(file) { 0 } else { told(file) };
                self.shown().iter().map(told).collect()
            }
            "primarymimetype" => json!(self.media_type()),
            "queueposition" => json!(record.queue_position),
            "ratedownload" => json!(progress.received_per_second as u64),
            "rateupload" => json!(progress.sent_per_second as u64),
            "recheckprogress" => match progress.stage {
                Stage::Checking => json!(share(self.details.looked_pieces.into(), progress.pieces.into())),
                _ => json!(0.0),
            },
            "secondsdownloading" => json!(record.seconds_downloading),
            "secondsseeding" => json!(record.seconds_seeding),
            "sizewhendone" => json!(self.sizes().1),
            "startdate" => json!(record.started),
            "status" => json!(self.status()),
            "torrentfile" => {
                json!(self.data.join("torrents").join(format!("{}.torrent", record.hash)))
            }
            "totalsize" => json!(self.sizes().0),
            "trackers" => {
                self.details.trackers.iter().enumerate().map(|(id, line)| tracker(id, line)).collect()
            }
            "trackerlist" => json!(tracker_list(&self.details.trackers)),
            "trackerstats" => {
                let runs = matches!(self.status(), 4 | 6);
                let lines = self.details.trackers.iter().enumerate();
                lines.map(|(id, line)| tracker_stats(id, line, runs)).collect()
            }
            "uploadedever" => json!(progress.sent_octets),
            "uploadratio" => json!(self.ratio()),
            "wanted" => self.shown().iter().map(|file| u8::from(!self.priority_is_skip(file))).collect(),
            "webseeds" => own(|metainfo| json!(metainfo.web_seeds), json!([])),
            "webseedssendingtous" => {
                json!(progress.web_seeds.iter().filter(|seed| seed.received_per_second > 0.0).count())
            }
            plain_name => {
                let set = self.settings.iter().find(|(other, _)| plain(other) == plain_name);
                set.map(|(_, value)| value.clone())?
            }
        })
    }

    fn priority_is_skip(&self, file: &Shown<'_>) -> bool {
        self.priority(file.number) == Priority::Skip
    }

    fn availability(&self) -> Value {
        let Some(have) = &self.details.have else { return json!([]) };
        let copies = (0..).zip(&self.details.copies);
        copies.map(|(piece, copies)| if have.contains(piece) { -1 } else { i64::from(*copies) }).collect()
    }

    /// Octets that are wanted and that somebody has.
    fn desired_available(&self) -> Value {
        let (Some(metainfo), Some(have)) = (self.metainfo(), &self.details.have) else { return json!(0) };
        let layout = metainfo.info.layout();
        let wanted = layout.pieces_of(|file| self.priority(file) != Priority::Skip);
        let there = |piece: &u32| {
            self.details.copies.get(*piece as usize).is_some_and(|copies| *copies > 0)
                && !have.contains(*piece)
        };
        let pieces = wanted.into_iter().flatten().filter(there);
        json!(pieces.map(|piece| u64::from(layout.piece_content(piece).octets)).sum::<u64>())
    }

    fn files(&self) -> Value {
        let Some(metainfo) = self.metainfo() else { return json!([]) };
        let layout = metainfo.info.layout();
        let object = |file: &Shown<'_>| {
            let pieces = layout.file_pieces(file.number);
            json!({
                "bytesCompleted": self.here(file),
                "length": file.file.length,
                "name": self.path(file),
                "begin_piece": pieces.start,
                "end_piece": pieces.end,
            })
        };
        self.shown().iter().map(object).collect()
    }

    fn file_stats(&self) -> Value {
        let object = |file: &Shown<'_>| {
            let skip = self.priority_is_skip(file);
            let priority = if skip { 0 } else { number(self.priority(file.number)) };
            json!({"bytesCompleted": self.here(file), "wanted": !skip, "priority": priority})
        };
        self.shown().iter().map(object).collect()
    }

    /// What the largest file is, by the end of its name.
    fn media_type(&self) -> &'static str {
        let shown = self.shown();
        let largest = shown.iter().max_by_key(|file| file.file.length).map(|file| self.path(file));
        let end = largest.as_deref().and_then(|name| name.rsplit_once('.'));
        let end = end.map(|(_, end)| end.to_ascii_lowercase());
        match end.as_deref() {
            Some("mp4" | "m4v") => "video/mp4",
            Some("mkv") => "video/x-matroska",
            Some("webm") => "video/webm",
            Some("avi") => "video/x-msvideo",
            Some("mp3") => "audio/mpeg",
            Some("flac") => "audio/flac",
            Some("ogg" | "oga" | "opus") => "audio/ogg",
            Some("iso" | "img") => "application/x-iso9660-image",
            Some("zip") => "application/zip",
            Some("gz" | "tgz") => "application/gzip",
            Some("pdf") => "application/pdf",
            Some("epub") => "application/epub+zip",
            Some("jpg" | "jpeg") => "image/jpeg",
            Some("png") => "image/png",
            Some("txt") => "text/plain",
            _ => "application/octet-stream",
        }
    }
}
