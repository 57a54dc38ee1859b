//! What a message store speaks of: mailboxes, messages, flags (RFC 9051
//! section 2.3), and their stable ids (RFC 8474).

use std::fmt;
use std::ops::RangeInclusive;
use storage::ContentId;

/// An account, for the life of the data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u32);

/// A mailbox of an account, never reused. `Display` gives MAILBOXID (RFC 8474).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MailboxId(pub u32);

impl MailboxId {
    /// INBOX, which every account has.
    pub const INBOX: MailboxId = MailboxId(1);
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "F{}", self.0)
    }
}

/// A message of an account, the same for all its copies. `Display` gives
/// EMAILID (RFC 8474).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailId(pub u64);

impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "M{}", self.0)
    }
}

/// A conversation of an account. `Display` gives THREADID (RFC 8474).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u64);

impl fmt::Display for ThreadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T{}", self.0)
    }
}

/// Ranges of uids; their order and overlaps do not matter, and uids nobody has
/// are passed over.
pub type Uids = Vec<RangeInclusive<u32>>;

/// What a mailbox is for (RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [SpecialUse; 5] =
        [SpecialUse::Archive, SpecialUse::Drafts, SpecialUse::Junk, SpecialUse::Sent, SpecialUse::Trash];

    /// The attribute without its backslash, which is also the mailbox's name
    /// in a new account.
    pub fn as_str(self) -> &'static str {
        match self {
            SpecialUse::Archive => "Archive",
            SpecialUse::Drafts => "Drafts",
            SpecialUse::Junk => "Junk",
            SpecialUse::Sent => "Sent",
            SpecialUse::Trash => "Trash",
        }
    }
}

/// A mailbox as it stands; answers STATUS without looking at messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxInfo {
    /// MAILBOXID.
    pub id: MailboxId,
    /// The whole name in UTF-8, levels separated by `/`.
    pub name: String,
    /// UIDVALIDITY.
    pub uid_validity: u32,
    /// UIDNEXT.
    pub uid_next: u32,
    /// HIGHESTMODSEQ (RFC 7162).
    pub highest_modseq: u64,
    /// Whether it is subscribed to.
    pub subscribed: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// MESSAGES.
    pub messages: u32,
    /// UNSEEN: messages without `\Seen`.
    pub unseen: u32,
    /// DELETED: messages with `\Deleted`.
    pub deleted: u32,
    /// SIZE: octets of all messages.
    pub octets: u64,
}

/// A flag that every server knows (RFC 9051 section 2.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SystemFlag {
    /// `\Seen`
    Seen = 1,
    /// `\Answered`
    Answered = 2,
    /// `\Flagged`
    Flagged = 4,
    /// `\Deleted`
    Deleted = 8,
    /// `\Draft`
    Draft = 16,
}

impl SystemFlag {
    /// All of them.
    pub const ALL: [SystemFlag; 5] =
        [SystemFlag::Seen, SystemFlag::Answered, SystemFlag::Flagged, SystemFlag::Deleted, SystemFlag::Draft];

    /// The flag with its backslash.
    pub fn as_str(self) -> &'static str {
        match self {
            SystemFlag::Seen => "\\Seen",
            SystemFlag::Answered => "\\Answered",
            SystemFlag::Flagged => "\\Flagged",
            SystemFlag::Deleted => "\\Deleted",
            SystemFlag::Draft => "\\Draft",
        }
    }
}

/// Flags and keywords of one message. Keywords are told apart without regard
/// to case and keep the case they came with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    pub(super) bits: u8,
    /// In the order of their lower-case forms.
    pub(super) keywords: Vec<String>,
}

impl Flags {
    /// No flag.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads flags as IMAP writes them, `\Seen` or `$Forwarded`, in any case.
    /// Unknown system flags (such as `\Recent`) are passed over.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut flags = Flags::new();
        for name in names {
            if let Some(flag) =
                SystemFlag::ALL.into_iter().find(|flag| flag.as_str().eq_ignore_ascii_case(name))
            {
                flags.set(flag);
            } else if !name.starts_with('\\') && !name.is_empty() {
                flags.set_keyword(name);
            }
        }
        flags
    }

    /// The flags as IMAP writes them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        SystemFlag::ALL
            .into_iter()
            .filter(|flag| self.has(*flag))
            .map(|flag| -> &str { flag.as_str() })
            .chain(self.keywords.iter().map(String::as_str))
    }

    /// Whether a system flag is set.
    pub fn has(&self, flag: SystemFlag) -> bool {
        self.bits & flag as u8 != 0
    }

    /// Sets a system flag.
    pub fn set(&mut self, flag: SystemFlag) {
        self.bits |= flag as u8;
    }

    /// The same flags with one more.
    pub fn with(mut self, flag: SystemFlag) -> Self {
        self.set(flag);
        self
    }

    /// Whether a keyword is set.
    pub fn has_keyword(&self, keyword: &str) -> bool {
        self.place_of(keyword).is_ok()
    }

    /// Sets a keyword.
    pub fn set_keyword(&mut self, keyword: &str) {
        if let Err(place) = self.place_of(keyword) {
            self.keywords.insert(place, keyword.to_owned());
        }
    }

    /// The keywords, in the order of their lower-case forms.
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// Sets all flags of `other` too.
    pub fn add(&mut self, other: &Flags) {
        self.bits |= other.bits;
        other.keywords.iter().for_each(|keyword| self.set_keyword(keyword));
    }

    /// Takes all flags of `other` away.
    pub fn remove(&mut self, other: &Flags) {
        self.bits &= !other.bits;
        self.keywords.retain(|keyword| !other.has_keyword(keyword));
    }

    fn place_of(&self, keyword: &str) -> Result<usize, usize> {
        let lower = |text: &str| text.to_ascii_lowercase();
        let wanted = lower(keyword);
        self.keywords.binary_search_by(|present| lower(present).cmp(&wanted))
    }
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// UID.
    pub uid: u32,
    /// MODSEQ (RFC 7162).
    pub modseq: u64,
    /// FLAGS.
    pub flags: Flags,
    /// INTERNALDATE, in seconds since 1970-01-01 00:00 UTC.
    pub internal_date: i64,
    /// RFC822.SIZE, in octets.
    pub size: u64,
    /// The octets: `Storage::content` gives them.
    pub content: ContentId,
    /// EMAILID.
    pub email: EmailId,
    /// THREADID.
    pub thread: ThreadId,
}

/// What a session holds of each message of a selected mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// UID.
    pub uid: u32,
    /// MODSEQ.
    pub modseq: u64,
    /// FLAGS.
    pub flags: Flags,
}

/// A mailbox and its messages at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The mailbox.
    pub info: MailboxInfo,
    /// Its messages in ascending order of uid.
    pub lines: Vec<Line>,
}

/// What happened to a mailbox since a modseq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The mailbox as it is now; ask next time since its `highest_modseq`.
    pub info: MailboxInfo,
    /// Messages that are new or whose flags changed, in ascending order of uid.
    pub messages: Vec<Message>,
    /// Uids of messages that went (RFC 7162 section 3.2.10), in ascending
    /// order. Uids the asker never saw may be among them.
    pub vanished: Uids,
}

/// How flags change (RFC 9051 section 6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagChange {
    /// `+FLAGS`
    Add(Flags),
    /// `-FLAGS`
    Remove(Flags),
    /// `FLAGS`
    Replace(Flags),
}

/// What a flag change did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The messages meant, as they are now, in ascending order of uid; those
    /// whose flags were already so kept their modseq.
    pub messages: Vec<Message>,
    /// Uids of messages left alone since they changed after UNCHANGEDSINCE
    /// (the MODIFIED response code of RFC 7162 section 3.1.3).
    pub modified: Vec<u32>,
    /// The mailbox's HIGHESTMODSEQ.
    pub highest_modseq: u64,
}

/// Where an appended message lies (the APPENDUID response code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox's UIDVALIDITY.
    pub uid_validity: u32,
    /// Its UID.
    pub uid: u32,
    /// Its MODSEQ.
    pub modseq: u64,
    /// EMAILID.
    pub email: EmailId,
    /// THREADID.
    pub thread: ThreadId,
}

/// Where copied or moved messages lie (the COPYUID response code).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The destination's UIDVALIDITY.
    pub uid_validity: u32,
    /// The uid in the source and the uid in the destination, ascending.
    pub uids: Vec<(u32, u32)>,
    /// The source's HIGHESTMODSEQ after a move.
    pub highest_modseq: u64,
}

/// What was expunged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expunged {
    /// The uids, ascending.
    pub uids: Vec<u32>,
    /// The mailbox's HIGHESTMODSEQ.
    pub highest_modseq: u64,
}

/// What an account uses of what it may (RFC 9208).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Octets of all messages; a copy costs none.
    pub octets: u64,
    /// The bound of `octets`.
    pub octets_max: u64,
    /// Messages in all mailboxes, copies counted.
    pub messages: u64,
    /// The bound of `messages`.
    pub messages_max: u64,
}
