//! Foreign peers from PyPI, which `cargo xtask test` puts below `target/`.

use crate::skip;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python that can load a module, or `None`: then the test is skipped, as these
/// peers are not to be had everywhere.
pub fn python(module: &str) -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python3");
    let mut import = Command::new(&python);
    import.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
    if import.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip(&format!("{module} from PyPI is not installed"));
    None
}
