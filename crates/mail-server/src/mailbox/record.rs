//! How the message store's records lie in the tables.

use super::model::{EmailId, Flags, MailboxId, Message, SpecialUse, ThreadId, Uids};
use crate::octets::{Reader, Writer};
use storage::ContentId;

/// Counters of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AccountState {
    /// The last MODSEQ given, for all mailboxes of the account.
    pub(super) modseq: u64,
    /// The last mailbox id given.
    pub(super) last_mailbox: u32,
    /// The last UIDVALIDITY given.
    pub(super) last_uid_validity: u32,
    /// The last email id given.
    pub(super) last_email: u64,
    /// Mailboxes there are.
    pub(super) mailboxes: u32,
    /// Messages in all mailboxes.
    pub(super) messages: u64,
    /// Octets of all emails.
    pub(super) octets: u64,
}

/// A mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MailboxRecord {
    pub(super) name: String,
    pub(super) uid_validity: u32,
    pub(super) uid_next: u32,
    pub(super) highest_modseq: u64,
    /// Expunges up to this modseq are forgotten.
    pub(super) forgotten_modseq: u64,
    /// Expunges remembered.
    pub(super) expunges: u32,
    pub(super) special_use: Option<SpecialUse>,
    pub(super) messages: u32,
    pub(super) unseen: u32,
    pub(super) deleted: u32,
    pub(super) octets: u64,
}

/// What all copies of a message share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Email {
    /// Messages that are copies of it.
    pub(super) copies: u32,
    pub(super) content: ContentId,
    pub(super) size: u64,
    pub(super) thread: ThreadId,
    /// Its entries in the table of threads.
    pub(super) thread_keys: Vec<[u8; 16]>,
}

/// Which thread a message identifier belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ThreadEntry {
    pub(super) thread: ThreadId,
    /// Emails that refer to this entry.
    pub(super) emails: u64,
}

impl AccountState {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.modseq)
            .number(self.last_mailbox)
            .number(self.last_uid_validity)
            .number(self.last_email)
            .number(self.mailboxes)
            .number(self.messages)
            .number(self.octets);
        out.finish()
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let state = AccountState {
            modseq: from.long()?,
            last_mailbox: from.int()?,
            last_uid_validity: from.int()?,
            last_email: from.long()?,
            mailboxes: from.int()?,
            messages: from.long()?,
            octets: from.long()?,
        };
        from.end(state)
    }
}

impl MailboxRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let special_use = match self.special_use {
            None => 0u32,
            Some(SpecialUse::Archive) => 1,
            Some(SpecialUse::Drafts) => 2,
            Some(SpecialUse::Junk) => 3,
            Some(SpecialUse::Sent) => 4,
            Some(SpecialUse::Trash) => 5,
        };
        let mut out = Writer::new();
        out.string(&self.name)
            .number(self.uid_validity)
            .number(self.uid_next)
            .number(self.highest_modseq)
            .number(self.forgotten_modseq)
            .number(self.expunges)
            .number(special_use)
            .number(self.messages)
            .number(self.unseen)
            .number(self.deleted)
            .number(self.octets);
        out.finish()
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let record = MailboxRecord {
            name: from.string()?,
            uid_validity: from.int()?,
            uid_next: from.int()?,
            highest_modseq: from.long()?,
            forgotten_modseq: from.long()?,
            expunges: from.int()?,
            special_use: match from.int()? {
                0 => None,
                1 => Some(SpecialUse::Archive),
                2 => Some(SpecialUse::Drafts),
                3 => Some(SpecialUse::Junk),
                4 => Some(SpecialUse::Sent),
                5 => Some(SpecialUse::Trash),
                _ => return None,
            },
            messages: from.int()?,
            unseen: from.int()?,
            deleted: from.int()?,
            octets: from.long()?,
        };
        from.end(record)
    }
}

impl Message {
    /// The uid is in the key.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.modseq).octets(&[self.flags.bits]).number(self.flags.keywords.len() as u64);
        for keyword in &self.flags.keywords {
            out.string(keyword);
        }
        out.signed(self.internal_date)
            .number(self.size)
            .octets(&self.content.0)
            .number(self.email.0)
            .number(self.thread.0);
        out.finish()
    }

    pub(super) fn decode(uid: u32, octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let message = Message {
            uid,
            modseq: from.long()?,
            flags: Flags { bits: from.array::<1>()?[0], keywords: from.list(Reader::string)? },
            internal_date: from.signed()?,
            size: from.long()?,
            content: ContentId(from.array()?),
            email: EmailId(from.long()?),
            thread: ThreadId(from.long()?),
        };
        from.end(message)
    }
}

impl Email {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.copies)
            .octets(&self.content.0)
            .number(self.size)
            .number(self.thread.0)
            .number(self.thread_keys.len() as u64);
        for key in &self.thread_keys {
            out.octets(key);
        }
        out.finish()
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let email = Email {
            copies: from.int()?,
            content: ContentId(from.array()?),
            size: from.long()?,
            thread: ThreadId(from.long()?),
            thread_keys: from.list(Reader::array)?,
        };
        from.end(email)
    }
}

impl ThreadEntry {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.number(self.thread.0).number(self.emails);
        out.finish()
    }

    pub(super) fn decode(octets: &[u8]) -> Option<Self> {
        let mut from = Reader::new(octets)?;
        let entry = ThreadEntry { thread: ThreadId(from.long()?), emails: from.long()? };
        from.end(entry)
    }
}

/// Ranges of uids in ascending order, as the gaps between them.
pub(super) fn encode_uids(uids: &Uids) -> Vec<u8> {
    let mut out = Writer::new();
    out.number(uids.len() as u64);
    let mut at = 0;
    for range in uids {
        out.number(range.start().saturating_sub(at)).number(range.end().saturating_sub(*range.start()));
        at = *range.end();
    }
    out.finish()
}

pub(super) fn decode_uids(octets: &[u8]) -> Option<Uids> {
    let mut from = Reader::new(octets)?;
    let mut at = 0u32;
    let uids = from.list(|from| {
        let start = at.checked_add(from.int()?)?;
        at = start.checked_add(from.int()?)?;
        Some(start..=at)
    })?;
    from.end(uids)
}

/// A mailbox's id, in the table of names.
pub(super) fn encode_id(id: MailboxId) -> [u8; 4] {
    id.0.to_be_bytes()
}

pub(super) fn decode_id(octets: &[u8]) -> Option<MailboxId> {
    octets.try_into().ok().map(|octets| MailboxId(u32::from_be_bytes(octets)))
}
