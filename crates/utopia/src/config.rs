//! `utopia config`: check a configuration file, print the reference.

use crate::out;
use host::Configuration;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Check a configuration file without starting anything
    #[command(after_help = "Example:\n  utopia config check utopia-data/utopia.toml")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the reference of all keys as Markdown
    #[command(after_help = "Example:\n  utopia config reference")]
    Reference,
}

pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Reference => {
            print!("{}", host::reference());
            ExitCode::SUCCESS
        }
        Command::Check { file } => match Configuration::read(file) {
            Ok(_) => {
                println!("{} is right", file.display());
                ExitCode::SUCCESS
            }
            Err(error) => out::failed(&error.to_string()),
        },
    }
}
