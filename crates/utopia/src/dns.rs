//! `utopia dns`: asking name servers, changing and looking at zones.

mod print;
mod update;
mod zone;

use crate::out;
use clap::{Args, Subcommand};
use dns::Name;
use dns::resolver::{Config, Question, RootHint};
use dns_server::resolver::{AskOptions, ask, iterate};
use domain::base::iana::{OptRcode, Rtype};
use net::Network;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

/// Octets read of /etc/resolv.conf.
const RESOLV_CONF_OCTETS_MAX: u64 = 64 << 10;

/// Ask name servers; change, check and show zones.
#[derive(Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Ask a name server, or resolve from the root and show each step
    #[command(
        after_help = "Examples:\n  utopia dns query www.example.org\n  utopia dns query example.org MX --trace\n  utopia dns query utopia.test SOA --server 127.0.0.1:5300\n  utopia dns query 192.0.2.1"
    )]
    Query(QueryArgs),
    /// Change a zone on its primary server by a signed dynamic update (RFC 2136)
    #[command(
        after_help = "Examples:\n  utopia dns update utopia.test --add 'www 300 A 127.0.0.9'\n  utopia dns update example.org --server 192.0.2.53:53 --secret-file update.tsig --delete 'old A'"
    )]
    Update(update::UpdateArgs),
    /// Check and show the master files of zones
    #[command(subcommand, after_help = "Example:\n  utopia dns zone check utopia.test.zone")]
    Zone(zone::ZoneCommand),
}

/// What to ask, and whom.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The name; an IP address asks for its name (PTR)
    name: String,
    /// The record type, e.g. A, AAAA, MX, TXT
    #[arg(value_name = "TYPE")]
    rtype: Option<String>,
    /// The server to ask; without it the first name server of /etc/resolv.conf
    #[arg(long, value_name = "ADDRESS[:PORT]", conflicts_with = "trace")]
    server: Option<String>,
    /// Resolve from the root servers and show each step
    #[arg(long)]
    trace: bool,
    /// Ask for DNSSEC records as well
    #[arg(long, conflicts_with = "trace")]
    dnssec: bool,
    /// A root server to begin with, in place of those of the Internet; may be repeated
    #[arg(long, value_name = "ADDRESS[:PORT]", requires = "trace")]
    root: Vec<String>,
    /// The port of servers given or found without one
    #[arg(long, value_name = "PORT", default_value_t = 53)]
    port: u16,
    /// Tell each server no more of the name than it needs (RFC 9156)
    #[arg(long, requires = "trace")]
    minimise: bool,
    /// Ask over TCP
    #[arg(long, conflicts_with = "trace")]
    tcp: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs a command. Exit status 0: answered, 1: no answer, 2: used wrongly.
pub(crate) async fn run(command: DnsCommand) -> ExitCode {
    match command {
        DnsCommand::Query(args) => query(&args).await,
        DnsCommand::Update(args) => update::run(&args).await,
        DnsCommand::Zone(command) => zone::run(&command),
    }
}

async fn query(args: &QueryArgs) -> ExitCode {
    let question = match question(args) {
        Ok(question) => question,
        Err(message) => return out::misused(&message),
    };
    if args.trace {
        let roots: Result<Vec<_>, _> = args.root.iter().map(|root| socket_address(root, args.port)).collect();
        return match roots {
            Ok(roots) => trace(args, question, &roots).await,
            Err(message) => out::misused(&message),
        };
    }
    let server = match &args.server {
        Some(server) => socket_address(server, args.port),
        None => first_name_server("/etc/resolv.conf".as_ref(), args.port),
    };
    let server = match server {
        Ok(server) => server,
        Err(message) => return out::misused(&message),
    };
    let options = AskOptions { tcp: args.tcp, dnssec: args.dnssec };
    match ask(&Network::new(), server, &question, options).await {
        Ok(exchanged) => {
            let answered = matches!(exchanged.reply.rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN);
            if args.json {
                out::line(print::exchanged_json(&question, server, &exchanged));
            } else {
                out::text(&print::exchanged(&question, server, &exchanged));
            }
            ExitCode::from(u8::from(!answered))
        }
        Err(error) => fail(args, &question, &error.to_string()),
    }
}

async fn trace(args: &QueryArgs, question: Question, roots: &[SocketAddr]) -> ExitCode {
    let mut config = Config {
        prime: false,
        upstream_port: args.port,
        qname_minimisation: args.minimise,
        ..Config::default()
    };
    if !roots.is_empty() {
        let hint = |root: &SocketAddr| RootHint { name: Name::root_bytes(), addresses: vec![*root] };
        config.root_hints = roots.iter().map(hint).collect();
    }
    let mut steps = Vec::new();
    let mut told = 0_usize;
    let result = iterate(config, Network::new(), question.clone(), |step| {
        if args.json {
            steps.extend(print::step_json(step));
        } else if let Some(text) = print::step(step) {
            told += 1;
            out::line(format_args!("{told}. {text}"));
        }
    })
    .await;
    match result {
        Ok(response) => {
            if args.json {
                out::line(print::response_json(&question, &response, steps));
            } else {
                out::text(&print::response(&question, &response));
            }
            ExitCode::SUCCESS
        }
        Err(error) if args.json => {
            out::line(
                json!({ "question": print::question_json(&question), "error": error.to_string(), "steps": steps }),
            );
            ExitCode::FAILURE
        }
        Err(error) => fail(args, &question, &error.to_string()),
    }
}

fn fail(args: &QueryArgs, question: &Question, error: &str) -> ExitCode {
    if args.json {
        out::line(json!({ "question": print::question_json(question), "error": error }));
        return ExitCode::FAILURE;
    }
    out::failed(error)
}

/// Name and type; an address stands for its name in `in-addr.arpa` or `ip6.arpa`.
fn question(args: &QueryArgs) -> Result<Question, String> {
    let rtype = match &args.rtype {
        Some(rtype) => Some(rtype.to_ascii_uppercase().parse::<Rtype>().map_err(|_| {
            format!("{rtype:?} is no record type; try A, AAAA, MX, NS, TXT, SOA, SRV, PTR or TYPE65")
        })?),
        None => None,
    };
    if let Ok(address) = args.name.parse::<IpAddr>() {
        let name = Name::reverse_from_addr(address).map_err(|error| format!("{address}: {error}"))?;
        return Ok(Question { name, rtype: rtype.unwrap_or(Rtype::PTR) });
    }
    let name = Name::bytes_from_str(&args.name)
        .map_err(|error| format!("{:?} is no domain name: {error}", args.name))?;
    Ok(Question { name, rtype: rtype.unwrap_or(Rtype::A) })
}

fn socket_address(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().or_else(|_| bare.parse().map(|address| SocketAddr::new(address, port))).map_err(|_| {
        format!("{text:?} is no address; write one like 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53")
    })
}

/// The first name server this machine is configured with.
fn first_name_server(path: &Path, port: u16) -> Result<SocketAddr, String> {
    let missing = "name a server with --server ADDRESS, or resolve from the root with --trace";
    let text = storage::files::read_text(path, RESOLV_CONF_OCTETS_MAX)
        .map_err(|error| format!("{error}; {missing}"))?
        .unwrap_or_default();
    let mut servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    let first = servers.find_map(|server| server.trim().parse().ok());
    first
        .map(|address| SocketAddr::new(address, port))
        .ok_or_else(|| format!("{} names no server; {missing}", path.display()))
}

#[cfg(test)]
mod tests {
    //! The machine's own configuration.
    use super::*;

    #[test]
    fn the_machines_name_server_is_read_from_a_file_of_a_sane_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let text = "# ours\nsearch utopia.test\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n";
        let padded = |octets: u64| format!("{text}{}", "#".repeat(octets as usize - text.len()));
        std::fs::write(&file, padded(RESOLV_CONF_OCTETS_MAX)).unwrap();
        assert_eq!(first_name_server(&file, 53).unwrap().to_string(), "192.0.2.53:53");
        std::fs::write(&file, padded(RESOLV_CONF_OCTETS_MAX + 1)).unwrap();
        let error = first_name_server(&file, 53).unwrap_err();
        assert!(error.contains("resolv.conf") && error.contains("--server"), "{error}");
        let error = first_name_server(&folder.path().join("none"), 53).unwrap_err();
        assert!(error.contains("names no server"), "{error}");
    }
}
