//! Commands and reading them (RFC 9051 section 6 and 9).

use super::fetch::{self, Item};
use super::list::{self, List, StatusItem};
use super::scanner::{Fault, Parsed, Scanner};
use super::search::{self, Search};
use super::sequence::SequenceSet;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::ops::Range;

/// Messages taken by one APPEND (RFC 3502).
pub const APPEND_MESSAGES_MAX: usize = 100;
/// Flags taken by one command for one message.
pub const FLAGS_MAX: usize = 100;
/// Octets of a tag.
pub const TAG_OCTETS_MAX: usize = 100;

/// A command and its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    /// What the tagged answer repeats.
    pub tag: String,
    /// The command.
    pub command: Command,
}

/// Octets that are no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The tag; `None` where not even that could be read.
    pub tag: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `CAPABILITY`.
    Capability,
    /// `NOOP`, and `CHECK`, which is the same here.
    Noop,
    /// `LOGOUT`.
    Logout,
    /// `STARTTLS`.
    StartTls,
    /// `LOGIN`.
    Login {
        /// Who.
        user: Vec<u8>,
        /// Proven by.
        password: Vec<u8>,
    },
    /// `AUTHENTICATE`.
    Authenticate {
        /// In upper case.
        mechanism: String,
        /// The initial response (RFC 4959), decoded.
        initial: Option<Vec<u8>>,
    },
    /// `ENABLE`: in upper case.
    Enable(Vec<String>),
    /// `ID` (RFC 2971).
    Id,
    /// `NAMESPACE` (RFC 2342).
    Namespace,
    /// `SELECT` or `EXAMINE`.
    Select {
        /// Which.
        mailbox: String,
        /// Whether it is EXAMINE.
        read_only: bool,
        /// Whether mod-sequences are wanted (RFC 7162).
        condstore: bool,
        /// What the client knows (RFC 7162 section 3.2.5).
        qresync: Option<Qresync>,
    },
    /// `CREATE`.
    Create {
        /// Which.
        mailbox: String,
        /// For what (RFC 6154), e.g. `\Sent`.
        special_use: Option<String>,
    },
    /// `DELETE`.
    Delete(String),
    /// `RENAME`.
    Rename {
        /// The name it has.
        from: String,
        /// The name it gets.
        to: String,
    },
    /// `SUBSCRIBE`.
    Subscribe(String),
    /// `UNSUBSCRIBE`.
    Unsubscribe(String),
    /// `LIST` or `LSUB`.
    List(List),
    /// `STATUS`.
    Status {
        /// Which.
        mailbox: String,
        /// What of it.
        items: Vec<StatusItem>,
    },
    /// `APPEND`.
    Append {
        /// Where.
        mailbox: String,
        /// At least one.
        messages: Vec<Append>,
    },
    /// `IDLE` (RFC 2177).
    Idle,
    /// `CLOSE`.
    Close,
    /// `UNSELECT`.
    Unselect,
    /// `EXPUNGE`, or with UIDs `UID EXPUNGE`.
    Expunge(Option<SequenceSet>),
    /// `SEARCH`.
    Search(Search),
    /// `FETCH`.
    Fetch {
        /// Which messages.
        which: Which,
        /// What of them.
        items: Vec<Item>,
        /// Only those changed since this mod-sequence.
        changed_since: Option<u64>,
        /// Also tell what was expunged since (RFC 7162 section 3.2.6).
        vanished: bool,
    },
    /// `STORE`.
    Store {
        /// Which messages.
        which: Which,
        /// Only those not changed since this mod-sequence.
        unchanged_since: Option<u64>,
        /// What is done with the flags.
        change: FlagChange,
        /// The flags.
        flags: Vec<String>,
        /// Whether the client knows the outcome already.
        silent: bool,
    },
    /// `COPY`, or `MOVE` (RFC 6851).
    Copy {
        /// Which messages.
        which: Which,
        /// Where to.
        mailbox: String,
        /// Whether it is MOVE.
        moves: bool,
    },
}

/// Messages by number or by UID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Which {
    /// Whether `set` names UIDs.
    pub uid: bool,
    /// Which.
    pub set: SequenceSet,
}

/// What STORE does with the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagChange {
    /// Sets exactly these.
    Replace,
    /// Adds these.
    Add,
    /// Takes these away.
    Remove,
}

/// One message of APPEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Its flags.
    pub flags: Vec<String>,
    /// Its internal date in seconds since 1970; `None` is now.
    pub internal_date: Option<i64>,
    /// Where in the command its octets stand, so that they need not be copied.
    pub octets: Range<usize>,
}

/// What a client of QRESYNC knows of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qresync {
    /// The UIDVALIDITY it knows.
    pub uid_validity: u32,
    /// The mod-sequence it knows.
    pub mod_seq: u64,
    /// The UIDs it knows; `None` is all.
    pub known_uids: Option<SequenceSet>,
}

impl Command {
    /// Its name, for logs: never an argument.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Capability => "CAPABILITY",
            Command::Noop => "NOOP",
            Command::Logout => "LOGOUT",
            Command::StartTls => "STARTTLS",
            Command::Login { .. } => "LOGIN",
            Command::Authenticate { .. } => "AUTHENTICATE",
            Command::Enable(_) => "ENABLE",
            Command::Id => "ID",
            Command::Namespace => "NAMESPACE",
            Command::Select { read_only: false, .. } => "SELECT",
            Command::Select { .. } => "EXAMINE",
            Command::Create { .. } => "CREATE",
            Command::Delete(_) => "DELETE",
            Command::Rename { .. } => "RENAME",
            Command::Subscribe(_) => "SUBSCRIBE",
            Command::Unsubscribe(_) => "UNSUBSCRIBE",
            Command::List(list) if list.lsub => "LSUB",
            Command::List(_) => "LIST",
            Command::Status { .. } => "STATUS",
            Command::Append { .. } => "APPEND",
            Command::Idle => "IDLE",
            Command::Close => "CLOSE",
            Command::Unselect => "UNSELECT",
            Command::Expunge(_) => "EXPUNGE",
            Command::Search(_) => "SEARCH",
            Command::Fetch { .. } => "FETCH",
            Command::Store { .. } => "STORE",
            Command::Copy { moves: false, .. } => "COPY",
            Command::Copy { .. } => "MOVE",
        }
    }
}

/// Reads one command: a line without its CRLF, literals in place.
pub fn parse(octets: &[u8]) -> Result<Tagged, Refused> {
    let mut scanner = Scanner::new(octets, false);
    let tag = match scanner.tag() {
        Ok(tag) if tag.len() <= TAG_OCTETS_MAX && tag.is_ascii() => String::from_utf8_lossy(tag).into_owned(),
        _ => return Err(Refused { tag: None, fault: Fault { at: 0, expected: "a tag" } }),
    };
    match command(&mut scanner) {
        Ok(command) => Ok(Tagged { tag, command }),
        Err(fault) => Err(Refused { tag: Some(tag), fault }),
    }
}

fn command(scanner: &mut Scanner<'_>) -> Parsed<Command> {
    scanner.space()?;
    let fault = scanner.fault("a command");
    let name = scanner.keyword()?;
    let simple = match name.as_str() {
        "CAPABILITY" => Some(Command::Capability),
        "NOOP" | "CHECK" => Some(Command::Noop),
        "LOGOUT" => Some(Command::Logout),
        "STARTTLS" => Some(Command::StartTls),
        "NAMESPACE" => Some(Command::Namespace),
        "IDLE" => Some(Command::Idle),
        "CLOSE" => Some(Command::Close),
        "UNSELECT" => Some(Command::Unselect),
        "EXPUNGE" => Some(Command::Expunge(None)),
        _ => None,
    };
    let command = match simple {
        Some(command) => command,
        None => with_arguments(scanner, &name, fault)?,
    };
    scanner.end()?;
    Ok(command)
}

fn with_arguments(scanner: &mut Scanner<'_>, name: &str, fault: Fault) -> Parsed<Command> {
    const NAMES: [&str; 21] = [
        "LOGIN",
        "AUTHENTICATE",
        "ENABLE",
        "ID",
        "SELECT",
        "EXAMINE",
        "CREATE",
        "DELETE",
        "RENAME",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "LIST",
        "LSUB",
        "STATUS",
        "APPEND",
        "UID",
        "SEARCH",
        "FETCH",
        "STORE",
        "COPY",
        "MOVE",
    ];
    if !NAMES.contains(&name) {
        return Err(fault);
    }
    scanner.space()?;
    match name {
        "LOGIN" => {
            let user = scanner.astring()?;
            scanner.space()?;
            Ok(Command::Login { user, password: scanner.astring()? })
        }
        "AUTHENTICATE" => authenticate(scanner),
        "ENABLE" => {
            let mut names = vec![scanner.keyword()?];
            while scanner.eat(b" ") && names.len() < 50 {
                names.push(scanner.keyword()?);
            }
            Ok(Command::Enable(names))
        }
        "ID" => id(scanner),
        "SELECT" => select(scanner, false),
        "EXAMINE" => select(scanner, true),
        "CREATE" => create(scanner),
        "DELETE" => scanner.mailbox().map(Command::Delete),
        "RENAME" => {
            let from = scanner.mailbox()?;
            scanner.space()?;
            Ok(Command::Rename { from, to: scanner.mailbox()? })
        }
        "SUBSCRIBE" => scanner.mailbox().map(Command::Subscribe),
        "UNSUBSCRIBE" => scanner.mailbox().map(Command::Unsubscribe),
        "LIST" => list::list(scanner).map(Command::List),
        "LSUB" => list::lsub(scanner).map(Command::List),
        "STATUS" => {
            let mailbox = scanner.mailbox()?;
            scanner.space()?;
            Ok(Command::Status { mailbox, items: list::status_items(scanner)? })
        }
        "APPEND" => append(scanner),
        "UID" => {
            let fault = scanner.fault("FETCH, STORE, SEARCH, COPY, MOVE or EXPUNGE after UID");
            let name = scanner.keyword()?;
            scanner.space()?;
            match name.as_str() {
                "EXPUNGE" => SequenceSet::parse(scanner).map(|set| Command::Expunge(Some(set))),
                name => on_messages(scanner, name, true, fault),
            }
        }
        name => on_messages(scanner, name, false, fault),
    }
}

fn on_messages(scanner: &mut Scanner<'_>, name: &str, uid: bool, fault: Fault) -> Parsed<Command> {
    if name == "SEARCH" {
        return search::search(scanner, uid).map(Command::Search);
    }
    if !["FETCH", "STORE", "COPY", "MOVE"].contains(&name) {
        return Err(fault);
    }
    let which = Which { uid, set: SequenceSet::parse(scanner)? };
    scanner.space()?;
    match name {
        "FETCH" => fetch(scanner, which),
        "STORE" => store(scanner, which),
        moves => Ok(Command::Copy { which, mailbox: scanner.mailbox()?, moves: moves == "MOVE" }),
    }
}

fn authenticate(scanner: &mut Scanner<'_>) -> Parsed<Command> {
    let mechanism = scanner.keyword()?;
    let initial = if scanner.eat(b" ") {
        let fault = scanner.fault("a response in base64");
        if scanner.eat(b"=") {
            Some(Vec::new())
        } else {
            Some(STANDARD.decode(scanner.astring()?).map_err(|_| fault)?)
        }
    } else {
        None
    };
    Ok(Command::Authenticate { mechanism, initial })
}

fn id(scanner: &mut Scanner<'_>) -> Parsed<Command> {
    if scanner.eat(b"NIL") || scanner.eat(b"()") {
        return Ok(Command::Id);
    }
    scanner.list(Scanner::nstring)?;
    Ok(Command::Id)
}

fn select(scanner: &mut Scanner<'_>, read_only: bool) -> Parsed<Command> {
    let mailbox = scanner.mailbox()?;
    let (mut condstore, mut qresync) = (false, None);
    if scanner.eat(b" ") {
        scanner.list(|scanner| {
            let fault = scanner.fault("CONDSTORE or QRESYNC");
            match scanner.keyword()?.as_str() {
                "CONDSTORE" => condstore = true,
                "QRESYNC" => {
                    scanner.space()?;
                    scanner.expect(b"(", "what is known, in parentheses")?;
                    let uid_validity = scanner.nz_number()?;
                    scanner.space()?;
                    let mod_seq = scanner.digits()?;
                    let mut known_uids = None;
                    if scanner.eat(b" ") {
                        if scanner.peek() != Some(b'(') {
                            known_uids = Some(SequenceSet::parse(scanner)?);
                        }
                        if known_uids.is_none() || scanner.eat(b" ") {
                            // Message numbers with their UIDs: they spare octets, nothing else.
                            scanner.expect(b"(", "message numbers and UIDs in parentheses")?;
                            SequenceSet::parse(scanner)?;
                            scanner.space()?;
                            SequenceSet::parse(scanner)?;
                            scanner.expect(b")", "a closing parenthesis")?;
                        }
                    }
                    scanner.expect(b")", "a closing parenthesis")?;
                    qresync = Some(Qresync { uid_validity, mod_seq, known_uids });
                    condstore = true;
                }
                _ => return Err(fault),
            }
            Ok(())
        })?;
    }
    Ok(Command::Select { mailbox, read_only, condstore, qresync })
}

fn create(scanner: &mut Scanner<'_>) -> Parsed<Command> {
    let mut mailbox = scanner.mailbox()?;
    // A trailing delimiter announces children (RFC 9051 section 6.3.4).
    if mailbox.len() > 1 && mailbox.ends_with(super::mailbox_name::DELIMITER) {
        mailbox.pop();
    }
    let mut special_use = None;
    if scanner.eat(b" (USE ") {
        let uses = scanner.list(|scanner| {
            scanner.expect(b"\\", "a special use such as \\Sent")?;
            let fault = scanner.fault("All, Archive, Drafts, Flagged, Junk, Sent or Trash");
            let name = scanner.keyword()?;
            ["\\All", "\\Archive", "\\Drafts", "\\Flagged", "\\Junk", "\\Sent", "\\Trash"]
                .into_iter()
                .find(|known| known[1..].eq_ignore_ascii_case(&name))
                .ok_or(fault)
        })?;
        scanner.expect(b")", "a closing parenthesis")?;
        special_use = uses.first().map(|name| (*name).to_owned());
    }
    Ok(Command::Create { mailbox, special_use })
}

fn append(scanner: &mut Scanner<'_>) -> Parsed<Command> {
    let mailbox = scanner.mailbox()?;
    let mut messages = Vec::new();
    while messages.is_empty() || !scanner.at_end() {
        scanner.space()?;
        if messages.len() == APPEND_MESSAGES_MAX {
            return Err(scanner.fault("fewer messages"));
        }
        let mut flags = Vec::new();
        if scanner.peek() == Some(b'(') {
            flags = bounded_flags(scanner)?;
            scanner.space()?;
        }
        let mut internal_date = None;
        if scanner.peek() == Some(b'"') {
            internal_date = Some(scanner.date_time()?.0);
            scanner.space()?;
        }
        let length = scanner.literal()?.len();
        let octets = scanner.at() - length..scanner.at();
        messages.push(Append { flags, internal_date, octets });
    }
    Ok(Command::Append { mailbox, messages })
}

fn bounded_flags(scanner: &mut Scanner<'_>) -> Parsed<Vec<String>> {
    let fault = scanner.fault("fewer flags");
    let flags = scanner.flag_list()?;
    if flags.len() > FLAGS_MAX { Err(fault) } else { Ok(flags) }
}

fn fetch(scanner: &mut Scanner<'_>, which: Which) -> Parsed<Command> {
    let items = fetch::items(scanner)?;
    let (mut changed_since, mut vanished) = (None, false);
    if scanner.eat(b" ") {
        scanner.list(|scanner| {
            let fault = scanner.fault("CHANGEDSINCE or VANISHED");
            match scanner.keyword()?.as_str() {
                "CHANGEDSINCE" => {
                    scanner.space()?;
                    changed_since = Some(scanner.digits()?);
                }
                "VANISHED" => vanished = true,
                _ => return Err(fault),
            }
            Ok(())
        })?;
    }
    if vanished && (changed_since.is_none() || !which.uid) {
        return Err(scanner.fault("UID FETCH and CHANGEDSINCE beside VANISHED"));
    }
    Ok(Command::Fetch { which, items, changed_since, vanished })
}

fn store(scanner: &mut Scanner<'_>, which: Which) -> Parsed<Command> {
    let mut unchanged_since = None;
    if scanner.eat(b"(UNCHANGEDSINCE ") {
        unchanged_since = Some(scanner.digits()?);
        scanner.expect(b") ", "a closing parenthesis")?;
    }
    let change = if scanner.eat(b"+") {
        FlagChange::Add
    } else if scanner.eat(b"-") {
        FlagChange::Remove
    } else {
        FlagChange::Replace
    };
    scanner.expect(b"FLAGS", "FLAGS")?;
    let silent = scanner.eat(b".SILENT");
    scanner.space()?;
    let flags = if scanner.peek() == Some(b'(') {
        bounded_flags(scanner)?
    } else {
        let mut flags = vec![scanner.flag()?];
        while scanner.eat(b" ") && flags.len() < FLAGS_MAX {
            flags.push(scanner.flag()?);
        }
        flags
    };
    Ok(Command::Store { which, unchanged_since, change, flags, silent })
}

#[cfg(test)]
mod tests;
