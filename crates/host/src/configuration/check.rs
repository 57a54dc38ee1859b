//! What the sections of a configuration cannot check by themselves: whether they
//! fit together, and whether what they name can be used.

use super::Configuration;
use crate::{HostError, certificate, mail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

/// The way to the key to blame, and why.
pub(super) type Fault = (Vec<String>, String);

fn fault(path: &[&str], reason: impl Into<String>) -> Fault {
    (path.iter().map(|key| (*key).to_owned()).collect(), reason.into())
}

/// Whether hosts may be called so: letters, digits and hyphens between dots.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inner = label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
        inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    dns::master::name(name).is_some_and(|read| !read.is_root()) && name.split('.').all(is_label)
}

/// Whether a DKIM key may be published so (RFC 6376 section 3.1); some use
/// underscores.
fn is_selector(name: &str) -> bool {
    is_host_name(&name.replace('_', "x"))
}

impl Configuration {
    /// Checks that the sections fit together.
    pub(super) fn check(&self) -> Result<(), Fault> {
        self.check_names()?;
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            let there = if self.tls.key_file.is_some() { "key_file" } else { "certificate_file" };
            return Err(fault(&["tls", there], "give certificate_file and key_file, or neither"));
        }
        self.check_keys()?;
        self.resolver.check().map_err(|error| {
            let path: Vec<_> = error.key().split('.').collect();
            fault(&path, error.to_string())
        })?;
        self.tracker.check().map_err(|error| fault(&["tracker", error.key()], error.to_string()))?;
        self.rpc.check_for_host().map_err(|error| fault(&["rpc", error.key()], error.to_string()))?;
        self.torrents.check().map_err(|error| {
            let mut path = vec!["torrents".to_owned()];
            path.extend(error.path);
            (path, error.reason)
        })?;
        self.check_addresses()
    }

    /// Names that must be names of hosts and domains.
    fn check_names(&self) -> Result<(), Fault> {
        let no_name = |name: &str, like: &str| {
            format!("{name:?} is no domain name; write one like {like}, in ASCII (xn--…)")
        };
        if !is_host_name(&self.domain) {
            return Err(fault(&["domain"], no_name(&self.domain, "example.org")));
        }
        if let Some(hostname) = self.smtp.hostname.as_ref().filter(|name| !is_host_name(name)) {
            return Err(fault(&["smtp", "hostname"], no_name(hostname, "mail.example.org")));
        }
        for (number, domain) in self.smtp.more_domains.iter().enumerate() {
            if !is_host_name(domain) {
                let path = ["smtp", "more_domains", &number.to_string()];
                return Err(fault(&path, no_name(domain, "example.net")));
            }
        }
        for (number, key) in self.smtp.dkim.iter().enumerate() {
            if !is_selector(&key.selector) {
                let path = ["smtp", "dkim", &number.to_string(), "selector"];
                let reason = format!("{:?} is no selector; write letters, digits and hyphens", key.selector);
                return Err(fault(&path, reason));
            }
        }
        Ok(())
    }

    /// Every TSIG key that a zone names is there.
    fn check_keys(&self) -> Result<(), Fault> {
        let known = |name: &str| self.dns.keys.iter().any(|key| key.name.eq_ignore_ascii_case(name));
        for (number, zone) in self.dns.zones.iter().enumerate() {
            let transfer = zone.allow_transfer.iter().filter_map(|who| who.strip_prefix("key:"));
            let remotes =
                zone.primaries.iter().chain(&zone.notify).filter_map(|remote| remote.key.as_deref());
            let named = zone.allow_update.iter().map(|name| ("allow_update", name.as_str()));
            let named = named.chain(transfer.map(|name| ("allow_transfer", name)));
            for (place, name) in named.chain(remotes.map(|name| ("key", name))) {
                if !known(name) {
                    let path = ["dns", "zones", &number.to_string(), place];
                    return Err(fault(&path, format!("there is no key {name:?}; add it as [[dns.keys]]")));
                }
            }
        }
        Ok(())
    }

    /// No two services listen on one address.
    fn check_addresses(&self) -> Result<(), Fault> {
        let tcp = [
            ("smtp.listen", &self.smtp.listen),
            ("smtp.listen_submission", &self.smtp.listen_submission),
            ("smtp.listen_submissions", &self.smtp.listen_submissions),
            ("imap.listen", &self.imap.listen),
            ("imap.listen_tls", &self.imap.listen_tls),
            ("dns.listen", &self.dns.listen),
            ("resolver.listen", &self.resolver.listen),
            ("tracker.http_listen", &self.tracker.http_listen),
            ("torrents.listen", &self.torrents.listen),
            ("rpc.listen", &self.rpc.listen),
            ("rpc.peers_listen", &self.rpc.peers_listen),
            ("http.listen", &self.http.listen),
            ("http.listen_public", &self.http.listen_public),
        ];
        let udp = [
            ("dns.listen", &self.dns.listen),
            ("resolver.listen", &self.resolver.listen),
            ("tracker.udp_listen", &self.tracker.udp_listen),
            ("torrents.listen", &self.torrents.listen),
            ("rpc.peers_listen", &self.rpc.peers_listen),
        ];
        for services in [&tcp[..], &udp] {
            Self::check_transport(services)?;
        }
        Ok(())
    }

    /// No two of these services, all over UDP or all over TCP, listen on one
    /// address.
    fn check_transport(services: &[(&'static str, &Vec<SocketAddr>)]) -> Result<(), Fault> {
        let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for (key, addresses) in services {
            for (number, address) in addresses.iter().enumerate().filter(|(_, address)| address.port() != 0) {
                if let Some(other) = taken.insert(*address, key) {
                    let mut path: Vec<_> = key.split('.').collect();
                    let number = number.to_string();
                    path.push(&number);
                    let reason = format!("{address} is named twice, by {other} and {key}; keep one");
                    return Err(fault(&path, reason));
                }
            }
        }
        Ok(())
    }

    /// Reads what the configuration names, as a start does before it opens
    /// anything: zones, keys, certificates, none of whose secrets others may read.
    /// `folder` is where relative names begin.
    ///
    /// # Errors
    /// What a start would fail with.
    pub fn check_files(&self, folder: &Path) -> Result<(), HostError> {
        let placed = self.clone().within(folder);
        dns_server::authoritative::check(&placed.dns)?;
        mail::signer(&placed)?;
        certificate::given(&placed)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;
    use storage::files;

    fn fails(text: &str) -> String {
        let text = format!("version = 1\ndomain = \"utopia.test\"\n{text}");
        Configuration::parse(&text, Path::new("utopia.toml")).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let message = fails("[[dns.zones]]\nname = \"utopia.test\"\nallow_update = [\"nokey\"]\n");
        assert_eq!(message, "utopia.toml:5: there is no key \"nokey\"; add it as [[dns.keys]]");
    }

    #[test]
    fn addresses_and_names_that_cannot_serve_are_named() {
        let message = fails("[smtp]\nlisten = [\"127.0.0.1:25\"]\n[http]\nlisten = [\"127.0.0.1:25\"]\n");
        assert_eq!(
            message,
            "utopia.toml:6: 127.0.0.1:25 is named twice, by smtp.listen and http.listen; keep one"
        );
        // UDP and TCP do not meet.
        let text = "version = 1\ndomain = \"a.test\"\n[tracker]\nudp_listen = [\"127.0.0.1:69\"]\nhttp_listen = [\"127.0.0.1:69\"]\n";
        assert!(Configuration::parse(text, Path::new("utopia.toml")).is_ok());
        for (text, told) in [
            ("[smtp]\nhostname = \"a b\"\n", "utopia.toml:4: \"a b\" is no domain name; "),
            ("[smtp]\nhostname = \"\"\n", "utopia.toml:4: \"\" is no domain name; "),
            ("[smtp]\nmore_domains = [\"a.test\",\n \"-b\"]\n", "utopia.toml:5: \"-b\" is no domain name; "),
            (
                "[[smtp.dkim]]\nselector = \"a b\"\nkey_file = \"k\"\n",
                "utopia.toml:4: \"a b\" is no selector; ",
            ),
            (
                "[resolver]\nipv6 = true\nallow = [\"10.0.0.0/33\"]\n",
                "utopia.toml:5: resolver.allow: \"10.0.0.0/33\"",
            ),
            (
                "[resolver.stub_zones]\n\"a..b\" = [\"127.0.0.1:53\"]\n",
                "utopia.toml:3: resolver.stub_zones: \"a..b\"",
            ),
            (
                "[tracker]\ninfo_hashes = [\"00\"]\n",
                "utopia.toml:4: tracker.info_hashes: \"00\" is no info-hash",
            ),
            (
                "[[torrents.publish]]\npath = \"a\"\n[[torrents.publish]]\npath = \"b\"\ntrackers = [\"x\"]\n",
                "utopia.toml:7: x: ",
            ),
            ("[tls]\nkey_file = \"k\"\n", "utopia.toml:4: give certificate_file and key_file"),
        ] {
            let message = fails(text);
            assert!(message.starts_with(told), "{text}: {message}");
        }
    }

    /// A folder with `files`, and what is told of the configuration that names them.
    fn told(written: &[(&str, &str)], text: &str) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in written {
            let file = folder.path().join(name);
            files::write_atomically(&file, content.as_bytes(), files::SECRET).expect("written");
        }
        let text = format!("version = 1\ndomain = \"utopia.test\"\n{text}");
        let configuration = Configuration::parse(&text, Path::new("utopia.toml")).expect("well formed");
        match configuration.check_files(folder.path()) {
            Ok(()) => "right".to_owned(),
            Err(error) => error.to_string().replace(&format!("{}/", folder.path().display()), ""),
        }
    }

    #[test]
    fn what_a_start_would_fail_with_is_told() {
        let zone = "$ORIGIN a.test.\n@ 60 SOA a b 1 2 3 4 5\n@ 60 NS a\na 60 A 127.0.0.1\n";
        let primary = "[[dns.zones]]\nname = \"a.test\"\nfile = \"zone\"\n";
        assert_eq!(told(&[("zone", zone)], primary), "right");
        let key = "[[dns.keys]]\nname = \"k\"\nsecret_file = \"secret\"\n";
        let dkim = "[[smtp.dkim]]\nselector = \"a\"\nkey_file = \"key\"\n";
        for (files, text, reason) in [
            (&[][..], primary.to_owned(), "dns: zone a.test: there is no file zone"),
            (&[("zone", "a A 1\n")], primary.to_owned(), "dns: zone a.test: zone:1: "),
            (&[("zone", zone)], format!("{primary}allow_transfer = [\"foo\"]\n"), "dns: zone a.test: `foo`"),
            (&[], "[[dns.zones]]\nname = \"\"\n".to_owned(), "dns: zone \"\": this is no domain name"),
            (&[], "[[dns.zones]]\nname = \"a.test\"\n".to_owned(), "dns: zone a.test: a primary needs"),
            (
                &[],
                "[[dns.zones]]\nname = \"a.test\"\nkind = \"secondary\"\n".to_owned(),
                "dns: zone a.test: a secondary needs",
            ),
            (&[], key.to_owned(), "dns: key k: there is no file secret"),
            (&[("secret", "short")], key.to_owned(), "dns: key k: secret: the secret "),
            (&[("secret", "")], format!("{key}algorithm = \"md5\"\n"), "dns: key k: the algorithm `md5`"),
            (&[], dkim.to_owned(), "key: there is no such file"),
            (
                &[("key", "x")],
                dkim.to_owned(),
                "key: the DKIM key of selector a for utopia.test cannot be read: it holds no",
            ),
        ] {
            let told = told(files, &text);
            assert!(told.starts_with(reason), "{text}: {told}");
        }
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("secret");
        files::write_atomically(&file, b"x", files::PUBLIC).expect("written");
        let text =
            "version = 1\ndomain = \"utopia.test\"\n[[dns.keys]]\nname = \"k\"\nsecret_file = \"secret\"\n";
        let configuration = Configuration::parse(text, Path::new("utopia.toml")).expect("well formed");
        let told = configuration.check_files(folder.path()).expect_err("others may read it").to_string();
        assert!(told.ends_with(&format!("`chmod 600 {}`", file.display())), "{told}");
    }

    #[test]
    fn certificates_and_keys_that_cannot_be_used_are_told_with_their_files() {
        let authority = net::tls::Authority::create("a CA", SystemTime::now()).expect("a CA");
        let issue = || authority.issue(&["localhost"], SystemTime::now()).expect("a certificate");
        let (one, other) = (issue(), issue());
        let tls = "[tls]\ncertificate_file = \"chain\"\nkey_file = \"key\"\n";
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (chain, key, reason) in [
            (&*one.cert_chain_pem, &*one.key_pem, "right"),
            (&*one.cert_chain_pem, &*other.key_pem, "chain and key: the key is not that of the certificate"),
            ("", &*one.key_pem, "chain: it holds no certificate"),
            (&*one.cert_chain_pem, "", "key: it holds no private key"),
            (damaged, &*one.key_pem, "chain and key: the certificate is damaged"),
        ] {
            let told = told(&[("chain", chain), ("key", key)], tls);
            assert!(told.starts_with(reason), "{told}");
        }
        assert!(told(&[("chain", &one.cert_chain_pem)], tls).starts_with("key: there is no such file"));
    }
}
