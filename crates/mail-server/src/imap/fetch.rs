//! FETCH and SEARCH: reading messages, a few at a time, so that a mailbox of any
//! size takes bounded memory and the client's pace is kept.

use super::client::{Client, Done};
use super::error::Failure;
use super::mailboxes::clipped;
use crate::mailbox::{AccountId, FlagChange, Flags, MailboxError, MailboxId, Message, SystemFlag};
use bytes::Bytes;
use mail::imap::command::Which;
use mail::imap::fetch::{Item, Needs, needs};
use mail::imap::fetch_response::{self, answer};
use mail::imap::search::{Key, Search};
use mail::imap::search_match::{self, Candidate, Verdict, matches};
use mail::message::Summary;
use std::sync::Arc;
use storage::StorageError;

/// Messages whose records are looked up at once.
pub(super) const MESSAGES_AT_ONCE_MAX: usize = 200;
/// Octets of a message that are searched on the spot; longer ones on a thread of their own.
const SEARCH_OCTETS_MAX: usize = 256 * 1024;

impl Client {
    pub(super) async fn fetch(
        &mut self,
        which: &Which,
        mut items: Vec<Item>,
        changed_since: Option<u64>,
        vanished: bool,
    ) -> Result<Done, Failure> {
        if changed_since.is_some() || items.contains(&Item::ModSeq) {
            self.enable_condstore().await?;
        }
        let account = self.account()?;
        let (id, uids) = self.resolve(which)?;
        let mut require = |item: Item| {
            if !items.contains(&item) {
                items.insert(0, item);
            }
        };
        if changed_since.is_some() {
            require(Item::ModSeq);
        }
        if which.uid {
            require(Item::Uid);
        }
        if let Some(since) = changed_since.filter(|_| vanished) {
            self.tell_vanished(account, id, which, since).await?;
        }
        let read_only = self.session.selected().is_none_or(|selected| selected.read_only);
        let needs = needs(&items);
        let sets_seen = needs.sets_seen && !read_only;
        let mut gone = false;
        for chunk in uids.chunks(MESSAGES_AT_ONCE_MAX) {
            let mut messages = self.service.mailboxes.messages(account, id, super::ranges(chunk)).await?;
            gone |= messages.len() < chunk.len();
            messages.retain(|message| changed_since.is_none_or(|since| message.modseq > since));
            let seen = if sets_seen { self.set_seen(account, id, &mut messages).await? } else { Vec::new() };
            for (message, summary) in self.with_summaries(account, messages, needs).await? {
                // Flags that change by the way are told by the way.
                let tell_flags = seen.contains(&message.uid) && !items.contains(&Item::Flags);
                let told: Vec<Item> =
                    if tell_flags { [items.as_slice(), &[Item::Flags]].concat() } else { Vec::new() };
                let items = if tell_flags { &told } else { &items };
                gone |= !self.fetch_one(&message, summary.as_ref(), items, needs).await?;
            }
        }
        if gone && !which.uid {
            return Err(Failure::no(Some("EXPUNGEISSUED"), "some of the messages are gone"));
        }
        Ok(Done::default())
    }

    /// Sets `\Seen` where it is not; gives the UIDs that got it.
    async fn set_seen(
        &mut self,
        account: AccountId,
        id: MailboxId,
        messages: &mut [Message],
    ) -> Result<Vec<u32>, Failure> {
        let unseen: Vec<u32> =
            messages.iter().filter(|m| !m.flags.has(SystemFlag::Seen)).map(|message| message.uid).collect();
        if unseen.is_empty() {
            return Ok(unseen);
        }
        let add = FlagChange::Add(Flags::new().with(SystemFlag::Seen));
        let stored = self.service.mailboxes.store(account, id, super::ranges(&unseen), add, None).await?;
        for new in stored.messages {
            if let Some(selected) = self.session.selected_mut() {
                selected.view.knows(new.uid, new.modseq);
            }
            if let Ok(at) = messages.binary_search_by_key(&new.uid, |message| message.uid) {
                messages[at] = new;
            }
        }
        Ok(unseen)
    }

    async fn with_summaries(
        &self,
        account: AccountId,
        messages: Vec<Message>,
        needs: Needs,
    ) -> Result<Vec<(Message, Option<Summary>)>, Failure> {
        if !needs.summary {
            return Ok(messages.into_iter().map(|message| (message, None)).collect());
        }
        let mailboxes = &self.service.mailboxes;
        let emails = messages.iter().map(|message| message.email).collect();
        let summaries = mailboxes.summaries(account, emails).await?;
        let mut found = Vec::with_capacity(messages.len());
        for (message, summary) in messages.into_iter().zip(summaries) {
            let summary = match summary {
                Some(summary) => Some(summary),
                None => present(mailboxes.summary(account, message.email).await)?,
            };
            found.push((message, summary));
        }
        Ok(found)
    }

    /// Answers for one message; false where it is gone.
    async fn fetch_one(
        &mut self,
        message: &Message,
        summary: Option<&Summary>,
        items: &[Item],
        needs: Needs,
    ) -> Result<bool, Failure> {
        let view = self.session.selected().map(|selected| &selected.view);
        let Some(number) = view.and_then(|view| view.number(message.uid)) else { return Ok(false) };
        let octets: Option<Bytes> =
            if needs.octets { present(self.service.mailboxes.content(message).await)? } else { None };
        if (needs.octets && octets.is_none()) || (needs.summary && summary.is_none()) {
            return Ok(false);
        }
        let flags: Vec<String> = message.flags.names().map(str::to_owned).collect();
        let pieces = answer(
            &fetch_response::Message {
                number,
                uid: message.uid,
                flags: &flags,
                internal_date: message.internal_date,
                size: message.size,
                mod_seq: message.modseq,
                email_id: &message.email.to_string(),
                thread_id: &message.thread.to_string(),
                summary,
                octets: octets.as_ref(),
            },
            items,
        );
        self.connection.write_pieces(pieces).await?;
        Ok(true)
    }

    /// UIDs of `which` that went since (RFC 7162 section 3.2.6).
    async fn tell_vanished(
        &mut self,
        account: AccountId,
        id: MailboxId,
        which: &Which,
        since: u64,
    ) -> Result<(), Failure> {
        let changes = self.service.mailboxes.changes(account, id, since).await?;
        let largest = changes.info.uid_next.saturating_sub(1);
        let meant = |uid: u32| which.set.contains(uid, largest);
        let vanished = clipped(&changes.vanished, largest, Some(&meant));
        if vanished.is_empty() {
            return Ok(());
        }
        self.say(&format!("* VANISHED (EARLIER) {}\r\n", super::written(&vanished))).await
    }

    pub(super) async fn search(&mut self, search: &Search, tag: &str) -> Result<Done, Failure> {
        if search.charset.as_deref().is_some_and(|charset| charset != "UTF-8" && charset != "US-ASCII") {
            return Err(Failure::no(
                Some("BADCHARSET (US-ASCII UTF-8)"),
                "strings come in US-ASCII or UTF-8",
            ));
        }
        if search.mod_seq {
            self.enable_condstore().await?;
        }
        let account = self.account()?;
        let selected = self.session.selected().ok_or_else(|| Failure::bad("select a mailbox first"))?;
        let uids = selected.view.uids();
        let largest = (uids.len() as u32, uids.last().copied().unwrap_or(0));
        let key = Arc::new(search.key.clone());
        let (mut found, mut highest) = (Vec::new(), 0);
        for chunk in uids.chunks(MESSAGES_AT_ONCE_MAX) {
            for message in self.service.mailboxes.messages(account, selected.id, super::ranges(chunk)).await?
            {
                let Some(number) = selected.view.number(message.uid) else { continue };
                if self.is_match(account, &key, &message, number, largest).await? {
                    found.push(if search.uid { message.uid } else { number });
                    highest = highest.max(message.modseq);
                }
            }
        }
        self.say(&search_match::answer(search, tag, &found, highest)).await?;
        Ok(Done::default())
    }

    async fn is_match(
        &self,
        account: AccountId,
        key: &Arc<Key>,
        message: &Message,
        number: u32,
        largest: (u32, u32),
    ) -> Result<bool, Failure> {
        let (mut summary, mut octets): (Option<Summary>, Option<Bytes>) = (None, None);
        loop {
            let verdict = match &octets {
                Some(whole) if whole.len() > SEARCH_OCTETS_MAX => {
                    let (key, message) = (key.clone(), message.clone());
                    let (summary, whole) = (summary.clone(), whole.clone());
                    let judging =
                        move || judge(&key, &message, number, largest, summary.as_ref(), Some(&whole));
                    let judged = tokio::task::spawn_blocking(judging).await;
                    judged.map_err(|_| Failure::no(Some("SERVERBUG"), "a message could not be searched"))?
                }
                octets => judge(key, message, number, largest, summary.as_ref(), octets.as_ref()),
            };
            match verdict {
                Verdict::Known(matched) => return Ok(matched),
                Verdict::NeedsSummary => {
                    summary = present(self.service.mailboxes.summary(account, message.email).await)?;
                    if summary.is_none() {
                        return Ok(false);
                    }
                }
                Verdict::NeedsOctets => {
                    octets = present(self.service.mailboxes.content(message).await)?;
                    if octets.is_none() {
                        return Ok(false);
                    }
                }
            }
        }
    }
}

/// Whether a message matches, as far as what is at hand can tell.
fn judge(
    key: &Key,
    message: &Message,
    number: u32,
    largest: (u32, u32),
    summary: Option<&Summary>,
    octets: Option<&Bytes>,
) -> Verdict {
    let flags: Vec<&str> = message.flags.names().collect();
    let candidate = Candidate {
        number,
        uid: message.uid,
        largest,
        flags: &flags,
        internal_date: message.internal_date,
        size: message.size,
        mod_seq: message.modseq,
        email_id: &message.email.to_string(),
        thread_id: &message.thread.to_string(),
        summary,
        octets: octets.map(|octets| &octets[..]),
    };
    matches(key, &candidate)
}

/// `None` where somebody else expunged the message meanwhile.
fn present<T>(found: Result<T, MailboxError>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(MailboxError::Storage(StorageError::Missing(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
