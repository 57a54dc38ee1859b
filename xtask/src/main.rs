//! The project's own chores: `cargo xtask test`, `tidy`, `bench`.

mod bench;
mod install;
mod reference;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

#[derive(Parser)]
#[command(about = "Utopia's chores", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what is absent, format, lint, tidy, test at all three heights.
    ///
    /// Example: cargo xtask test
    Test {
        /// Only what needs no foreign peer and no installation.
        #[arg(long)]
        quick: bool,
    },
    /// Check what the compiler cannot: floors, purposes, names, reasons.
    ///
    /// Example: cargo xtask tidy
    Tidy,
    /// Run us and the peers side by side and print the ratio.
    ///
    /// Example: cargo xtask bench dns --json
    Bench {
        /// What to measure: `dns`, `smtp`, `swarm`, `torrent` or `tracker`.
        what: String,
        /// One JSON object a row.
        #[arg(long)]
        json: bool,
        /// Only clients and cases whose names contain one of these (swarm).
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
    },
    /// Write docs/configuration.md from the doc comments of the configuration.
    ///
    /// Example: cargo xtask reference
    Reference,
}

fn main() -> ExitCode {
    let chore = Arguments::parse().chore;
    let outcome = match chore {
        Chore::Test { quick } => test::all(quick),
        Chore::Tidy => tidy::run(),
        Chore::Bench { what, json, only } => bench::measure(&what, json, &only),
        Chore::Reference => reference::write(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// The project's root folder: that of the checkout we are run in, which need not be
/// the one we were built in where they share a target folder.
fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Runs a command at the root; an error names it as one would type it.
fn run(command: &mut Command) -> Result<(), String> {
    let typed = typed(command);
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{typed}` failed ({status})")),
        Err(error) => Err(format!("`{typed}` could not be started: {error}")),
    }
}

/// The command as one would type it.
fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// This tool chain's cargo, as if it were typed in a shell: what `cargo run` tells
/// this program of its own package would make some build scripts run again.
fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let own = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"));
        if own {
            command.env_remove(name);
        }
    }
    command
}
