//! Changes of torrents: `torrent-set` and `torrent-set-location`.

use super::fields::shown_files;
use super::methods::{Answer, Service, absolute, nothing, object, said};
use super::request::Request;
use crate::control::ControlError;
use crate::session::{merged, number, tiers};
use bittorrent::torrent::Priority;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

impl Service {
    pub(super) async fn set(&mut self, request: &Request) -> Answer {
        let ids = match self.ids(request) {
            Ok(ids) => ids,
            Err(why) => return Answer::Now(Err(why)),
        };
        for id in &ids {
            if let Err(why) = self.set_one(*id, request).await {
                return Answer::Now(Err(why));
            }
        }
        match request.text("location") {
            Some(location) => match absolute(location) {
                Ok(to) => self.move_to(&ids, &to, true),
                Err(why) => Answer::Now(Err(why)),
            },
            None => Answer::Now(nothing()),
        }
    }

    async fn set_one(&mut self, id: i64, request: &Request) -> Result<(), String> {
        let Some(entry) = self.session.entry(id) else { return Ok(()) };
        let handle = entry.handle.clone();
        let settings = merged(&entry.record.settings, &request.arguments)?;
        if settings != entry.record.settings {
            self.session.set_torrent(id, settings).await?;
        }
        let details = handle.details().await.map_err(said)?;
        if let Some(metainfo) = &details.metainfo {
            let wishes = wishes(request, &shown_files(metainfo), &details.files)?;
            if !wishes.is_empty() {
                handle.set_files(wishes).await.map_err(said)?;
                let now = handle.details().await.map_err(said)?.files;
                let numbers = now.into_iter().map(number).collect();
                self.session.change(id, |record| record.priorities = numbers).await?;
            }
        } else if FILE_LISTS.iter().any(|(name, _)| request.argument(name).is_some()) {
            return Err(said(ControlError::NoMetadata));
        }
        if let Some(tiers) = trackers(request, &details.trackers)? {
            handle.set_trackers(tiers.clone()).await.map_err(said)?;
            self.session.change(id, |record| record.trackers = Some(tiers)).await?;
        }
        if let Some(position) = request.argument("queuePosition").and_then(Value::as_u64) {
            let position = usize::try_from(position).unwrap_or(usize::MAX);
            self.session.requeue(&[id], |_, _| position).await?;
        }
        Ok(())
    }

    pub(super) fn set_location(&self, request: &Request) -> Answer {
        let place = request.text("location").ok_or_else(|| "no location".to_owned()).and_then(absolute);
        let (ids, to) = match self.ids(request).and_then(|ids| Ok((ids, place?))) {
            Ok(both) => both,
            Err(why) => return Answer::Now(Err(why)),
        };
        self.move_to(&ids, &to, request.flag("move") == Some(true))
    }

    pub(super) fn rename(&self, request: &Request) -> Answer {
        let (Some(path), Some(name)) = (request.text("path"), request.text("name")) else {
            return Answer::Now(Err("a path and a name are wanted".to_owned()));
        };
        let id = match self.ids(request).as_deref() {
            Ok([id]) => *id,
            Ok(_) => return Answer::Now(Err("renaming is of one torrent".to_owned())),
            Err(why) => return Answer::Now(Err(why.clone())),
        };
        let Some(handle) = self.session.entry(id).map(|entry| entry.handle.clone()) else {
            return Answer::Now(Err("no such torrent".to_owned()));
        };
        let (path, name) = (path.to_owned(), name.to_owned());
        Answer::Later(Box::pin(async move {
            handle.rename(path.clone().into(), name.clone()).await.map_err(said)?;
            object(json!({"path": path, "name": name, "id": id}))
        }))
    }

    fn move_to(&self, ids: &[i64], to: &Path, files_too: bool) -> Answer {
        let handles = ids.iter().filter_map(|id| Some((*id, self.session.entry(*id)?.handle.clone())));
        let handles: Vec<_> = handles.collect();
        let (to, moved) = (to.to_owned(), self.moved.clone());
        Answer::Later(Box::pin(async move {
            for (id, handle) in handles {
                let done = if files_too {
                    handle.move_files(to.clone()).await
                } else {
                    handle.find_files(to.clone()).await
                };
                done.map_err(said)?;
                // Fails only while the session ends; the files' own note tells where they are.
                let _ = moved.send((id, to.clone()));
            }
            nothing()
        }))
    }
}

/// Which lists of files a request may have, and what they wish for.
const FILE_LISTS: [(&str, Option<Priority>); 5] = [
    ("files-unwanted", Some(Priority::Skip)),
    ("files-wanted", None),
    ("priority-low", Some(Priority::Low)),
    ("priority-normal", Some(Priority::Normal)),
    ("priority-high", Some(Priority::High)),
];

/// How much files are to be wanted, by their numbers in the info dictionary. An
/// empty list is of all files.
pub(super) fn wishes(
    request: &Request,
    shown: &[usize],
    now: &[Priority],
) -> Result<Vec<(usize, Priority)>, String> {
    let mut wishes: BTreeMap<usize, Priority> = BTreeMap::new();
    for (name, priority) in FILE_LISTS {
        let Some(list) = request.argument(name) else { continue };
        let Value::Array(list) = list else { return Err(format!("{name}: a list of numbers")) };
        let numbers = if list.is_empty() {
            shown.to_vec()
        } else {
            let number = |value: &Value| {
                let index = value.as_u64().and_then(|index| usize::try_from(index).ok());
                index.and_then(|index| shown.get(index).copied()).ok_or_else(|| {
                    format!("{name}: {value} is no file of it; it has {}, numbered from 0", shown.len())
                })
            };
            list.iter().map(number).collect::<Result<Vec<_>, String>>()?
        };
        for number in numbers {
            let before = wishes.get(&number).or_else(|| now.get(number)).copied().unwrap_or_default();
            match (priority, before) {
                // A priority says nothing of whether a file is wanted at all.
                (Some(priority), Priority::Skip) if priority != Priority::Skip => {}
                (Some(priority), _) => drop(wishes.insert(number, priority)),
                (None, Priority::Skip) => drop(wishes.insert(number, Priority::Normal)),
                (None, _) => {}
            }
        }
    }
    Ok(wishes.into_iter().collect())
}

/// The trackers after a request, if it is about them.
fn trackers(request: &Request, now: &[crate::TrackerLine]) -> Result<Option<Vec<Vec<String>>>, String> {
    if let Some(list) = request.text("trackerList") {
        return Ok(Some(tiers(list)));
    }
    let mut lines: Vec<(usize, String)> = now.iter().map(|line| (line.tier, line.url.clone())).collect();
    let mut changed = false;
    let index = |value: &Value| value.as_u64().and_then(|id| usize::try_from(id).ok());
    if let Some(Value::Array(pairs)) = request.argument("trackerReplace") {
        for pair in pairs.chunks(2) {
            let [id, Value::String(url)] = pair else {
                return Err("trackerReplace: ids and URLs".to_owned());
            };
            let line = index(id).and_then(|id| lines.get_mut(id));
            url.clone_into(&mut line.ok_or_else(|| format!("trackerReplace: there is no tracker {id}"))?.1);
            changed = true;
        }
    }
    if let Some(Value::Array(ids)) = request.argument("trackerRemove") {
        let ids: Vec<usize> = ids.iter().filter_map(index).collect();
        if let Some(id) = ids.iter().find(|id| **id >= lines.len()) {
            return Err(format!("trackerRemove: there is no tracker {id}"));
        }
        let mut at = 0;
        lines.retain(|_| {
            at += 1;
            !ids.contains(&(at - 1))
        });
        changed = true;
    }
    if let Some(Value::Array(urls)) = request.argument("trackerAdd") {
        let last = lines.iter().map(|(tier, _)| tier + 1).max().unwrap_or(0);
        let new =
            urls.iter().filter_map(Value::as_str).filter(|url| !now.iter().any(|line| line.url == **url));
        lines.extend(new.enumerate().map(|(at, url)| (last + at, url.to_owned())).collect::<Vec<_>>());
        changed = true;
    }
    if !changed {
        return Ok(None);
    }
    let mut tiers: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (tier, url) in lines {
        tiers.entry(tier).or_default().push(url);
    }
    Ok(Some(tiers.into_values().collect()))
}
