//! The way from the root to an answer.

use crate::network::Internet;
use crate::server::Fault;
use dns::resolver::Transport;
use domain::base::iana::{Rcode, Rtype};
use simulation::Link;
use std::time::Duration;

#[test]
fn resolves_from_the_root_through_referrals_with_glue() {
    let mut internet = Internet::usual(1, Link::default());
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
    assert_eq!((internet.queries("root"), internet.queries("test")), (1, 1));
    assert_eq!(internet.queries("utopia") + internet.queries("utopia2"), 1);
    assert_eq!(internet.queries("com"), 0);
}

#[test]
fn resolves_a_zone_whose_server_has_no_glue() {
    let mut internet = Internet::usual(2, Link::default());
    assert_eq!(internet.addresses("www.crepes.test."), ["203.0.113.2"]);
}

#[test]
fn follows_an_alias_into_another_zone() {
    let mut internet = Internet::usual(3, Link::default());
    assert_eq!(internet.addresses("away.utopia.test."), ["203.0.113.2"]);
    assert_eq!(internet.addresses("back.crepes.test."), ["203.0.113.1"]);
}

#[test]
fn tells_servers_only_as_much_of_the_name_as_they_need() {
    let mut internet = Internet::usual(4, Link::default());
    internet.addresses("www.utopia.test.");
    let told = internet.with_server("root", |server| server.queries[0].0.name.to_string());
    assert_eq!(told, "test");
    let told = internet.with_server("test", |server| server.queries[0].0.name.to_string());
    assert_eq!(told, "utopia.test");
}

#[test]
fn a_server_that_denies_empty_non_terminals_is_asked_the_whole_name() {
    let mut internet = Internet::usual(5, Link::default());
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::DeniesEmptyNonTerminals);
    }
    let answer = internet.ask("_tcp.deep.down.utopia.test.", Rtype::TXT).result.expect("an answer");
    assert_eq!(answer.answer.len(), 1);
}

#[test]
fn a_truncated_reply_is_asked_for_over_tcp() {
    let mut internet = Internet::usual(6, Link::default());
    for server in ["utopia", "utopia2"] {
        internet.fault(server, Fault::Truncates);
    }
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
    let over_tcp = |internet: &mut Internet, name: &str| {
        internet.with_server(name, |s| s.queries.iter().filter(|(_, t)| *t == Transport::Tcp).count())
    };
    assert_eq!(over_tcp(&mut internet, "utopia") + over_tcp(&mut internet, "utopia2"), 1);
}

#[test]
fn a_server_without_edns_is_asked_without() {
    let mut internet = Internet::usual(7, Link::default());
    for server in ["root", "test", "utopia", "utopia2"] {
        internet.fault(server, Fault::NoEdns);
    }
    assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"]);
}

#[test]
fn one_bad_server_of_two_does_not_matter() {
    let faults = [
        Fault::Silent,
        Fault::Lame,
        Fault::Rcode(Rcode::SERVFAIL),
        Fault::Rcode(Rcode::REFUSED),
        Fault::NoTcp,
    ];
    for fault in faults {
        for seed in 0..10 {
            let mut internet = Internet::usual(seed, Link::default());
            internet.fault("utopia", fault.clone());
            assert_eq!(internet.addresses("www.utopia.test."), ["203.0.113.1"], "{fault:?} seed {seed}");
        }
    }
}

#[test]
fn a_lame_server_is_not_asked_again_for_a_while() {
    let mut internet = Internet::usual(8, Link::default());
    internet.fault("utopia", Fault::Lame);
    for n in 0..20 {
        internet.ask(&format!("n{n}.utopia.test."), Rtype::A);
    }
    assert!(internet.queries("utopia") <= 1);
}

#[test]
fn resolves_through_loss_delay_and_reordering() {
    simulation::seeds("utopia-simulation", "resolves_through_loss_delay_and_reordering", 200, |seed| {
        let link = Link { loss: 0.3, reordering: 0.2, jitter: Duration::from_millis(30), ..Link::default() };
        let mut internet = Internet::usual(seed, link);
        // Each step gets through with a probability of 0.49; a stub asks three times.
        for _ in 0..3 {
            if let Ok(response) = internet.ask("www.crepes.test.", Rtype::A).result {
                assert_eq!(response.answer[0].data().to_string(), "203.0.113.2");
                return;
            }
            internet.simulation.run_for(Duration::from_secs(6));
        }
        panic!("no answer:\n{}", internet.simulation.trace());
    });
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut internet = Internet::usual(seed, Link { loss: 0.3, reordering: 0.3, ..Link::default() });
        let _ = internet.ask("away.utopia.test.", Rtype::A);
        internet.simulation.trace().clone()
    };
    assert_eq!(run(42), run(42));
    assert_ne!(run(42).digest(), run(43).digest());
}
