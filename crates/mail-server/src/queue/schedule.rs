//! The schedule: which entry is tried when. One task owns it.
//!
//! Destinations take turns, so that one with much mail does not hold up the
//! others.

use super::record::EntryKey;
use super::{Command, Shared, session, unix_ms, until};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::mpsc;

/// The clock is looked at again at least this often, since it may be set.
const NAP_MAX: Duration = Duration::from_mins(1);

#[derive(Default)]
struct Schedule {
    /// Entries that wait, by time.
    waiting: BTreeSet<(u64, EntryKey)>,
    /// When each waiting entry is tried.
    times: HashMap<EntryKey, u64>,
    /// Entries that are due, by destination.
    due: HashMap<String, VecDeque<EntryKey>>,
    /// Destinations with due entries, in their turn.
    turns: VecDeque<String>,
    /// Entries that are due or being sent: not to be scheduled twice.
    busy: BTreeMap<EntryKey, Busy>,
    /// Sessions by destination.
    sessions: HashMap<String, usize>,
    sessions_open: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Busy {
    Due,
    Sending,
}

/// Runs the queue until the host stops.
pub(super) async fn run(
    shared: Arc<Shared>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    stored: Vec<(EntryKey, u64)>,
) {
    let mut schedule = Schedule::default();
    for (key, at_ms) in stored {
        schedule.wait(key, at_ms);
    }
    loop {
        schedule.take_due(unix_ms(SystemTime::now()));
        if !shared.shutdown.is_requested() {
            schedule.start_sessions(&shared);
        }
        shared.entries.store(schedule.times.len() + schedule.busy.len(), Ordering::Relaxed);
        let nap = schedule.waiting.first().map_or(NAP_MAX, |(at_ms, _)| until(*at_ms).min(NAP_MAX));
        tokio::select! {
            () = shared.shutdown.requested() => return,
            () = tokio::time::sleep(nap) => {}
            command = commands.recv() => match command {
                Some(command) => schedule.obey(command),
                None => return,
            },
        }
        while let Ok(command) = commands.try_recv() {
            schedule.obey(command);
        }
    }
}

impl Schedule {
    fn obey(&mut self, command: Command) {
        match command {
            Command::Schedule { key, at_ms } => {
                self.forget(&key);
                self.wait(key, at_ms);
            }
            Command::Finished { key } => self.forget(&key),
            Command::Configured => {}
            Command::SessionEnded { domain } => {
                self.sessions_open = self.sessions_open.saturating_sub(1);
                if let Some(sessions) = self.sessions.get_mut(&domain) {
                    *sessions -= 1;
                    if *sessions == 0 {
                        self.sessions.remove(&domain);
                    }
                }
            }
            Command::RetryNow { domain } => {
                let chosen = |key: &EntryKey| domain.as_ref().is_none_or(|domain| *domain == key.domain);
                let keys: Vec<EntryKey> = self.times.keys().filter(|key| chosen(key)).cloned().collect();
                for key in keys {
                    self.forget(&key);
                    self.wait(key, 0);
                }
            }
        }
    }

    fn wait(&mut self, key: EntryKey, at_ms: u64) {
        self.times.insert(key.clone(), at_ms);
        self.waiting.insert((at_ms, key));
    }

    /// Takes an entry out, wherever it is.
    fn forget(&mut self, key: &EntryKey) {
        if let Some(at_ms) = self.times.remove(key) {
            self.waiting.remove(&(at_ms, key.clone()));
        }
        if self.busy.remove(key) == Some(Busy::Due)
            && let Some(due) = self.due.get_mut(&key.domain)
        {
            due.retain(|other| other != key);
        }
    }

    fn take_due(&mut self, now_ms: u64) {
        while let Some((at_ms, _)) = self.waiting.first()
            && *at_ms <= now_ms
        {
            let Some((_, key)) = self.waiting.pop_first() else { return };
            self.times.remove(&key);
            let due = self.due.entry(key.domain.clone()).or_default();
            if due.is_empty() && !self.turns.contains(&key.domain) {
                self.turns.push_back(key.domain.clone());
            }
            self.busy.insert(key.clone(), Busy::Due);
            due.push_back(key);
        }
    }

    fn start_sessions(&mut self, shared: &Arc<Shared>) {
        let settings = shared.settings();
        let config = &settings.config;
        for _ in 0..self.turns.len() {
            if self.sessions_open >= config.sessions_max.max(1) {
                return;
            }
            let Some(domain) = self.turns.pop_front() else { return };
            let sessions = self.sessions.get(&domain).copied().unwrap_or(0);
            let Some(due) = self.due.get_mut(&domain) else { continue };
            if sessions < config.sessions_per_destination_max.max(1) && !due.is_empty() {
                let count = due.len().min(config.messages_per_session_max.max(1));
                let keys: Vec<EntryKey> = due.drain(..count).collect();
                for key in &keys {
                    self.busy.insert(key.clone(), Busy::Sending);
                }
                *self.sessions.entry(domain.clone()).or_default() += 1;
                self.sessions_open += 1;
                shared.shutdown.spawn(session::run(shared.clone(), domain.clone(), keys));
            }
            if due.is_empty() {
                self.due.remove(&domain);
            } else {
                self.turns.push_back(domain);
            }
        }
    }
}
