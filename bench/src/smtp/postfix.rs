//! Postfix on a configuration and a queue of its own, apart from any that the
//! machine may run.

use super::load::user;
use super::{DOMAIN, Measured, USERS, process};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Who owns the mailboxes: nobody.
const MAIL_UID: u32 = 65534;

/// The services that take mail and put it into mailboxes, and no others.
const SERVICES: &str = "
cleanup   unix  n  -  n  -    0  cleanup
qmgr      unix  n  -  n  300  1  qmgr
rewrite   unix  -  -  n  -    -  trivial-rewrite
bounce    unix  -  -  n  -    0  bounce
defer     unix  -  -  n  -    0  bounce
trace     unix  -  -  n  -    0  bounce
proxymap  unix  -  -  n  -    -  proxymap
error     unix  -  -  n  -    -  error
retry     unix  -  -  n  -    -  error
virtual   unix  -  n  n  -    -  virtual
anvil     unix  -  -  n  -    1  anvil
";

/// Keeps Postfix running until its standard input ends: with us, however we end.
const KEEPER: &str = "
/usr/sbin/postfix -c \"$CONFIGURATION\" start-fg &
cat
/usr/sbin/postfix -c \"$CONFIGURATION\" stop
wait";

/// The server under test, which ends when this is dropped.
pub(super) struct Postfix {
    child: Child,
    address: SocketAddr,
    mailboxes: PathBuf,
}

impl Postfix {
    /// `None`, with the reason on standard error, where Postfix cannot be run.
    pub(super) fn start(folder: &Path) -> io::Result<Option<Self>> {
        if !Path::new("/usr/sbin/postfix").is_file() {
            eprintln!("Postfix is not installed (Debian package postfix): without it there is no ratio");
            return Ok(None);
        }
        if fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own))? != 0 {
            eprintln!("Postfix can be started by root only: without it there is no ratio");
            return Ok(None);
        }
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (configuration, mailboxes) = configure(folder, address.port())?;
        let child = Command::new("sh")
            .args(["-c", KEEPER])
            // Of its own, so that a signal to our group does not end it first.
            .process_group(0)
            .env("CONFIGURATION", &configuration)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let postfix = Self { child, address, mailboxes };
        postfix.wait()?;
        Ok(Some(postfix))
    }

    /// Waits until it greets.
    fn wait(&self) -> io::Result<()> {
        for _ in 0..100 {
            if let Ok(mut stream) = TcpStream::connect(self.address) {
                stream.set_read_timeout(Some(Duration::from_secs(10)))?;
                let mut greeting = [0; 3];
                if stream.read_exact(&mut greeting).is_ok() && &greeting == b"220" {
                    return Ok(());
                }
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(io::Error::other("Postfix does not answer; `postfix -c … check` may say why"))
    }
}

impl Measured for Postfix {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn delivered(&self) -> io::Result<usize> {
        let mut messages = 0;
        for number in 0..USERS {
            match fs::read_dir(self.mailboxes.join(format!("{number}/new"))) {
                Ok(entries) => messages += entries.count(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(messages)
    }

    fn cpu_seconds(&self) -> io::Result<f64> {
        // A process that ends while we look is counted with its parent's next time.
        Ok(process::family(self.child.id()).into_iter().filter_map(|id| process::cpu_seconds(id).ok()).sum())
    }

    fn includes_load(&self) -> bool {
        false
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Writes the configuration; returns its folder and the mailboxes'.
fn configure(folder: &Path, port: u16) -> io::Result<(PathBuf, PathBuf)> {
    let part = |name: &str| folder.join(name);
    for name in ["etc", "queue", "data", "mail"] {
        fs::create_dir_all(part(name))?;
    }
    // Postfix's own users must come through.
    for above in [folder.parent(), Some(folder)].into_iter().flatten() {
        fs::set_permissions(above, fs::Permissions::from_mode(0o755))?;
    }
    chown(part("mail"), Some(MAIL_UID), Some(MAIL_UID))?;
    let owner = fs::metadata("/var/lib/postfix").map(|data| std::os::unix::fs::MetadataExt::uid(&data))?;
    chown(part("data"), Some(owner), None)?;
    let mut users = String::new();
    for number in 0..USERS {
        // Writing to a string cannot fail. The final / asks for a Maildir.
        let _ = writeln!(users, "{} {number}/", user(number));
    }
    fs::write(part("etc/users"), users)?;
    let main = format!(
        "compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.{DOMAIN}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_base = {mail}
virtual_mailbox_maps = texthash:{users}
virtual_uid_maps = static:{MAIL_UID}
virtual_gid_maps = static:{MAIL_UID}
virtual_mailbox_limit = 0
smtpd_relay_restrictions = reject_unauth_destination
smtpd_peername_lookup = no
smtpd_tls_security_level = none
disable_dns_lookups = yes
in_flow_delay = 0
",
        queue = part("queue").display(),
        data = part("data").display(),
        mail = part("mail").display(),
        users = part("etc/users").display(),
    );
    fs::write(part("etc/main.cf"), main)?;
    fs::write(part("etc/master.cf"), format!("127.0.0.1:{port} inet n - n - - smtpd{SERVICES}"))?;
    Ok((part("etc"), part("mail")))
}
