//! The rendered answers against a slow model that reads RFC 1034 section 4.3.2
//! and RFC 4592 word by word, for random zones, names and updates; and hostile
//! octets against every decoder.

use dns::answer::{Answerer, PAYLOAD_OCTETS_DEFAULT, Query, Transport};
use dns::journal::{self, Entry};
use dns::transfer::Incoming;
use dns::tsig;
use dns::update::Update;
use dns::zone::{Draft, WireRecord, Zone, Zones};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::ZoneRecordData;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

/// Labels from the apex downwards.
type Path = Vec<&'static str>;
/// The data of a record in presentation form, of few kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Data {
    A(u8),
    Txt(u8),
    Ns(Path),
    Cname(Path),
    Mx(u8, Path),
    Ds(u8),
}

impl Data {
    fn rtype(&self) -> Rtype {
        match self {
            Data::A(_) => Rtype::A,
            Data::Txt(_) => Rtype::TXT,
            Data::Ns(_) => Rtype::NS,
            Data::Cname(_) => Rtype::CNAME,
            Data::Mx(..) => Rtype::MX,
            Data::Ds(_) => Rtype::DS,
        }
    }

    fn text(&self) -> String {
        match self {
            Data::A(n) => format!("192.0.2.{n}"),
            Data::Txt(n) => format!("\"{n}\""),
            Data::Ns(host) | Data::Cname(host) => name(host),
            Data::Mx(n, host) => format!("{n} {}", name(host)),
            Data::Ds(n) => format!("{n} 8 2 {}", "0".repeat(64)),
        }
    }

    fn host(&self) -> Option<&Path> {
        match self {
            Data::Ns(host) | Data::Mx(_, host) => Some(host),
            _ => None,
        }
    }
}

fn name(path: &[&str]) -> String {
    path.iter().rev().chain(&["z", "test", ""]).copied().collect::<Vec<_>>().join(".")
}

type Records = BTreeMap<Path, BTreeSet<Data>>;

/// The slow model of a zone.
struct Model(Records);

#[derive(Debug, PartialEq, Default)]
struct Answer {
    rcode: u8,
    authoritative: bool,
    sections: [BTreeSet<String>; 3],
}

impl Model {
    fn of(&self, path: &[&str], rtype: Rtype) -> Vec<String> {
        let records =
            self.0.iter().filter(|(owner, _)| owner.as_slice() == path).flat_map(|(_, records)| records);
        records.filter(|data| data.rtype() == rtype).map(Data::text).collect()
    }

    fn lines(&self, path: &[&str], rtype: Rtype, owner: &str) -> BTreeSet<String> {
        self.of(path, rtype).into_iter().map(|text| format!("{owner} {rtype} {text}")).collect()
    }

    fn exists(&self, path: &[&str]) -> bool {
        self.0.keys().any(|owner| owner.starts_with(path))
    }

    fn cut(&self, path: &[&'static str]) -> Option<Path> {
        (1..=path.len())
            .map(|labels| &path[..labels])
            .find(|above| above.last() != Some(&"*") && !self.of(above, Rtype::NS).is_empty())
            .map(<[_]>::to_vec)
    }

    fn addresses(&self, hosts: &[Path], authoritative: bool) -> BTreeSet<String> {
        let served = hosts.iter().filter(|host| !authoritative || self.cut(host).is_none());
        served.flat_map(|host| self.lines(host, Rtype::A, &name(host))).collect()
    }

    fn hosts(&self, path: &[&str], rtype: Rtype) -> Vec<Path> {
        let records =
            self.0.iter().filter(|(owner, _)| owner.as_slice() == path).flat_map(|(_, records)| records);
        records.filter(|data| data.rtype() == rtype).filter_map(|data| data.host().cloned()).collect()
    }

    fn ask(&self, question: &[&'static str], rtype: Rtype) -> Answer {
        let mut answer = Answer { authoritative: true, ..Answer::default() };
        let mut at = question.to_vec();
        let mut seen: Vec<Path> = Vec::new();
        loop {
            if seen.contains(&at) {
                return answer;
            }
            seen.push(at.clone());
            let is_first = seen.len() == 1;
            if let Some(cut) = self.cut(&at).filter(|cut| !(cut == &at && rtype == Rtype::DS)) {
                answer.authoritative = !is_first;
                answer.sections[1] = self.lines(&cut, Rtype::NS, &name(&cut));
                if is_first {
                    answer.sections[2] = self.addresses(&self.hosts(&cut, Rtype::NS), false);
                }
                return answer;
            }
            let node = if self.exists(&at) {
                at.clone()
            } else {
                let mut encloser = at.clone();
                while !self.exists(&encloser) {
                    encloser.pop();
                }
                encloser.push("*");
                if !self.exists(&encloser) {
                    answer.rcode = 3;
                    answer.sections[1] = Self::soa();
                    return answer;
                }
                encloser
            };
            let found = self.lines(&node, rtype, &name(&at));
            let aliases: Vec<Path> = self
                .0
                .get(&node)
                .into_iter()
                .flatten()
                .filter_map(|data| match data {
                    Data::Cname(target) => Some(target.clone()),
                    _ => None,
                })
                .collect();
            if found.is_empty()
                && let (Some(target), false) =
                    (aliases.first(), rtype == Rtype::DS && self.cut(&at).is_some())
            {
                answer.sections[0].extend(self.lines(&node, Rtype::CNAME, &name(&at)));
                at.clone_from(target);
                continue;
            }
            if found.is_empty() {
                answer.sections[1] = Self::soa();
            } else if is_first {
                answer.sections[2] = self.addresses(&self.hosts(&node, rtype), true);
            }
            answer.sections[0].extend(found);
            return answer;
        }
    }

    fn soa() -> BTreeSet<String> {
        BTreeSet::from(["z.test. SOA".to_owned()])
    }
}

fn ask(zone: &Arc<Zone>, question: &str, rtype: Rtype) -> Answer {
    let mut zones = Zones::new(SEED);
    zones.insert(zone.clone());
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((Name::<Vec<u8>>::from_str(question).unwrap(), rtype)).unwrap();
    let message = builder.finish();
    let mut query = Query::default();
    let verdict = query.read(&message);
    let mut reply = vec![0; 65_535];
    let written = Answerer::new(PAYLOAD_OCTETS_DEFAULT)
        .answer(&zones, &message, &query, verdict, Transport::Stream, &mut reply)
        .unwrap();
    reply.truncate(written.length);
    let message = Message::from_octets(reply).unwrap();
    let (_, a, b, c) = message.sections().unwrap();
    let sections = [a, b, c].map(|section| {
        let lines = section.map(|record| {
            let record = record.unwrap();
            let record = record.to_record::<ZoneRecordData<_, ParsedName<_>>>().unwrap().unwrap();
            let owner = format!("{}.", record.owner());
            match record.rtype() {
                Rtype::SOA => format!("{owner} SOA"),
                rtype => format!("{owner} {rtype} {}", record.data()),
            }
        });
        let lines: Vec<String> = lines.collect();
        let set: BTreeSet<String> = lines.iter().cloned().collect();
        assert_eq!(set.len(), lines.len(), "a record stands there twice: {lines:?}");
        set
    });
    Answer { rcode: message.header().rcode().to_int(), authoritative: message.header().aa(), sections }
}

const SEED: u64 = 77;

fn path() -> impl Strategy<Value = Path> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "*"]), 1..4)
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        4 => any::<u8>().prop_map(Data::A),
        2 => (0..3_u8).prop_map(Data::Txt),
        2 => path().prop_map(Data::Ns),
        2 => path().prop_map(Data::Cname),
        2 => (0..3_u8, path()).prop_map(|(n, host)| Data::Mx(n, host)),
        1 => any::<u8>().prop_map(Data::Ds),
    ]
}

/// Records that can stand together: a CNAME stands alone.
fn records() -> impl Strategy<Value = Records> {
    prop::collection::vec((path(), data()), 0..24).prop_map(|all| {
        let mut records = Records::new();
        for (owner, data) in all {
            let known = records.entry(owner).or_default();
            let alone = |data: &Data| data.rtype() == Rtype::CNAME;
            if known.is_empty() || !alone(&data) && !known.iter().any(alone) {
                known.insert(data);
            }
        }
        // The apex has what it needs.
        records.insert(Vec::new(), BTreeSet::from([Data::Ns(vec!["a", "b"])]));
        records
    })
}

fn wire(owner: &[&str], data: &Data) -> WireRecord {
    let text = format!("{} 60 IN {} {}\n", name(owner), data.rtype(), data.text());
    let apex = dns::master::name("z.test").unwrap();
    dns::master::read(&text, &apex).0.remove(0).record
}

fn soa() -> WireRecord {
    let apex = dns::master::name("z.test").unwrap();
    dns::master::read("@ 60 SOA a b 1 2 3 4 5\n", &apex).0.remove(0).record
}

fn zone(records: &Records) -> Arc<Zone> {
    let apex = dns::master::name("z.test").unwrap();
    let all = records.iter().flat_map(|(owner, all)| all.iter().map(|data| wire(owner, data)));
    Arc::new(Zone::new(apex, SEED, std::iter::once(soa()).chain(all)).unwrap())
}

const TYPES: [Rtype; 7] = [Rtype::A, Rtype::TXT, Rtype::NS, Rtype::CNAME, Rtype::MX, Rtype::DS, Rtype::AAAA];

fn compare(zone: &Arc<Zone>, records: &Records, questions: &[Path]) {
    let model = Model(records.clone());
    let known = records.keys().flat_map(|owner| (0..=owner.len()).map(|labels| owner[..labels].to_vec()));
    for question in known.chain(questions.iter().cloned()) {
        for rtype in TYPES {
            assert_eq!(
                ask(zone, &name(&question), rtype),
                model.ask(&question, rtype),
                "{} {rtype}",
                name(&question)
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_those_of_the_model(records in records(), questions in prop::collection::vec(path(), 0..6)) {
        compare(&zone(&records), &records, &questions);
    }

    #[test]
    fn a_changed_zone_is_the_zone_made_anew(before in records(), after in records(), questions in prop::collection::vec(path(), 0..4)) {
        let old = zone(&before);
        let mut draft = Draft::of(old.clone());
        for (owner, all) in &before {
            for data in all.iter().filter(|data| !after.get(owner).is_some_and(|kept| kept.contains(data))) {
                let record = wire(owner, data);
                prop_assert!(draft.delete_record(&record.owner.as_slice().to_ascii_lowercase(), record.rtype, &record.data));
            }
        }
        for (owner, all) in &after {
            for data in all {
                draft.add(wire(owner, data)).unwrap();
            }
        }
        let (removed, added) = draft.difference();
        let new = Arc::new(draft.finish().unwrap());
        let fresh = zone(&after);
        prop_assert_eq!((new.records(), new.names()), (fresh.records(), fresh.names()));
        compare(&new, &after, &questions);

        // The journal leads to the same zone.
        let entry = Entry { from: 1, to: 1, removed, added };
        let mut replayed = Draft::of(old);
        Entry::decode(&entry.encode()).unwrap().apply(&mut replayed).unwrap();
        let replayed = Arc::new(replayed.finish().unwrap());
        prop_assert_eq!(replayed.records(), fresh.records());
        compare(&replayed, &after, &questions);
    }

    #[test]
    fn truncation_keeps_to_the_limit(records in records(), question in path(), payload in 512..4_096_u16) {
        let mut zones = Zones::new(SEED);
        zones.insert(zone(&records));
        let mut builder = MessageBuilder::new_vec().question();
        builder.push((Name::<Vec<u8>>::from_str(&name(&question)).unwrap(), Rtype::MX)).unwrap();
        let mut builder = builder.additional();
        builder.opt(|opt| { opt.set_udp_payload_size(payload); Ok(()) }).unwrap();
        let message = builder.finish();
        let mut query = Query::default();
        let verdict = query.read(&message);
        let mut reply = vec![0; 65_535];
        let written = Answerer::new(1_232)
            .answer(&zones, &message, &query, verdict, Transport::Datagram, &mut reply)
            .unwrap();
        prop_assert!(written.length <= usize::from(payload.min(1_232)));
    }

    #[test]
    fn hostile_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..200), at in 0..60_usize, octet in any::<u8>()) {
        let zones = Zones::new(SEED);
        let mut valid = MessageBuilder::new_vec().question();
        valid.push((Name::<Vec<u8>>::from_str("a.z.test.").unwrap(), Rtype::SOA)).unwrap();
        let mut valid = valid.finish();
        let index = at % valid.len();
        valid[index] = octet;
        for message in [octets.clone(), valid] {
            let mut query = Query::default();
            let verdict = query.read(&message);
            let mut reply = vec![0; 600];
            let _ = Answerer::new(512).answer(&zones, &message, &query, verdict, Transport::Datagram, &mut reply);
            let _ = Update::read(&message);
            let _ = Incoming::new(dns::master::name("z.test").unwrap(), 0).handle_message(&message);
            let _ = Entry::decode(&message);
            let _ = journal::decode_snapshot(&message);
            let _ = tsig::verify(&tsig::Keys::new(), &mut message.clone(), 0);
            let _ = dns::transfer::header_reply(&message, Rcode::REFUSED);
            let _ = dns::transfer::notified_serial(&message);
        }
        let text = String::from_utf8_lossy(&octets);
        let _ = dns::master::check(&text, &dns::master::name("z.test").unwrap());
    }
}

#[test]
fn answers_too_large_for_a_datagram_are_truncated() {
    let mut text = "$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a\na A 192.0.2.1\n".to_owned();
    for n in 0..60 {
        let hosts = format!("host{n} A 192.0.3.{n}\nhost{n}.cut A 192.0.4.{n}\n");
        text += &hosts;
        writeln!(text, "big A 192.0.2.{n}\nmx MX {n} host{n}\ncut NS host{n}.cut").unwrap();
    }
    let apex = dns::master::name("z.test").unwrap();
    let (zone, findings) = dns::master::load(&text, &apex, SEED).unwrap();
    assert!(
        findings.is_empty()
            || findings.iter().all(|finding| finding.severity == dns::master::Severity::Warning)
    );
    let mut zones = Zones::new(SEED);
    zones.insert(Arc::new(zone));
    let ask = |owner: &str, rtype: Rtype, payload: Option<u16>| {
        let mut builder = MessageBuilder::new_vec().question();
        builder.push((Name::<Vec<u8>>::from_str(owner).unwrap(), rtype)).unwrap();
        let mut builder = builder.additional();
        if let Some(payload) = payload {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(payload);
                    Ok(())
                })
                .unwrap();
        }
        let message = builder.finish();
        let mut query = Query::default();
        let verdict = query.read(&message);
        let mut reply = vec![0; 4_096];
        let written = Answerer::new(4_096)
            .answer(&zones, &message, &query, verdict, Transport::Datagram, &mut reply)
            .unwrap();
        reply.truncate(written.length);
        let message = Message::from_octets(reply).unwrap();
        let counts = message.header_counts();
        (message.header().tc(), counts.ancount(), counts.nscount(), counts.arcount(), written.length)
    };
    // No part of an RRset (RFC 2181 section 9).
    assert_eq!(ask("big.z.test.", Rtype::A, None), (true, 0, 0, 0, 28));
    assert_eq!(ask("big.z.test.", Rtype::A, Some(4_096)).1, 60);
    // Additional addresses are left out without a word.
    let (truncated, answers, _, additional, length) = ask("mx.z.test.", Rtype::MX, Some(1_500));
    assert!(!truncated && answers == 60 && (2..61).contains(&additional) && length <= 1_500);
    // Glue is required (RFC 9471).
    assert!(ask("x.cut.z.test.", Rtype::A, Some(1_500)).0);
    let (truncated, _, authority, additional, _) = ask("x.cut.z.test.", Rtype::A, Some(4_096));
    assert!(!truncated && authority == 60 && additional == 61);
}
