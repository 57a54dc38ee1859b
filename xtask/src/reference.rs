//! `cargo xtask reference`: writes docs/configuration.md from the doc comments.

use crate::{cargo, root};
use std::fs;

pub(crate) fn write() -> Result<(), String> {
    let output = cargo()
        .args(["run", "--quiet", "--package", "utopia", "--", "config", "reference"])
        .current_dir(root())
        .output()
        .map_err(|error| format!("the reference could not be made: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let place = root().join("docs/configuration.md");
    fs::write(&place, output.stdout).map_err(|error| format!("{}: {error}", place.display()))
}
