//! What configuration changes: priming, stub and forward zones, ports.

use crate::network::{Internet, PORT, ip, name, question};
use crate::server::Fault;
use dns::resolver::FixedZone;
use domain::base::iana::{Rcode, Rtype};
use simulation::Link;
use std::net::SocketAddr;
use std::time::Duration;

fn zone(apex: &str, server: u8, recursive: bool) -> FixedZone {
    FixedZone { apex: name(apex), servers: vec![SocketAddr::new(ip(server), PORT)], recursive }
}

#[test]
fn the_root_servers_of_today_are_asked_for_first() {
    let mut internet = Internet::usual_with(1, Link::default(), |config| config.prime = true);
    internet.addresses("www.utopia.test.");
    let root = question(".", Rtype::NS);
    let primed = |internet: &mut Internet| {
        internet.with_server("root", |s| s.queries.iter().filter(|(asked, _)| *asked == root).count())
    };
    assert_eq!(primed(&mut internet), 1);
    internet.simulation.run_for(Duration::from_mins(10));
    internet.addresses("www.crepes.test.");
    assert_eq!(primed(&mut internet), 1, "not again while they are known");
}

#[test]
fn a_stub_zones_servers_are_asked_without_looking_for_them() {
    let mut internet =
        Internet::usual_with(2, Link::default(), |config| config.zones.push(zone("utopia.test.", 40, false)));
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
    assert_eq!((internet.queries("root"), internet.queries("test")), (0, 0));
    assert_eq!(internet.addresses("back.crepes.test."), ["203.0.113.1"], "others are looked for");
}

#[test]
fn a_stub_zones_server_that_serves_something_else_is_lame() {
    let mut internet =
        Internet::usual_with(3, Link::default(), |config| config.zones.push(zone("utopia.test.", 50, false)));
    internet.ask("www.utopia.test.", Rtype::A).result.expect_err("REFUSED is no answer");
    assert_eq!(internet.queries("utopia"), 0, "nobody else is asked");
}

/// Whoever moves its name server finds somebody else there for a moment.
#[test]
fn a_stub_zones_server_is_asked_again_soon_after_it_served_something_else() {
    let mut internet =
        Internet::usual_with(3, Link::default(), |config| config.zones.push(zone("utopia.test.", 40, false)));
    for fault in [Fault::Lame, Fault::Rcode(Rcode::REFUSED)] {
        internet.fault("utopia", fault);
        internet.ask("www.utopia.test.", Rtype::A).result.expect_err("no answer");
        internet.fault("utopia", Fault::None);
        // A failure is remembered (RFC 9520), a server not.
        internet.simulation.run_for(Duration::from_secs(10));
        assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
        internet.simulation.run_for(Duration::from_hours(2));
    }
}

#[test]
fn a_forward_zones_servers_are_asked_for_everything() {
    // The server answers without authority, as a resolver does, and is asked the whole name.
    let mut internet =
        Internet::usual_with(4, Link::default(), |config| config.zones.push(zone(".", 40, true)));
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
    let answer = internet.ask("nothing.utopia.test.", Rtype::A).result.expect("an answer");
    assert_eq!(answer.rcode, Rcode::NXDOMAIN);
    assert_eq!(internet.queries("root"), 0);
    let asked = internet.with_server("utopia", |s| s.queries[0].0.clone());
    assert_eq!(asked, question("www.utopia.test.", Rtype::A));
}

#[test]
fn ds_records_are_asked_of_the_parent() {
    let mut internet = Internet::usual(5, Link::default());
    internet.addresses("www.utopia.test.");
    let before = internet.queries("test");
    let answer = internet.ask("utopia.test.", Rtype::DS).result.expect("an answer");
    assert_eq!((answer.rcode, answer.answer.len()), (Rcode::NOERROR, 0));
    assert_eq!(answer.authority[0].owner(), &name("test."), "the parent's SOA record");
    assert_eq!(internet.queries("test"), before + 1);
}

#[test]
fn without_servers_over_a_known_protocol_the_question_fails_at_once() {
    let mut internet = Internet::usual_with(6, Link::default(), |config| {
        config.ipv4 = false;
        config.ipv6 = true;
    });
    internet.ask("www.utopia.test.", Rtype::A).result.expect_err("only IPv4 addresses are known");
    assert_eq!(internet.host().resolver.counters().queries, 0);
}
