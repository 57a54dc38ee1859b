//! What all commands say the same way.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Used wrongly.
pub(crate) const USAGE: u8 = 2;

/// Says why a command failed, on one line; exit status 1.
pub(crate) fn failed(reason: &str) -> ExitCode {
    eprintln!("utopia: {reason}");
    ExitCode::FAILURE
}

/// Says how a command was used wrongly, on one line; exit status 2.
pub(crate) fn misused(reason: &str) -> ExitCode {
    eprintln!("utopia: {reason}");
    ExitCode::from(USAGE)
}

/// The option every command has that works on a data folder.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Data {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "utopia-data", env = "UTOPIA_DATA")]
    data: PathBuf,
}

impl Data {
    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }
}
