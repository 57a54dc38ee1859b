//! `cargo xtask test`: everything that must hold before a change lands, and one
//! line at the end that says what passed, failed, and was skipped and why.

use crate::{cargo, install, root, run, tidy};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What the test runner counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    passed: u64,
    failed: u64,
    ignored: u64,
}

fn checks(quick: bool) -> Result<(), String> {
    run(cargo().args(["fmt", "--all", "--check"]))
        .map_err(|_| "the formatting differs; run `cargo fmt --all`".to_owned())?;
    tidy::run()?;
    run(cargo().args(["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if !quick {
        install::cargo_deny()?;
        run(cargo().args(["deny", "--log-level", "error", "check", "licenses", "bans", "sources"]))?;
    }
    Ok(())
}

pub(crate) fn all(quick: bool) -> Result<(), String> {
    let peers_are_there = !quick && install::peers();
    if !quick {
        install::python_peers();
    }
    checks(quick)?;

    let skipped_list = root().join("target/skipped-tests.txt");
    let _ = fs::remove_file(&skipped_list);
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).env("UTOPIA_SKIPPED", &skipped_list);
    if peers_are_there {
        command.env("UTOPIA_PEERS", "required");
    }
    // The same cases in each run, so that a change is judged by itself. Others are
    // looked for with `PROPTEST_RNG_SEED=n cargo test`, or without it at random.
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        command.env("PROPTEST_RNG_SEED", "1");
    }
    let (succeeded, counted) = count(&mut command)?;

    let skipped = skipped(&fs::read_to_string(&skipped_list).unwrap_or_default());
    println!("\n{}", closing_line(&counted, &skipped));
    if succeeded && counted.failed == 0 { Ok(()) } else { Err("some tests failed".to_owned()) }
}

/// Runs the tests, passing their output on while counting their results.
fn count(command: &mut Command) -> Result<(bool, Counted), String> {
    let mut child = command
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo test could not be started: {error}"))?;
    let mut counted = Counted::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            add(&mut counted, &line);
            println!("{line}");
        }
    }
    let status = child.wait().map_err(|error| format!("cargo test was lost: {error}"))?;
    Ok((status.success(), counted))
}

/// Adds one `test result:` line.
fn add(counted: &mut Counted, line: &str) {
    let Some(results) = line.strip_prefix("test result:") else { return };
    for part in results.split([';', '.']) {
        let mut words = part.split_whitespace();
        let (Some(number), Some(what)) =
            (words.next().and_then(|word| word.parse::<u64>().ok()), words.next())
        else {
            continue;
        };
        match what {
            "passed" => counted.passed += number,
            "failed" => counted.failed += number,
            "ignored" => counted.ignored += number,
            _ => {}
        }
    }
}

/// The reasons tests gave for skipping, and how many gave each.
fn skipped(list: &str) -> BTreeMap<String, u64> {
    let mut reasons = BTreeMap::new();
    for line in list.lines().filter(|line| !line.is_empty()) {
        *reasons.entry(line.to_owned()).or_default() += 1;
    }
    reasons
}

/// The one line at the end. A test that skips returns early, so the runner
/// counts it as passed; it is taken off here.
fn closing_line(counted: &Counted, skipped: &BTreeMap<String, u64>) -> String {
    let skips: u64 = skipped.values().sum();
    let mut line = format!(
        "{} passed, {} failed, {} skipped",
        counted.passed.saturating_sub(skips),
        counted.failed,
        skips + counted.ignored
    );
    let mut reasons: Vec<_> = skipped.iter().map(|(reason, times)| format!("{reason} ({times})")).collect();
    if counted.ignored > 0 {
        reasons.push(format!("marked #[ignore] ({})", counted.ignored));
    }
    if !reasons.is_empty() {
        line.push_str(": ");
        line.push_str(&reasons.join(", "));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_added_up() {
        let mut counted = Counted::default();
        add(
            &mut counted,
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s",
        );
        add(&mut counted, "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out");
        add(&mut counted, "test something ... ok");
        assert_eq!(counted, Counted { passed: 15, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_closing_line_says_what_was_skipped_and_why() {
        let skipped = skipped("nsd is not installed\nknotd is not installed\nnsd is not installed\n");
        let counted = Counted { passed: 10, failed: 0, ignored: 0 };
        assert_eq!(
            closing_line(&counted, &skipped),
            "7 passed, 0 failed, 3 skipped: knotd is not installed (1), nsd is not installed (2)"
        );
        assert_eq!(closing_line(&counted, &BTreeMap::new()), "10 passed, 0 failed, 0 skipped");
    }
}
