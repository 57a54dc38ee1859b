//! What is remembered, and for how long.

use crate::network::Internet;
use crate::server::Fault;
use domain::base::iana::{Rcode, Rtype};
use simulation::Link;
use std::time::Duration;

fn sent(internet: &mut Internet) -> u64 {
    internet.host().resolver.counters().queries
}

#[test]
fn an_answer_is_kept_for_its_ttl_and_counts_down() {
    let mut internet = Internet::usual(1, Link::default());
    internet.addresses("www.utopia.test.");
    let before = sent(&mut internet);
    internet.simulation.run_for(Duration::from_secs(50));
    let answer = internet.ask("WWW.utopia.TEST.", Rtype::A);
    assert!(answer.from_cache);
    let left = answer.result.expect("an answer").answer[0].ttl().as_secs();
    assert!((9..=10).contains(&left), "{left} s of 60 s left after 50 s");
    assert_eq!(sent(&mut internet), before);
    internet.simulation.run_for(Duration::from_secs(11));
    assert!(!internet.ask("www.utopia.test.", Rtype::A).from_cache);
    assert_eq!(sent(&mut internet), before + 1, "the delegation was still known");
}

#[test]
fn a_ttl_of_zero_is_used_but_not_kept() {
    let mut internet = Internet::usual(2, Link::default());
    assert_eq!(internet.addresses("brief.utopia.test."), ["203.0.113.9"]);
    assert!(!internet.ask("brief.utopia.test.", Rtype::A).from_cache);
}

#[test]
fn negative_answers_are_kept_as_long_as_the_soa_record_allows() {
    for (text, rtype, rcode) in [
        ("nothing.utopia.test.", Rtype::A, Rcode::NXDOMAIN),
        ("www.utopia.test.", Rtype::MX, Rcode::NOERROR),
        ("gone.utopia.test.", Rtype::A, Rcode::NXDOMAIN),
    ] {
        let mut internet = Internet::usual(3, Link::default());
        let first = internet.ask(text, rtype).result.expect("an answer");
        assert_eq!((first.rcode, first.authority.len()), (rcode, 1), "{text}");
        internet.simulation.run_for(Duration::from_secs(298));
        let again = internet.ask(text, rtype);
        assert!(again.from_cache, "{text}");
        let again = again.result.expect("an answer");
        assert_eq!(again.rcode, rcode);
        assert!(again.authority[0].ttl().as_secs() <= 2, "{:?}", again.authority);
        internet.simulation.run_for(Duration::from_secs(3));
        assert!(!internet.ask(text, rtype).from_cache, "{text}");
    }
}

#[test]
fn a_name_error_holds_for_all_types() {
    let mut internet = Internet::usual(4, Link::default());
    internet.ask("nothing.utopia.test.", Rtype::A).result.expect("an answer");
    let other = internet.ask("nothing.utopia.test.", Rtype::MX);
    assert!(other.from_cache);
    assert_eq!(other.result.expect("an answer").rcode, Rcode::NXDOMAIN);
}

#[test]
fn many_equal_questions_are_one_upstream() {
    let mut internet = Internet::usual(5, Link::default());
    let askers: Vec<_> = (0..200).map(|_| internet.begin("www.utopia.test.", Rtype::A)).collect();
    for asker in askers {
        assert_eq!(internet.wait(asker).result.expect("an answer").answer.len(), 1);
    }
    assert_eq!(internet.queries("utopia") + internet.queries("utopia2"), 1);
    assert_eq!(internet.host().resolver.counters().joined, 199);
}

#[test]
fn a_failure_is_remembered_for_a_short_while() {
    let mut internet = Internet::usual(6, Link::default());
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::Rcode(Rcode::SERVFAIL));
    }
    internet.ask("www.utopia.test.", Rtype::A).result.expect_err("no server works");
    let before = sent(&mut internet);
    internet.ask("www.utopia.test.", Rtype::A).result.expect_err("remembered");
    assert_eq!(sent(&mut internet), before);
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::None);
    }
    internet.simulation.run_for(Duration::from_secs(6));
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
}

#[test]
fn a_zone_that_moved_is_found_again_through_its_parent() {
    let mut internet = Internet::usual(7, Link::default());
    internet.addresses("www.utopia.test.");
    // Both servers are gone; the parent refers to a new one (the former crepes server).
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::Silent);
    }
    internet.with_server("test", |server| {
        server
            .replace("test.", "@ SOA ns.nic admin 2 7200 900 604800 300\nutopia NS new\nnew A 192.0.2.50\n");
    });
    internet.with_server("crepes", |server| {
        server.replace("utopia.test.", "@ SOA ns admin 2 7200 900 604800 300\nwww A 203.0.113.77\n");
    });
    internet.simulation.run_for(Duration::from_secs(61));
    let answer = (0..3).find_map(|_| {
        let answer = internet.ask("www.utopia.test.", Rtype::A).result.ok();
        internet.simulation.run_for(Duration::from_secs(6));
        answer
    });
    assert_eq!(answer.expect("an answer").answer[0].data().to_string(), "203.0.113.77");
}

#[test]
fn a_delegation_ends_with_its_ttl_whatever_the_child_says() {
    let mut internet = Internet::usual(8, Link::default());
    internet.ask("utopia.test.", Rtype::NS).result.expect("an answer");
    internet.with_server("test", |server| {
        server
            .replace("test.", "@ SOA ns.nic admin 2 7200 900 604800 300\n@ NS ns.nic\nns.nic A 192.0.2.30\n");
    });
    // The child goes on saying that it is delegated; the parent's TTL is an hour.
    for _ in 0..14 {
        internet.simulation.run_for(Duration::from_mins(5));
        let _ = internet.ask("utopia.test.", Rtype::NS);
        let _ = internet.ask("ns1.utopia.test.", Rtype::A);
    }
    let answer = internet.ask("www.utopia.test.", Rtype::A).result.expect("an answer");
    assert_eq!(answer.rcode, Rcode::NXDOMAIN, "no ghost");
}
