//! Dynamic update (RFC 2136): reading a request, its prerequisites, its changes.

use crate::zone::{
    Draft, Key, RRSET_OCTETS_MAX, Rrset, Soa, WireRecord, compose, same_data, serial_is_newer,
};
use crate::{Change, Name};
use bytes::Bytes;
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::ZoneRecordData;

/// A request as it was read.
#[derive(Debug, Clone)]
pub struct Update {
    zone: Key,
    prerequisites: Vec<Item>,
    changes: Vec<Item>,
}

/// A record of a request; without data where its length is 0.
#[derive(Debug, Clone)]
struct Item {
    owner: Name,
    key: Box<[u8]>,
    class: Class,
    rtype: Rtype,
    ttl: u32,
    data: Option<Box<[u8]>>,
}

impl Item {
    fn new(owner: Name, class: Class, rtype: Rtype, ttl: u32, data: Option<Box<[u8]>>) -> Self {
        Self { key: owner.as_slice().to_ascii_lowercase().into(), owner, class, rtype, ttl, data }
    }

    fn read(record: &ParsedRecord<'_, Bytes>) -> Result<Self, Rcode> {
        let owner: Name = record.owner().flatten_into();
        let data = if record.rdlen() == 0 {
            None
        } else {
            let parsed = record
                .to_record::<ZoneRecordData<Bytes, ParsedName<Bytes>>>()
                .map_err(|_| Rcode::FORMERR)?
                .ok_or(Rcode::FORMERR)?;
            Some(compose(parsed.data()))
        };
        Ok(Self::new(owner, record.class(), record.rtype(), record.ttl().as_secs(), data))
    }
}

impl Update {
    /// Reads a request: FORMERR where it is malformed.
    pub fn read(message: &[u8]) -> Result<Self, Rcode> {
        let message = Message::from_octets(Bytes::copy_from_slice(message)).map_err(|_| Rcode::FORMERR)?;
        // Section 3.1.1: one zone, by its SOA.
        let mut zones = message.question();
        let (Some(Ok(zone)), None) = (zones.next(), zones.next()) else { return Err(Rcode::FORMERR) };
        if zone.qtype() != Rtype::SOA {
            return Err(Rcode::FORMERR);
        }
        if zone.qclass() != Class::IN {
            return Err(Rcode::NOTAUTH);
        }
        let name: Name = zone.qname().clone().flatten_into();
        let zone = Key::from_wire(name.as_slice()).ok_or(Rcode::FORMERR)?;
        let (_, prerequisites, changes, _) = message.sections().map_err(|_| Rcode::FORMERR)?;
        let items = |section: domain::base::message::RecordSection<'_, Bytes>| {
            section
                .map(|record| Item::read(&record.map_err(|_| Rcode::FORMERR)?))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { zone, prerequisites: items(prerequisites)?, changes: items(changes)? })
    }

    /// The same as a request, from a service of this host.
    pub fn from_changes(zone: &Name, changes: Vec<Change>) -> Result<Self, Rcode> {
        let items = changes.into_iter().map(|change| match change {
            Change::Add(record) => {
                let record = WireRecord::from_record(&record);
                Item::new(record.owner, Class::IN, record.rtype, record.ttl, Some(record.data))
            }
            Change::Delete(record) => {
                let record = WireRecord::from_record(&record);
                Item::new(record.owner, Class::NONE, record.rtype, 0, Some(record.data))
            }
            Change::DeleteRrset(name, rtype) => Item::new(name, Class::ANY, rtype, 0, None),
        });
        Ok(Self {
            zone: Key::from_wire(zone.as_slice()).ok_or(Rcode::FORMERR)?,
            prerequisites: Vec::new(),
            changes: items.collect(),
        })
    }

    /// The zone to be updated.
    pub fn zone(&self) -> &Key {
        &self.zone
    }

    /// Applies the whole request to a draft, or nothing of it. Returns whether
    /// the zone changed; then its serial is newer.
    pub fn apply(&self, draft: &mut Draft) -> Result<bool, Rcode> {
        self.check_prerequisites(draft)?;
        self.prescan(draft)?;
        let serial = draft.soa().ok_or(Rcode::SERVFAIL)?.serial;
        let mut changed = false;
        for item in &self.changes {
            changed |= item.apply(draft).map_err(|_| Rcode::SERVFAIL)?;
        }
        // Section 3.6: the serial grows, unless the request made it grow.
        if changed && draft.soa().is_none_or(|soa| soa.serial == serial) {
            bump_serial(draft);
        }
        Ok(changed)
    }

    /// Section 3.2.
    fn check_prerequisites(&self, draft: &Draft) -> Result<(), Rcode> {
        let mut expected: Vec<(&Item, Vec<&[u8]>)> = Vec::new();
        for item in &self.prerequisites {
            if item.ttl != 0 {
                return Err(Rcode::FORMERR);
            }
            if !draft.contains(&item.key) {
                return Err(Rcode::NOTZONE);
            }
            let in_use = !draft.rrsets(&item.key).is_empty();
            let exists = draft.rrset(&item.key, item.rtype).is_some();
            match (item.class, item.rtype, &item.data) {
                (Class::ANY, Rtype::ANY, None) if in_use => {}
                (Class::ANY, Rtype::ANY, None) => return Err(Rcode::NXDOMAIN),
                (Class::ANY, _, None) if exists => {}
                (Class::ANY, _, None) => return Err(Rcode::NXRRSET),
                (Class::NONE, Rtype::ANY, None) if in_use => return Err(Rcode::YXDOMAIN),
                (Class::NONE, Rtype::ANY, None) => {}
                (Class::NONE, _, None) if exists => return Err(Rcode::YXRRSET),
                (Class::NONE, _, None) => {}
                (Class::IN, _, Some(data)) => {
                    match expected
                        .iter_mut()
                        .find(|(known, _)| known.key == item.key && known.rtype == item.rtype)
                    {
                        Some((_, all)) => all.push(data),
                        None => expected.push((item, vec![data])),
                    }
                }
                _ => return Err(Rcode::FORMERR),
            }
        }
        for (item, wanted) in expected {
            let rrset = draft.rrset(&item.key, item.rtype).ok_or(Rcode::NXRRSET)?;
            let same = |a: &[u8], b: &[u8]| same_data(item.rtype, a, b);
            let all_there = wanted.iter().all(|data| rrset.data.iter().any(|known| same(data, known)));
            let no_other = rrset.data.iter().all(|known| wanted.iter().any(|data| same(data, known)));
            if !all_there || !no_other {
                return Err(Rcode::NXRRSET);
            }
        }
        Ok(())
    }

    /// Section 3.4.1: nothing is changed where anything is wrong.
    fn prescan(&self, draft: &Draft) -> Result<(), Rcode> {
        let mut added = 0;
        for item in &self.changes {
            if !draft.contains(&item.key) {
                return Err(Rcode::NOTZONE);
            }
            let is_data = !is_meta(item.rtype);
            match (item.class, &item.data) {
                (Class::IN, Some(data)) if is_data => {
                    added += data.len() + 12;
                    let stands = draft.rrset(&item.key, item.rtype).map_or(0, octets);
                    // Conservative, so that nothing fails half done.
                    if stands + added > RRSET_OCTETS_MAX {
                        return Err(Rcode::REFUSED);
                    }
                }
                (Class::ANY, None) if item.ttl == 0 && (is_data || item.rtype == Rtype::ANY) => {}
                (Class::NONE, Some(_)) if item.ttl == 0 && is_data => {}
                _ => return Err(Rcode::FORMERR),
            }
        }
        Ok(())
    }
}

fn octets(rrset: &Rrset) -> usize {
    rrset.data.iter().map(|data| data.len() + 12).sum()
}

/// Types that no zone holds (RFC 6895 section 3.1).
fn is_meta(rtype: Rtype) -> bool {
    matches!(rtype.to_int(), 0 | 41 | 128..=255)
}

impl Item {
    /// Section 3.4.2.
    fn apply(&self, draft: &mut Draft) -> Result<bool, crate::zone::DraftError> {
        let is_apex = *self.key == *draft.key();
        match (self.class, &self.data) {
            (Class::IN, Some(data)) => self.add(draft, data, is_apex),
            (Class::ANY, None) if self.rtype == Rtype::ANY => {
                let kept = |rtype| is_apex && matches!(rtype, Rtype::SOA | Rtype::NS);
                let types: Vec<Rtype> = draft
                    .rrsets(&self.key)
                    .iter()
                    .map(|rrset| rrset.rtype)
                    .filter(|rtype| !kept(*rtype))
                    .collect();
                let mut changed = false;
                for rtype in types {
                    changed |= draft.delete_rrset(&self.key, rtype);
                }
                Ok(changed)
            }
            (Class::ANY, None) => {
                let kept = is_apex && matches!(self.rtype, Rtype::SOA | Rtype::NS);
                Ok(!kept && draft.delete_rrset(&self.key, self.rtype))
            }
            (Class::NONE, Some(data)) => {
                // Section 3.4.2.4: neither the SOA nor the last name server goes.
                let is_last = || draft.rrset(&self.key, Rtype::NS).is_some_and(|rrset| rrset.data.len() == 1);
                let kept = is_apex && (self.rtype == Rtype::SOA || self.rtype == Rtype::NS && is_last());
                Ok(!kept && draft.delete_record(&self.key, self.rtype, data))
            }
            _ => Ok(false),
        }
    }

    /// Section 3.4.2.2.
    fn add(&self, draft: &mut Draft, data: &[u8], is_apex: bool) -> Result<bool, crate::zone::DraftError> {
        let record =
            WireRecord { owner: self.owner.clone(), rtype: self.rtype, ttl: self.ttl, data: data.into() };
        if self.rtype == Rtype::SOA {
            let (Some(old), Some(new), true) = (draft.soa(), Soa::from_data(data), is_apex) else {
                return Ok(false);
            };
            if !serial_is_newer(new.serial, old.serial) {
                return Ok(false);
            }
            draft.delete_rrset(&self.key, Rtype::SOA);
            return draft.add(record);
        }
        let mut others = draft.rrsets(&self.key).iter().map(|rrset| rrset.rtype);
        if self.rtype == Rtype::CNAME {
            if others.any(|rtype| !matches!(rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC)) {
                return Ok(false);
            }
            let same = draft.rrset(&self.key, Rtype::CNAME).is_some_and(|rrset| {
                rrset.ttl == self.ttl && rrset.data.iter().all(|known| **known == *data)
            });
            if same {
                return Ok(false);
            }
            draft.delete_rrset(&self.key, Rtype::CNAME);
            return draft.add(record);
        }
        if others.any(|rtype| rtype == Rtype::CNAME) && !matches!(self.rtype, Rtype::RRSIG | Rtype::NSEC) {
            return Ok(false);
        }
        draft.add(record)
    }
}

/// Makes the serial grow by one (RFC 1982 section 3.1); 0 is left out.
fn bump_serial(draft: &mut Draft) {
    let key: Box<[u8]> = draft.key().into();
    let Some((rrset, soa)) = draft.rrset(&key, Rtype::SOA).cloned().zip(draft.soa()) else { return };
    let Some(data) = rrset.data.first() else { return };
    let serial = soa.serial.wrapping_add(1).max(1);
    let record = WireRecord {
        owner: draft.apex().clone(),
        rtype: Rtype::SOA,
        ttl: rrset.ttl,
        data: Soa::with_serial(data, serial),
    };
    draft.delete_rrset(&key, Rtype::SOA);
    // The apex is within its zone, and a SOA is small.
    let _ = draft.add(record);
}
