//! Many seeds for one test, and the line that replays the one that failed.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// The environment variable that names the one seed to run.
const SEED: &str = "SIMULATION_SEED";

/// Runs `scenario` with `count` seeds, or with the one that the environment
/// variable `SIMULATION_SEED` names. `test` is the test's full name.
///
/// # Panics
/// If the scenario panics; the message ends with the line that replays it.
pub fn seeds(package: &str, test: &str, count: u64, scenario: impl Fn(u64)) {
    let chosen = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seeds = chosen.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            let message = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("the scenario panicked");
            panic!("{message}\nreplay with: {SEED}={seed} cargo test --package {package} {test}");
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_failing_seed_is_told_as_the_line_that_replays_it() {
        let failed = std::panic::catch_unwind(|| {
            super::seeds("some-package", "some::test", 10, |seed| assert!(seed != 7, "seven"));
        });
        let message = failed.expect_err("seed 7 fails");
        let message = message.downcast_ref::<String>().expect("a message");
        assert!(
            message.contains("SIMULATION_SEED=7 cargo test --package some-package some::test"),
            "{message}"
        );
    }
}
