//! An authoritative server for the resolver's tests: zones from master files,
//! and the faults it is given.

use crate::network::{framed, name, unframed};
use dns::resolver::{Question, Transport};
use dns::{Name, Record, RecordData};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::FlattenInto;
use domain::base::{Message, MessageBuilder, ToName};
use domain::zonefile::inplace::{Entry, Zonefile};
use simulation::{StreamEvent, StreamId, Transmit};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// What is wrong with a server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    None,
    Silent,
    /// Answers each query with this code.
    Rcode(Rcode),
    /// FORMERR for queries with EDNS.
    NoEdns,
    /// Refers everybody to the root.
    Lame,
    /// Cuts each reply over UDP short.
    Truncates,
    /// As `Truncates`, and nobody listens for TCP.
    NoTcp,
    /// Adds these records to the additional section of each reply.
    Adds(Vec<Record>),
    /// Adds these records to the answer section of each reply.
    AddsAnswer(Vec<Record>),
    /// Names that exist only through names below them are denied.
    DeniesEmptyNonTerminals,
}

/// An authoritative server as RFC 1034 section 4.3.2 has it, without wildcards.
pub(crate) struct Server {
    zones: Vec<(Name, Vec<Record>)>,
    pub(crate) fault: Fault,
    pub(crate) queries: Vec<(Question, Transport)>,
    streams: BTreeMap<StreamId, (SocketAddr, SocketAddr, Vec<u8>)>,
    pub(crate) out: VecDeque<Transmit>,
}

pub(crate) fn records(origin: &str, text: &str) -> Vec<Record> {
    let mut file = Zonefile::from(format!("$ORIGIN {origin}\n$TTL 3600\n{text}\n").as_str());
    file.set_default_class(Class::IN);
    let mut records = Vec::new();
    while let Some(entry) = file.next_entry().expect("a zone") {
        if let Entry::Record(record) = entry {
            records.push(record.flatten_into());
        }
    }
    records
}

impl Server {
    pub(crate) fn new(zones: &[(&str, &str)]) -> Self {
        let zones = zones.iter().map(|(apex, text)| (name(apex), records(apex, text))).collect();
        Self {
            zones,
            fault: Fault::None,
            queries: Vec::new(),
            streams: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    /// Serves a zone in place of the one it had, if any.
    pub(crate) fn replace(&mut self, apex: &str, text: &str) {
        self.zones.retain(|(present, _)| *present != name(apex));
        self.zones.push((name(apex), records(apex, text)));
    }

    pub(crate) fn handle_stream(&mut self, stream: StreamId, event: StreamEvent) {
        match event {
            StreamEvent::Opened { local, peer } => {
                self.streams.insert(stream, (local, peer, Vec::new()));
            }
            StreamEvent::Octets(octets) => {
                let Some((local, peer, received)) = self.streams.get_mut(&stream) else { return };
                received.extend(octets);
                let (local, peer) = (*local, *peer);
                if let Some(message) = unframed(received) {
                    self.handle_query(peer, local, &message, Some(stream));
                }
            }
            _ => {}
        }
    }

    pub(crate) fn handle_query(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        octets: &[u8],
        stream: Option<StreamId>,
    ) {
        let query = Message::from_octets(octets).expect("a query");
        let asked = query.sole_question().expect("a question");
        let question = Question { name: asked.qname().to_name(), rtype: asked.qtype() };
        let transport = if stream.is_some() { Transport::Tcp } else { Transport::Udp };
        self.queries.push((question.clone(), transport));
        if let Some(reply) = self.reply(&query, &question, transport) {
            self.out.push_back(match stream {
                Some(stream) => Transmit::Send { stream, octets: framed(&reply) },
                None => Transmit::Datagram { from: to, to: from, octets: reply },
            });
        }
    }

    fn reply(&self, query: &Message<&[u8]>, question: &Question, transport: Transport) -> Option<Vec<u8>> {
        let edns = query.opt().is_some();
        let mut said = self.say(question);
        match &self.fault {
            Fault::Silent => return None,
            Fault::Rcode(rcode) => said = Said { rcode: *rcode, ..Said::default() },
            Fault::NoEdns if edns => said = Said { rcode: Rcode::FORMERR, ..Said::default() },
            Fault::Lame => {
                said = Said { authority: records(".", ". NS a.root.\n"), ..Said::default() };
            }
            Fault::Adds(more) => said.additional.extend(more.iter().cloned()),
            Fault::AddsAnswer(more) => said.answer.extend(more.iter().cloned()),
            _ => {}
        }
        let truncate = transport == Transport::Udp && matches!(self.fault, Fault::Truncates | Fault::NoTcp);
        let mut builder = MessageBuilder::new_vec().start_answer(query, said.rcode).ok()?;
        builder.header_mut().set_aa(said.authoritative);
        builder.header_mut().set_tc(truncate);
        if truncate {
            return Some(builder.finish());
        }
        said.answer.iter().for_each(|record| builder.push(record).expect("room"));
        let mut builder = builder.authority();
        said.authority.iter().for_each(|record| builder.push(record).expect("room"));
        let mut builder = builder.additional();
        said.additional.iter().for_each(|record| builder.push(record).expect("room"));
        if edns && self.fault != Fault::NoEdns {
            let opt = builder.opt(|opt| {
                opt.set_udp_payload_size(1232);
                Ok(())
            });
            opt.expect("room");
        }
        Some(builder.finish())
    }

    fn say(&self, question: &Question) -> Said {
        let zone = self.zones.iter().filter(|(apex, _)| question.name.ends_with(apex));
        let Some((apex, records)) = zone.max_by_key(|(apex, _)| apex.label_count()) else {
            return Said { rcode: Rcode::REFUSED, ..Said::default() };
        };
        let of = |owner: &Name, rtype: Rtype| -> Vec<Record> {
            records.iter().filter(|r| r.owner() == owner && r.rtype() == rtype).cloned().collect()
        };
        let mut said = Said { authoritative: true, ..Said::default() };
        let mut owner = question.name.clone();
        loop {
            let cut = owner.iter_suffixes().filter(|s| s.ends_with(apex) && s != apex);
            let cut = cut.filter(|suffix| !of(suffix, Rtype::NS).is_empty()).last();
            if let Some(cut) = cut.filter(|cut| !(question.rtype == Rtype::DS && cut == &owner)) {
                said.authoritative = !said.answer.is_empty();
                said.authority = of(&cut, Rtype::NS);
                for server in &said.authority {
                    if let RecordData::Ns(ns) = server.data() {
                        said.additional.extend(of(ns.nsdname(), Rtype::A));
                    }
                }
                return said;
            }
            let found = of(&owner, question.rtype);
            if !found.is_empty() {
                said.answer.extend(found);
                return said;
            }
            let alias = of(&owner, Rtype::CNAME);
            if let Some(RecordData::Cname(cname)) = alias.first().map(Record::data) {
                let looped = said.answer.iter().any(|r| r.owner() == &owner);
                owner = cname.cname().clone();
                said.answer.extend(alias.iter().cloned());
                if owner.ends_with(apex) && !looped {
                    continue;
                }
                return said;
            }
            let exact = self.fault == Fault::DeniesEmptyNonTerminals;
            let exists = |r: &Record| if exact { r.owner() == &owner } else { r.owner().ends_with(&owner) };
            if !records.iter().any(exists) {
                said.rcode = Rcode::NXDOMAIN;
            }
            said.authority = of(apex, Rtype::SOA);
            return said;
        }
    }
}

struct Said {
    rcode: Rcode,
    authoritative: bool,
    answer: Vec<Record>,
    authority: Vec<Record>,
    additional: Vec<Record>,
}

impl Default for Said {
    fn default() -> Self {
        Self {
            rcode: Rcode::NOERROR,
            authoritative: false,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
        }
    }
}
