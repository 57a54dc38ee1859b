//! The command line: the first words are trades, the second words are verbs.
//! Exit status 0 done, 1 failed, 2 used wrongly.

mod config;
mod dns;
mod init;
mod lab;
mod logging;
mod mail;
mod out;
mod socket;
mod status;
mod up;
mod user;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The application layer of the Internet in one program.
#[derive(Parser)]
#[command(
    name = "utopia",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Example:\n  utopia up          a running domain, utopia.test, on loopback\n  utopia lab resolve how a name is looked up, message by message"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the domain; prints where everything is.
    Up(up::Arguments),
    /// What runs where; exit status 0 when ready.
    Status(status::Arguments),
    /// Read the configuration of a running domain again.
    Reload(status::ReloadArguments),
    /// Write the configuration and keys of a domain; print what the registrar needs.
    Init(init::Arguments),
    /// A small Internet on loopback: one scenario told step by step, or all of it, to be used.
    Lab(lab::Arguments),
    /// The domain's users.
    #[command(subcommand)]
    User(user::Command),
    /// Names: ask, check, show.
    #[command(subcommand)]
    Dns(dns::DnsCommand),
    /// Mail: send a message, look after the queue.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Sockets: the lecture's client and server, and a better netcat.
    Socket(socket::SocketArguments),
    /// The configuration: check it, print its reference.
    #[command(subcommand)]
    Config(config::Command),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.use_stderr() => return out::misused(&in_one_line(&error.render().to_string())),
        // The help or the version was asked for.
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return out::failed(&format!("the system gives no threads or events: {error}")),
    };
    let code = runtime.block_on(async {
        match arguments.command {
            Command::Up(arguments) => up::run(arguments).await,
            Command::Status(arguments) => status::run(arguments).await,
            Command::Reload(arguments) => status::reload(arguments).await,
            Command::Init(arguments) => init::run(&arguments).await,
            Command::Lab(arguments) => lab::run(arguments).await,
            Command::User(command) => user::run(command).await,
            Command::Dns(command) => dns::run(command).await,
            Command::Mail(command) => mail::run(command).await,
            Command::Socket(arguments) => socket::run(arguments).await,
            Command::Config(command) => config::run(&command),
        }
    });
    // A thread that waits for standard input must not keep the program.
    runtime.shutdown_background();
    code
}

/// What clap says in paragraphs, on one line: what is wrong, the nearest right
/// thing, and where to read on.
fn in_one_line(said: &str) -> String {
    let (said, usage) = said.split_once("\nUsage: ").unwrap_or((said, ""));
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
    let words: Vec<_> =
        usage.split_whitespace().take_while(|word| word.starts_with(char::is_alphanumeric)).collect();
    let command = if words.is_empty() { "utopia".to_owned() } else { words.join(" ") };
    format!("{line}; see `{command} --help`")
}
