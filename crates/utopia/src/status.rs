//! `utopia status` and `utopia reload`: ask the running host.

use crate::out::{self, Data};
use host::control::{self, Request};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use web::Status;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  utopia status --data utopia-data --json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Print one JSON object: {"services":[{"name":"dns","transport":"udp","address":"127.0.0.1:5300"},…]}
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  utopia reload")]
pub(crate) struct ReloadArguments {
    #[command(flatten)]
    data: Data,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let value = match ask(&arguments.data, &Request::Status).await {
        Ok(value) => value,
        Err(reason) => return out::failed(&reason),
    };
    if arguments.json {
        out::line(value);
        return ExitCode::SUCCESS;
    }
    match serde_json::from_value::<Status>(value) {
        Ok(status) => {
            out::text(&table(&status));
            ExitCode::SUCCESS
        }
        Err(error) => out::failed(&format!("the running program is of another version: {error}")),
    }
}

pub(crate) async fn reload(arguments: ReloadArguments) -> ExitCode {
    match ask(&arguments.data, &Request::Reload).await {
        Ok(notes) => {
            for note in notes.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
                out::line(note);
            }
            ExitCode::SUCCESS
        }
        Err(reason) => out::failed(&reason),
    }
}

/// Asks the host on this folder; an error is for the person.
pub(crate) async fn ask(data: &Data, request: &Request) -> Result<serde_json::Value, String> {
    let folder = data.folder();
    match control::ask(folder, request).await {
        Ok(Some(reply)) => reply,
        Ok(None) => Err(format!(
            "nothing runs on {}; start it with `utopia up`, or name another --data",
            folder.display()
        )),
        Err(error) => Err(unanswered(folder, &error)),
    }
}

/// Why it cannot be asked what runs on a folder.
pub(crate) fn unanswered(folder: &Path, error: &io::Error) -> String {
    let folder = folder.display();
    match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("{folder} is not this user's: run this as the user who owns it, or name another --data")
        }
        ErrorKind::NotADirectory => format!("{folder} is no folder: name a data folder with --data"),
        _ => format!(
            "the program that runs on {folder} does not answer: {error}; look at its log, or start it again"
        ),
    }
}

/// What runs where, for a terminal.
pub(crate) fn table(status: &Status) -> String {
    use std::fmt::Write;
    let mut out = String::new();
    let rows = status.rows();
    let host_width = rows.iter().filter_map(|row| row.host).map(str::len).max().unwrap_or(0);
    for row in rows {
        let host = row.host.unwrap_or_default();
        let pad = if host_width > 0 { format!("{host:<host_width$}  ") } else { String::new() };
        let _ = writeln!(out, "  {pad}{:<12} {:<9} {}", row.name, row.transports, row.addresses);
    }
    if let Some(torrents) = &status.torrents {
        let _ = writeln!(out, "  torrents: {torrents}");
    }
    if let Some(tracker) = &status.tracker {
        let peers = tracker.sizes.peers_ipv4 + tracker.sizes.peers_ipv6;
        let announces = tracker.udp_announces + tracker.http_announces;
        let _ = writeln!(out, "  tracker: {peers} peers, {announces} announces, {} refused", tracker.refused);
    }
    out
}
