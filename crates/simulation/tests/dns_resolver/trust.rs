//! Who is believed, and about what.

use crate::network::{Host, Internet, PORT, RESOLVER, ip, question};
use crate::server::{Fault, records};
use dns::Name;
use dns::resolver::{Question, Transport};
use domain::base::MessageBuilder;
use domain::base::iana::{Class, Rtype};
use simulation::{Link, NodeId, Transmit};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

const FORGED: &str = "6.6.6.6";

/// A reply that says that `asked` has the address [`FORGED`].
fn forged(id: u16, asked: &Question) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_qr(true);
    builder.header_mut().set_aa(true);
    let mut builder = builder.question();
    builder.push((&asked.name, asked.rtype, Class::IN)).expect("room");
    let mut builder = builder.answer();
    for record in records(".", &format!("{} 86400 A {FORGED}", asked.name.fmt_with_dot())) {
        builder.push(record).expect("room");
    }
    builder.finish()
}

/// An internet whose zone's servers are slow, with a question just sent to one
/// of them: its port, its id, the server.
fn waiting(seed: u64) -> (Internet, NodeId, (u16, u16, SocketAddr)) {
    let mut internet =
        Internet::usual_with(seed, Link::default(), |config| config.qname_minimisation = false);
    let wire = internet.simulation.add(&[ip(200)], Host::Wire(VecDeque::new()));
    for server in [40, 41] {
        let slow = Link { delay: Duration::from_millis(150), ..Link::default() };
        internet.simulation.set_link(ip(RESOLVER), ip(server), slow);
    }
    internet.begin("www.utopia.test.", Rtype::A);
    internet.simulation.run_for(Duration::from_millis(50));
    let last = *internet.host().sent.last().expect("a query");
    assert!([ip(40), ip(41)].contains(&last.2.ip()), "{last:?}");
    (internet, wire, last)
}

fn send(internet: &mut Internet, wire: NodeId, from: SocketAddr, port: u16, octets: Vec<u8>) {
    internet.simulation.with(wire, |host, _| match host {
        Host::Wire(out) => {
            out.push_back(Transmit::Datagram { from, to: SocketAddr::new(ip(RESOLVER), port), octets });
        }
        _ => unreachable!("the wire's node"),
    });
    internet.simulation.run_for(Duration::from_millis(11));
}

/// What the question that waits is answered with.
fn answer(internet: &mut Internet) -> String {
    internet.simulation.run_for(Duration::from_secs(5));
    let answer = internet.host().answers.first().cloned().expect("an answer");
    answer.result.expect("found").answer[0].data().to_string()
}

#[test]
fn a_reply_that_fits_in_all_is_believed() {
    // The other tests' forgeries differ from this in one thing each.
    let (mut internet, wire, (port, id, server)) = waiting(1);
    send(&mut internet, wire, server, port, forged(id, &question("www.utopia.test.", Rtype::A)));
    assert_eq!(answer(&mut internet), FORGED);
}

#[test]
fn a_reply_with_another_id_source_port_or_question_is_not_believed() {
    let asked = question("www.utopia.test.", Rtype::A);
    let other_host = SocketAddr::new(ip(200), PORT);
    type Forgery = fn(u16, u16, SocketAddr) -> (SocketAddr, u16, u16);
    let forgeries: [Forgery; 4] = [
        |port, id, server| (server, port, id ^ 1),
        |port, id, server| (server, port ^ 1, id),
        |port, id, _| (SocketAddr::new(ip(200), PORT), port, id),
        |port, id, server| (SocketAddr::new(server.ip(), 5353), port, id),
    ];
    for forgery in forgeries {
        let (mut internet, wire, (port, id, server)) = waiting(2);
        let (from, port, id) = forgery(port, id, server);
        send(&mut internet, wire, from, port, forged(id, &asked));
        assert_eq!(answer(&mut internet), "203.0.113.1");
        assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"], "nor kept");
    }
    for asked in [question("mail.utopia.test.", Rtype::A), question("www.utopia.test.", Rtype::AAAA)] {
        let (mut internet, wire, (port, id, server)) = waiting(3);
        send(&mut internet, wire, server, port, forged(id, &asked));
        assert_eq!(answer(&mut internet), "203.0.113.1");
        assert_ne!(server, other_host);
    }
}

#[test]
fn somebody_who_guesses_sends_the_question_over_tcp() {
    let (mut internet, wire, (port, id, server)) = waiting(4);
    for guess in 1..20 {
        let octets = forged(id.wrapping_add(guess), &question("www.utopia.test.", Rtype::A));
        internet.simulation.with(wire, |host, _| {
            if let Host::Wire(out) = host {
                let to = SocketAddr::new(ip(RESOLVER), port);
                out.push_back(Transmit::Datagram { from: server, to, octets });
            }
        });
    }
    assert_eq!(answer(&mut internet), "203.0.113.1");
    let over_tcp = |internet: &mut Internet, name: &str| {
        internet.with_server(name, |s| s.queries.iter().any(|(_, t)| *t == Transport::Tcp))
    };
    assert!(over_tcp(&mut internet, "utopia") || over_tcp(&mut internet, "utopia2"));
}

#[test]
fn records_out_of_bailiwick_are_not_kept() {
    let foreign =
        format!("www.crepes.test. 86400 A {FORGED}\nns.nic.test. 86400 A {FORGED}\ntest. 86400 NS evil.com.");
    for adds in [Fault::Adds as fn(Vec<dns::Record>) -> Fault, Fault::AddsAnswer] {
        let mut internet = Internet::usual(5, Link::default());
        for server in ["utopia", "utopia2"] {
            internet.fault(server, adds(records(".", &foreign)));
        }
        assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
        assert_eq!(internet.addresses("www.crepes.test."), ["203.0.113.2"]);
        let answer = internet.ask("ns.nic.test.", Rtype::A).result.expect("an answer");
        assert_eq!(answer.answer[0].data().to_string(), "192.0.2.30");
    }
}

#[test]
fn records_nobody_asked_for_are_not_kept() {
    let mut internet = Internet::usual(6, Link::default());
    for server in ["utopia", "utopia2"] {
        let more = format!("ns1.utopia.test. 86400 A {FORGED}\nalias.utopia.test. 86400 A {FORGED}");
        internet.fault(server, Fault::AddsAnswer(records(".", &more)));
    }
    internet.addresses("www.utopia.test.");
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::None);
    }
    assert_eq!(internet.addresses("alias.utopia.test."), ["203.0.113.1"]);
    assert_eq!(internet.addresses("ns1.utopia.test."), ["192.0.2.40"]);
}

#[test]
fn glue_finds_servers_but_never_answers() {
    let mut internet = Internet::usual(7, Link::default());
    internet.addresses("www.utopia.test.");
    let before = internet.queries("utopia") + internet.queries("utopia2");
    let answer = internet.ask("ns1.utopia.test.", Rtype::A);
    assert!(!answer.from_cache);
    assert_eq!(internet.queries("utopia") + internet.queries("utopia2"), before + 1);
}

#[test]
fn an_alias_out_of_the_zone_is_looked_up_where_it_belongs() {
    let mut internet = Internet::usual(8, Link::default());
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::AddsAnswer(records(".", &format!("www.crepes.test. A {FORGED}"))));
    }
    assert_eq!(internet.addresses("away.utopia.test."), ["203.0.113.2"]);
}

#[test]
fn letters_case_must_be_repeated_when_mixed() {
    let mut internet = Internet::usual_with(9, Link::default(), |config| config.mixed_case = true);
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
    let names: Vec<Name> =
        internet.with_server("root", |s| s.queries.iter().map(|(q, _)| q.name.clone()).collect());
    assert_eq!(names[0], Name::bytes_from_str("test.").expect("a name"));
    let mixed = ["root", "test", "utopia", "utopia2"].iter().any(|server| {
        let asked = internet
            .with_server(server, |s| s.queries.iter().map(|(q, _)| q.name.to_string()).collect::<String>());
        asked.chars().any(|letter| letter.is_ascii_uppercase())
    });
    assert!(mixed);
}
