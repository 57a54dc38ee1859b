//! Reading the terminals of the formal syntax (RFC 9051 section 9) from one
//! command, its literals in place.

use super::mailbox_name;
use thiserror::Error;

/// Parentheses nested deeper than this are refused.
pub(super) const NESTING_MAX: usize = 32;

/// A command that does not follow the grammar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected {expected} at octet {at} of the command")]
pub struct Fault {
    /// Where, from 0.
    pub at: usize,
    /// What should have stood there.
    pub expected: &'static str,
}

pub(super) type Parsed<T> = Result<T, Fault>;

/// Walks through one command.
pub(super) struct Scanner<'a> {
    octets: &'a [u8],
    at: usize,
    /// Whether mailbox names are UTF-8 rather than modified UTF-7.
    utf8: bool,
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(octets: &'a [u8], utf8: bool) -> Self {
        Self { octets, at: 0, utf8, depth: 0 }
    }

    pub(super) fn fault(&self, expected: &'static str) -> Fault {
        Fault { at: self.at, expected }
    }

    fn rest(&self) -> &'a [u8] {
        &self.octets[self.at..]
    }

    pub(super) fn at_end(&self) -> bool {
        self.at == self.octets.len()
    }

    pub(super) fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { Err(self.fault("the end of the command")) }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Passes over `token`, compared without case, where it stands here.
    pub(super) fn eat(&mut self, token: &[u8]) -> bool {
        let here = self
            .rest()
            .split_at_checked(token.len())
            .is_some_and(|(head, _)| head.eq_ignore_ascii_case(token));
        if here {
            self.at += token.len();
        }
        here
    }

    pub(super) fn expect(&mut self, token: &[u8], expected: &'static str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { Err(self.fault(expected)) }
    }

    pub(super) fn space(&mut self) -> Parsed<()> {
        self.expect(b" ", "a space")
    }

    fn take_while(&mut self, allowed: impl Fn(u8) -> bool, expected: &'static str) -> Parsed<&'a [u8]> {
        let rest = self.rest();
        let count = rest.iter().take_while(|octet| allowed(**octet)).count();
        if count == 0 {
            return Err(self.fault(expected));
        }
        self.at += count;
        Ok(&rest[..count])
    }

    pub(super) fn tag(&mut self) -> Parsed<&'a [u8]> {
        self.take_while(|octet| is_astring_char(octet) && octet != b'+', "a tag")
    }

    /// An atom in upper case: a keyword of the protocol.
    pub(super) fn keyword(&mut self) -> Parsed<String> {
        let word = self.take_while(is_atom_char, "a keyword")?;
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    /// A keyword that ends before `[` and `<` too, as in FETCH items.
    pub(super) fn item_name(&mut self) -> Parsed<String> {
        let allowed = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-');
        let word = self.take_while(allowed, "a data item")?;
        Ok(String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    pub(super) fn digits(&mut self) -> Parsed<u64> {
        let start = self.at;
        let digits = self.take_while(|octet| octet.is_ascii_digit(), "a number")?;
        let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
        // RFC 7162 section 3.1: mod-sequences are below 2^63.
        number
            .filter(|number| i64::try_from(*number).is_ok())
            .ok_or(Fault { at: start, expected: "a smaller number" })
    }

    pub(super) fn number(&mut self) -> Parsed<u32> {
        let start = self.at;
        u32::try_from(self.digits()?).map_err(|_| Fault { at: start, expected: "a number below 4294967296" })
    }

    pub(super) fn nz_number(&mut self) -> Parsed<u32> {
        let start = self.at;
        match self.number()? {
            0 => Err(Fault { at: start, expected: "a number above 0" }),
            number => Ok(number),
        }
    }

    /// A quoted string or a literal.
    pub(super) fn string(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(<[u8]>::to_vec),
            _ => Err(self.fault("a string")),
        }
    }

    fn quoted(&mut self) -> Parsed<Vec<u8>> {
        self.expect(b"\"", "a quoted string")?;
        let mut text = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let octet = self.peek().filter(|octet| matches!(octet, b'"' | b'\\'));
                    text.push(octet.ok_or_else(|| self.fault("a quote or backslash after a backslash"))?);
                }
                Some(b'\r' | b'\n' | 0) | None => return Err(self.fault("a closing quote")),
                Some(octet) => text.push(octet),
            }
            self.at += 1;
        }
    }

    /// A literal, in any of its forms (RFC 7888).
    pub(super) fn literal(&mut self) -> Parsed<&'a [u8]> {
        self.expect(b"{", "a literal")?;
        let count = self.digits()? as usize;
        self.eat(b"+");
        self.expect(b"}\r\n", "the end of a literal's length")?;
        let literal = self.rest().get(..count).ok_or_else(|| self.fault("all of the literal"))?;
        self.at += count;
        Ok(literal)
    }

    pub(super) fn astring(&mut self) -> Parsed<Vec<u8>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => self.take_while(is_astring_char, "an atom or a string").map(<[u8]>::to_vec),
        }
    }

    /// A string, or NIL.
    pub(super) fn nstring(&mut self) -> Parsed<Option<Vec<u8>>> {
        if self.eat(b"NIL") { Ok(None) } else { self.string().map(Some) }
    }

    pub(super) fn mailbox(&mut self) -> Parsed<String> {
        let start = self.at;
        let name = self.astring()?;
        mailbox_name::decode(&name, self.utf8)
            .ok_or(Fault { at: start, expected: "a mailbox name in modified UTF-7" })
    }

    /// A mailbox name in which `%` and `*` stand for others.
    pub(super) fn list_mailbox(&mut self) -> Parsed<String> {
        let start = self.at;
        let name = match self.peek() {
            Some(b'"' | b'{') => self.string()?,
            _ => self
                .take_while(
                    |octet| is_astring_char(octet) || matches!(octet, b'%' | b'*'),
                    "a mailbox pattern",
                )?
                .to_vec(),
        };
        mailbox_name::decode_pattern(&name, self.utf8)
            .ok_or(Fault { at: start, expected: "a mailbox pattern in modified UTF-7" })
    }

    /// One flag. System flags get their usual case; `\Recent` and unknown
    /// backslash flags cannot be set.
    pub(super) fn flag(&mut self) -> Parsed<String> {
        let start = self.at;
        if self.eat(b"\\") {
            let name = self.keyword()?;
            return super::response::SYSTEM_FLAGS
                .into_iter()
                .find(|flag| flag[1..].eq_ignore_ascii_case(&name))
                .map(str::to_owned)
                .ok_or(Fault { at: start, expected: "a flag that can be set" });
        }
        let word = self.take_while(is_atom_char, "a flag")?;
        Ok(String::from_utf8_lossy(word).into_owned())
    }

    /// Flags in parentheses.
    pub(super) fn flag_list(&mut self) -> Parsed<Vec<String>> {
        self.expect(b"(", "flags in parentheses")?;
        let mut flags = Vec::new();
        while !self.eat(b")") {
            if !flags.is_empty() {
                self.space()?;
            }
            flags.push(self.flag()?);
        }
        Ok(flags)
    }

    /// One or more `item`s in parentheses, separated by spaces.
    pub(super) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b"(", "an opening parenthesis")?;
        self.nested(|scanner| {
            let mut items = vec![item(scanner)?];
            while !scanner.eat(b")") {
                scanner.space()?;
                items.push(item(scanner)?);
            }
            Ok(items)
        })
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == NESTING_MAX {
            return Err(self.fault("fewer levels of nesting"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// `date` (`1-Feb-1994`, quoted or not), as days since 1970-01-01.
    pub(super) fn date(&mut self) -> Parsed<i64> {
        let quoted = self.eat(b"\"");
        let start = self.at;
        let day = self.number()?;
        let days = self.month_and_year(start, day)?;
        if quoted {
            self.expect(b"\"", "a closing quote")?;
        }
        Ok(days)
    }

    /// `-Feb-1994` after the day.
    fn month_and_year(&mut self, start: usize, day: u32) -> Parsed<i64> {
        const EXPECTED: &str = "a date such as 1-Feb-1994";
        self.expect(b"-", EXPECTED)?;
        let month = (1..=12)
            .find(|month| self.eat(super::response::MONTHS[month - 1].as_bytes()))
            .ok_or_else(|| self.fault(EXPECTED))?;
        self.expect(b"-", EXPECTED)?;
        let year = self.number()?;
        let month = month as u8;
        let day = u8::try_from(day).ok().filter(|day| (1..=days_of_month(year, month)).contains(day));
        match (day, year) {
            (Some(day), 1..=9999) => Ok(days_since_1970(year, month, day)),
            _ => Err(Fault { at: start, expected: "a date that exists" }),
        }
    }

    /// `date-time`: seconds since 1970 and the zone in minutes east of UTC.
    pub(super) fn date_time(&mut self) -> Parsed<(i64, i16)> {
        const EXPECTED: &str = "a date and time such as \"17-Jul-1996 02:44:25 -0700\"";
        self.expect(b"\"", EXPECTED)?;
        self.eat(b" ");
        let start = self.at;
        let day = self.number()?;
        let days = self.month_and_year(start, day)?;
        self.expect(b" ", EXPECTED)?;
        let mut clock = [0; 3];
        for (index, part) in clock.iter_mut().enumerate() {
            if index > 0 {
                self.expect(b":", EXPECTED)?;
            }
            *part = i64::from(self.number()?);
        }
        self.expect(b" ", EXPECTED)?;
        let east = self.eat(b"+");
        if !east {
            self.expect(b"-", EXPECTED)?;
        }
        let zone = self.number()?;
        self.expect(b"\"", EXPECTED)?;
        let [hour, minute, second] = clock;
        if hour > 23 || minute > 59 || second > 60 || zone > 2359 || zone % 100 > 59 {
            return Err(Fault { at: start, expected: "a time that exists" });
        }
        let zone = (zone / 100 * 60 + zone % 100) as i16;
        let zone = if east { zone } else { -zone };
        Ok((days * 86_400 + hour * 3_600 + minute * 60 + second - i64::from(zone) * 60, zone))
    }
}

fn is_atom_char(octet: u8) -> bool {
    octet.is_ascii_graphic() && !br#"(){%*"\]"#.contains(&octet)
}

fn is_astring_char(octet: u8) -> bool {
    is_atom_char(octet) || octet == b']' || octet >= 0x80
}

fn days_of_month(year: u32, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar.
fn days_since_1970(year: u32, month: u8, day: u8) -> i64 {
    // The year begins in March, so that the leap day is its last.
    let year = i64::from(year) - i64::from(month <= 2);
    let month = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Year, month (from 1) and day of days since 1970-01-01.
pub(super) fn civil_date(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as usize, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan<'a, T>(text: &'a str, read: impl FnOnce(&mut Scanner<'a>) -> Parsed<T>) -> Parsed<T> {
        let mut scanner = Scanner::new(text.as_bytes(), false);
        let value = read(&mut scanner)?;
        scanner.end()?;
        Ok(value)
    }

    #[test]
    fn strings_come_in_three_forms() {
        assert_eq!(scan("atom]", Scanner::astring).unwrap(), b"atom]");
        assert_eq!(scan(r#""a \"b\\""#, Scanner::astring).unwrap(), br#"a "b\"#);
        assert_eq!(scan("{3}\r\na b", Scanner::astring).unwrap(), b"a b");
        assert_eq!(scan("{3+}\r\n\r\n\0", Scanner::astring).unwrap(), b"\r\n\0");
        for bad in ["", "(", "\"open", "\"\\x\"", "{4}\r\nabc", "{3}abc", "{99999999999999999999}\r\n"] {
            assert!(scan(bad, Scanner::astring).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates_are_days_and_seconds() {
        assert_eq!(scan("1-Jan-1970", Scanner::date).unwrap(), 0);
        assert_eq!(scan("\"29-feb-2024\"", Scanner::date).unwrap(), 19_782);
        assert_eq!(scan("\"17-Jul-1996 02:44:25 -0700\"", Scanner::date_time).unwrap(), (837_596_665, -420));
        assert_eq!(scan("\" 1-Jan-1970 00:00:00 +0000\"", Scanner::date_time).unwrap(), (0, 0));
        for bad in ["29-Feb-2023", "0-Jan-2020", "1-Foo-2020", "1-Jan-0"] {
            assert!(scan(bad, Scanner::date).is_err(), "{bad}");
        }
        assert!(scan("\"17-Jul-1996 24:00:00 -0700\"", Scanner::date_time).is_err());
    }

    #[test]
    fn flags_have_their_usual_case() {
        assert_eq!(scan(r"(\seen $Forwarded)", Scanner::flag_list).unwrap(), ["\\Seen", "$Forwarded"]);
        assert_eq!(scan("()", Scanner::flag_list).unwrap(), Vec::<String>::new());
        assert!(scan(r"(\Recent)", Scanner::flag_list).is_err());
    }

    #[test]
    fn nesting_beyond_the_bound_is_refused() {
        fn inner(scanner: &mut Scanner<'_>) -> Parsed<u32> {
            if scanner.peek() == Some(b'(') { scanner.list(inner).map(|_| 1) } else { scanner.number() }
        }
        let nest = |depth| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        assert!(scan(&nest(NESTING_MAX), inner).is_ok());
        assert!(scan(&nest(NESTING_MAX + 1), inner).is_err());
    }

    proptest! {
        #[test]
        fn days_and_dates_are_inverse(days in -700_000i64..2_900_000) {
            let (year, month, day) = civil_date(days);
            prop_assert_eq!(days_since_1970(year as u32, month as u8, day as u8), days);
        }
    }
}
