//! Address lists (RFC 5322 section 3.4, with the obsolete forms of section 4.4),
//! read with tolerance: an envelope shows what stands there.

use super::Address;
use super::header::{Token, tokens};

/// Addresses kept of one field.
pub(super) const ADDRESSES_MAX: usize = 2_000;

/// The addresses of an unfolded field.
pub(super) fn addresses(value: &[u8]) -> Vec<Address> {
    let mut reader = Reader::default();
    for (spaced, token) in tokens(value) {
        if reader.found.len() >= ADDRESSES_MAX {
            break;
        }
        reader.take(spaced, token);
    }
    reader.end_address();
    reader.end_group();
    reader.found
}

#[derive(Default)]
struct Reader {
    found: Vec<Address>,
    in_group: bool,
    /// Before an angle: the display name, or the address itself.
    words: Vec<u8>,
    /// Where in `words` the last `@` stands.
    at_sign: Option<usize>,
    comment: Option<Vec<u8>>,
    /// The address between `<` and `>` once `<` was seen.
    angle: Option<Angle>,
}

#[derive(Default)]
struct Angle {
    closed: bool,
    route: Option<Vec<u8>>,
    octets: Vec<u8>,
    at_sign: Option<usize>,
}

impl Reader {
    fn take(&mut self, spaced: bool, token: Token) {
        if let Some(angle) = self.angle.as_mut().filter(|angle| !angle.closed) {
            match token {
                Token::Special(b'>') => angle.closed = true,
                Token::Special(b'@') => {
                    angle.at_sign = Some(angle.octets.len());
                    angle.octets.push(b'@');
                }
                Token::Special(b':') if angle.octets.first() == Some(&b'@') => {
                    angle.route = Some(std::mem::take(&mut angle.octets));
                    angle.at_sign = None;
                }
                Token::Special(octet) => angle.octets.push(octet),
                Token::Word(word) | Token::Quoted(word) => angle.octets.extend(word),
                Token::Comment(_) => {}
            }
            return;
        }
        match token {
            Token::Special(b'<') => self.angle = Some(Angle::default()),
            Token::Special(b'>') => {}
            Token::Special(b',') => self.end_address(),
            Token::Special(b';') => {
                self.end_address();
                self.end_group();
            }
            Token::Special(b':') => {
                let name = std::mem::take(&mut self.words);
                (self.at_sign, self.comment, self.angle) = (None, None, None);
                self.end_group();
                self.found.push(Address { mailbox: Some(name), ..Address::default() });
                self.in_group = true;
            }
            Token::Special(octet) => {
                self.at_sign = Some(self.words.len());
                self.words.push(octet);
            }
            Token::Comment(comment) => self.comment = Some(comment),
            Token::Word(_) | Token::Quoted(_) if self.angle.is_some() => {}
            Token::Word(word) | Token::Quoted(word) => {
                if spaced && !self.words.is_empty() && self.at_sign.is_none() {
                    self.words.push(b' ');
                }
                self.words.extend(word);
            }
        }
    }

    fn end_address(&mut self) {
        let words = std::mem::take(&mut self.words);
        let comment = self.comment.take().filter(|comment| !comment.is_empty());
        let at_sign = self.at_sign.take();
        let (octets, at_sign, name, route) = match self.angle.take() {
            Some(angle) => {
                (angle.octets, angle.at_sign, Some(words).filter(|name| !name.is_empty()), angle.route)
            }
            None if words.is_empty() => return,
            None => (words, at_sign, None, None),
        };
        let (mailbox, host) = match at_sign {
            Some(at) => (octets[..at].trim_ascii().to_vec(), octets[at + 1..].to_vec()),
            // A host of NIL would mean a group.
            None => (octets, Vec::new()),
        };
        if mailbox.is_empty() && host.is_empty() && name.is_none() {
            return;
        }
        self.found.push(Address { name: name.or(comment), route, mailbox: Some(mailbox), host: Some(host) });
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.found.push(Address::default());
        }
    }
}
