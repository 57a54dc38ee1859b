//! `cargo xtask bench`: builds the benches for speed and runs one.

use crate::{cargo, run};

pub(crate) fn measure(what: &str, json: bool, only: &[String]) -> Result<(), String> {
    if matches!(what, "swarm" | "torrent") {
        // Each peer is a process.
        run(cargo().args(["build", "--quiet", "--release", "--package", "utopia"]))?;
    }
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "utopia-bench", "--", what]);
    if json {
        command.arg("--json");
    }
    for name in only {
        command.args(["--only", name]);
    }
    run(&mut command)
}
