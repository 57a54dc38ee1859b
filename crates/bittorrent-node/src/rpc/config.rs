//! The `[rpc]` section of the configuration.

use crate::publish::Encryption;
use crate::rules::Rules;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use storage::StorageError;

/// Names that the service may be reached by.
const HOSTS_MAX: usize = 100;

/// Remote control of torrents by Transmission's RPC, for `transmission-remote` and
/// web interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where to listen, e.g. `["127.0.0.1:9091"]`: loopback addresses only, because
    /// it speaks HTTP in the clear. For others put a proxy with TLS in front. With
    /// port 0 the system chooses one.
    pub listen: Vec<SocketAddr>,
    /// Where peers of the torrents that are added connect to, over TCP and uTP. With
    /// port 0 the system chooses one. A change takes the next start.
    pub peers_listen: Vec<SocketAddr>,
    /// Where the files of torrents that are added lie, unless it is said otherwise;
    /// a relative one is taken from the data folder. A change takes the next start.
    pub folder: PathBuf,
    /// Names that clients may ask for beside `localhost` and addresses, e.g. that
    /// of the proxy. Others are turned away, so that no web page of a stranger can
    /// reach it through a name of its own (DNS rebinding).
    pub hosts: Vec<String>,
    /// The name that goes with the password.
    pub username: String,
    /// A file with the password, for its owner only. A domain needs one: who may ask
    /// may have files written wherever the program may.
    pub password_file: Option<PathBuf>,
    /// A folder with a web interface for Transmission, served at
    /// `/transmission/web/`.
    pub web_folder: Option<PathBuf>,
    /// What is encrypted between peers of the torrents that are added. A change takes the
    /// next start.
    pub encryption: Encryption,
    /// Groups in which peers in the local network find each other (BEP 14), usually
    /// `["239.192.152.143:6771", "[ff15::efc0:988f]:6771"]`. Empty: they are not told. A
    /// change takes the next start.
    pub lsd_groups: Vec<SocketAddr>,
    /// Where the router is looked for that is asked to hand connections on to us
    /// (UPnP), usually `"239.255.255.250:1900"`. Unset: none is asked. A change takes the
    /// next start.
    pub gateway: Option<SocketAddr>,
    /// Whom the torrents that are added serve. A change takes the next start.
    pub rules: Rules,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            peers_listen: Vec::new(),
            folder: PathBuf::from("downloads"),
            hosts: Vec::new(),
            username: String::new(),
            password_file: None,
            web_folder: None,
            encryption: Encryption::default(),
            lsd_groups: Vec::new(),
            gateway: None,
            rules: Rules::default(),
        }
    }
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An address that others can reach.
    #[error(
        "rpc.listen: {address} can be reached by others, and passwords would cross the network in the \
         clear; listen on a loopback address, and put a proxy with TLS in front"
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// Anybody on the machine could ask.
    #[error(
        "rpc.password_file: without a password anybody on this machine could have files written as this \
         program; write one into a file for its owner only, and name it here"
    )]
    Open,
    /// A rule that nobody can keep.
    #[error("rpc.rules.{key}: {reason}")]
    Rules {
        /// The key below `rules`.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An address to which nobody listens together.
    #[error("rpc.lsd_groups: {0} is no group; write 239.192.152.143:6771")]
    Group(SocketAddr),
    /// Too many names.
    #[error("rpc.hosts: {count} names are more than {HOSTS_MAX}")]
    Hosts {
        /// How many.
        count: usize,
    },
    /// The password cannot be read.
    #[error("rpc.password_file: {0}")]
    Password(#[from] StorageError),
    /// There is no password.
    #[error("rpc.password_file: {}: there is no such file, or nothing in it", .0.display())]
    NoPassword(PathBuf),
}

impl ConfigError {
    /// The key of the section that is to blame.
    pub fn key(&self) -> &'static str {
        match self {
            Self::NotLoopback { .. } => "listen",
            Self::Hosts { .. } => "hosts",
            Self::Rules { .. } => "rules",
            Self::Group(_) => "lsd_groups",
            Self::Open | Self::Password(_) | Self::NoPassword(_) => "password_file",
        }
    }
}

/// The configuration in the form in which requests are answered by it.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) hosts: Vec<String>,
    /// `name:password` as clients send it (RFC 7617).
    pub(super) credentials: Option<Vec<u8>>,
    pub(super) web_folder: Option<PathBuf>,
}

impl Config {
    /// Whether it can be used, apart from its password file.
    ///
    /// # Errors
    /// What a start would fail with.
    pub fn check(&self) -> Result<(), ConfigError> {
        if let Some(address) = self.listen.iter().find(|address| !address.ip().is_loopback()) {
            return Err(ConfigError::NotLoopback { address: *address });
        }
        if self.hosts.len() > HOSTS_MAX {
            return Err(ConfigError::Hosts { count: self.hosts.len() });
        }
        if let Some(address) = self.lsd_groups.iter().find(|group| !group.ip().is_multicast()) {
            return Err(ConfigError::Group(*address));
        }
        self.rules.check().map_err(|(key, reason)| ConfigError::Rules { key, reason })?;
        Ok(())
    }

    /// Whether a host can use it, whose users are not those of the machine.
    ///
    /// # Errors
    /// As [`Self::check`], and where it listens without a password.
    pub fn check_for_host(&self) -> Result<(), ConfigError> {
        self.check()?;
        if self.listen.is_empty() || self.password_file.is_some() { Ok(()) } else { Err(ConfigError::Open) }
    }

    /// Reads what it names. Blocks for a small file.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        self.check()?;
        let credentials = match &self.password_file {
            None => None,
            Some(file) => {
                let password = storage::files::read_secret(file, 4_096)?;
                let password = password.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
                let password = password.filter(|password| !password.is_empty());
                let password = password.ok_or_else(|| ConfigError::NoPassword(file.clone()))?;
                Some(format!("{}:{password}", self.username).into_bytes())
            }
        };
        let hosts = self.hosts.iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect();
        Ok(Settings { hosts, credentials, web_folder: self.web_folder.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_unsafe_is_refused() {
        let config =
            |listen: &str| Config { listen: vec![listen.parse().expect("an address")], ..Config::default() };
        for refused in ["0.0.0.0:9091", "[::]:9091", "192.0.2.1:9091"] {
            let error = config(refused).check().expect_err("others can reach it");
            assert_eq!(error.key(), "listen");
        }
        for taken in ["127.0.0.1:9091", "127.9.9.9:0", "[::1]:9091"] {
            config(taken).check().expect("loopback");
        }
        let open = config("127.0.0.1:9091");
        assert_eq!(open.check_for_host().expect_err("anybody could ask").key(), "password_file");
        let guarded = Config { password_file: Some("password".into()), ..open };
        guarded.check_for_host().expect("there is a password");
        Config::default().check_for_host().expect("it does not listen");
        let many = Config { hosts: vec![String::new(); HOSTS_MAX + 1], ..Config::default() };
        assert_eq!(many.check().expect_err("too many").key(), "hosts");
        let alone = Config { lsd_groups: vec![([192, 0, 2, 1], 6_771).into()], ..Config::default() };
        assert_eq!(alone.check().expect_err("nobody hears it").key(), "lsd_groups");
        let rules = Rules { snub_seconds: 0, ..Rules::default() };
        let hasty = Config { rules, ..Config::default() }.check().expect_err("nobody can keep it");
        assert_eq!(hasty.to_string(), "rpc.rules.snub_seconds: 0 is not between 1 and 3600");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("password");
        let config =
            Config { username: "alice".to_owned(), password_file: Some(file.clone()), ..Config::default() };
        assert!(matches!(config.settings(), Err(ConfigError::NoPassword(_))));
        storage::files::write_atomically(&file, b"secret\n", storage::files::SECRET).expect("written");
        let settings = config.settings().expect("a password");
        assert_eq!(settings.credentials.as_deref(), Some(&b"alice:secret"[..]));
        storage::files::write_atomically(&file, b"secret\n", 0o644).expect("written");
        assert!(matches!(config.settings(), Err(ConfigError::Password(_))), "others can read it");
    }
}
