//! What the sections of a configuration cannot check by themselves: whether they
//! fit together, and whether the files they name are there.

use super::Configuration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use storage::files;

/// The key to blame, and why.
pub(super) type Fault = (&'static str, String);

/// The largest file that a configuration names, in octets.
const FILE_OCTETS_MAX: u64 = 256 * 1024 * 1024;

impl Configuration {
    /// Checks that the sections fit together.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if dns::master::name(&self.domain).is_none_or(|name| name.label_count() < 2) {
            return Err((
                "domain",
                format!("{:?} is no domain name; write one like example.org, in ASCII (xn--…)", self.domain),
            ));
        }
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            return Err(("certificate_file", "give certificate_file and key_file, or neither".to_owned()));
        }
        self.check_keys()?;
        self.check_bounds()?;
        self.check_addresses()
    }

    /// Every TSIG key that a zone names is there.
    fn check_keys(&self) -> Result<(), Fault> {
        let known = |name: &str| self.dns.keys.iter().any(|key| key.name.eq_ignore_ascii_case(name));
        for zone in &self.dns.zones {
            let transfer = zone.allow_transfer.iter().filter_map(|who| who.strip_prefix("key:"));
            let remotes =
                zone.primaries.iter().chain(&zone.notify).filter_map(|remote| remote.key.as_deref());
            let named = zone.allow_update.iter().map(|name| ("allow_update", name.as_str()));
            let named = named.chain(transfer.map(|name| ("allow_transfer", name)));
            for (place, name) in named.chain(remotes.map(|name| ("key", name))) {
                if !known(name) {
                    return Err((place, format!("there is no key {name:?}; add it as [[dns.keys]]")));
                }
            }
        }
        Ok(())
    }

    /// Bounds with which a service could not serve.
    fn check_bounds(&self) -> Result<(), Fault> {
        let least = [
            ("recipients_max", self.smtp.recipients_max, 100),
            ("connections_max", self.smtp.connections_max, 1),
            ("connections_per_address_max", self.smtp.connections_per_address_max, 1),
            ("sessions_max", self.queue.sessions_max, 1),
            ("sessions_per_destination_max", self.queue.sessions_per_destination_max, 1),
            ("messages_per_session_max", self.queue.messages_per_session_max, 1),
            ("connections_max", self.imap.connections_max, 1),
            ("connections_max", self.dns.connections_max, 1),
            ("questions_max", self.resolver.questions_max, 1),
        ];
        for (key, value, least) in least {
            if value < least {
                return Err((key, format!("{key} is {value}, but must be at least {least}")));
            }
        }
        Ok(())
    }

    /// No two services listen on one address.
    fn check_addresses(&self) -> Result<(), Fault> {
        let all = (self.dns.listen.iter().map(|address| ("dns", *address)))
            .chain(self.resolver.listen.iter().map(|address| ("resolver", *address)))
            .chain(self.smtp.endpoints().map(|(_, address)| ("smtp", address)))
            .chain(self.imap.endpoints().map(|(_, address)| ("imap", address)))
            .chain(self.http.listen.iter().map(|address| ("http", *address)));
        let mut taken: BTreeMap<SocketAddr, &str> = BTreeMap::new();
        for (service, address) in all.filter(|(_, address)| address.port() != 0) {
            if let Some(other) = taken.insert(address, service) {
                return Err(("listen", format!("{address} is named twice, by {other} and {service}")));
            }
        }
        Ok(())
    }

    /// Checks that every file the configuration names can be read, and that no
    /// others may read its secrets; `folder` is where relative names begin.
    ///
    /// # Errors
    /// The first file that cannot, and what is wrong with it.
    pub fn check_files(&self, folder: &Path) -> Result<(), String> {
        let placed = self.clone().within(folder);
        let zones = placed.dns.zones.iter().filter_map(|zone| zone.file.as_ref());
        let open = zones.chain(&placed.tls.certificate_file);
        let keys = placed.dns.keys.iter().map(|key| &key.secret_file);
        let dkim = placed.smtp.dkim.iter().map(|key| &key.key_file);
        let secret = keys.chain(dkim).chain(&placed.tls.key_file);
        let all = open.map(|file| (file, files::read_text(file, FILE_OCTETS_MAX)));
        for (file, text) in all.chain(secret.map(|file| (file, files::read_secret(file, FILE_OCTETS_MAX)))) {
            match text {
                Ok(Some(_)) => {}
                Ok(None) => return Err(format!("{}: there is no such file", file.display())),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn bounds_and_addresses_that_cannot_serve_are_named() {
        assert!(fails("[smtp]\nrecipients_max = 1\n").starts_with("utopia.toml:4: recipients_max is 1"));
        assert!(fails("[queue]\nsessions_max = 0\n").starts_with("utopia.toml:4: sessions_max is 0"));
        let message = fails("[smtp]\nlisten = [\"127.0.0.1:25\"]\n[http]\nlisten = [\"127.0.0.1:25\"]\n");
        assert!(message.contains("127.0.0.1:25 is named twice, by smtp and http"), "{message}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let text =
            "version = 1\ndomain = \"utopia.test\"\n[[smtp.dkim]]\nselector = \"a\"\nkey_file = \"none\"\n";
        let configuration = Configuration::parse(text, Path::new("utopia.toml")).expect("well formed");
        let told = configuration.check_files(folder.path()).expect_err("no file");
        assert!(told.ends_with("none: there is no such file"), "{told}");
        let file = folder.path().join("none");
        files::write_atomically(&file, b"x", files::PUBLIC).expect("written");
        let told = configuration.check_files(folder.path()).expect_err("others may read it");
        assert!(told.ends_with(&format!("`chmod 600 {}`", file.display())), "{told}");
        files::write_atomically(&file, b"x", files::SECRET).expect("written");
        assert_eq!(configuration.check_files(folder.path()), Ok(()));
    }
}
