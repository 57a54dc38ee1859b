//! One client from greeting to farewell: reads commands, hands each to its
//! concern, answers it.

use super::connection::{Connection, End, Incoming, shortened};
use super::error::Failure;
use super::{IdleEnd, Service};
use crate::mailbox::{AccountId, MailboxError, MailboxId};
use bytes::Bytes;
use mail::imap::command::{Command, Refused, Tagged, parse};
use mail::imap::response::Response;
use mail::imap::session::Session;
use mail::imap::view::{Changed, Telling};
use net::Stream;
use std::sync::Arc;
use tokio::sync::watch;

/// The tagged answer of a command that was carried out.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// A response code.
    pub(super) code: Option<String>,
    /// In words; empty means that the command is completed.
    pub(super) text: &'static str,
}

impl Done {
    pub(super) fn with_code(code: String) -> Self {
        Self { code: Some(code), text: "" }
    }
}

/// One client.
pub(super) struct Client {
    pub(super) service: Arc<Service>,
    pub(super) connection: Connection,
    pub(super) session: Session<AccountId, MailboxId>,
    /// Changes with the selected mailbox.
    pub(super) watch: Option<watch::Receiver<u64>>,
    pub(super) login_failures: u32,
}

/// Serves one connection until it ends.
pub(super) async fn serve(service: Arc<Service>, stream: Stream, implicit_tls: bool) {
    let limits = service.config.limits(false);
    let mut connection = Connection::new(
        stream,
        limits,
        service.room.clone(),
        std::time::Duration::from_secs(service.config.write_seconds_max),
        service.reporter.clone(),
    );
    if implicit_tls && connection.secure(service.tls.clone(), limits).await.is_err() {
        return;
    }
    let session = Session::new(implicit_tls, !implicit_tls);
    let mut client = Client { service, connection, session, watch: None, login_failures: 0 };
    let last = match client.run().await {
        Ok(()) | Err(Failure::End(End::Gone)) => None,
        // Not in answer to a command: what the client is to be told cannot be read.
        Err(Failure::Answer(..)) => Some("the mailbox cannot be read; try again later"),
        Err(Failure::End(End::Silence)) => Some("you said nothing for too long"),
        Err(Failure::End(End::TooLong)) => {
            client.connection.tell_refused("a command longer than line_octets_max");
            Some("the command is too long")
        }
        Err(Failure::Bye(text)) => Some(text),
    };
    client.connection.close(last).await;
}

impl Client {
    /// Ends with `Ok` after LOGOUT.
    async fn run(&mut self) -> Result<(), Failure> {
        let mut greeting = Response::default();
        let capabilities = format!("CAPABILITY {}", self.session.capabilities());
        greeting.untagged("OK", Some(&capabilities), "ready");
        self.connection.write(greeting).await?;
        self.connection.flush().await?;
        let opened = tokio::time::Instant::now();
        loop {
            let logged_in = self.session.account().is_some();
            let mut patience = self.service.config.patience(logged_in);
            if !logged_in {
                // The time until the login does not begin anew with each command.
                patience = patience.saturating_sub(opened.elapsed());
            }
            let shutdown = self.service.shutdown.clone();
            let incoming = tokio::select! {
                incoming = self.connection.incoming(patience) => incoming?,
                () = shutdown.requested() => return Err(Failure::Bye("the server is stopping")),
            };
            let ended = match incoming {
                Incoming::Command(octets) => self.one(&octets.into()).await?,
                Incoming::TooLarge(line) => {
                    self.refuse(&line, "TOOBIG", "the literal is too large").await?;
                    false
                }
                Incoming::NoRoom(line) => {
                    self.refuse(&line, "INUSE", "too many large messages at the same time; try again later")
                        .await?;
                    false
                }
            };
            self.connection.flush().await?;
            if ended {
                return Ok(());
            }
        }
    }

    /// Answers a command whose literal was not taken.
    async fn refuse(&mut self, line: &[u8], code: &str, text: &str) -> Result<(), Failure> {
        self.connection.tell_refused(text);
        let tag = parse(line).map_or_else(|refused| refused.tag, |tagged| Some(tagged.tag));
        let mut response = Response::default();
        response.tagged(tag.as_deref().unwrap_or("*"), "NO", Some(code), text);
        Ok(self.connection.write(response).await?)
    }

    /// Carries out one command; true after LOGOUT.
    async fn one(&mut self, octets: &Bytes) -> Result<bool, Failure> {
        let Tagged { tag, command } = match parse(octets) {
            Ok(tagged) => tagged,
            Err(Refused { tag, fault }) => {
                // Not the line itself: it may be a mistyped LOGIN.
                self.connection
                    .tell_command(|| format!("{} (not understood)", tag.as_deref().unwrap_or("*")));
                let mut response = Response::default();
                response.tagged(tag.as_deref().unwrap_or("*"), "BAD", None, &fault.to_string());
                self.connection.write(response).await?;
                return Ok(false);
            }
        };
        self.connection.tell_command(|| match command {
            Command::Login { .. } | Command::Authenticate { .. } => format!("{tag} {} …", command.name()),
            _ => shortened(octets.split(|octet| *octet == b'\n').next().unwrap_or_default()),
        });
        let telling = self.session.telling(Some(&command));
        let name = command.name();
        let outcome = match self.session.check(&command) {
            Ok(()) => match command {
                Command::Logout => {
                    let mut response = Response::default();
                    response.untagged("BYE", None, "until next time");
                    response.tagged(&tag, "OK", None, "LOGOUT completed");
                    self.session.logout();
                    self.connection.write(response).await?;
                    return Ok(true);
                }
                Command::StartTls => {
                    let mut response = Response::default();
                    response.tagged(&tag, "OK", None, "begin TLS now");
                    self.connection.write(response).await?;
                    self.connection.flush().await?;
                    let limits = self.service.config.limits(false);
                    self.connection.secure(self.service.tls.clone(), limits).await?;
                    self.session.secured();
                    return Ok(false);
                }
                command => self.carry_out(command, &tag, octets).await,
            },
            Err(denied) => Err(Failure::Answer(denied.status, denied.code, denied.text.to_owned())),
        };
        // What others did meanwhile is told before the tagged answer.
        self.synchronise(telling).await?;
        let mut response = Response::default();
        match outcome {
            Ok(done) => {
                let completed = format!("{name} completed");
                let text = if done.text.is_empty() { &completed } else { done.text };
                response.tagged(&tag, "OK", done.code.as_deref(), text);
            }
            Err(Failure::Answer(status, code, text)) => response.tagged(&tag, status, code, &text),
            Err(other) => return Err(other),
        }
        self.connection.write(response).await?;
        if self.login_failures >= self.service.config.login_failures_max.max(1) {
            return Err(Failure::Bye("too many logins failed"));
        }
        Ok(false)
    }

    async fn carry_out(&mut self, command: Command, tag: &str, octets: &Bytes) -> Result<Done, Failure> {
        match command {
            Command::Capability => {
                self.say(&format!("* CAPABILITY {}\r\n", self.session.capabilities())).await?;
                Ok(Done::default())
            }
            // LOGOUT and STARTTLS were answered before.
            Command::Noop | Command::Logout | Command::StartTls => Ok(Done::default()),
            Command::Id => {
                self.say(concat!(
                    "* ID (\"name\" \"Utopia\" \"version\" \"",
                    env!("CARGO_PKG_VERSION"),
                    "\")\r\n"
                ))
                .await?;
                Ok(Done::default())
            }
            Command::Login { user, password } => self.login(&user, &password).await,
            Command::Authenticate { mechanism, initial } => self.authenticate(&mechanism, initial).await,
            Command::Enable(names) => self.enable(&names).await,
            Command::Namespace => {
                self.say("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n").await?;
                Ok(Done::default())
            }
            Command::Select { mailbox, read_only, condstore, qresync } => {
                self.select(mailbox, read_only, condstore, qresync).await
            }
            Command::Create { mailbox, special_use } => self.create(&mailbox, special_use.as_deref()).await,
            Command::Delete(mailbox) => self.delete(&mailbox).await,
            Command::Rename { from, to } => self.rename(&from, &to).await,
            Command::Subscribe(mailbox) => self.subscribe(&mailbox, true).await,
            Command::Unsubscribe(mailbox) => self.subscribe(&mailbox, false).await,
            Command::List(list) => self.list(&list).await,
            Command::Status { mailbox, items } => self.status(&mailbox, &items).await,
            Command::Append { mailbox, messages } => self.append(&mailbox, messages, octets).await,
            Command::Idle => self.idle().await,
            Command::Close => self.close().await,
            Command::Unselect => {
                self.leave();
                Ok(Done::default())
            }
            Command::Expunge(uids) => self.expunge(uids.as_ref()).await,
            Command::Search(search) => self.search(&search, tag).await,
            Command::Fetch { which, items, changed_since, vanished } => {
                self.fetch(&which, items, changed_since, vanished).await
            }
            Command::Store { which, unchanged_since, change, flags, silent } => {
                self.store(&which, unchanged_since, change, &flags, silent).await
            }
            Command::Copy { which, mailbox, moves } => self.copy(&which, &mailbox, moves).await,
        }
    }

    /// Writes untagged responses.
    pub(super) async fn say(&mut self, text: &str) -> Result<(), Failure> {
        let mut response = Response::default();
        response.text(text);
        Ok(self.connection.write(response).await?)
    }

    /// Whose mailboxes are open; [`Session::check`] has seen to it.
    pub(super) fn account(&self) -> Result<AccountId, Failure> {
        self.session.account().ok_or_else(|| Failure::bad("log in first"))
    }

    /// No mailbox is selected any more.
    pub(super) fn leave(&mut self) {
        self.session.unselect();
        self.watch = None;
    }

    async fn enable(&mut self, names: &[String]) -> Result<Done, Failure> {
        if names.iter().any(|name| name == "CONDSTORE" || name == "QRESYNC") {
            self.enable_condstore().await?;
        }
        let enabled = self.session.enable(names);
        let separator = if enabled.is_empty() { "" } else { " " };
        self.say(&format!("* ENABLED{separator}{}\r\n", enabled.join(" "))).await?;
        Ok(Done::default())
    }

    /// Mod-sequences are told from here on (RFC 7162 section 3.1).
    pub(super) async fn enable_condstore(&mut self) -> Result<(), Failure> {
        if self.session.condstore() {
            return Ok(());
        }
        self.session.enable_condstore();
        if let Some(selected) = self.session.selected() {
            let code = format!("HIGHESTMODSEQ {}", selected.view.mod_seq());
            let mut response = Response::default();
            response.untagged("OK", Some(&code), "mod-sequences are told");
            self.connection.write(response).await?;
        }
        Ok(())
    }

    /// Tells what others did to the selected mailbox.
    pub(super) async fn synchronise(&mut self, telling: Telling) -> Result<(), Failure> {
        let (Some(account), Some(selected), Some(watch)) =
            (self.session.account(), self.session.selected_mut(), self.watch.as_mut())
        else {
            return Ok(());
        };
        let mut response = Response::default();
        let since = selected.view.mod_seq();
        if *watch.borrow_and_update() > since {
            let changes = match self.service.mailboxes.changes(account, selected.id, since).await {
                Ok(changes) => changes,
                Err(MailboxError::NoMailbox(_)) => {
                    return Err(Failure::Bye("the selected mailbox was deleted"));
                }
                Err(error) => return Err(error.into()),
            };
            let changed: Vec<Changed> = changes.messages.iter().map(super::changed).collect();
            let mod_seq = changes.info.highest_modseq;
            selected.view.update(&changed, &changes.vanished, mod_seq, telling, &mut response);
        } else {
            selected.view.update(&[], &[], since, telling, &mut response);
        }
        Ok(self.connection.write(response).await?)
    }

    /// IDLE (RFC 2177): tells changes as they come, until DONE.
    async fn idle(&mut self) -> Result<Done, Failure> {
        self.say("+ idling\r\n").await?;
        self.connection.flush().await?;
        let shutdown = self.service.shutdown.clone();
        let patience = self.service.config.patience(true);
        let deadline = tokio::time::Instant::now() + patience;
        let telling = self.session.telling(None);
        loop {
            self.synchronise(telling).await?;
            self.connection.flush().await?;
            let woken = async {
                if let Some(watch) = &mut self.watch
                    && watch.changed().await.is_ok()
                {
                    return IdleEnd::Changed;
                }
                // Nothing is selected, or nobody will tell any more.
                std::future::pending().await
            };
            let end = tokio::select! {
                incoming = self.connection.incoming(deadline.saturating_duration_since(tokio::time::Instant::now())) => {
                    IdleEnd::Incoming(incoming?)
                }
                end = woken => end,
                () = shutdown.requested() => return Err(Failure::Bye("the server is stopping")),
            };
            match end {
                IdleEnd::Changed => {}
                IdleEnd::Incoming(Incoming::Command(line)) if line.eq_ignore_ascii_case(b"DONE") => {
                    return Ok(Done::default());
                }
                IdleEnd::Incoming(_) => return Err(Failure::bad("only DONE ends IDLE")),
            }
        }
    }
}
