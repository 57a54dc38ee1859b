//! The first zone of a new domain: every record its services need.

use crate::ports::Ports;
use std::fmt::Write;
use std::net::IpAddr;

/// What the zone is made of.
pub(crate) struct Plan<'a> {
    /// The domain, without the final dot.
    pub(crate) domain: &'a str,
    /// The addresses of the one host that runs everything.
    pub(crate) addresses: &'a [IpAddr],
    /// Where its services listen.
    pub(crate) ports: Ports,
    /// DKIM keys: selector and TXT record text.
    pub(crate) dkim: &'a [(String, String)],
}

/// The zone as a master file (RFC 1035 section 5).
pub(crate) fn text(plan: &Plan<'_>) -> String {
    let Plan { domain, addresses, ports, dkim } = plan;
    let mut out = format!(
        "; The zone of {domain}. Edit it and send SIGHUP (or `utopia reload`); raise the serial when you do.\n\
         $ORIGIN {domain}.\n\
         $TTL 3600\n\
         @ IN SOA ns1 postmaster 1 7200 3600 1209600 300\n\
         @ IN NS ns1\n\
         @ IN NS ns2\n"
    );
    for name in ["@", "ns1", "ns2", "mail", "www"] {
        for address in *addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            let _ = writeln!(out, "{name} IN {kind} {address}");
        }
    }
    out.push_str(
        "\n; Mail: who takes it (RFC 5321), who may send it (SPF, RFC 7208), how to check it (DMARC, RFC 7489).\n\
         @ IN MX 10 mail\n\
         @ IN TXT \"v=spf1 mx -all\"\n\
         mail IN TXT \"v=spf1 a -all\"\n",
    );
    let _ = writeln!(out, "_dmarc IN TXT \"v=DMARC1; p=quarantine; rua=mailto:postmaster@{domain}\"");
    for (selector, record) in *dkim {
        let _ = writeln!(out, "{selector}._domainkey IN TXT {}", strings(record));
    }
    out.push_str("\n; Where mail programs find their servers (RFC 6186, RFC 8314).\n");
    for service in ["submissions", "submission", "imaps", "imap"] {
        let preference = if service.ends_with('s') { 0 } else { 10 };
        let _ = writeln!(out, "_{service}._tcp IN SRV {preference} 1 {} mail", ports.of(service));
    }
    out.push_str(
        "\n; Who may issue certificates (RFC 8659): nobody but the local CA until you name one.\n\
         @ IN CAA 0 issue \";\"\n",
    );
    out
}

/// A text as one or more character strings of at most 255 octets each.
fn strings(text: &str) -> String {
    let chunks: Vec<_> =
        text.as_bytes().chunks(255).map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect();
    chunks.iter().map(|chunk| format!("\"{chunk}\"")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_key_is_split_into_strings() {
        let text = "x".repeat(300);
        let strings = strings(&text);
        let parts: Vec<_> = strings.split(' ').collect();
        assert_eq!(parts.iter().map(|part| part.len() - 2).collect::<Vec<_>>(), [255, 45]);
    }
}
