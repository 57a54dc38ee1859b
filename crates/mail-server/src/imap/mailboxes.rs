//! Commands on mailboxes: SELECT, LIST, STATUS, CREATE and their like.

use super::client::{Client, Done};
use super::error::Failure;
use crate::mailbox::{MailboxId, MailboxInfo, SpecialUse, Uids};
use mail::imap::command::Qresync;
use mail::imap::list::{List, Listed, StatusItem};
use mail::imap::response::{MailboxStatus, Response, SYSTEM_FLAGS};
use mail::imap::session::Selected;
use mail::imap::view::{View, flags as write_flags};
use std::collections::BTreeSet;

/// Keywords that SELECT names.
pub(super) const KEYWORDS_TOLD_MAX: usize = 200;
/// Octets gathered of a response of many lines before they are written.
pub(super) const RESPONSE_OCTETS_MAX: usize = 64 * 1024;

impl Client {
    /// The mailbox of a name.
    pub(super) async fn find(&self, name: &str) -> Result<Option<MailboxInfo>, Failure> {
        Ok(self.service.mailboxes.find(self.account()?, name).await?)
    }

    pub(super) async fn select(
        &mut self,
        name: String,
        read_only: bool,
        condstore: bool,
        qresync: Option<Qresync>,
    ) -> Result<Done, Failure> {
        let account = self.account()?;
        let mut response = Response::default();
        if self.session.selected().is_some() {
            // The previous mailbox is left even where this one cannot be selected.
            self.leave();
            response.untagged("OK", Some("CLOSED"), "the previous mailbox is closed");
        }
        if condstore {
            self.session.enable_condstore();
        }
        let Some(info) = self.find(&name).await? else {
            self.connection.write(response).await?;
            return Err(Failure::no_mailbox(&name));
        };
        let id = info.id;
        // First watch, then look, so that nothing is missed in between.
        let mut watch = self.service.mailboxes.watch(account, id);
        watch.mark_unchanged();
        let selected = self.service.mailboxes.select(account, id).await?;
        let info = selected.info;
        let keywords: BTreeSet<&str> =
            selected.lines.iter().flat_map(|line| line.flags.keywords()).map(String::as_str).collect();
        let mut flags: Vec<&str> = SYSTEM_FLAGS.to_vec();
        flags.extend(keywords.into_iter().take(KEYWORDS_TOLD_MAX));
        response.text("* FLAGS ");
        response.flags(&flags);
        flags.push("\\*");
        let permanent = if read_only { String::new() } else { flags.join(" ") };
        response.text("\r\n");
        response.untagged("OK", Some(&format!("PERMANENTFLAGS ({permanent})")), "flags that can be set");
        response.text(&format!("* {} EXISTS\r\n* 0 RECENT\r\n", selected.lines.len()));
        let unseen = selected.lines.iter().position(|line| !line.flags.has(crate::mailbox::SystemFlag::Seen));
        if let Some(index) = unseen {
            response.untagged("OK", Some(&format!("UNSEEN {}", index + 1)), "the first unseen message");
        }
        for (code, text) in [
            (format!("UIDVALIDITY {}", info.uid_validity), "the UIDs are valid"),
            (format!("UIDNEXT {}", info.uid_next), "the next UID"),
            (format!("HIGHESTMODSEQ {}", info.highest_modseq), "the highest mod-sequence"),
            (format!("MAILBOXID ({id})"), "the mailbox's id"),
        ] {
            response.untagged("OK", Some(&code), text);
        }
        let uids = selected.lines.iter().map(|line| line.uid).collect();
        let view = View::new(uids, info.highest_modseq);
        self.connection.write(response).await?;
        if let Some(known) = qresync.filter(|known| known.uid_validity == info.uid_validity) {
            self.resynchronise(id, &view, &known).await?;
        }
        self.session.select(Selected { id, name, read_only, view });
        self.watch = Some(watch);
        let code = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        Ok(Done::with_code(code.to_owned()))
    }

    /// Tells what happened since the client was here (RFC 7162 section 3.2.5).
    async fn resynchronise(&mut self, id: MailboxId, view: &View, known: &Qresync) -> Result<(), Failure> {
        let changes = self.service.mailboxes.changes(self.account()?, id, known.mod_seq).await?;
        let mut response = Response::default();
        let largest = changes.info.uid_next.saturating_sub(1);
        let is_known = |uid: u32| known.known_uids.as_ref().is_none_or(|set| set.contains(uid, largest));
        let vanished = clipped(&changes.vanished, largest, known.known_uids.is_some().then_some(&is_known));
        if !vanished.is_empty() {
            response.text(&format!("* VANISHED (EARLIER) {}\r\n", super::written(&vanished)));
        }
        for message in changes.messages.iter().filter(|message| is_known(message.uid)) {
            if let Some(number) = view.number(message.uid) {
                write_flags(&mut response, number, &super::changed(message), true);
            }
            if response.len() > RESPONSE_OCTETS_MAX {
                self.connection.write(std::mem::take(&mut response)).await?;
            }
        }
        Ok(self.connection.write(response).await?)
    }

    pub(super) async fn create(&mut self, name: &str, special_use: Option<&str>) -> Result<Done, Failure> {
        let special_use = match special_use {
            None => None,
            Some(wanted) => {
                let known =
                    SpecialUse::ALL.into_iter().find(|known| format!("\\{}", known.as_str()) == wanted);
                Some(known.ok_or_else(|| {
                    Failure::no(Some("USEATTR"), format!("no mailbox here can be for {wanted}"))
                })?)
            }
        };
        let info = self.service.mailboxes.create(self.account()?, name, special_use).await?;
        Ok(Done::with_code(format!("MAILBOXID ({})", info.id)))
    }

    pub(super) async fn delete(&mut self, name: &str) -> Result<Done, Failure> {
        let account = self.account()?;
        let id = self.find(name).await?.map(|info| info.id);
        self.service.mailboxes.delete(account, name).await?;
        if self.session.selected().is_some_and(|selected| Some(selected.id) == id) {
            self.leave();
        }
        Ok(Done::default())
    }

    pub(super) async fn rename(&mut self, from: &str, to: &str) -> Result<Done, Failure> {
        self.service.mailboxes.rename(self.account()?, from, to).await?;
        Ok(Done::default())
    }

    pub(super) async fn subscribe(&mut self, name: &str, subscribed: bool) -> Result<Done, Failure> {
        self.service.mailboxes.subscribe(self.account()?, name, subscribed).await?;
        Ok(Done::default())
    }

    pub(super) async fn list(&mut self, list: &List) -> Result<Done, Failure> {
        let account = self.account()?;
        let infos = self.service.mailboxes.list(account).await?;
        let mut listed: Vec<Listed> = infos
            .iter()
            .map(|info| Listed {
                name: info.name.clone(),
                exists: true,
                subscribed: info.subscribed,
                special_use: info.special_use.map(|special_use| format!("\\{}", special_use.as_str())),
            })
            .collect();
        if list.select_subscribed {
            for name in self.service.mailboxes.subscriptions(account).await? {
                if !infos.iter().any(|info| info.name == name) {
                    listed.push(Listed { name, subscribed: true, ..Listed::default() });
                }
            }
        }
        let mut response = Response::default();
        let selectable = list.answer(&listed, &mut response);
        if !list.return_status.is_empty() {
            for info in infos.iter().filter(|info| selectable.contains(&info.name)) {
                response.mailbox_status(&info.name, &list.return_status, &status_of(info));
            }
        }
        self.connection.write(response).await?;
        Ok(Done::default())
    }

    pub(super) async fn status(&mut self, name: &str, items: &[StatusItem]) -> Result<Done, Failure> {
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore().await?;
        }
        let info = self.find(name).await?.ok_or_else(|| Failure::no_mailbox(name))?;
        let mut response = Response::default();
        response.mailbox_status(name, items, &status_of(&info));
        self.connection.write(response).await?;
        Ok(Done::default())
    }

    /// CLOSE: expunges without telling of it.
    pub(super) async fn close(&mut self) -> Result<Done, Failure> {
        let account = self.account()?;
        if let Some(selected) = self.session.selected().filter(|selected| !selected.read_only) {
            self.service.mailboxes.expunge(account, selected.id, None).await?;
        }
        self.leave();
        Ok(Done::default())
    }
}

/// Ranges up to `largest`; with `is_known` only what it names.
pub(super) fn clipped(uids: &Uids, largest: u32, is_known: Option<&dyn Fn(u32) -> bool>) -> Uids {
    let clipped = uids.iter().map(|range| *range.start()..=(*range.end()).min(largest));
    let clipped = clipped.filter(|range| !range.is_empty());
    match is_known {
        None => clipped.collect(),
        Some(is_known) => super::ranges(&clipped.flatten().filter(|uid| is_known(*uid)).collect::<Vec<_>>()),
    }
}

fn status_of(info: &MailboxInfo) -> MailboxStatus {
    MailboxStatus {
        messages: info.messages,
        uid_next: info.uid_next,
        uid_validity: info.uid_validity,
        unseen: info.unseen,
        deleted: info.deleted,
        octets: info.octets,
        highest_mod_seq: info.highest_modseq,
        mailbox_id: info.id.to_string(),
    }
}
