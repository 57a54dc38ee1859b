//! The command line: the first words are trades, the second words are verbs.
//! Exit status 0 done, 1 failed, 2 used wrongly.

// A closed pipe is no panic: what is printed goes through `out`.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod capture;
mod config;
mod dns;
mod init;
mod lab;
mod logging;
mod mail;
mod out;
mod screen;
mod socket;
mod status;
mod torrent;
mod up;
mod user;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// The application layer of the Internet in one program.
#[derive(Parser)]
#[command(
    name = "utopia",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  utopia up              a running domain, utopia.test, on loopback\n  utopia lab resolve     how a name is looked up, message by message\n  utopia COMMAND --help  each command's options and examples"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the domain; print where everything is
    Up(up::Arguments),
    /// Show what runs where; exit status 0 when ready
    Status(status::Arguments),
    /// Have the running domain read its configuration again
    Reload(status::ReloadArguments),
    /// Set a domain up: configuration, zone, keys; print what the registrar needs
    Init(init::Arguments),
    /// Run a small Internet on loopback: one scenario told step by step, or all of it, to be used
    Lab(lab::Arguments),
    /// Add, list and remove the domain's users
    #[command(subcommand, after_help = "Examples:\n  utopia user add carol@utopia.test\n  utopia user list")]
    User(user::Command),
    /// Ask name servers; check and show zones
    #[command(
        subcommand,
        after_help = "Examples:\n  utopia dns query example.org MX --trace\n  utopia dns zone check utopia.test.zone"
    )]
    Dns(dns::DnsCommand),
    /// Send a message; look after the queue
    #[command(subcommand, after_help = "Examples:\n  utopia mail queue list\n  utopia mail send --help")]
    Mail(mail::Command),
    /// Make, get, seed and track torrents
    #[command(
        subcommand,
        after_help = "Examples:\n  utopia torrent get film.torrent\n  utopia torrent seed film.mkv"
    )]
    Torrent(Box<torrent::Command>),
    /// Talk over UDP, TCP or TLS: the lecture's client and server, and a better netcat
    #[command(after_help = "Example:\n  utopia socket connect 127.0.0.1:2525 --tcp --lines")]
    Socket(socket::SocketArguments),
    /// Check the configuration; print its reference
    #[command(subcommand, after_help = "Example:\n  utopia config check utopia-data/utopia.toml")]
    Config(config::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if is_misuse(&error) => {
            let line = in_one_line(&error.render().to_string());
            return out::misused(&format!("{line}; see `{} --help`", command_asked_for()));
        }
        // The help or the version was asked for.
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return out::failed(&format!("the system gives no threads or events: {error}")),
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Up(arguments) => Box::pin(up::run(arguments)).await,
            Command::Status(arguments) => status::run(arguments).await,
            Command::Reload(arguments) => status::reload(arguments).await,
            Command::Init(arguments) => init::run(&arguments).await,
            Command::Lab(arguments) => Box::pin(lab::run(arguments)).await,
            Command::User(command) => user::run(command).await,
            Command::Dns(command) => dns::run(command).await,
            Command::Mail(command) => mail::run(command).await,
            Command::Torrent(command) => torrent::run(*command).await,
            Command::Socket(arguments) => socket::run(arguments).await,
            Command::Config(command) => config::run(&command),
        }
    });
    // A thread that waits for standard input must not keep the program.
    runtime.shutdown_background();
    out::verdict(code)
}

/// Whether the person did something wrong, in place of asking for help.
fn is_misuse(error: &clap::Error) -> bool {
    error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// What clap says in paragraphs, on one line: what is wrong and the nearest
/// right thing.
fn in_one_line(said: &str) -> String {
    let said = said.split("\nUsage: ").next().unwrap_or_default();
    let said = said.split("\nFor more information").next().unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let mut line = String::new();
    for part in said.lines().map(str::trim).filter(|part| !part.is_empty()) {
        let joint = match line.chars().next_back() {
            None => "",
            Some(':') => " ",
            Some(_) if part.starts_with("tip: ") || part.starts_with('[') => "; ",
            Some(_) => ", ",
        };
        line.push_str(joint);
        line.push_str(part.strip_prefix("tip: ").unwrap_or(part));
    }
    line
}

/// The words of the command line that name a command, e.g. `utopia mail send`.
fn command_asked_for() -> String {
    let whole = Arguments::command();
    let (mut command, mut words) = (&whole, vec![whole.get_name().to_owned()]);
    for word in std::env::args().skip(1) {
        let Some(found) = command.find_subcommand(&word) else { break };
        command = found;
        words.push(word);
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn wrong_use_is_said_in_one_line() {
        let said = |words: &[&str]| match Arguments::try_parse_from(words) {
            Ok(_) => String::new(),
            Err(error) => in_one_line(&error.render().to_string()),
        };
        assert_eq!(
            said(&["utopia", "up", "--dta", "x"]),
            "unexpected argument '--dta' found; a similar argument exists: '--data'"
        );
        assert_eq!(
            said(&["utopia", "init"]),
            "the following required arguments were not provided: --address <IP>, <DOMAIN>"
        );
        let line = said(&["utopia", "lab", "smpt"]);
        assert!(line.starts_with("invalid value 'smpt' for '<SCENARIO|up>'; [possible values: "), "{line}");
        assert!(line.ends_with("; a similar value exists: 'smtp'"), "{line}");
    }
}
