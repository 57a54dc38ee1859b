//! `utopia dns update`: changes a zone on its primary server, signed.

use crate::out::{self, Data};
use crate::status;
use clap::Args;
use dns::master::{self, Severity};
use dns::{Change, Name};
use dns_server::update_client;
use domain::base::iana::Rtype;
use host::control::Request;
use net::Network;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

/// What to change, where, and with which key.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// The zone, e.g. example.org
    zone: String,
    /// A record to add, as in a master file: NAME [TTL] TYPE DATA; may be repeated
    #[arg(long, value_name = "RECORD")]
    add: Vec<String>,
    /// A name, its records of one type, or one record to delete: NAME [TYPE [DATA]]; may be repeated
    #[arg(long, value_name = "WHAT")]
    delete: Vec<String>,
    /// The primary server; the domain's own that runs on --data unless given
    #[arg(long, value_name = "ADDR:PORT", value_parser = out::server)]
    server: Option<SocketAddr>,
    /// The name of the TSIG key
    #[arg(long, value_name = "NAME", default_value = "update")]
    key: String,
    /// The file with the key's secret in base64; the data folder's unless given
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    #[command(flatten)]
    data: Data,
}

/// Exit status 0: the server confirmed it, 1: it did not, 2: used wrongly.
pub(super) async fn run(args: &UpdateArgs) -> ExitCode {
    let Some(zone) = master::name(&args.zone) else {
        return out::misused(&format!("{:?} is no domain name; write one like example.org", args.zone));
    };
    let changes = match changes(args, &zone) {
        Ok(changes) if changes.is_empty() => {
            return out::misused("nothing to change; give --add 'www 300 A 192.0.2.7' or --delete 'www A'");
        }
        Ok(changes) => changes,
        Err(reason) => return out::misused(&reason),
    };
    match send(args, &zone, &changes).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => out::failed(&reason),
    }
}

async fn send(args: &UpdateArgs, zone: &Name, changes: &[Change]) -> Result<(), String> {
    let file = args.secret_file.clone().unwrap_or_else(|| args.data.folder().join("secrets/update.tsig"));
    let remedy = "name the file of the key's secret with --secret-file, or the domain's folder with --data";
    let secret = out::file(&file, remedy)?;
    let key = dns::tsig::key(&args.key, "hmac-sha256", &secret)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let server = match args.server {
        Some(server) => server,
        None => own_server(&args.data).await?,
    };
    update_client::send(&Network::new(), server, zone, changes, key).await.map_err(|error| error.to_string())
}

/// The authoritative server of the domain that runs on the data folder.
async fn own_server(data: &Data) -> Result<SocketAddr, String> {
    let status = status::ask(data, &Request::Status).await?;
    let status: web::Status = serde_json::from_value(status).map_err(|error| error.to_string())?;
    let service = status.services.into_iter().find(|service| service.name == "dns");
    service
        .map(|service| service.address)
        .ok_or_else(|| "no name server runs there; name a --server".to_owned())
}

fn changes(args: &UpdateArgs, zone: &Name) -> Result<Vec<Change>, String> {
    let mut changes = Vec::new();
    for text in &args.delete {
        changes.push(deletion(text, zone)?);
    }
    for text in &args.add {
        changes.push(Change::Add(record(text, zone)?));
    }
    Ok(changes)
}

/// `NAME`, `NAME TYPE` or `NAME TYPE DATA`.
fn deletion(text: &str, zone: &Name) -> Result<Change, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let rtype = |word: &str| Rtype::from_str(word).map_err(|_| format!("{text:?}: {word} is no record type"));
    match words[..] {
        [] => Err("--delete names nothing".to_owned()),
        [name] => Ok(Change::DeleteRrset(owner(name, zone)?, Rtype::ANY)),
        [name, word] => Ok(Change::DeleteRrset(owner(name, zone)?, rtype(word)?)),
        _ => Ok(Change::Delete(record(text, zone)?)),
    }
}

/// A name as in the zone's master file: relative unless it ends in a dot.
fn owner(text: &str, zone: &Name) -> Result<Name, String> {
    let absolute = match text {
        "@" => zone.to_string(),
        text if text.ends_with('.') => text.to_owned(),
        text => format!("{text}.{zone}"),
    };
    master::name(&absolute).ok_or_else(|| format!("{text:?} is no domain name"))
}

/// One record as in the zone's master file.
fn record(text: &str, zone: &Name) -> Result<dns::Record, String> {
    let (records, findings) = master::read(&format!("$TTL 3600\n{text}\n"), zone);
    if let Some(finding) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(format!("{text:?}: {}; {}", finding.problem, finding.remedy));
    }
    match &records[..] {
        [located] => located.record.to_record().ok_or_else(|| format!("{text:?}: the data cannot be read")),
        _ => Err(format!("{text:?} is not one record; write one like 'www 300 A 192.0.2.7'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Name {
        master::name("example.org").expect("a name")
    }

    #[test]
    fn a_record_is_read_as_in_a_master_file() {
        let record = record("www 300 A 192.0.2.7", &zone()).expect("a record");
        assert_eq!(record.owner().to_string(), "www.example.org");
        assert_eq!(record.ttl().as_secs(), 300);
        assert!(super::record("www 300 A nonsense", &zone()).is_err());
        assert!(super::record("a 300 A 192.0.2.7\nb 300 A 192.0.2.8", &zone()).is_err());
    }

    #[test]
    fn what_is_deleted_may_be_a_name_a_type_or_a_record() {
        let deletion = |text: &str| deletion(text, &zone()).expect("a deletion");
        assert!(matches!(deletion("www"), Change::DeleteRrset(_, Rtype::ANY)));
        assert!(matches!(deletion("@ MX"), Change::DeleteRrset(name, Rtype::MX) if name == zone()));
        assert!(matches!(deletion("www A 192.0.2.7"), Change::Delete(_)));
        assert!(super::deletion("www NONSENSE", &zone()).is_err());
    }
}
