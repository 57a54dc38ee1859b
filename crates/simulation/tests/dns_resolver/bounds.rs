//! Every bound on the work and the memory, exceeded.

use crate::network::{Internet, SOA, ip};
use crate::server::{Fault, Server};
use dns::ResolveError;
use domain::base::iana::Rtype;
use simulation::Link;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

fn limit(internet: &mut Internet, name: &str) -> &'static str {
    match internet.ask(name, Rtype::A).result {
        Err(ResolveError::LimitReached { limit, .. }) => limit,
        other => panic!("{other:?}"),
    }
}

fn replace(internet: &mut Internet, server: &str, apex: &str, text: &str) {
    internet.with_server(server, |s: &mut Server| s.replace(apex, text));
}

#[test]
fn aliases_that_go_in_circles_end() {
    let mut internet = Internet::usual(1, Link::default());
    assert_eq!(limit(&mut internet, "loop.utopia.test."), "aliases_max");
}

#[test]
fn a_chain_of_too_many_aliases_ends() {
    let mut internet = Internet::usual(2, Link::default());
    let mut text = String::from(SOA);
    (0..30).for_each(|n| writeln!(text, "a{n} CNAME a{}", n + 1).expect("a line"));
    text.push_str("a30 A 203.0.113.3\n");
    for server in ["utopia", "utopia2"] {
        replace(&mut internet, server, "utopia.test.", &text);
    }
    assert_eq!(internet.addresses("a20.utopia.test."), ["203.0.113.3"]);
    // Neither in one reply nor from the cache, where a20 to a30 are.
    assert_eq!(limit(&mut internet, "a15.utopia.test."), "aliases_max");
    internet.simulation.run_for(Duration::from_hours(2));
    assert_eq!(limit(&mut internet, "a0.utopia.test."), "aliases_max");
}

#[test]
fn a_referral_to_many_names_makes_few_queries() {
    // NXNSAttack: each name would have to be looked up at the victim.
    let mut internet = Internet::usual(3, Link::default());
    let mut text = format!("{SOA}@ NS ns.nic\nns.nic A 192.0.2.30\n");
    text.push_str("utopia NS ns1.utopia\nns1.utopia A 192.0.2.40\n");
    (0..60).for_each(|n| writeln!(text, "evil NS n{n}.utopia").expect("a line"));
    replace(&mut internet, "test", "test.", &text);
    internet.ask("www.evil.test.", Rtype::A).result.expect_err("no server has an address");
    let victim = internet.queries("utopia");
    assert!((1..=10).contains(&victim), "{victim} queries to the victim");
}

#[test]
fn zones_whose_servers_wait_for_each_other_end() {
    let mut internet = Internet::usual(4, Link::default());
    let text = format!("{SOA}one NS ns.two\ntwo NS ns.one\n");
    replace(&mut internet, "test", "test.", &text);
    internet.ask("www.one.test.", Rtype::A).result.expect_err("neither can be found");
    assert!(internet.simulation.elapsed() < Duration::from_secs(5), "without waiting in vain");
    assert_eq!(internet.host().resolver.under_way(), 0);
}

#[test]
fn side_quests_within_side_quests_end() {
    let mut internet = Internet::usual(5, Link::default());
    let mut text = String::from(SOA);
    (0..40).for_each(|n| writeln!(text, "z{n} NS ns.z{}", n + 1).expect("a line"));
    replace(&mut internet, "test", "test.", &text);
    internet.ask("www.z0.test.", Rtype::A).result.expect_err("too deep");
    let queries = internet.host().resolver.counters().queries;
    assert!(queries <= 100, "{queries} queries");
}

#[test]
fn one_question_sends_no_more_than_its_queries() {
    for queries_max in [1, 2, 3, 10] {
        let mut internet = Internet::usual_with(6, Link { loss: 0.9, ..Link::default() }, |c| {
            c.limits.queries_max = queries_max;
        });
        let _ = internet.ask("away.utopia.test.", Rtype::A);
        assert!(internet.host().resolver.counters().queries <= u64::from(queries_max));
    }
}

#[test]
fn no_more_questions_are_worked_on_than_allowed() {
    let mut internet = Internet::usual_with(7, Link::default(), |config| config.limits.iterations_max = 10);
    internet.fault("root", Fault::Silent);
    for n in 0..50 {
        internet.begin(&format!("n{n}.utopia.test."), Rtype::A);
    }
    assert_eq!(internet.host().resolver.under_way(), 10);
    assert_eq!(internet.host().answers.len(), 40);
    internet.simulation.run_for(Duration::from_secs(30));
    assert_eq!((internet.host().resolver.under_way(), internet.host().answers.len()), (0, 50));
    assert_eq!(internet.host().resolver.in_flight(), 0);
    assert!(internet.host().ports.is_empty(), "every socket was given back");
    assert_eq!(internet.host().resolver.poll_timeout(), None, "nothing is left to do");
}

#[test]
fn no_more_wait_for_one_question_than_allowed() {
    let mut internet = Internet::usual_with(8, Link::default(), |c| c.limits.askers_per_iteration_max = 5);
    for _ in 0..9 {
        internet.begin("www.utopia.test.", Rtype::A);
    }
    assert_eq!(internet.host().answers.len(), 4);
    assert_eq!(internet.wait(dns::resolver::AskerId(0)).result.expect("found").answer.len(), 1);
}

#[test]
fn the_cache_stays_within_its_octets() {
    let mut internet = Internet::usual_with(9, Link::default(), |config| config.cache.octets_max = 20_000);
    for n in 0..500 {
        internet.ask(&format!("n{n}.utopia.test."), Rtype::A).result.expect("an answer");
        assert!(internet.host().resolver.cache().octets() <= 20_000);
    }
    assert!(internet.host().resolver.cache().len() > 20);
}

#[test]
fn a_question_ends_when_its_patience_does() {
    let mut internet = Internet::usual(10, Link::default());
    for server in ["root", "test", "utopia", "utopia2"] {
        internet.fault(server, Fault::Silent);
    }
    internet.ask("www.utopia.test.", Rtype::A).result.expect_err("nobody answers");
    assert!(internet.simulation.elapsed() <= Duration::from_secs(10));
}

#[test]
fn only_so_many_servers_and_addresses_are_asked_so_often() {
    let mut internet = Internet::usual_with(11, Link::default(), |config| {
        config.limits.servers_per_zone_max = 3;
        config.limits.addresses_per_server_max = 2;
        config.limits.tries_per_address_max = 2;
        config.limits.patience = Duration::from_mins(5);
    });
    // The name servers of both zones are silent: of one zone they come with
    // glue, of the other they have to be looked up.
    let mut test = format!("{SOA}@ NS ns.nic\nns.nic A 192.0.2.30\n");
    test.push_str("utopia NS ns1.utopia\nns1.utopia A 192.0.2.40\nsought NS many.utopia\n");
    for server in 0..5 {
        writeln!(test, "glued NS n{server}.glued").expect("a line");
        (0..4).for_each(|n| {
            writeln!(test, "n{server}.glued A 192.0.2.{}", 100 + 4 * server + n).expect("a line");
        });
    }
    replace(&mut internet, "test", "test.", &test);
    let mut utopia = String::from(SOA);
    (0..4).for_each(|n| writeln!(utopia, "many A 192.0.2.{}", 200 + n).expect("a line"));
    replace(&mut internet, "utopia", "utopia.test.", &utopia);
    for (zone, hosts, servers) in [("glued", 100..200_u8, 3), ("sought", 200..250, 1)] {
        internet.ask(&format!("www.{zone}.test."), Rtype::A).result.expect_err("nobody answers");
        let mut asked = BTreeMap::<_, usize>::new();
        for (_, _, to) in &internet.host().sent {
            if hosts.clone().any(|last| ip(last) == to.ip()) {
                *asked.entry(*to).or_default() += 1;
            }
        }
        assert_eq!(asked.len(), servers * 2, "{zone}: {asked:?}");
        assert!(asked.values().all(|times| *times == 2), "{zone}: {asked:?}");
    }
}

#[test]
fn a_name_of_many_labels_is_told_whole_after_some_queries() {
    let mut internet = Internet::usual(12, Link::default());
    let deep = "a.b.c.d.e.f.g.h.i.j";
    for server in ["utopia", "utopia2"] {
        replace(&mut internet, server, "utopia.test.", &format!("{SOA}{deep} A 203.0.113.8\n"));
    }
    assert_eq!(internet.addresses(&format!("{deep}.utopia.test.")), ["203.0.113.8"]);
    // Six with a part of the name, two of them above utopia.test, then the whole.
    let queries: usize =
        ["root", "test", "utopia", "utopia2"].map(|server| internet.queries(server)).iter().sum();
    assert_eq!(queries, 7);
}
