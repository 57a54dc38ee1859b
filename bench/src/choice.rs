//! What is run: our own program, and those clients and cases that were asked for.

use std::io;
use std::path::PathBuf;

/// Our own program: it lies beside the bench.
pub(crate) fn our_program() -> io::Result<PathBuf> {
    let ours = std::env::current_exe()?.with_file_name("utopia");
    if !ours.is_file() {
        let why = format!("{} is not there: build it with `cargo build --release -p utopia`", ours.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, why));
    }
    Ok(ours)
}

/// Whether `name`, one of `names`, is to be run. Where none of `names` contains a
/// word of `only`, all are.
pub(crate) fn is_chosen(only: &[String], names: &[&str], name: &str) -> bool {
    let named = |only: &&String| names.iter().any(|name| name.contains(only.as_str()));
    let mut named = only.iter().filter(named).peekable();
    named.peek().is_none() || named.any(|only| name.contains(only.as_str()))
}
