//! The keeper owns the zones: it alone makes new versions of them. What waits
//! for it is applied together, written as one durable commit, served, and only
//! then answered.

use super::load;
use super::settings::{Settings, ZoneSettings};
use super::store::{self, Head, Write};
use super::{Shared, announce};
use dns::journal::Entry;
use dns::update::Update;
use dns::zone::{Draft, Soa, Zone, Zones, key};
use domain::base::iana::Rcode;
use event::DnsEvent;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Commands that wait for the keeper; who comes later waits with its peer.
pub(super) const COMMANDS_MAX: usize = 1_024;
/// Updates committed together.
pub(super) const GROUP_MAX: usize = 256;

/// What the keeper is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Apply an update.
    Update(Box<Job>),
    /// Serve a transferred zone; answered once it is stored and served.
    Install(Arc<Zone>, oneshot::Sender<Result<(), String>>),
    /// Serve a secondary's zone no longer: its primary is gone for too long.
    Expire(Box<[u8]>),
    /// Take over another configuration.
    Configure(Arc<Settings>, Vec<Loaded>, oneshot::Sender<Vec<String>>),
}

/// An update and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) update: Update,
    /// Who sent it, for the event.
    pub(super) by: String,
    pub(super) reply: oneshot::Sender<Result<(), UpdateFailure>>,
}

/// Why an update was not made.
#[derive(Debug, Clone)]
pub(crate) enum UpdateFailure {
    /// The protocol's answer to it.
    Refused(Rcode),
    /// It could not be stored.
    Storage(String),
}

/// A zone that was loaded at the start or for a new configuration.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) settings: Arc<ZoneSettings>,
    pub(super) zone: Option<Arc<Zone>>,
    pub(super) head: Option<Head>,
    pub(super) file_hash: u64,
    /// What a person should know about it.
    pub(super) notes: Vec<String>,
}

/// What the keeper knows of a zone beside its version.
#[derive(Debug, Default)]
struct Kept {
    head: Option<Head>,
    file_hash: u64,
}

pub(super) struct Keeper {
    shared: Arc<Shared>,
    kept: HashMap<Box<[u8]>, Kept>,
}

impl Keeper {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, kept: HashMap::new() }
    }

    /// Works until nobody can ask any more, or the shutdown is requested and
    /// what was asked before is done.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let shutdown = self.shared.shutdown.clone();
        let mut next = None;
        loop {
            let waiting = async {
                match next.take() {
                    Some(command) => Some(command),
                    None => commands.recv().await,
                }
            };
            let command = tokio::select! {
                biased;
                command = waiting => command,
                () = shutdown.requested() => None,
            };
            let Some(command) = command else { return };
            match command {
                Command::Update(first) => {
                    let mut group = vec![*first];
                    while group.len() < GROUP_MAX {
                        match commands.try_recv() {
                            Ok(Command::Update(job)) => group.push(*job),
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.update(group).await;
                }
                Command::Install(zone, reply) => {
                    let installed = self.install(&zone).await;
                    let _ = reply.send(installed);
                }
                Command::Expire(apex) => {
                    self.serve(|zones| zones.insert_unavailable(&apex));
                    tracing::warn!(zone = %key::display(&apex), "the zone has expired: no primary answers");
                }
                Command::Configure(settings, loaded, reply) => {
                    self.shared.settings.store(settings);
                    let _ = reply.send(self.configure(loaded));
                }
            }
        }
    }

    /// Replaces the version that readers see, at once.
    fn serve(&self, change: impl FnOnce(&mut Zones)) {
        let mut zones = Zones::clone(&self.shared.zones.load());
        change(&mut zones);
        self.shared.zones.store(Arc::new(zones));
    }

    /// Serves exactly the zones of a configuration. Returns what a person should
    /// know about them.
    fn configure(&mut self, loaded: Vec<Loaded>) -> Vec<String> {
        let mut told = Vec::new();
        let mut zones = Zones::new(self.shared.seed);
        let before = self.shared.zones.load_full();
        let mut kept = HashMap::new();
        for Loaded { settings, zone, head, file_hash, notes } in loaded {
            told.extend(notes);
            // What is served already and not older stays: it may be newer than
            // what was read from disk a moment ago.
            let current = before.get(&settings.key).filter(|current| {
                zone.as_ref().is_none_or(|zone| !store::file_is_newer(zone.soa(), current.soa()))
            });
            match (current.or(zone.as_ref()), current.is_some()) {
                (Some(zone), served_before) => {
                    if !served_before {
                        self.tell_loaded(zone);
                        announce::changed(&self.shared, &settings, zone);
                    }
                    zones.insert(zone.clone());
                }
                (None, _) => zones.insert_unavailable(&settings.key),
            }
            let known = self.kept.remove(&settings.key).filter(|_| current.is_some());
            if let (Some(known), Some(zone), Some(current)) = (&known, &zone, current)
                && known.file_hash != file_hash
            {
                told.push(load::ignored(&settings, zone.soa(), current.soa()));
            }
            kept.insert(settings.key.clone(), known.unwrap_or(Kept { head, file_hash }));
        }
        self.kept = kept;
        self.shared.zones.store(Arc::new(zones));
        told
    }

    fn tell_loaded(&self, zone: &Zone) {
        self.shared.reporter.tell(DnsEvent::ZoneLoaded {
            zone: key::display(zone.key()),
            serial: zone.soa().serial,
            records: zone.records(),
        });
    }

    async fn install(&mut self, zone: &Arc<Zone>) -> Result<(), String> {
        let kept = self.kept.get_mut(zone.key()).ok_or("the zone is configured no longer")?;
        let write = Write::snapshot(zone, kept.head, kept.file_hash);
        let head = write.head();
        store::write(&self.shared.storage, vec![write]).await.map_err(|error| error.to_string())?;
        kept.head = Some(head);
        self.serve(|zones| zones.insert(zone.clone()));
        self.tell_loaded(zone);
        self.announce(zone);
        Ok(())
    }

    fn announce(&self, zone: &Arc<Zone>) {
        if let Some(settings) = self.shared.settings.load().zones.get(zone.key()) {
            announce::changed(&self.shared, settings, zone);
        }
    }

    /// Applies a group of updates, each wholly or not at all.
    async fn update(&mut self, group: Vec<Job>) {
        let before = self.shared.zones.load_full();
        let mut changes: HashMap<Box<[u8]>, ZoneChange> = HashMap::new();
        let mut waiting = Vec::new();
        for job in group {
            let apex: Box<[u8]> = job.update.zone().octets().into();
            let Some(base) = before.get(&apex).filter(|_| self.kept.contains_key(&apex)) else {
                let _ = job.reply.send(Err(UpdateFailure::Refused(Rcode::NOTAUTH)));
                continue;
            };
            let change = changes.entry(apex.clone()).or_insert_with(|| ZoneChange {
                draft: Draft::of(base.clone()),
                from: base.soa(),
                by: Vec::new(),
            });
            match job.update.apply(&mut change.draft) {
                Ok(changed) => {
                    if changed {
                        let serial = change.draft.soa().map_or(0, |soa| soa.serial);
                        change.by.push((serial, job.by));
                    }
                    waiting.push(job.reply);
                }
                Err(rcode) => {
                    let _ = job.reply.send(Err(UpdateFailure::Refused(rcode)));
                }
            }
        }
        let outcome = self.commit(changes).await;
        for reply in waiting {
            let _ = reply.send(outcome.clone());
        }
    }

    /// Renders, writes and serves the changed zones.
    async fn commit(&mut self, changes: HashMap<Box<[u8]>, ZoneChange>) -> Result<(), UpdateFailure> {
        let mut writes = Vec::new();
        let mut changed = Vec::new();
        for (apex, ZoneChange { draft, from, by }) in changes {
            if by.is_empty() {
                continue;
            }
            let (removed, added) = draft.difference();
            let zone = draft.finish().map(Arc::new).map_err(|error| {
                tracing::error!(zone = %key::display(&apex), %error, "an update could not be applied");
                UpdateFailure::Refused(Rcode::SERVFAIL)
            })?;
            let kept = self.kept.entry(apex).or_default();
            let entry = Entry { from: from.serial, to: zone.soa().serial, removed, added };
            writes.push(Write::entry(&zone, kept.head, kept.file_hash, &entry));
            changed.push((zone, by));
        }
        if changed.is_empty() {
            return Ok(());
        }
        let heads: Vec<Head> = writes.iter().map(Write::head).collect();
        store::write(&self.shared.storage, writes).await.map_err(|error| {
            tracing::error!(%error, "updates could not be stored");
            UpdateFailure::Storage(error.to_string())
        })?;
        self.serve(|zones| changed.iter().for_each(|(zone, _)| zones.insert(zone.clone())));
        for ((zone, by), head) in changed.into_iter().zip(heads) {
            self.kept.entry(zone.key().into()).or_default().head = Some(head);
            for (serial, by) in by {
                self.shared.reporter.tell(DnsEvent::Updated { zone: key::display(zone.key()), serial, by });
            }
            self.announce(&zone);
        }
        Ok(())
    }
}

/// A zone's changes in a group.
struct ZoneChange {
    draft: Draft,
    from: Soa,
    /// The serial each update made, and who sent it.
    by: Vec<(u32, String)>,
}
