//! The rules a whole zone keeps beside those of its single records.

use super::{Finding, Located, Severity};
use crate::Name;
use crate::zone::{RRSET_OCTETS_MAX, Soa, key, same_data};
use domain::base::iana::Rtype;
use std::collections::BTreeMap;

/// Records by owner and type.
type ByName<'a> = BTreeMap<Box<[u8]>, BTreeMap<Rtype, Vec<&'a Located>>>;

pub(super) fn check(records: &[Located], origin: &Name, findings: &mut Vec<Finding>) {
    let apex: Box<[u8]> = origin.as_slice().to_ascii_lowercase().into();
    let mut names: ByName<'_> = BTreeMap::new();
    for located in records {
        let owner: Box<[u8]> = located.record.owner.as_slice().to_ascii_lowercase().into();
        if !key::is_within(&owner, &apex) {
            findings.push(error(
                &owner,
                located.line,
                format!("the name is not within the zone {}", key::display(&apex)),
                "remove the record, or write the name without a dot at its end if it is relative",
            ));
            continue;
        }
        names.entry(owner).or_default().entry(located.record.rtype).or_default().push(located);
    }
    check_apex(&names, &apex, findings);
    for (owner, types) in &names {
        check_name(owner, types, &apex, findings);
        for (rtype, rrset) in types {
            check_rrset(owner, *rtype, rrset, findings);
        }
    }
    check_hosts(&names, &apex, findings);
}

fn finding(severity: Severity, owner: &[u8], line: Option<usize>, problem: String, remedy: &str) -> Finding {
    Finding { severity, line, name: key::display(owner), problem, remedy: remedy.to_owned() }
}

fn error(owner: &[u8], line: usize, problem: String, remedy: &str) -> Finding {
    finding(Severity::Error, owner, Some(line), problem, remedy)
}

fn warning(owner: &[u8], line: usize, problem: String, remedy: &str) -> Finding {
    finding(Severity::Warning, owner, Some(line), problem, remedy)
}

fn check_apex(names: &ByName<'_>, apex: &[u8], findings: &mut Vec<Finding>) {
    let types = names.get(apex);
    match types.and_then(|types| types.get(&Rtype::SOA)).map(Vec::as_slice) {
        None => findings.push(finding(
            Severity::Error,
            apex,
            None,
            "the zone has no SOA record".to_owned(),
            "add `@ IN SOA PRIMARY MAILBOX SERIAL REFRESH RETRY EXPIRE MINIMUM` (RFC 1035 section 3.3.13)",
        )),
        Some([only]) => {
            if let Some(soa) = Soa::from_data(&only.record.data)
                && (soa.refresh == 0 || soa.retry == 0 || soa.expire <= soa.refresh)
            {
                findings.push(warning(
                    apex,
                    only.line,
                    "the SOA's times make secondaries ask without pause or expire too early".to_owned(),
                    "set refresh and retry above 0, and expire above refresh, e.g. 3600 900 604800",
                ));
            }
        }
        Some([_, more, ..]) => findings.push(error(
            apex,
            more.line,
            "the zone has more than one SOA record".to_owned(),
            "keep one (RFC 1035 section 5.2)",
        )),
        Some([]) => {}
    }
    if types.is_none_or(|types| !types.contains_key(&Rtype::NS)) {
        findings.push(finding(
            Severity::Error,
            apex,
            None,
            "the zone has no NS record at its apex".to_owned(),
            "add `@ IN NS HOST` for each of its name servers (RFC 1034 section 4.2.1)",
        ));
    }
}

fn check_name(
    owner: &[u8],
    types: &BTreeMap<Rtype, Vec<&Located>>,
    apex: &[u8],
    findings: &mut Vec<Finding>,
) {
    if let Some(cnames) = types.get(&Rtype::CNAME) {
        let beside = types.keys().find(|rtype| !matches!(**rtype, Rtype::CNAME | Rtype::RRSIG | Rtype::NSEC));
        if let (Some(rtype), Some(cname)) = (beside, cnames.first()) {
            findings.push(error(
                owner,
                cname.line,
                format!("a CNAME record stands beside {rtype} records"),
                "a name with a CNAME has no other data: move them to its target, or drop the CNAME (RFC 1034 section 3.6.2)",
            ));
        }
        if let [_, more, ..] = cnames.as_slice()
            && cnames.iter().any(|cname| !same_data(Rtype::CNAME, &cname.record.data, &more.record.data))
        {
            findings.push(error(
                owner,
                more.line,
                "the name has more than one CNAME record".to_owned(),
                "keep one (RFC 2181 section 10.1)",
            ));
        }
    }
    if *owner != *apex
        && let Some(soa) = types.get(&Rtype::SOA).and_then(|soas| soas.first())
    {
        findings.push(error(
            owner,
            soa.line,
            "a SOA record stands below the zone's apex".to_owned(),
            "remove it, or delegate the name with NS records and give it a zone of its own",
        ));
    }
    if key::is_wildcard(owner)
        && let Some(ns) = types.get(&Rtype::NS).and_then(|ns| ns.first())
    {
        findings.push(error(
            owner,
            ns.line,
            "a wildcard cannot be delegated".to_owned(),
            "remove the NS records of the wildcard (RFC 4592 section 4.2)",
        ));
    }
}

fn check_rrset(owner: &[u8], rtype: Rtype, rrset: &[&Located], findings: &mut Vec<Finding>) {
    let Some((first, rest)) = rrset.split_first() else { return };
    if let Some(other) = rest.iter().find(|other| other.record.ttl != first.record.ttl) {
        findings.push(warning(
            owner,
            other.line,
            format!("the {rtype} records have different TTLs"),
            "give all records of a name and type the same TTL (RFC 2181 section 5.2); the last one counts",
        ));
    }
    if rrset.len() < 100 {
        for (index, located) in rrset.iter().enumerate() {
            if rrset[..index].iter().any(|known| same_data(rtype, &known.record.data, &located.record.data)) {
                findings.push(warning(
                    owner,
                    located.line,
                    format!("a {rtype} record stands there twice"),
                    "remove one of them",
                ));
            }
        }
    }
    if rrset.iter().map(|located| located.record.data.len() + 12).sum::<usize>() > RRSET_OCTETS_MAX {
        findings.push(error(
            owner,
            first.line,
            format!("the {rtype} records are larger than {RRSET_OCTETS_MAX} octets together"),
            "no message could carry them: spread them over several names",
        ));
    }
}

/// Hosts of NS, MX and SRV records that should have addresses in this zone.
fn check_hosts(names: &ByName<'_>, apex: &[u8], findings: &mut Vec<Finding>) {
    let cut_above = |name: &[u8]| {
        std::iter::successors(Some(name), |rest| key::parent(rest))
            .take_while(|ancestor| ancestor.len() > apex.len())
            .find(|ancestor| {
                names.get(*ancestor).is_some_and(|types| types.contains_key(&Rtype::NS))
                    && !key::is_wildcard(ancestor)
            })
            .map(<[u8]>::to_vec)
    };
    let synthesised = |name: &[u8]| {
        std::iter::successors(key::parent(name), |rest| key::parent(rest)).any(|encloser| {
            let mut buffer = [0; 256];
            key::wildcard(encloser, &mut buffer).is_some_and(|wildcard| names.contains_key(wildcard))
        })
    };
    for (owner, types) in names {
        for (rtype, prefix) in [(Rtype::NS, 0), (Rtype::MX, 2), (Rtype::SRV, 6)] {
            for located in types.get(&rtype).into_iter().flatten() {
                let Some(host) = located.record.data.get(prefix..) else { continue };
                let host = host.to_ascii_lowercase();
                if host == [0] || !key::is_within(&host, apex) {
                    continue;
                }
                let known = names.get(host.as_slice());
                let has_address = known
                    .is_some_and(|types| types.contains_key(&Rtype::A) || types.contains_key(&Rtype::AAAA));
                if has_address {
                    continue;
                }
                let text = key::display(&host);
                if known.is_some_and(|types| types.contains_key(&Rtype::CNAME)) {
                    findings.push(error(
                        owner,
                        located.line,
                        format!("the {rtype} record names {text}, which is an alias"),
                        "name the host itself (RFC 2181 section 10.3)",
                    ));
                    continue;
                }
                let cut = cut_above(&host);
                let needed =
                    rtype == Rtype::NS && cut.as_deref().is_none_or(|cut| key::is_within(owner, cut));
                if needed && (cut.is_some() || !synthesised(&host)) {
                    let what = if cut.is_some() { "glue" } else { "address" };
                    findings.push(error(
                        owner,
                        located.line,
                        format!("the name server {text} has no {what} in this zone"),
                        "add an A or AAAA record for it, or nobody can reach the name server",
                    ));
                } else if cut.is_none() && !synthesised(&host) {
                    findings.push(warning(
                        owner,
                        located.line,
                        format!("the {rtype} record names {text}, which has no address in this zone"),
                        "add an A or AAAA record for it",
                    ));
                }
            }
        }
    }
}
