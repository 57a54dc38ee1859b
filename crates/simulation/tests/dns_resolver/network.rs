//! The hosts of the resolver's tests: a resolver, and name servers with zones
//! from master files and the faults they are given.

use crate::server::{Fault, Server};
use dns::Name;
use dns::resolver::{Answer, AskerId, Config, ExchangeId, Question, Resolver, RootHint, Step, Transport};
use domain::base::iana::Rtype;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use simulation::{Link, Node, NodeId, Simulation, StreamEvent, StreamId, Transmit};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

pub(crate) const PORT: u16 = 53;

pub(crate) fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

pub(crate) fn name(text: &str) -> Name {
    Name::bytes_from_str(text).expect("a name")
}

pub(crate) fn question(text: &str, rtype: Rtype) -> Question {
    Question { name: name(text), rtype }
}

pub(crate) enum Host {
    Resolver(Box<ResolverHost>),
    Server(Server),
    /// Sends what it is given, from whatever address.
    Wire(VecDeque<Transmit>),
}

impl Node for Host {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, octets: &[u8]) {
        match self {
            Host::Resolver(host) => host.handle_datagram(now, from, to, octets),
            Host::Server(server) => server.handle_query(from, to, octets, None),
            Host::Wire(_) => {}
        }
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, event: StreamEvent) {
        match self {
            Host::Resolver(host) => host.handle_stream(now, stream, event),
            Host::Server(server) => server.handle_stream(stream, event),
            Host::Wire(_) => {}
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Host::Resolver(host) = self {
            host.resolver.handle_timeout(now);
        }
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<Transmit> {
        match self {
            Host::Resolver(host) => host.poll_transmit(),
            Host::Server(server) => server.out.pop_front(),
            Host::Wire(out) => out.pop_front(),
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if let Host::Resolver(host) = self { host.resolver.poll_timeout() } else { None }
    }

    fn accepts(&self, to: SocketAddr) -> bool {
        matches!(self, Host::Server(server) if to.port() == PORT && server.fault != Fault::NoTcp)
    }
}

/// Drives the resolver: a random port for each exchange over UDP.
pub(crate) struct ResolverHost {
    pub(crate) resolver: Resolver<ChaCha12Rng>,
    address: IpAddr,
    rng: ChaCha12Rng,
    pub(crate) ports: BTreeMap<u16, ExchangeId>,
    opening: BTreeMap<SocketAddr, (ExchangeId, Vec<u8>)>,
    streams: BTreeMap<StreamId, (ExchangeId, SocketAddr, Vec<u8>)>,
    out: VecDeque<Transmit>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) steps: Vec<Step>,
    /// Every query sent over UDP: its port, its id, its server.
    pub(crate) sent: Vec<(u16, u16, SocketAddr)>,
}

impl ResolverHost {
    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, octets: &[u8]) {
        if let Some(exchange) = self.ports.get(&to.port()) {
            self.resolver.handle_message(now, *exchange, from, octets);
        }
    }

    fn handle_stream(&mut self, now: Instant, stream: StreamId, event: StreamEvent) {
        match event {
            StreamEvent::Opened { local, peer } => {
                if let Some((exchange, octets)) = self.opening.remove(&local) {
                    self.streams.insert(stream, (exchange, peer, Vec::new()));
                    self.out.push_back(Transmit::Send { stream, octets: framed(&octets) });
                }
            }
            StreamEvent::Refused { local, .. } => {
                if let Some((exchange, _)) = self.opening.remove(&local) {
                    self.resolver.handle_unreachable(now, exchange);
                }
            }
            StreamEvent::Octets(octets) => {
                if let Some((exchange, peer, received)) = self.streams.get_mut(&stream) {
                    received.extend(octets);
                    if let Some(message) = unframed(received) {
                        self.resolver.handle_message(now, *exchange, *peer, &message);
                    }
                }
            }
            StreamEvent::Closed | StreamEvent::Broken => {
                if let Some((exchange, ..)) = self.streams.remove(&stream) {
                    self.resolver.handle_unreachable(now, exchange);
                }
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.answers.extend(std::iter::from_fn(|| self.resolver.poll_answer()));
        self.steps.extend(std::iter::from_fn(|| self.resolver.poll_step()));
        while let Some(closed) = self.resolver.poll_closed() {
            self.ports.retain(|_, exchange| *exchange != closed);
        }
        while let Some(transmit) = self.resolver.poll_transmit() {
            let port = self.rng.random_range(1024..u16::MAX);
            let from = SocketAddr::new(self.address, port);
            let (to, octets) = (transmit.to, transmit.octets.to_vec());
            match transmit.transport {
                Transport::Udp => {
                    self.ports.insert(port, transmit.exchange);
                    self.sent.push((port, u16::from_be_bytes([octets[0], octets[1]]), to));
                    self.out.push_back(Transmit::Datagram { from, to, octets });
                }
                Transport::Tcp => {
                    self.opening.insert(from, (transmit.exchange, octets));
                    self.out.push_back(Transmit::Open { from, to });
                }
            }
        }
        self.out.pop_front()
    }
}

pub(crate) fn framed(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u16).to_be_bytes(), octets].concat()
}

pub(crate) fn unframed(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes([*received.first()?, *received.get(1)?]));
    (received.len() >= 2 + length).then(|| received.drain(..2 + length).skip(2).collect())
}

/// A server's name, the last octet of its address, and its zones: apex and master file.
type Place<'a> = (&'static str, u8, &'a [(&'a str, &'a str)]);

/// A small Internet: a root, `test` and `com`, and some zones below.
pub(crate) struct Internet {
    pub(crate) simulation: Simulation<Host>,
    pub(crate) resolver: NodeId,
    pub(crate) servers: BTreeMap<&'static str, (NodeId, IpAddr)>,
    asked: u64,
}

pub(crate) const RESOLVER: u8 = 1;
pub(crate) const SOA: &str = "@ SOA ns1 admin 1 7200 900 604800 300\n";

impl Internet {
    /// `servers`: name, last octet of the address, zones.
    pub(crate) fn new(
        seed: u64,
        link: Link,
        configure: impl FnOnce(&mut Config),
        servers: &[Place<'_>],
    ) -> Self {
        let mut simulation = Simulation::new(seed, link);
        let mut config = Config {
            root_hints: vec![RootHint {
                name: name("a.root."),
                addresses: vec![SocketAddr::new(ip(10), PORT)],
            }],
            prime: false,
            ..Config::default()
        };
        configure(&mut config);
        let (rng, ports) = (simulation.fork_rng(), simulation.fork_rng());
        let mut resolver = Resolver::new(config, rng);
        resolver.tell_steps(true);
        let host = ResolverHost {
            resolver,
            address: ip(RESOLVER),
            rng: ports,
            ports: BTreeMap::new(),
            opening: BTreeMap::new(),
            streams: BTreeMap::new(),
            out: VecDeque::new(),
            answers: Vec::new(),
            steps: Vec::new(),
            sent: Vec::new(),
        };
        let resolver = simulation.add(&[ip(RESOLVER)], Host::Resolver(Box::new(host)));
        let servers = servers
            .iter()
            .map(|(name, last, zones)| {
                let address = ip(*last);
                (*name, (simulation.add(&[address], Host::Server(Server::new(zones))), address))
            })
            .collect();
        Self { simulation, resolver, servers, asked: 0 }
    }

    /// Root (10), com (20), test (30), utopia.test (40 and 41), crepes.test (50).
    pub(crate) fn usual(seed: u64, link: Link) -> Self {
        Self::usual_with(seed, link, |_| {})
    }

    pub(crate) fn usual_with(seed: u64, link: Link, configure: impl FnOnce(&mut Config)) -> Self {
        Self::new(
            seed,
            link,
            configure,
            &[
                (
                    "root",
                    10,
                    &[(
                        ".",
                        "@ SOA a.root. admin 1 7200 900 604800 300\n@ NS a.root.\na.root. A 192.0.2.10\n\
                         com NS ns.tld.com.\nns.tld.com. A 192.0.2.20\n\
                         test NS ns.nic.test.\nns.nic.test. A 192.0.2.30",
                    )],
                ),
                ("com", 20, &[("com.", &format!("{SOA}@ NS ns.tld\nns.tld A 192.0.2.20\n{COM}"))]),
                ("test", 30, &[("test.", &format!("{SOA}@ NS ns.nic\nns.nic A 192.0.2.30\n{TEST}"))]),
                ("utopia", 40, &[("utopia.test.", UTOPIA)]),
                ("utopia2", 41, &[("utopia.test.", UTOPIA)]),
                ("crepes", 50, &[("crepes.test.", CREPES)]),
            ],
        )
    }

    pub(crate) fn host(&mut self) -> &ResolverHost {
        match self.simulation.node(self.resolver) {
            Host::Resolver(host) => host,
            _ => unreachable!("the resolver's node"),
        }
    }

    pub(crate) fn with_server<T>(&mut self, name: &str, action: impl FnOnce(&mut Server) -> T) -> T {
        let id = self.servers[name].0;
        self.simulation.with(id, |host, _| match host {
            Host::Server(server) => action(server),
            _ => unreachable!("a server's node"),
        })
    }

    pub(crate) fn queries(&mut self, name: &str) -> usize {
        self.with_server(name, |server| server.queries.len())
    }

    pub(crate) fn fault(&mut self, name: &str, fault: Fault) {
        self.with_server(name, |server| server.fault = fault);
    }

    pub(crate) fn begin(&mut self, text: &str, rtype: Rtype) -> AskerId {
        let asker = AskerId(self.asked);
        self.asked += 1;
        self.simulation.with(self.resolver, |host, now| match host {
            Host::Resolver(host) => host.resolver.handle_question(now, question(text, rtype), asker),
            _ => unreachable!("the resolver's node"),
        });
        asker
    }

    pub(crate) fn wait(&mut self, asker: AskerId) -> Answer {
        let resolver = self.resolver;
        let of = move |simulation: &Simulation<Host>| match simulation.node(resolver) {
            Host::Resolver(host) => host.answers.iter().find(|answer| answer.asker == asker).cloned(),
            _ => None,
        };
        let answered =
            self.simulation.run_until(Duration::from_secs(30), |simulation| of(simulation).is_some());
        assert!(answered, "no answer in 30 s:\n{}", self.simulation.trace());
        of(&self.simulation).expect("an answer")
    }

    pub(crate) fn ask(&mut self, text: &str, rtype: Rtype) -> Answer {
        let asker = self.begin(text, rtype);
        self.wait(asker)
    }

    /// The addresses `text` resolves to.
    pub(crate) fn addresses(&mut self, text: &str) -> Vec<String> {
        let answer = self.ask(text, Rtype::A);
        let trace = self.simulation.trace().to_string();
        let response = answer.result.unwrap_or_else(|failure| panic!("{failure}\n{trace}"));
        response
            .answer
            .iter()
            .filter(|record| record.rtype() == Rtype::A)
            .map(|record| record.data().to_string())
            .collect()
    }
}

const COM: &str = "example NS ns1.example\nns1.example A 192.0.2.60\n";
const TEST: &str = "utopia NS ns1.utopia\nutopia NS ns2.utopia\nns1.utopia A 192.0.2.40\nns2.utopia A 192.0.2.41\n\
                    crepes NS ns.utopia\n";
const UTOPIA: &str = "@ SOA ns1 admin 1 7200 900 604800 300\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.40\nns2 A 192.0.2.41\n\
                      ns A 192.0.2.50\nwww 60 A 203.0.113.1\nwww AAAA 2001:db8::1\nalias CNAME www\n\
                      away CNAME www.crepes.test.\nloop CNAME loop2\nloop2 CNAME loop\n\
                      gone CNAME nothing\n_tcp.deep.down TXT \"here\"\nbrief 0 A 203.0.113.9\n\
                      @ MX 10 www\n";
const CREPES: &str = "@ SOA ns.utopia.test. admin 1 7200 900 604800 300\n@ NS ns.utopia.test.\nwww A 203.0.113.2\n\
                      back CNAME www.utopia.test.\n";
