//! Which conversation a message belongs to (THREADID, RFC 8474 section 5.2):
//! messages that share a message identifier, in Message-ID, In-Reply-To or
//! References, and a subject, as RFC 8621 section 3 describes. The thread of a
//! message never changes.

use super::ledger::Ledger;
use super::model::{EmailId, ThreadId};
use super::record::ThreadEntry;
use super::{MailboxError, keys};
use mail::message::Summary;
use sha2::{Digest, Sha256};

/// Message identifiers of one message that are looked at: its own, the first
/// reference and the last ones.
const KEYS_MAX: usize = 20;

/// Subjects are compared over this many octets.
const SUBJECT_OCTETS_MAX: usize = 256;

/// A message identifier with the subject it was seen with.
pub(super) type ThreadKey = [u8; 16];

/// The keys of a message, its own identifier first.
pub(super) fn thread_keys(summary: &Summary) -> Vec<ThreadKey> {
    let subject = base_subject(summary.envelope.subject.as_deref().unwrap_or_default());
    let references = &summary.references;
    let (first, last) = references.split_at(references.len().min(1));
    let last = last.get(last.len().saturating_sub(KEYS_MAX - 2)..).unwrap_or_default();
    let mut keys = Vec::new();
    for id in summary.envelope.message_id.iter().chain(first).chain(last) {
        let hash =
            Sha256::new().chain_update(id.trim_ascii()).chain_update([0]).chain_update(&subject).finalize();
        let Some(key) = hash.first_chunk::<16>() else { continue };
        if !keys.contains(key) {
            keys.push(*key);
        }
    }
    keys
}

/// Finds the thread of a new email, or begins one, and enters its keys.
pub(super) fn join(
    ledger: &mut Ledger<'_>,
    keys: &[ThreadKey],
    email: EmailId,
) -> Result<ThreadId, MailboxError> {
    let mut entries = Vec::new();
    for key in keys {
        entries.push((keys::thread(ledger.account, key), find(ledger, key)?));
    }
    let known = entries.iter().find_map(|(_, entry)| entry.as_ref().map(|entry| entry.thread));
    let thread = known.unwrap_or(ThreadId(email.0));
    for (key, entry) in entries {
        let mut entry = entry.unwrap_or(ThreadEntry { thread, emails: 0 });
        entry.emails += 1;
        ledger.transaction.put(keys::THREADS, &key, &entry.encode())?;
    }
    Ok(thread)
}

/// Takes an email's entries away.
pub(super) fn leave(ledger: &mut Ledger<'_>, keys: &[ThreadKey]) -> Result<(), MailboxError> {
    for key in keys {
        let Some(mut entry) = find(ledger, key)? else { continue };
        let key = keys::thread(ledger.account, key);
        if entry.emails > 1 {
            entry.emails -= 1;
            ledger.transaction.put(keys::THREADS, &key, &entry.encode())?;
        } else {
            ledger.transaction.delete(keys::THREADS, &key)?;
        }
    }
    Ok(())
}

fn find(ledger: &mut Ledger<'_>, key: &ThreadKey) -> Result<Option<ThreadEntry>, MailboxError> {
    match ledger.transaction.get(keys::THREADS, &keys::thread(ledger.account, key))? {
        None => Ok(None),
        Some(octets) => {
            ThreadEntry::decode(&octets).map(Some).ok_or(MailboxError::Unreadable(keys::THREADS.0))
        }
    }
}

/// The subject without what replying and forwarding put around it, in lower
/// case without spaces (after RFC 5256 section 2.1). A subject in encoded
/// words counts as none, since each program encodes the same words its own way.
fn base_subject(subject: &[u8]) -> Vec<u8> {
    let text: Vec<u8> = subject
        .iter()
        .filter(|octet| !octet.is_ascii_whitespace())
        .take(SUBJECT_OCTETS_MAX)
        .map(u8::to_ascii_lowercase)
        .collect();
    if text.windows(2).any(|pair| pair == b"=?") {
        return Vec::new();
    }
    let mut rest = text.as_slice();
    loop {
        let before = rest.len();
        while let Some(inner) = rest.strip_suffix(b"(fwd)") {
            rest = inner;
        }
        for word in [&b"re"[..], b"fwd", b"fw", b"aw", b"wg"] {
            let Some(after) = rest.strip_prefix(word) else { continue };
            let after = after_blob(after).unwrap_or(after);
            if let Some(inner) = after.strip_prefix(b":") {
                rest = inner;
                break;
            }
        }
        // A mailing list's [name], unless it is all there is.
        if let Some(inner) = after_blob(rest).filter(|inner| !inner.is_empty()) {
            rest = inner;
        }
        if rest.len() == before {
            return rest.to_vec();
        }
    }
}

fn after_blob(text: &[u8]) -> Option<&[u8]> {
    let inner = text.strip_prefix(b"[")?;
    let end = inner.iter().position(|octet| *octet == b']')?;
    inner.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_the_subject_of_the_original() {
        for subject in [
            "Do you like crepes?",
            "Re: Do you like crepes?",
            "RE:  re: Do you like\r\n crepes?",
            "Re[2]: [eaters] Re: Do you like crepes? (fwd)",
            "Fwd: FW: AW: Do you like crepes?",
        ] {
            assert_eq!(base_subject(subject.as_bytes()), b"doyoulikecrepes?", "{subject}");
        }
        assert_eq!(base_subject(b"[eaters]"), b"[eaters]");
        assert_eq!(base_subject(b"Re: =?utf-8?q?Cr=C3=AApes?="), b"");
        assert_eq!(base_subject(b"regarding"), b"regarding");
        assert_eq!(base_subject(b"re["), b"re[");
        assert_eq!(base_subject(b""), b"");
    }

    #[test]
    fn only_so_many_identifiers_and_so_much_of_a_subject_count() {
        let references = |numbers: std::ops::Range<usize>| {
            let field = numbers.fold(String::new(), |all, number| all + &format!(" <r{number}>"));
            Summary::parse(format!("Message-ID: <own>\r\nReferences:{field}\r\n\r\n").as_bytes())
        };
        let keys = thread_keys(&references(0..3 * KEYS_MAX));
        assert_eq!(keys.len(), KEYS_MAX);
        // Its own, the first one, and the last ones.
        let all = |numbers| thread_keys(&references(numbers));
        assert_eq!(keys[..2], all(0..1));
        assert_eq!(keys[2..], all(2 * KEYS_MAX + 2..3 * KEYS_MAX)[1..]);

        let long = vec![b'a'; SUBJECT_OCTETS_MAX];
        assert_eq!(base_subject(&[&long[..], b"b"].concat()), long);
    }
}
