//! `utopia lab distribute`: the lecture's plot, measured and checked.

use serde_json::Value;
use tests::utopia::{run, said, told};

/// Small enough for a test.
const SMALL: [&str; 6] = ["--file-size", "1048576", "--server-uplink", "2000000", "--uplink", "200000"];

fn distribute(arguments: &[&str]) -> Vec<Value> {
    let all: Vec<&str> = ["lab", "distribute", "--json"].into_iter().chain(SMALL).collect();
    let output = told(run(&[&all, arguments].concat()));
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The values of the figures with a name.
fn figures<'line>(lines: &'line [Value], name: &str) -> Vec<&'line Value> {
    lines
        .iter()
        .filter(|line| line["kind"] == "figure" && line["name"] == name)
        .map(|line| &line["value"])
        .collect()
}

#[test]
fn simulated_times_are_near_their_bounds_and_the_same_for_a_seed() {
    let arguments = ["--formula", "1,10,30", "--simulation", "1,10", "--seed", "3"];
    let lines = distribute(&arguments);
    let end = lines.last().expect("an end");
    assert_eq!(
        (end["kind"].as_str(), end["passed"].as_bool(), end["checks"].as_u64()),
        (Some("end"), Some(true), Some(3))
    );
    // us = 10u: a copy is 5.24 s of a peer's uplink, the lecture's hour.
    let bounds = figures(&lines, "bound");
    let thirty = bounds.iter().find(|bound| bound["count"] == 30).expect("a bound for 30");
    let hour = 1_048_576.0 / 200_000.0;
    for (key, hours) in [("client_server_seconds", 3.0), ("peer_to_peer_seconds", 0.75)] {
        let seconds = thirty[key].as_f64().expect("seconds");
        assert!((seconds - hours * hour).abs() < 1e-9, "{key}: {seconds}");
    }
    let times = figures(&lines, "time");
    assert_eq!(times.len(), 4, "{times:?}");
    for time in &times {
        let ratio = time["ratio"].as_f64().expect("a ratio");
        assert!((1.0..1.5).contains(&ratio), "{time}");
    }
    assert_eq!(times, figures(&distribute(&arguments), "time"), "the same seed");
}

#[test]
fn the_table_for_people_has_the_ratios() {
    let output =
        told(run(&["lab", "distribute", "--file-size", "1048576", "--simulation", "1,8", "--formula", "30"]));
    assert!(output.contains("client-server (s)") && output.contains('×'), "{output}");
    assert!(output.contains("all as it should be: 3 of 3 checks hold"), "{output}");
}

#[test]
fn lists_that_are_none_are_refused() {
    for (arguments, expected) in [
        (["--simulation", "0"], "write numbers from 1 to 1000"),
        (["--simulation", "3-1"], "write numbers and ranges"),
    ] {
        let output = run(&[&["lab", "distribute"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    let output = run(&["lab", "distribute", "--simulation", "500"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("200 at most can take part"), "{}", said(&output));
}
