//! What a session believes of its selected mailbox: which UID stands behind each
//! message number, and what it is yet to be told (RFC 9051 sections 2.3.1.2 and 7.5.1).

use super::command::Which;
use super::response::Response;
use super::sequence::write_set;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

/// A selected mailbox as the client sees it.
#[derive(Debug)]
pub struct View {
    uids: Vec<u32>,
    /// Everything up to here was told.
    mod_seq: u64,
    /// Changes of this session since, by UID: the client knows them.
    told: HashMap<u32, u64>,
    /// Messages that went while EXPUNGE was not allowed.
    gone: BTreeSet<u32>,
}

/// A message that is new or whose flags changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its UID.
    pub uid: u32,
    /// Its mod-sequence.
    pub mod_seq: u64,
    /// Its flags.
    pub flags: Vec<String>,
}

/// How changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Telling {
    /// Whether EXPUNGE may be told: not during FETCH, STORE and SEARCH by number.
    pub expunges: bool,
    /// With MODSEQ (RFC 7162 section 3.1).
    pub mod_seq: bool,
    /// VANISHED instead of EXPUNGE (RFC 7162 section 3.2.10).
    pub vanished: bool,
}

impl View {
    /// A mailbox of these ascending UIDs, known up to `mod_seq`.
    pub fn new(uids: Vec<u32>, mod_seq: u64) -> Self {
        Self { uids, mod_seq, told: HashMap::new(), gone: BTreeSet::new() }
    }

    /// Ascending UIDs; a message's number is its index and one.
    pub fn uids(&self) -> &[u32] {
        &self.uids
    }

    /// Ask for changes since this.
    pub fn mod_seq(&self) -> u64 {
        self.mod_seq
    }

    /// The number of a UID.
    pub fn number(&self, uid: u32) -> Option<u32> {
        self.uids.binary_search(&uid).ok().map(|index| index as u32 + 1)
    }

    /// The UIDs a command means; `None` where it names a number that no message has.
    pub fn resolve(&self, which: &Which) -> Option<Vec<u32>> {
        let indexes =
            if which.uid { which.set.of_uids(&self.uids) } else { which.set.of_numbers(self.uids.len())? };
        Some(indexes.into_iter().filter_map(|index| self.uids.get(index).copied()).collect())
    }

    /// The client knows that this message has this mod-sequence.
    pub fn knows(&mut self, uid: u32, mod_seq: u64) {
        self.told.insert(uid, mod_seq);
    }

    /// Takes what happened up to `mod_seq` and writes what the client is told.
    /// `vanished` may hold UIDs the client never saw.
    pub fn update(
        &mut self,
        changed: &[Changed],
        vanished: &[RangeInclusive<u32>],
        mod_seq: u64,
        telling: Telling,
        response: &mut Response,
    ) {
        let seen_max = self.uids.last().copied().unwrap_or(0);
        for range in vanished {
            let from = self.uids.partition_point(|uid| uid < range.start());
            self.gone.extend(self.uids[from..].iter().take_while(|uid| *uid <= range.end()));
        }
        if telling.expunges {
            self.tell_expunges(telling.vanished, response);
        }
        let count = self.uids.len();
        let news = changed.iter().map(|message| message.uid).filter(|uid| *uid > seen_max);
        self.uids.extend(news);
        if self.uids.len() > count {
            response.text(&format!("* {} EXISTS\r\n", self.uids.len()));
        }
        for message in changed.iter().filter(|message| message.uid <= seen_max) {
            let known = self.told.get(&message.uid).is_some_and(|told| *told >= message.mod_seq);
            if let Some(number) = self.number(message.uid).filter(|_| !known) {
                flags(response, number, message, telling.mod_seq);
            }
        }
        self.told.clear();
        self.mod_seq = self.mod_seq.max(mod_seq);
    }

    /// Tells of these messages, expunged by this very session, and of those that went before.
    pub fn expunged(&mut self, uids: &[u32], vanished: bool, response: &mut Response) {
        self.gone.extend(uids.iter().filter(|uid| self.uids.binary_search(uid).is_ok()));
        self.tell_expunges(vanished, response);
    }

    fn tell_expunges(&mut self, vanished: bool, response: &mut Response) {
        if self.gone.is_empty() {
            return;
        }
        if vanished {
            let gone: Vec<u32> = self.gone.iter().copied().collect();
            response.text(&format!("* VANISHED {}\r\n", write_set(&gone)));
        } else {
            // From the last to the first, so that no number changes what another means.
            for uid in self.gone.iter().rev() {
                if let Some(number) = self.number(*uid) {
                    response.text(&format!("* {number} EXPUNGE\r\n"));
                }
            }
        }
        let gone = std::mem::take(&mut self.gone);
        self.uids.retain(|uid| !gone.contains(uid));
    }
}

/// `* n FETCH (UID … FLAGS (…))`.
pub fn flags(response: &mut Response, number: u32, message: &Changed, mod_seq: bool) {
    response.text(&format!("* {number} FETCH (UID {} FLAGS ", message.uid));
    response.flags(&message.flags);
    if mod_seq {
        response.text(&format!(" MODSEQ ({})", message.mod_seq));
    }
    response.text(")\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Telling = Telling { expunges: true, mod_seq: false, vanished: false };

    fn changed(uid: u32, mod_seq: u64) -> Changed {
        Changed { uid, mod_seq, flags: vec!["\\Seen".to_owned()] }
    }

    fn told(view: &mut View, changes: &[Changed], vanished: &[u32], telling: Telling) -> String {
        let mut response = Response::default();
        let vanished: Vec<_> = vanished.iter().map(|uid| *uid..=*uid).collect();
        view.update(changes, &vanished, 9, telling, &mut response);
        String::from_utf8(response.into_vec()).unwrap()
    }

    #[test]
    fn changes_are_told_in_an_order_a_client_can_follow() {
        let mut view = View::new(vec![10, 11, 12, 13], 5);
        let changes = [changed(10, 6), changed(14, 7), changed(15, 8)];
        assert_eq!(
            told(&mut view, &changes, &[11, 13, 99], PLAIN),
            "* 4 EXPUNGE\r\n* 2 EXPUNGE\r\n* 4 EXISTS\r\n* 1 FETCH (UID 10 FLAGS (\\Seen))\r\n"
        );
        assert_eq!(view.uids(), [10, 12, 14, 15]);
        assert_eq!(view.mod_seq(), 9);
    }

    #[test]
    fn expunges_wait_until_they_are_allowed() {
        let mut view = View::new(vec![10, 11, 12], 5);
        assert_eq!(
            told(&mut view, &[changed(13, 7)], &[11], Telling { expunges: false, ..PLAIN }),
            "* 4 EXISTS\r\n"
        );
        assert_eq!(view.number(12), Some(3));
        assert_eq!(told(&mut view, &[], &[], PLAIN), "* 2 EXPUNGE\r\n");
        assert_eq!(view.number(12), Some(2));
    }

    #[test]
    fn what_the_client_knows_is_not_told_again() {
        let mut view = View::new(vec![10, 11], 5);
        view.knows(10, 6);
        view.knows(11, 6);
        let told =
            told(&mut view, &[changed(10, 6), changed(11, 7)], &[], Telling { mod_seq: true, ..PLAIN });
        assert_eq!(told, "* 2 FETCH (UID 11 FLAGS (\\Seen) MODSEQ (7))\r\n");
    }

    #[test]
    fn vanished_names_uids() {
        let mut view = View::new(vec![10, 11, 12, 20], 5);
        assert_eq!(
            told(&mut view, &[], &[10, 11, 20], Telling { vanished: true, ..PLAIN }),
            "* VANISHED 10:11,20\r\n"
        );
    }

    proptest! {
        /// A client that follows what it is told ends with the same numbers.
        #[test]
        fn a_client_that_follows_agrees(
            steps in proptest::collection::vec((0usize..4, proptest::collection::vec(1u32..40, 0..6), any::<bool>()), 1..20),
        ) {
            let mut view = View::new(vec![1, 2, 3], 0);
            let mut client: Vec<Option<u32>> = vec![Some(1), Some(2), Some(3)];
            let mut uid_next = 4;
            for (arrivals, vanished, expunges) in steps {
                let changes: Vec<Changed> = (0..arrivals as u32).map(|n| changed(uid_next + n, 1)).collect();
                uid_next += arrivals as u32;
                for line in told(&mut view, &changes, &vanished, Telling { expunges, ..PLAIN }).lines() {
                    let words: Vec<&str> = line.split(' ').collect();
                    let number: usize = words[1].parse().unwrap();
                    match words[2] {
                        "EXPUNGE" => { client.remove(number - 1); }
                        "EXISTS" => client.resize(number, None),
                        _ => {}
                    }
                }
                // What the client does not know yet it asks for.
                for (index, uid) in client.iter_mut().enumerate() {
                    uid.get_or_insert(view.uids()[index]);
                }
                let client: Vec<u32> = client.iter().flatten().copied().collect();
                prop_assert_eq!(&client, view.uids());
            }
        }
    }
}
