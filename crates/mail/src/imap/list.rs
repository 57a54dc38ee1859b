//! LIST and STATUS (RFC 9051 sections 6.3.9 and 6.3.11, RFC 5258, 5819, 6154): what
//! they ask for, and which mailboxes answer.

use super::mailbox_name::{DELIMITER, matches};
use super::response::Response;
use super::scanner::{Fault, Parsed, Scanner};
use std::collections::BTreeMap;

/// Patterns kept of one command.
pub const PATTERNS_MAX: usize = 50;

/// A LIST or LSUB command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct List {
    /// Prefix of the patterns.
    pub reference: String,
    /// What names must match.
    pub patterns: Vec<String>,
    /// Only subscribed mailboxes.
    pub select_subscribed: bool,
    /// Also parents of what the other selection options select.
    pub recursive_match: bool,
    /// Only mailboxes of special use.
    pub select_special_use: bool,
    /// Tell which are subscribed.
    pub return_subscribed: bool,
    /// STATUS of each.
    pub return_status: Vec<StatusItem>,
    /// Whether it is LSUB.
    pub lsub: bool,
}

/// What STATUS tells of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// How many messages.
    Messages,
    /// Always 0 here.
    Recent,
    /// The UID the next message gets at least.
    UidNext,
    /// The UIDVALIDITY.
    UidValidity,
    /// How many without `\Seen`.
    Unseen,
    /// How many with `\Deleted`.
    Deleted,
    /// Octets of all messages.
    Size,
    /// The highest mod-sequence.
    HighestModSeq,
    /// The MAILBOXID (RFC 8474).
    MailboxId,
}

pub(super) fn status_items(scanner: &mut Scanner<'_>) -> Parsed<Vec<StatusItem>> {
    let items = scanner.list(|scanner| {
        let fault = scanner.fault("a data item of STATUS");
        Ok(match scanner.keyword()?.as_str() {
            "MESSAGES" => StatusItem::Messages,
            "RECENT" => StatusItem::Recent,
            "UIDNEXT" => StatusItem::UidNext,
            "UIDVALIDITY" => StatusItem::UidValidity,
            "UNSEEN" => StatusItem::Unseen,
            "DELETED" => StatusItem::Deleted,
            "SIZE" => StatusItem::Size,
            "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
            "MAILBOXID" => StatusItem::MailboxId,
            _ => return Err(fault),
        })
    })?;
    if items.len() > 20 {
        return Err(scanner.fault("each data item once"));
    }
    Ok(items)
}

/// `( option option )`, which may be empty; an option may have arguments.
fn options(
    scanner: &mut Scanner<'_>,
    mut option: impl FnMut(&mut Scanner<'_>, &str, Fault) -> Parsed<()>,
) -> Parsed<()> {
    if scanner.eat(b"()") {
        return Ok(());
    }
    scanner.list(|scanner| {
        let fault = scanner.fault("an option of LIST");
        let name = scanner.keyword()?;
        option(scanner, &name, fault)
    })?;
    Ok(())
}

pub(super) fn list(scanner: &mut Scanner<'_>) -> Parsed<List> {
    let mut list = List::default();
    if scanner.peek() == Some(b'(') {
        options(scanner, |_, name, fault| {
            match name {
                "SUBSCRIBED" => {
                    list.select_subscribed = true;
                    list.return_subscribed = true;
                }
                "REMOTE" => {}
                "RECURSIVEMATCH" => list.recursive_match = true,
                "SPECIAL-USE" => list.select_special_use = true,
                _ => return Err(fault),
            }
            Ok(())
        })?;
        if list.recursive_match && !list.select_subscribed && !list.select_special_use {
            return Err(scanner.fault("SUBSCRIBED beside RECURSIVEMATCH"));
        }
        scanner.space()?;
    }
    list.reference = scanner.list_mailbox()?;
    scanner.space()?;
    list.patterns = if scanner.peek() == Some(b'(') {
        scanner.list(Scanner::list_mailbox)?
    } else {
        vec![scanner.list_mailbox()?]
    };
    if list.patterns.len() > PATTERNS_MAX {
        return Err(scanner.fault("fewer patterns"));
    }
    if scanner.eat(b" RETURN ") {
        options(scanner, |scanner, name, fault| {
            match name {
                "SUBSCRIBED" => list.return_subscribed = true,
                "CHILDREN" | "SPECIAL-USE" => {}
                "STATUS" => {
                    scanner.space()?;
                    list.return_status = status_items(scanner)?;
                }
                _ => return Err(fault),
            }
            Ok(())
        })?;
    }
    Ok(list)
}

pub(super) fn lsub(scanner: &mut Scanner<'_>) -> Parsed<List> {
    let reference = scanner.list_mailbox()?;
    scanner.space()?;
    let patterns = vec![scanner.list_mailbox()?];
    Ok(List { reference, patterns, select_subscribed: true, lsub: true, ..List::default() })
}

/// A mailbox as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Whether it can be selected.
    pub exists: bool,
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// Its special use with the backslash, e.g. `\Sent`.
    pub special_use: Option<String>,
}

impl List {
    /// Writes the answers for `mailboxes` (in any order); returns the names that
    /// can be selected, for which STATUS may be wanted.
    pub fn answer(&self, mailboxes: &[Listed], response: &mut Response) -> Vec<String> {
        if !self.lsub && self.patterns.len() == 1 && self.patterns[0].is_empty() {
            // Asks for the delimiter only (RFC 9051 section 6.3.9).
            response.text(&format!("* LIST (\\Noselect) \"{DELIMITER}\" \"\"\r\n"));
            return Vec::new();
        }
        let mut tree: BTreeMap<&str, Listed> = BTreeMap::new();
        for mailbox in mailboxes {
            tree.insert(&mailbox.name, mailbox.clone());
            for (at, _) in mailbox.name.match_indices(DELIMITER) {
                let parent = &mailbox.name[..at];
                tree.entry(parent).or_insert_with(|| Listed { name: parent.to_owned(), ..Listed::default() });
            }
        }
        let selected = |mailbox: &Listed| {
            (!self.select_subscribed || mailbox.subscribed)
                && (!self.select_special_use || mailbox.special_use.is_some())
        };
        let mut selectable = Vec::new();
        for (name, mailbox) in &tree {
            let matched =
                self.patterns.iter().any(|pattern| matches(&format!("{}{pattern}", self.reference), name));
            if !matched {
                continue;
            }
            let below = format!("{name}{DELIMITER}");
            let mut children = tree
                .range::<str, _>((std::ops::Bound::Excluded(below.as_str()), std::ops::Bound::Unbounded))
                .take_while(|(child, _)| child.starts_with(&below))
                .map(|(_, child)| child)
                .peekable();
            let has_children = children.peek().is_some();
            let selected_below = children.any(&selected);
            let child_info = self.recursive_match && selected_below;
            // LSUB shows a parent of a subscribed mailbox only where `%` ends the pattern (RFC 3501 section 6.3.9).
            let parent = self.lsub && selected_below && self.patterns.iter().any(|p| p.ends_with('%'));
            if !selected(mailbox) && !child_info && !parent {
                continue;
            }
            // A parent that is no mailbox is shown only where it answers something.
            if !mailbox.exists && !has_children && !mailbox.subscribed {
                continue;
            }
            let mut attributes: Vec<&str> = Vec::new();
            match (self.lsub, mailbox.exists) {
                (true, _) if !mailbox.subscribed => attributes.push("\\Noselect"),
                (false, false) => attributes.push("\\NonExistent"),
                _ => {}
            }
            if !self.lsub {
                attributes.push(if has_children { "\\HasChildren" } else { "\\HasNoChildren" });
                if mailbox.subscribed && self.return_subscribed {
                    attributes.push("\\Subscribed");
                }
                attributes.extend(mailbox.special_use.as_deref());
            }
            let kind = if self.lsub { "LSUB" } else { "LIST" };
            response.text(&format!("* {kind} ({}) \"{DELIMITER}\" ", attributes.join(" ")));
            response.mailbox(name);
            if child_info {
                response.text(" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
            }
            response.text("\r\n");
            if mailbox.exists {
                selectable.push((*name).to_owned());
            }
        }
        selectable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(command: &str) -> String {
        let mut scanner = Scanner::new(command.as_bytes(), false);
        let list = if let Some(rest) = command.strip_prefix("lsub ") {
            lsub(&mut Scanner::new(rest.as_bytes(), false)).unwrap()
        } else {
            let list = list(&mut scanner).unwrap();
            scanner.end().unwrap();
            list
        };
        let mailbox = |name: &str, subscribed, special_use: Option<&str>| Listed {
            name: name.to_owned(),
            exists: true,
            subscribed,
            special_use: special_use.map(str::to_owned),
        };
        let mailboxes = [
            mailbox("INBOX", true, None),
            mailbox("Sent", false, Some("\\Sent")),
            mailbox("work/2024/ü", true, None),
            mailbox("work/2025", false, None),
        ];
        let mut response = Response::default();
        list.answer(&mailboxes, &mut response);
        String::from_utf8(response.into_vec()).unwrap()
    }

    #[test]
    fn lists_answer_as_the_rfcs_say() {
        assert_eq!(answer("\"\" \"\""), "* LIST (\\Noselect) \"/\" \"\"\r\n");
        assert_eq!(
            answer("\"\" %"),
            "* LIST (\\HasNoChildren) \"/\" INBOX\r\n* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n\
             * LIST (\\NonExistent \\HasChildren) \"/\" work\r\n"
        );
        assert_eq!(
            answer("work/ %"),
            "* LIST (\\NonExistent \\HasChildren) \"/\" work/2024\r\n* LIST (\\HasNoChildren) \"/\" work/2025\r\n"
        );
        assert_eq!(
            answer("(SUBSCRIBED) \"\" *"),
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" INBOX\r\n* LIST (\\HasNoChildren \\Subscribed) \"/\" work/2024/&APw-\r\n"
        );
        assert_eq!(
            answer("(SUBSCRIBED RECURSIVEMATCH) \"\" work"),
            "* LIST (\\NonExistent \\HasChildren) \"/\" work (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n"
        );
        assert_eq!(answer("(SPECIAL-USE) \"\" *"), "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n");
        assert_eq!(answer("\"\" (INBOX Sent)").lines().count(), 2);
        assert_eq!(answer("lsub \"\" %"), "* LSUB () \"/\" INBOX\r\n* LSUB (\\Noselect) \"/\" work\r\n");
        assert_eq!(answer("lsub \"\" *"), "* LSUB () \"/\" INBOX\r\n* LSUB () \"/\" work/2024/&APw-\r\n");
    }

    #[test]
    fn return_options_are_read() {
        let text = "\"\" % RETURN (CHILDREN STATUS (MESSAGES UNSEEN) SUBSCRIBED)";
        let list = list(&mut Scanner::new(text.as_bytes(), false)).unwrap();
        assert_eq!(list.return_status, [StatusItem::Messages, StatusItem::Unseen]);
        assert!(list.return_subscribed);
    }

    #[test]
    fn patterns_beyond_the_bound_are_refused() {
        let text = format!("\"\" ({})", vec!["a"; PATTERNS_MAX + 1].join(" "));
        assert!(list(&mut Scanner::new(text.as_bytes(), false)).is_err());
    }
}
