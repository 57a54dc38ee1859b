//! The next version of a zone in the making: a load or an update edits names,
//! [`Draft::finish`] renders what the edits touch and shares the rest with the
//! version before.

use super::card::{Card, Place};
use super::renderer::{Owner, RRSET_OCTETS_MAX, Renderer, Section};
use super::rrset::{Rrset, Soa, WireRecord, same_data};
use super::table::Table;
use super::{Details, Node, Referrers, Rendered, Zone, key};
use crate::Name;
use domain::base::ToName;
use domain::base::iana::Rtype;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Why a zone cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// A record's owner is not within the zone.
    #[error("{name} is not within the zone {zone}")]
    OutOfZone {
        /// The owner.
        name: String,
        /// The zone.
        zone: String,
    },
    /// The apex has no SOA record, or one that is malformed.
    #[error("the zone {zone} has no valid SOA record at its apex")]
    NoSoa {
        /// The zone.
        zone: String,
    },
    /// An RRset is too large for any answer.
    #[error("the {rtype} records of {name} are larger than {RRSET_OCTETS_MAX} octets together")]
    RrsetTooLarge {
        /// The owner.
        name: String,
        /// The type.
        rtype: Rtype,
    },
}

/// Edits on top of a version of a zone, or on nothing.
#[derive(Debug)]
pub struct Draft {
    apex: Name,
    key: Box<[u8]>,
    seed: u64,
    base: Option<Arc<Zone>>,
    work: HashMap<Box<[u8]>, Working>,
}

/// A name that may change.
#[derive(Debug, Clone)]
struct Working {
    owner: Name,
    rrsets: Vec<Rrset>,
    children: u32,
    has_wildcard: bool,
    /// Whether its own records changed.
    changed: bool,
    /// Whether it no longer exists; it hides the one of the version before.
    gone: bool,
}

impl Draft {
    /// Starts from nothing.
    pub fn empty(apex: Name, seed: u64) -> Self {
        let key: Box<[u8]> = apex.as_slice().to_ascii_lowercase().into();
        let mut draft = Self { apex: apex.clone(), key: key.clone(), seed, base: None, work: HashMap::new() };
        draft.work.insert(key, Working::new(apex));
        draft
    }

    /// Starts from a version.
    pub fn of(base: Arc<Zone>) -> Self {
        Self {
            apex: base.apex.clone(),
            key: base.key.clone(),
            seed: base.names.seed(),
            work: HashMap::new(),
            base: Some(base),
        }
    }

    /// The zone's apex.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The apex, lower-cased.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// Whether nothing was changed.
    pub fn is_unchanged(&self) -> bool {
        !self.work.values().any(|name| name.changed)
    }

    /// Whether `name` (lower-cased) lies within the zone.
    pub fn contains(&self, name: &[u8]) -> bool {
        key::is_within(name, &self.key)
    }

    /// The RRsets of a name (lower-cased) as they stand now.
    pub fn rrsets(&self, name: &[u8]) -> &[Rrset] {
        match (self.work.get(name), &self.base) {
            (Some(working), _) => &working.rrsets,
            (None, Some(base)) => base.node(name).map_or(&[], |node| node.rrsets()),
            (None, None) => &[],
        }
    }

    /// One RRset as it stands now.
    pub fn rrset(&self, name: &[u8], rtype: Rtype) -> Option<&Rrset> {
        self.rrsets(name).iter().find(|rrset| rrset.rtype == rtype)
    }

    /// The SOA as it stands now.
    pub fn soa(&self) -> Option<Soa> {
        self.rrset(&self.key, Rtype::SOA).and_then(|rrset| Soa::from_data(rrset.data.first()?))
    }

    /// Adds a record to its RRset, which takes over its TTL; a record of the same
    /// data is replaced. Returns whether that changed anything.
    pub fn add(&mut self, record: WireRecord) -> Result<bool, DraftError> {
        let name: Box<[u8]> = record.owner.as_slice().to_ascii_lowercase().into();
        if !self.contains(&name) {
            return Err(DraftError::OutOfZone { name: key::display(&name), zone: key::display(&self.key) });
        }
        let working = self.open(&name, &record.owner);
        let index = working.rrsets.partition_point(|rrset| rrset.rtype < record.rtype);
        if working.rrsets.get(index).is_none_or(|rrset| rrset.rtype != record.rtype) {
            working
                .rrsets
                .insert(index, Rrset { rtype: record.rtype, ttl: record.ttl, data: vec![record.data] });
            working.changed = true;
            return Ok(true);
        }
        let rrset = &mut working.rrsets[index];
        let mut changed = rrset.ttl != record.ttl;
        rrset.ttl = record.ttl;
        match rrset.data.iter_mut().find(|data| same_data(record.rtype, data, &record.data)) {
            Some(data) if *data == record.data => {}
            Some(data) => {
                *data = record.data;
                changed = true;
            }
            None => {
                rrset.data.push(record.data);
                changed = true;
            }
        }
        let too_large = rrset.data.iter().map(|data| data.len() + 12).sum::<usize>() > RRSET_OCTETS_MAX;
        working.changed |= changed;
        if too_large {
            return Err(DraftError::RrsetTooLarge { name: key::display(&name), rtype: record.rtype });
        }
        Ok(changed)
    }

    /// Deletes one record, its TTL aside. Returns whether it was there.
    pub fn delete_record(&mut self, name: &[u8], rtype: Rtype, data: &[u8]) -> bool {
        let present = self
            .rrset(name, rtype)
            .is_some_and(|rrset| rrset.data.iter().any(|known| same_data(rtype, known, data)));
        if present {
            let owner = self.owner(name);
            let working = self.open(name, &owner);
            for rrset in working.rrsets.iter_mut().filter(|rrset| rrset.rtype == rtype) {
                rrset.data.retain(|known| !same_data(rtype, known, data));
            }
            working.rrsets.retain(|rrset| !rrset.data.is_empty());
            working.changed = true;
        }
        present
    }

    /// Deletes an RRset. Returns whether it was there.
    pub fn delete_rrset(&mut self, name: &[u8], rtype: Rtype) -> bool {
        let present = self.rrset(name, rtype).is_some();
        if present {
            let owner = self.owner(name);
            let working = self.open(name, &owner);
            working.rrsets.retain(|rrset| rrset.rtype != rtype);
            working.changed = true;
        }
        present
    }

    /// Records that the edits so far took away and records that they brought, as
    /// a journal keeps them.
    pub fn difference(&self) -> (Vec<WireRecord>, Vec<WireRecord>) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        for (name, working) in self.work.iter().filter(|(_, working)| working.changed) {
            let before =
                self.base.as_ref().and_then(|base| base.node(name)).map_or(&[][..], |node| node.rrsets());
            let only_in = |all: &[Rrset], others: &[Rrset], records: &mut Vec<WireRecord>| {
                for rrset in all {
                    let other =
                        others.iter().find(|other| other.rtype == rrset.rtype && other.ttl == rrset.ttl);
                    for data in &rrset.data {
                        if other.is_none_or(|other| !other.data.contains(data)) {
                            let (owner, data) = (working.owner.clone(), data.clone());
                            records.push(WireRecord { owner, rtype: rrset.rtype, ttl: rrset.ttl, data });
                        }
                    }
                }
            };
            only_in(before, &working.rrsets, &mut removed);
            only_in(&working.rrsets, before, &mut added);
        }
        (removed, added)
    }

    fn owner(&self, name: &[u8]) -> Name {
        let known = self.work.get(name).map(|working| working.owner.clone());
        known
            .or_else(|| Some(self.base.as_ref()?.node(name)?.owner().clone()))
            .or_else(|| Name::from_octets(bytes::Bytes::copy_from_slice(name)).ok())
            .unwrap_or_else(Name::root_bytes)
    }

    /// The name to be changed, brought into being with its ancestors.
    fn open(&mut self, name: &[u8], owner: &Name) -> &mut Working {
        if !self.work.contains_key(name) {
            let known = self.base.as_ref().and_then(|base| base.node(name)).map(Working::from_node);
            let is_new = known.is_none();
            self.work.insert(name.into(), known.unwrap_or_else(|| Working::new(owner.clone())));
            if is_new
                && *name != *self.key
                && let Some(parent) = key::parent(name)
            {
                let owner = owner.parent().map_or_else(Name::root_bytes, |owner| owner.to_bytes());
                let parent = self.open(parent, &owner);
                parent.children += 1;
                parent.has_wildcard |= key::label_count(name) > 0 && key::is_wildcard(name);
            }
        }
        // It was just put there.
        self.work.entry(name.into()).or_insert_with(|| Working::new(owner.clone()))
    }

    /// Names without records and without names below them go (RFC 4592 section
    /// 2.2.2 keeps the empty non-terminals).
    fn prune(&mut self) -> Vec<Box<[u8]>> {
        let mut gone = Vec::new();
        let mut waiting: Vec<Box<[u8]>> =
            self.work.iter().filter(|(_, name)| name.is_dead()).map(|(key, _)| key.clone()).collect();
        while let Some(name) = waiting.pop() {
            match self.work.get_mut(&name) {
                Some(working) if *name != *self.key && working.is_dead() && !working.gone => {
                    working.gone = true;
                }
                _ => continue,
            }
            if let Some(parent) = key::parent(&name) {
                let owner = self.owner(parent);
                let above = self.open(parent, &owner);
                above.children = above.children.saturating_sub(1);
                above.has_wildcard &= !key::is_wildcard(&name);
                if above.is_dead() {
                    waiting.push(parent.into());
                }
            }
            gone.push(name);
        }
        gone
    }

    fn is_cut(&self, name: &[u8], rrsets: &[Rrset]) -> bool {
        *name != *self.key && rrsets.iter().any(|rrset| rrset.rtype == Rtype::NS) && !key::is_wildcard(name)
    }

    fn place(&self, name: &[u8], rrsets: &[Rrset]) -> Place {
        let mut above = key::parent(name);
        while let Some(ancestor) = above.filter(|ancestor| ancestor.len() > self.key.len()) {
            if self.is_cut(ancestor, self.rrsets(ancestor)) {
                return Place::Below;
            }
            above = key::parent(ancestor);
        }
        if self.is_cut(name, rrsets) { Place::Cut } else { Place::Authoritative }
    }

    /// Opens all names below delegations that came or went, for their place changes.
    fn open_below_changed_cuts(&mut self, gone: &[Box<[u8]>]) {
        let Some(base) = self.base.clone() else { return };
        let changed: Vec<Box<[u8]>> = self
            .work
            .iter()
            .map(|(name, working)| (name, &working.rrsets[..], working.children))
            .chain(gone.iter().map(|name| (name, &[][..], 0)))
            .filter(|(name, rrsets, children)| {
                let before = base.node(name);
                let (was, had) = before
                    .map_or((false, 0), |node| (self.is_cut(name, node.rrsets()), node.details().children));
                was != self.is_cut(name, rrsets) && (*children > 0 || had > 0)
            })
            .map(|(name, ..)| name.clone())
            .collect();
        if changed.is_empty() {
            return;
        }
        for node in base.nodes() {
            let below = std::iter::successors(key::parent(node.key()), |rest| key::parent(rest))
                .any(|ancestor| changed.iter().any(|cut| **cut == *ancestor));
            if below && !gone.iter().any(|gone| **gone == *node.key()) {
                let working = self.open(node.key(), node.owner());
                // Answers that carry its addresses depend on its place too.
                working.changed = true;
            }
        }
    }

    /// The version with the edits.
    pub fn finish(mut self) -> Result<Zone, DraftError> {
        let soa = self.soa().ok_or_else(|| DraftError::NoSoa { zone: key::display(&self.key) })?;
        let gone = self.prune();
        self.open_below_changed_cuts(&gone);
        let mut names = match &self.base {
            Some(base) => base.names.clone(),
            None => Table::new(self.seed, self.work.len()),
        };
        let referrers = self.next_referrers(&gone);
        self.open_referrers(&referrers, &gone);

        let mut records = self.base.as_ref().map_or(0, |base| base.records);
        let count = |rrsets: &[Rrset]| rrsets.iter().map(|rrset| rrset.data.len()).sum::<usize>();
        for name in &gone {
            records -= names.get(name).map_or(0, |node| count(node.rrsets()));
            names.remove(name);
        }
        for (name, working) in self.work.iter().filter(|(_, working)| !working.gone) {
            records -= names.get(name).map_or(0, |node| count(node.rrsets()));
            records += count(&working.rrsets);
            names.insert(self.render(name, working));
        }
        if names.is_crowded() {
            names = names.laid_out_anew();
        }
        Ok(Zone {
            negative: self.render_negative(soa),
            top: names.get(&self.key).cloned(),
            apex: self.apex,
            key: self.key,
            soa,
            names,
            referrers,
            records,
        })
    }

    /// Which names' answers carry a host's addresses, after the edits.
    fn next_referrers(&self, gone: &[Box<[u8]>]) -> Table<Arc<Referrers>> {
        let hosts = |rrsets: &[Rrset]| -> BTreeSet<Box<[u8]>> {
            let hosts = rrsets.iter().flat_map(Rrset::hosts).map(|host| host.to_ascii_lowercase().into());
            hosts.collect::<BTreeSet<Box<[u8]>>>().into_iter().filter(|host| self.contains(host)).collect()
        };
        let base = self.base.as_ref();
        let mut table =
            base.map_or_else(|| Table::new(self.seed, self.work.len() / 8), |base| base.referrers.clone());
        let mut edited: HashMap<Box<[u8]>, HashSet<Box<[u8]>>> = HashMap::new();
        let changed = self.work.iter().filter(|(_, working)| working.changed);
        let after = changed.map(|(name, working)| (name, hosts(&working.rrsets)));
        for (name, new) in after.chain(gone.iter().map(|name| (name, BTreeSet::new()))) {
            let old =
                base.and_then(|base| base.node(name)).map_or_else(BTreeSet::new, |node| hosts(node.rrsets()));
            for host in old.symmetric_difference(&new) {
                let owners = edited.entry(host.clone()).or_insert_with(|| {
                    table.get(host).map_or_else(HashSet::new, |known| known.owners.iter().cloned().collect())
                });
                if new.contains(host) {
                    owners.insert(name.clone());
                } else {
                    owners.remove(name);
                }
            }
        }
        for (host, owners) in edited {
            if owners.is_empty() {
                table.remove(&host);
            } else {
                table.insert(Arc::new(Referrers { host, owners: owners.into_iter().collect() }));
            }
        }
        table
    }

    /// Opens the names whose answers carry addresses that changed.
    fn open_referrers(&mut self, referrers: &Table<Arc<Referrers>>, gone: &[Box<[u8]>]) {
        if self.base.is_none() {
            return;
        }
        let changed = self.work.iter().filter(|(_, working)| working.changed).map(|(name, _)| name);
        let owners: Vec<Box<[u8]>> = changed
            .chain(gone)
            .filter_map(|host| referrers.get(host))
            .flat_map(|known| known.owners.iter().cloned())
            .collect();
        for name in owners {
            let owner = self.owner(&name);
            self.open(&name, &owner);
        }
    }

    fn render(&self, name: &[u8], working: &Working) -> Node {
        let place = self.place(name, &working.rrsets);
        let reference = match key::parent(name) {
            Some(encloser) if key::is_wildcard(name) => encloser,
            _ => name,
        };
        let mut answers = Vec::new();
        let mut referral = None;
        match place {
            Place::Below => {}
            Place::Authoritative => {
                for rrset in &working.rrsets {
                    let mut renderer = Renderer::new(reference);
                    renderer.rrset(Section::Answer, Owner::Question, rrset, rrset.ttl);
                    self.add_addresses(&mut renderer, rrset);
                    answers.push((rrset.rtype, renderer.finish(true)));
                }
            }
            Place::Cut => {
                for rrset in &working.rrsets {
                    let mut renderer = Renderer::new(reference);
                    match rrset.rtype {
                        // The delegation's DS is the parent's (RFC 4035 section 3.1.4.1).
                        Rtype::DS => {
                            renderer.rrset(Section::Answer, Owner::Question, rrset, rrset.ttl);
                            answers.push((Rtype::DS, renderer.finish(true)));
                        }
                        Rtype::NS => {
                            renderer.rrset(Section::Authority, Owner::Name(name), rrset, rrset.ttl);
                            self.add_glue(&mut renderer, name, rrset);
                            referral = Some(renderer.finish(false));
                        }
                        _ => {}
                    }
                }
            }
        }
        let details = Details {
            owner: working.owner.clone(),
            has_wildcard: working.has_wildcard,
            children: working.children,
            rrsets: working.rrsets.clone().into(),
        };
        Node::new(Card::new(name, place, &answers, referral.as_ref()), details)
    }

    /// Addresses of hosts named in an answer, as far as they are authoritative
    /// here and not in the answer already (RFC 1034 section 4.3.2 step 6).
    fn add_addresses(&self, renderer: &mut Renderer, rrset: &Rrset) {
        for host in distinct_hosts(rrset) {
            let rrsets = self.rrsets(&host);
            if self.contains(&host) && self.place(&host, rrsets) == Place::Authoritative {
                for addresses in rrsets.iter().filter(|rrset| is_address(rrset.rtype)) {
                    renderer.optional(Owner::Name(&host), addresses);
                }
            }
        }
    }

    /// Glue (RFC 9471): addresses within the delegated domain are required,
    /// those of siblings may be left out.
    fn add_glue(&self, renderer: &mut Renderer, cut: &[u8], rrset: &Rrset) {
        let (inside, outside): (Vec<_>, Vec<_>) =
            distinct_hosts(rrset).into_iter().partition(|host| key::is_within(host, cut));
        for host in &inside {
            for addresses in self.rrsets(host).iter().filter(|rrset| is_address(rrset.rtype)) {
                renderer.rrset(Section::Additional, Owner::Name(host), addresses, addresses.ttl);
            }
        }
        for host in outside.iter().filter(|host| self.contains(host)) {
            for addresses in self.rrsets(host).iter().filter(|rrset| is_address(rrset.rtype)) {
                renderer.optional(Owner::Name(host), addresses);
            }
        }
    }

    fn render_negative(&self, soa: Soa) -> Rendered {
        let mut renderer = Renderer::new(&self.key);
        if let Some(rrset) = self.rrset(&self.key, Rtype::SOA) {
            renderer.rrset(Section::Authority, Owner::Name(&self.key), rrset, rrset.ttl.min(soa.minimum));
        }
        renderer.finish(true)
    }
}

fn is_address(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA)
}

fn distinct_hosts(rrset: &Rrset) -> Vec<Box<[u8]>> {
    let mut seen = Vec::new();
    for host in rrset.hosts() {
        let host: Box<[u8]> = host.to_ascii_lowercase().into();
        if !seen.contains(&host) {
            seen.push(host);
        }
    }
    seen
}

impl Working {
    fn new(owner: Name) -> Self {
        Self { owner, rrsets: Vec::new(), children: 0, has_wildcard: false, changed: false, gone: false }
    }

    fn from_node(node: &Node) -> Self {
        Self {
            owner: node.owner().clone(),
            rrsets: node.rrsets().to_vec(),
            children: node.details().children,
            has_wildcard: node.details().has_wildcard,
            changed: false,
            gone: false,
        }
    }

    fn is_dead(&self) -> bool {
        self.rrsets.is_empty() && self.children == 0
    }
}
