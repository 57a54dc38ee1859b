//! `utopia user`: the domain's users, through the running program or, while
//! none runs, in the data folder itself.

use crate::out::{self, Data};
use crate::status;
use host::control::Request;
use std::io::BufRead;
use std::process::ExitCode;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Add a user; print the password that was made, unless one is given
    #[command(after_help = "Example:\n  utopia user add carol@utopia.test")]
    Add(WithPassword),
    /// Set a user's password; print the one that was made, unless one is given
    #[command(
        after_help = "Example:\n  echo 'correct horse' | utopia user passwd alice@utopia.test --password-stdin"
    )]
    Passwd(WithPassword),
    /// List the users
    #[command(after_help = "Example:\n  utopia user list --json")]
    List {
        #[command(flatten)]
        data: Data,
        /// Print one JSON array
        #[arg(long)]
        json: bool,
    },
    /// Remove a user with all mail
    #[command(after_help = "Example:\n  utopia user remove carol@utopia.test")]
    Remove {
        /// The address, e.g. carol@utopia.test
        address: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(clap::Args)]
pub(crate) struct WithPassword {
    /// The address, e.g. carol@utopia.test
    address: String,
    /// Read the password from standard input, one line
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    data: Data,
}

impl WithPassword {
    /// The password given, or a new one, and whether it was made here.
    fn password(&self) -> Result<(String, bool), String> {
        if !self.password_stdin {
            return Ok((host::new_password(), true));
        }
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            return Err("standard input held no password".to_owned());
        }
        Ok((password, false))
    }
}

pub(crate) async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Add(user) => set(&user, |address, password| Request::UserAdd { address, password }).await,
        Command::Passwd(user) => {
            set(&user, |address, password| Request::UserPassword { address, password }).await
        }
        Command::List { data, json } => list(&data, json).await,
        Command::Remove { address, data } => ask(&data, Request::UserRemove { address }).await.map(drop),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

async fn set(user: &WithPassword, request: impl FnOnce(String, String) -> Request) -> Result<(), String> {
    let (password, made) = user.password()?;
    ask(&user.data, request(user.address.clone(), password.clone())).await?;
    if made {
        out::line(format_args!("{}  {password}", user.address));
    }
    Ok(())
}

async fn list(data: &Data, json: bool) -> Result<(), String> {
    let users = ask(data, Request::UserList).await?;
    if json {
        out::line(users);
        return Ok(());
    }
    for user in users.as_array().into_iter().flatten().filter_map(|user| user.as_str()) {
        out::line(user);
    }
    Ok(())
}

/// Asks the running host, or does it in the folder while none runs.
async fn ask(data: &Data, request: Request) -> Result<serde_json::Value, String> {
    match host::control::ask(data.folder(), &request).await {
        Ok(Some(reply)) => reply,
        Ok(None) => host::offline(data.folder(), request).await.map_err(|error| error.to_string()),
        Err(error) => Err(status::unanswered(data.folder(), &error)),
    }
}
