//! `utopia config`: check a configuration file, print the reference.

use crate::out;
use host::Configuration;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a configuration file without starting anything
    #[command(after_help = "Example:\n  utopia config check utopia-data/utopia.toml")]
    Check {
        /// The file; what it names is looked for in the same folder, the data folder
        file: PathBuf,
    },
    /// Print the reference of all keys as Markdown
    #[command(after_help = "Example:\n  utopia config reference")]
    Reference,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Reference => {
            out::text(&host::reference());
            ExitCode::SUCCESS
        }
        Command::Check { file } => match check(file) {
            Ok(()) => {
                out::line(format_args!("{} is right", file.display()));
                ExitCode::SUCCESS
            }
            Err(reason) => out::failed(&reason),
        },
    }
}

fn check(file: &Path) -> Result<(), String> {
    let configuration = Configuration::read(file).map_err(|error| error.to_string())?;
    let folder = file.parent().unwrap_or(Path::new("."));
    configuration.check_files(folder).map_err(|error| format!("{}: {error}", file.display()))
}
