//! `utopia dns zone`: is a master file right, and what does it say?

use crate::out;
use clap::{Args, Subcommand};
use dns::Name;
use dns::master::{self, Severity};
use dns::zone::WireRecord;
use domain::base::iana::Rtype;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Check and show the master files of zones.
#[derive(Debug, Subcommand)]
pub(crate) enum ZoneCommand {
    /// Say what is wrong with a master file, where, and what to do about it
    #[command(after_help = "Example:\n  utopia dns zone check utopia.test.zone --origin utopia.test")]
    Check(ZoneArgs),
    /// Print every record of a master file in full, in the order of names
    #[command(after_help = "Example:\n  utopia dns zone show utopia.test.zone")]
    Show(ZoneArgs),
}

/// A master file.
#[derive(Debug, Args)]
pub(crate) struct ZoneArgs {
    /// The master file
    file: PathBuf,
    /// The zone's name; without it the file's $ORIGIN, or its name without `.zone`
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Exit status 0: right, 1: wrong, 2: used wrongly.
pub(super) fn run(command: &ZoneCommand) -> ExitCode {
    let (ZoneCommand::Check(args) | ZoneCommand::Show(args)) = command;
    let file = args.file.display().to_string();
    let text = match storage::files::read_text(&args.file, master::FILE_OCTETS_MAX as u64) {
        Ok(Some(text)) => text,
        Ok(None) => return out::misused(&format!("{file}: there is no such file")),
        Err(error) => return out::misused(&error.to_string()),
    };
    let Some(origin) = origin(args, &text) else {
        return out::misused(&format!(
            "{file}: whose zone is this? Name it with --origin, e.g. --origin utopia.test"
        ));
    };
    match command {
        ZoneCommand::Check(_) => check(args, &file, &text, &origin),
        ZoneCommand::Show(_) => show(args, &file, &text, &origin),
    }
}

/// The zone's name: as told, as the file says first, or as the file is called.
fn origin(args: &ZoneArgs, text: &str) -> Option<Name> {
    if let Some(origin) = &args.origin {
        return master::name(origin);
    }
    let said = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with(';'));
    let said =
        said.and_then(|line| line.strip_prefix("$ORIGIN")).map(|rest| rest.split(';').next().unwrap_or(rest));
    if let Some(origin) = said {
        return master::name(origin.trim());
    }
    let called = args.file.file_name()?.to_str()?;
    let stem = called.strip_suffix(".zone").or_else(|| called.strip_prefix("db."))?;
    master::name(stem)
}

fn check(args: &ZoneArgs, file: &str, text: &str, origin: &Name) -> ExitCode {
    let findings = master::check(text, origin);
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if args.json {
        let finding = |finding: &master::Finding| {
            json!({
                "severity": if finding.severity == Severity::Error { "error" } else { "warning" },
                "line": finding.line,
                "name": finding.name,
                "problem": finding.problem,
                "remedy": finding.remedy,
            })
        };
        let findings: Vec<_> = findings.iter().map(finding).collect();
        let zone = origin.fmt_with_dot().to_string();
        out::line(json!({ "zone": zone, "right": errors == 0, "findings": findings }));
    } else {
        for finding in &findings {
            out::line(finding.in_file(file));
        }
        if errors == 0 {
            let (records, _) = master::read(text, origin);
            out::line(format_args!(
                "{file}: zone {} is right, {} records",
                origin.fmt_with_dot(),
                records.len()
            ));
        }
    }
    ExitCode::from(u8::from(errors > 0))
}

fn show(args: &ZoneArgs, file: &str, text: &str, origin: &Name) -> ExitCode {
    let (located, findings) = master::read(text, origin);
    if !findings.is_empty() {
        for finding in &findings {
            out::complain(finding.in_file(file));
        }
        return ExitCode::FAILURE;
    }
    let mut records: Vec<WireRecord> = located.into_iter().map(|located| located.record).collect();
    // The SOA record first, then the names in canonical order (RFC 4034 section 6.1).
    records.sort_by(|one, other| {
        let rank = |record: &WireRecord| (record.rtype != Rtype::SOA, record.owner.clone(), record.rtype);
        rank(one).cmp(&rank(other))
    });
    if args.json {
        let record = |record: &WireRecord| {
            json!({
                "name": record.owner.fmt_with_dot().to_string(),
                "ttl": record.ttl,
                "type": record.rtype.to_string(),
                "data": record.to_record().map(|record| record.data().to_string()),
            })
        };
        let records: Vec<_> = records.iter().map(record).collect();
        out::line(json!({ "zone": origin.fmt_with_dot().to_string(), "records": records }));
    } else {
        for record in &records {
            out::line(record);
        }
    }
    ExitCode::SUCCESS
}
