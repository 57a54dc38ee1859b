//! One connection: which commands may be given when (RFC 9051 section 3), and
//! what was agreed with the client.

use super::command::Command;
use super::view::{Telling, View};

/// A connection's state and agreements. `A` is what the service knows an
/// account by, `M` a mailbox.
#[derive(Debug)]
pub struct Session<A, M> {
    state: State<A, M>,
    /// Under TLS.
    tls: bool,
    /// Whether the connection can be put under TLS.
    starttls: bool,
    /// Mod-sequences are told (RFC 7162 section 3.1).
    condstore: bool,
    /// VANISHED is told (RFC 7162 section 3.2).
    qresync: bool,
}

#[derive(Debug)]
enum State<A, M> {
    NotAuthenticated,
    Authenticated(A),
    Selected(A, Box<Selected<M>>),
    Logout,
}

/// The selected mailbox.
#[derive(Debug)]
pub struct Selected<M> {
    /// Which.
    pub id: M,
    /// Its name.
    pub name: String,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// Its messages.
    pub view: View,
}

/// Why a command may not be given now: status, response code, text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// `NO` or `BAD`.
    pub status: &'static str,
    /// A response code.
    pub code: Option<&'static str>,
    /// In words.
    pub text: &'static str,
}

impl Denied {
    fn bad(text: &'static str) -> Self {
        Self { status: "BAD", code: None, text }
    }
}

impl<A: Copy, M> Session<A, M> {
    /// A connection just accepted. `starttls` says that it can be put under TLS.
    pub fn new(tls: bool, starttls: bool) -> Self {
        Self { state: State::NotAuthenticated, tls, starttls, condstore: false, qresync: false }
    }

    /// What CAPABILITY tells now.
    pub fn capabilities(&self) -> String {
        let mut names = "IMAP4rev1 LITERAL+ SASL-IR ENABLE ID IDLE".to_owned();
        match self.state {
            State::NotAuthenticated | State::Logout if self.tls => {
                names.push_str(" AUTH=SCRAM-SHA-256 AUTH=PLAIN");
            }
            State::NotAuthenticated | State::Logout => {
                names.push_str(if self.starttls { " STARTTLS LOGINDISABLED" } else { " LOGINDISABLED" });
            }
            State::Authenticated(_) | State::Selected(..) => names.push_str(
                " NAMESPACE CHILDREN UNSELECT UIDPLUS MOVE MULTIAPPEND ESEARCH LIST-EXTENDED LIST-STATUS \
                 SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE CONDSTORE QRESYNC OBJECTID",
            ),
        }
        names
    }

    /// Whether `command` may be given now.
    pub fn check(&self, command: &Command) -> Result<(), Denied> {
        let not_yet = Denied::bad("log in first");
        match (command, &self.state) {
            (Command::Capability | Command::Noop | Command::Logout | Command::Id, _) => Ok(()),
            (_, State::Logout) => Err(Denied::bad("the session is over")),
            (Command::StartTls, _) if self.tls => Err(Denied::bad("the connection is under TLS already")),
            (Command::StartTls, State::NotAuthenticated) if self.starttls => Ok(()),
            (Command::StartTls, _) => Err(Denied::bad("STARTTLS is not offered")),
            (Command::Login { .. } | Command::Authenticate { .. }, State::NotAuthenticated) => {
                if self.tls {
                    Ok(())
                } else {
                    Err(Denied {
                        status: "NO",
                        code: Some("PRIVACYREQUIRED"),
                        text: "give STARTTLS first: no password is taken in the clear",
                    })
                }
            }
            (Command::Login { .. } | Command::Authenticate { .. }, _) => {
                Err(Denied::bad("you are logged in already"))
            }
            (_, State::NotAuthenticated) => Err(not_yet),
            (
                Command::Close
                | Command::Unselect
                | Command::Expunge(_)
                | Command::Search(_)
                | Command::Fetch { .. }
                | Command::Store { .. }
                | Command::Copy { .. },
                State::Authenticated(_),
            ) => Err(Denied::bad("select a mailbox first")),
            (Command::Fetch { vanished: true, .. }, _) if !self.qresync => {
                Err(Denied::bad("VANISHED needs ENABLE QRESYNC first"))
            }
            (Command::Select { qresync: Some(_), .. }, _) if !self.qresync => {
                Err(Denied::bad("QRESYNC needs ENABLE QRESYNC first"))
            }
            (
                Command::Expunge(_) | Command::Store { .. } | Command::Copy { moves: true, .. },
                State::Selected(_, selected),
            ) if selected.read_only => {
                Err(Denied { status: "NO", code: None, text: "the mailbox is selected read-only" })
            }
            _ => Ok(()),
        }
    }

    /// The connection is under TLS now; what was agreed before is forgotten.
    pub fn secured(&mut self) {
        *self = Self::new(true, false);
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The client has proven to be `account`.
    pub fn authenticated(&mut self, account: A) {
        self.state = State::Authenticated(account);
    }

    /// Whose mailboxes are open.
    pub fn account(&self) -> Option<A> {
        match &self.state {
            State::Authenticated(account) | State::Selected(account, _) => Some(*account),
            State::NotAuthenticated | State::Logout => None,
        }
    }

    /// A mailbox is selected.
    pub fn select(&mut self, selected: Selected<M>) {
        if let Some(account) = self.account() {
            self.state = State::Selected(account, Box::new(selected));
        }
    }

    /// No mailbox is selected any more; gives the one that was.
    pub fn unselect(&mut self) -> Option<Selected<M>> {
        let account = self.account()?;
        match std::mem::replace(&mut self.state, State::Authenticated(account)) {
            State::Selected(_, selected) => Some(*selected),
            _ => None,
        }
    }

    /// The selected mailbox.
    pub fn selected(&self) -> Option<&Selected<M>> {
        match &self.state {
            State::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    /// The selected mailbox, to be changed.
    pub fn selected_mut(&mut self) -> Option<&mut Selected<M>> {
        match &mut self.state {
            State::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    /// The client leaves.
    pub fn logout(&mut self) {
        self.state = State::Logout;
    }

    /// Enables what is known of `names`; gives those names.
    pub fn enable(&mut self, names: &[String]) -> Vec<&'static str> {
        let mut enabled = Vec::new();
        for name in names {
            match name.as_str() {
                "CONDSTORE" => enabled.push("CONDSTORE"),
                "QRESYNC" => {
                    self.qresync = true;
                    enabled.push("QRESYNC");
                }
                _ => continue,
            }
            self.condstore = true;
        }
        enabled.dedup();
        enabled
    }

    /// The client used something that enables mod-sequences.
    pub fn enable_condstore(&mut self) {
        self.condstore = true;
    }

    /// Whether mod-sequences are told.
    pub fn condstore(&self) -> bool {
        self.condstore
    }

    /// Whether VANISHED is told.
    pub fn qresync(&self) -> bool {
        self.qresync
    }

    /// How changes are told after `command`: no EXPUNGE in answer to FETCH, STORE
    /// and SEARCH by message number (RFC 9051 section 7.5.1).
    pub fn telling(&self, command: Option<&Command>) -> Telling {
        let by_number = match command {
            Some(Command::Fetch { which, .. } | Command::Store { which, .. }) => !which.uid,
            Some(Command::Search(search)) => !search.uid,
            _ => false,
        };
        Telling { expunges: !by_number, mod_seq: self.condstore, vanished: self.qresync }
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::parse;
    use super::*;

    fn check(session: &Session<u32, u32>, line: &str) -> Result<(), Denied> {
        session.check(&parse(format!("a {line}").as_bytes()).unwrap().command)
    }

    #[test]
    fn no_password_is_taken_in_the_clear() {
        let mut session = Session::<u32, u32>::new(false, true);
        assert!(session.capabilities().contains("STARTTLS LOGINDISABLED"));
        assert!(!session.capabilities().contains("AUTH="));
        assert_eq!(check(&session, "LOGIN a b").unwrap_err().code, Some("PRIVACYREQUIRED"));
        assert_eq!(check(&session, "AUTHENTICATE PLAIN").unwrap_err().code, Some("PRIVACYREQUIRED"));
        assert!(check(&session, "STARTTLS").is_ok());
        session.secured();
        assert!(session.capabilities().contains("AUTH=PLAIN"));
        assert!(!session.capabilities().contains("LOGINDISABLED"));
        assert_eq!(check(&session, "STARTTLS").unwrap_err().status, "BAD");
        assert!(check(&session, "LOGIN a b").is_ok());
    }

    #[test]
    fn commands_belong_to_states() {
        let mut session = Session::<u32, u32>::new(true, false);
        for line in ["SELECT INBOX", "LIST \"\" *", "FETCH 1 UID", "IDLE"] {
            assert_eq!(check(&session, line).unwrap_err().status, "BAD", "{line}");
        }
        session.authenticated(7);
        assert!(session.capabilities().contains("UIDPLUS"));
        for line in ["SELECT INBOX", "LIST \"\" *", "IDLE", "ENABLE QRESYNC"] {
            assert!(check(&session, line).is_ok(), "{line}");
        }
        for line in ["FETCH 1 UID", "CLOSE", "EXPUNGE", "LOGIN a b", "SELECT INBOX (QRESYNC (1 1))"] {
            assert_eq!(check(&session, line).unwrap_err().status, "BAD", "{line}");
        }
        session.select(Selected { id: 1, name: "INBOX".into(), read_only: true, view: View::new(vec![], 1) });
        assert!(check(&session, "FETCH 1 UID").is_ok());
        for line in ["STORE 1 FLAGS ()", "EXPUNGE", "MOVE 1 x"] {
            assert_eq!(check(&session, line).unwrap_err().status, "NO", "{line}");
        }
        assert!(check(&session, "COPY 1 x").is_ok());
        assert!(session.unselect().is_some());
        assert_eq!(session.account(), Some(7));
        session.logout();
        assert_eq!(session.account(), None);
        assert_eq!(check(&session, "LOGIN a b").unwrap_err().status, "BAD");
    }

    #[test]
    fn expunges_are_not_told_where_numbers_are_in_use() {
        let mut session = Session::<u32, u32>::new(true, false);
        let telling = |session: &Session<u32, u32>, line: &str| {
            session.telling(Some(&parse(format!("a {line}").as_bytes()).unwrap().command))
        };
        assert!(!telling(&session, "FETCH 1 UID").expunges);
        assert!(!telling(&session, "STORE 1 FLAGS ()").expunges);
        assert!(!telling(&session, "SEARCH ALL").expunges);
        assert!(telling(&session, "UID FETCH 1 UID").expunges);
        assert!(telling(&session, "NOOP").expunges);
        assert_eq!(session.enable(&["QRESYNC".into(), "X".into()]), ["QRESYNC"]);
        assert_eq!(telling(&session, "NOOP"), Telling { expunges: true, mod_seq: true, vanished: true });
    }
}
