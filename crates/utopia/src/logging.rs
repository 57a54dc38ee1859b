//! The log on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts the log. `UTOPIA_LOG` sets what is logged, e.g. `debug`.
pub(crate) fn start(standard: &str) {
    let filter = EnvFilter::try_from_env("UTOPIA_LOG").unwrap_or_else(|_| EnvFilter::new(standard));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A file or a journal wants no colours.
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        // It would be told on standard error, where it just failed.
        .log_internal_errors(false)
        .init();
}
