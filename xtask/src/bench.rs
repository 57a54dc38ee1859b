//! `cargo xtask bench`: builds the benches for speed and runs one.

use crate::{cargo, run};

pub(crate) fn measure(what: &str, json: bool) -> Result<(), String> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "utopia-bench", "--", what]);
    if json {
        command.arg("--json");
    }
    run(&mut command)
}
