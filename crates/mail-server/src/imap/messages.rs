//! Commands that change messages: APPEND, STORE, COPY, MOVE, EXPUNGE. Each
//! answers OK only after its change is durable.

use super::client::{Client, Done};
use super::error::Failure;
use crate::mailbox::{FlagChange, Flags, MailboxId, Uids};
use bytes::Bytes;
use mail::imap::command::{self, Append, Which};
use mail::imap::response::Response;
use mail::imap::sequence::{SequenceSet, write_set};
use mail::imap::view::flags as write_flags;
use std::time::{SystemTime, UNIX_EPOCH};

impl Client {
    /// The selected mailbox and the UIDs a command means.
    pub(super) fn resolve(&self, which: &Which) -> Result<(MailboxId, Vec<u32>), Failure> {
        let selected = self.session.selected().ok_or_else(|| Failure::bad("select a mailbox first"))?;
        let uids =
            selected.view.resolve(which).ok_or_else(|| Failure::bad("there is no message of that number"))?;
        Ok((selected.id, uids))
    }

    pub(super) async fn append(&mut self, name: &str, messages: Vec<Append>) -> Result<Done, Failure> {
        let account = self.account()?;
        let id = self.find(name).await?.ok_or_else(|| Failure::try_create(name))?.id;
        let now =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
        let mut prepared = Vec::with_capacity(messages.len());
        for message in messages {
            if message.octets.is_empty() {
                return Err(Failure::no(None, "a message has at least one octet"));
            }
            if message.octets.contains(&0) {
                return Err(Failure::no(None, "a message must not hold NUL"));
            }
            let flags = Flags::from_names(message.flags.iter().map(String::as_str));
            let date = message.internal_date.unwrap_or(now);
            prepared.push(self.service.mailboxes.prepare(Bytes::from(message.octets), flags, date).await?);
        }
        let appended = self.service.mailboxes.append(account, id, prepared).await?;
        let uids: Vec<u32> = appended.iter().map(|appended| appended.uid).collect();
        let uid_validity = appended.first().map_or(0, |appended| appended.uid_validity);
        Ok(Done::with_code(format!("APPENDUID {uid_validity} {}", write_set(&uids))))
    }

    pub(super) async fn store(
        &mut self,
        which: &Which,
        unchanged_since: Option<u64>,
        change: command::FlagChange,
        flags: &[String],
        silent: bool,
    ) -> Result<Done, Failure> {
        if unchanged_since.is_some() {
            self.enable_condstore().await?;
        }
        let (id, uids) = self.resolve(which)?;
        let flags = Flags::from_names(flags.iter().map(String::as_str));
        let change = match change {
            command::FlagChange::Replace => FlagChange::Replace(flags),
            command::FlagChange::Add => FlagChange::Add(flags),
            command::FlagChange::Remove => FlagChange::Remove(flags),
        };
        let account = self.account()?;
        let stored =
            self.service.mailboxes.store(account, id, super::ranges(&uids), change, unchanged_since).await?;
        let condstore = self.session.condstore();
        let mut response = Response::default();
        let Some(selected) = self.session.selected_mut() else { return Ok(Done::default()) };
        for message in &stored.messages {
            let Some(number) = selected.view.number(message.uid) else { continue };
            selected.view.knows(message.uid, message.modseq);
            if !silent {
                write_flags(&mut response, number, &super::changed(message), condstore);
            } else if condstore {
                // The client knows the flags, not the mod-sequence (RFC 7162 section 3.1.3).
                response
                    .text(&format!("* {number} FETCH (UID {} MODSEQ ({}))\r\n", message.uid, message.modseq));
            }
        }
        let modified: Vec<u32> = if which.uid {
            stored.modified
        } else {
            stored.modified.iter().filter_map(|uid| selected.view.number(*uid)).collect()
        };
        self.connection.write(response).await?;
        if modified.is_empty() {
            return Ok(Done::default());
        }
        Ok(Done {
            code: Some(format!("MODIFIED {}", write_set(&modified))),
            text: "some messages had changed",
        })
    }

    pub(super) async fn copy(&mut self, which: &Which, name: &str, moves: bool) -> Result<Done, Failure> {
        let account = self.account()?;
        let (from, uids) = self.resolve(which)?;
        let to = self.find(name).await?.ok_or_else(|| Failure::try_create(name))?.id;
        let ranges = super::ranges(&uids);
        let mailboxes = &self.service.mailboxes;
        let copied = if moves {
            mailboxes.move_messages(account, from, ranges, to).await?
        } else {
            mailboxes.copy(account, from, ranges, to).await?
        };
        if copied.uids.is_empty() {
            return Ok(Done::default());
        }
        let (sources, copies): (Vec<u32>, Vec<u32>) = copied.uids.into_iter().unzip();
        let code = format!("COPYUID {} {} {}", copied.uid_validity, write_set(&sources), write_set(&copies));
        if !moves {
            return Ok(Done::with_code(code));
        }
        // RFC 6851 section 4.3: COPYUID comes before the messages go.
        let mut response = Response::default();
        response.untagged("OK", Some(&code), "moved");
        self.tell_expunged(&sources, &mut response);
        self.connection.write(response).await?;
        Ok(Done::default())
    }

    pub(super) async fn expunge(&mut self, uids: Option<&SequenceSet>) -> Result<Done, Failure> {
        let account = self.account()?;
        let selected = self.session.selected().ok_or_else(|| Failure::bad("select a mailbox first"))?;
        let uids: Option<Uids> = uids.map(|set| {
            let view = selected.view.uids();
            super::ranges(
                &set.of_uids(view)
                    .into_iter()
                    .filter_map(|index| view.get(index).copied())
                    .collect::<Vec<_>>(),
            )
        });
        let expunged = self.service.mailboxes.expunge(account, selected.id, uids).await?;
        let mut response = Response::default();
        self.tell_expunged(&expunged.uids, &mut response);
        self.connection.write(response).await?;
        let telling = self.session.telling(None);
        self.synchronise(telling).await?;
        match self.session.selected().filter(|_| self.session.condstore()) {
            Some(selected) => Ok(Done::with_code(format!("HIGHESTMODSEQ {}", selected.view.mod_seq()))),
            None => Ok(Done::default()),
        }
    }

    fn tell_expunged(&mut self, uids: &[u32], response: &mut Response) {
        let vanished = self.session.qresync();
        if let Some(selected) = self.session.selected_mut() {
            selected.view.expunged(uids, vanished, response);
        }
    }
}
