//! What all commands say the same way.

use net::Shutdown;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{LazyLock, OnceLock};

/// Used wrongly.
pub(crate) const USAGE: u8 = 2;

/// Requested once standard output cannot be written any more, usually because
/// who read it (`| head`) has enough. What would end by itself soon need not
/// look; what would go on waits for it.
pub(crate) static UNREAD: LazyLock<Shutdown> = LazyLock::new(Shutdown::new);

/// Why standard output could not be written.
static WHY_UNREAD: OnceLock<io::Error> = OnceLock::new();

/// Prints octets, which is what the command was asked for.
pub(crate) fn octets(octets: &[u8]) {
    if UNREAD.is_requested() {
        return;
    }
    if let Err(error) = write(octets) {
        let _ = WHY_UNREAD.set(error);
        UNREAD.request();
    }
}

/// Prints a text as it is.
pub(crate) fn text(text: &str) {
    octets(text.as_bytes());
}

/// Prints a line.
pub(crate) fn line(line: impl Display) {
    octets(format!("{line}\n").as_bytes());
}

/// Prints what a program says that goes on working, whether it is read or not.
pub(crate) fn announce(text: &str) {
    let _ = write(text.as_bytes());
}

/// Says something on a line of standard error, if that is read.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn write(octets: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(octets)?;
    out.flush()
}

/// The exit status of a command that ended with `code`: 0 where whoever read
/// its output has gone, 1 where it could not be written for another reason.
pub(crate) fn verdict(code: ExitCode) -> ExitCode {
    match WHY_UNREAD.get() {
        None => code,
        Some(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Some(error) => failed(&format!("standard output cannot be written: {error}")),
    }
}

/// Says why a command failed, on one line; exit status 1.
pub(crate) fn failed(reason: &str) -> ExitCode {
    complain(format_args!("utopia: {reason}"));
    ExitCode::FAILURE
}

/// Says how a command was used wrongly, on one line; exit status 2.
pub(crate) fn misused(reason: &str) -> ExitCode {
    complain(format_args!("utopia: {reason}"));
    ExitCode::from(USAGE)
}

/// Octets of the largest file that a command is given, e.g. with certificates.
const FILE_OCTETS_MAX: u64 = 16 << 20;

/// The text of a file that the command line names; an error is for the person,
/// with what to do where there is none.
pub(crate) fn file(file: &Path, remedy: &str) -> Result<String, String> {
    match storage::files::read_text(file, FILE_OCTETS_MAX) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(format!("{}: there is no such file; {remedy}", file.display())),
        Err(error) => Err(error.to_string()),
    }
}

/// A server on the command line.
pub(crate) fn server(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "write an address with its port, like 192.0.2.1:53 or [2001:db8::1]:53".to_owned())
}

/// The option every command has that works on a data folder.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Data {
    /// The data folder
    #[arg(long, value_name = "DIR", default_value = "utopia-data", env = "UTOPIA_DATA")]
    data: PathBuf,
}

impl Data {
    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.data
    }
}
