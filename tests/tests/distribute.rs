//! `utopia lab distribute`: the lecture's plot, measured and checked.

use serde_json::Value;
use std::process::Command;
use tests::peer;
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
    let arguments = ["--formula", "1,10,30", "--simulation", "1,10", "--real", "none", "--seed", "3"];
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
    let output = told(run(&[
        "lab",
        "distribute",
        "--file-size",
        "1048576",
        "--simulation",
        "1,8",
        "--real",
        "none",
        "--formula",
        "30",
    ]));
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

/// Real nodes: nothing is quicker than its bound, and every copy is the server's,
/// which the command checks itself. How slow they are is the machine's business.
#[test]
fn real_nodes_do_it_and_are_drawn() {
    let folder = tempfile::tempdir().expect("a folder");
    let picture = folder.path().join("plot.svg");
    let svg = picture.to_str().expect("a path");
    let lines = distribute(&["--formula", "1-12", "--simulation", "1,2", "--real", "1,2", "--svg", svg]);
    let end = lines.last().expect("an end");
    assert_eq!(end["passed"].as_bool(), Some(true), "{lines:?}");
    let times = figures(&lines, "time");
    let real: Vec<_> = times.iter().filter(|time| time["by"] == "real").collect();
    let of =
        |time: &Value| (time["architecture"].as_str().unwrap_or_default().to_owned(), time["count"].as_u64());
    let expected = [("client-server", 1), ("peer-to-peer", 1), ("client-server", 2), ("peer-to-peer", 2)];
    let expected = expected.map(|(architecture, count)| (architecture.to_owned(), Some(count)));
    assert_eq!(real.iter().map(|time| of(time)).collect::<Vec<_>>(), expected);
    for time in real {
        let (seconds, bound) = (time["seconds"].as_f64(), time["bound_seconds"].as_f64());
        assert!(seconds.expect("seconds") >= bound.expect("a bound") * 0.99, "{time}");
    }
    let drawn = std::fs::read_to_string(&picture).expect("the picture");
    // Each measurement stands in both charts, and twice two marks in the legend.
    assert_eq!(drawn.matches("<circle").count(), 2 * times.len() + 4, "{drawn}");
    let Some(python) = peer("python3") else { return };
    let mut parse = Command::new(python);
    parse.args([
        "-c",
        "import sys, xml.dom.minidom as xml; print(xml.parse(sys.argv[1]).documentElement.tagName)",
        svg,
    ]);
    assert_eq!(told(parse.output().expect("python runs")), "svg\n");
}
