//! `utopia init`: sets a real domain up and says what the registrar needs.

use crate::out::{self, Data};
use serde_json::json;
use std::net::IpAddr;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  utopia init example.org --address 192.0.2.53 --address 2001:db8::53")]
pub(crate) struct Arguments {
    /// The domain, e.g. example.org
    domain: String,
    /// A public address of this machine; may be repeated, e.g. for IPv6
    #[arg(long = "address", value_name = "IP", required = true)]
    addresses: Vec<IpAddr>,
    #[command(flatten)]
    data: Data,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: &Arguments) -> ExitCode {
    let domain = arguments.domain.trim_end_matches('.').to_lowercase();
    if ::dns::master::name(&domain).is_none_or(|name| name.label_count() < 3) {
        return out::misused(&format!(
            "{:?} is no domain name; write one like example.org",
            arguments.domain
        ));
    }
    let made = match host::provision_domain(&domain, &arguments.addresses, arguments.data.folder()).await {
        Ok(made) => made,
        Err(error) => return out::failed(&error.to_string()),
    };
    if arguments.json {
        let name_servers: Vec<_> =
            made.name_servers.iter().map(|(name, glue)| json!({"name": name, "glue": glue})).collect();
        let users: Vec<_> = made
            .users
            .iter()
            .map(|(address, password)| json!({"address": address, "password": password}))
            .collect();
        out::line(json!({
            "domain": made.domain,
            "configuration": made.configuration_file,
            "name_servers": name_servers,
            "users": users,
        }));
        return ExitCode::SUCCESS;
    }
    out::line(format_args!("{domain} is set up in {}.", arguments.data.folder().display()));
    out::line(format_args!("\nTell the registrar of {domain} its name servers and their addresses (glue):"));
    for (name, glue) in &made.name_servers {
        out::line(format_args!("  {domain}. NS {name}."));
        for address in glue {
            out::line(format_args!("  {name}. {} {address}", if address.is_ipv4() { "A" } else { "AAAA" }));
        }
    }
    out::line(format_args!(
        "\nMany registrars want two name servers on two machines: change ns2 in the zone when you have a second one.\n\
         Ask the owner of your address for the reverse name mail.{domain}: other mail servers look at it."
    ));
    out::line("\nUsers, told this once:");
    for (address, password) in &made.users {
        out::line(format_args!("  {address}  {password}"));
    }
    out::line(format_args!("\nThen: utopia up --data {}", arguments.data.folder().display()));
    ExitCode::SUCCESS
}
