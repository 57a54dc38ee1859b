//! Makes a master file fit for the reader behind it: times with units become
//! seconds; an entry whose parenthesis or quote is never closed is cut off, for
//! which that reader has no bound of its own; and tokens that touch are parted.

use std::borrow::Cow;

/// The file as it may be read, and what is wrong where it was cut off.
pub(super) struct Rewritten<'a> {
    /// Whole entries, with as many lines as in the file.
    pub(super) text: Cow<'a, str>,
    /// Why the rest of the file is left out.
    pub(super) fault: Option<Fault>,
}

/// Something that ends the reading of a file.
pub(super) struct Fault {
    /// The line, from 1.
    pub(super) line: usize,
    pub(super) problem: String,
    pub(super) remedy: &'static str,
}

/// Rewrites a whole file.
pub(super) fn rewrite(text: &str) -> Rewritten<'_> {
    let mut reader = Reader { text, at: 0, line: 1, copied: 0, output: String::new() };
    let mut fault = None;
    while reader.at < text.len() {
        let (start, written, copied) = (reader.at, reader.output.len(), reader.copied);
        if let Err(found) = reader.entry() {
            // What was written of this entry goes again.
            reader.output.truncate(written);
            reader.copied = copied;
            reader.at = start;
            fault = Some(found);
            break;
        }
    }
    let text = if reader.output.is_empty() {
        Cow::Borrowed(&text[..reader.at])
    } else {
        reader.output.push_str(&text[reader.copied..reader.at]);
        Cow::Owned(reader.output)
    };
    Rewritten { text, fault }
}

/// Which tokens of an entry are times.
#[derive(Clone, Copy)]
enum Expect {
    /// The owner, or a control entry's name.
    Owner,
    /// TTL, class or type.
    TimeOrType,
    /// The only operand of `$TTL`.
    Time,
    /// So many tokens of a SOA's data were seen.
    Soa(u8),
    /// Nothing that is a time.
    Data,
}

impl Expect {
    fn after(self, token: &str) -> Self {
        match self {
            Self::Owner if token.eq_ignore_ascii_case("$TTL") => Self::Time,
            Self::Owner if token.starts_with('$') => Self::Data,
            Self::Owner => Self::TimeOrType,
            Self::TimeOrType if token.eq_ignore_ascii_case("SOA") => Self::Soa(0),
            Self::TimeOrType if token.eq_ignore_ascii_case("IN") || seconds(token).is_some() => {
                Self::TimeOrType
            }
            Self::Soa(seen) => Self::Soa(seen.saturating_add(1)),
            Self::TimeOrType | Self::Time | Self::Data => Self::Data,
        }
    }

    fn is_time(self) -> bool {
        // MNAME, RNAME and SERIAL stand before a SOA's four times.
        matches!(self, Self::TimeOrType | Self::Time | Self::Soa(3..=6))
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    /// What comes before in the text is in the output.
    copied: usize,
    /// Empty as long as nothing differs.
    output: String,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Goes over one entry and the line feed at its end.
    fn entry(&mut self) -> Result<(), Fault> {
        let indented = self.peek().is_some_and(is_space);
        let mut expect = if indented { Expect::TimeOrType } else { Expect::Owner };
        let mut opened = Vec::new();
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    if opened.is_empty() {
                        return Ok(());
                    }
                }
                b';' => {
                    let rest = &self.text.as_bytes()[self.at..];
                    self.at += rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
                }
                b'(' => {
                    self.at += 1;
                    opened.push(self.line);
                }
                b')' => {
                    self.at += 1;
                    // One too many is told by who reads the entry.
                    opened.pop();
                }
                b'"' => {
                    self.quoted()?;
                    expect = expect.after("");
                }
                octet if is_space(octet) => self.at += 1,
                _ => expect = self.token(expect)?,
            }
        }
        match opened.first() {
            None => Ok(()),
            Some(line) => Err(Fault {
                line: *line,
                problem: "a parenthesis is opened and never closed".to_owned(),
                remedy: "write `)` where the record ends (RFC 1035 section 5.1)",
            }),
        }
    }

    fn quoted(&mut self) -> Result<(), Fault> {
        let opened = self.line;
        self.at += 1;
        while let Some(octet) = self.peek() {
            self.at += 1;
            match octet {
                b'"' => {
                    if self
                        .peek()
                        .is_some_and(|next| !is_space(next) && !matches!(next, b'\n' | b'(' | b')' | b';'))
                    {
                        // The reader needs room between a quoted token and the next.
                        self.replace(self.at, " ");
                    }
                    return Ok(());
                }
                b'\n' => self.line += 1,
                b'\\' => self.escaped(),
                _ => {}
            }
        }
        Err(Fault {
            line: opened,
            problem: "a quote is opened and never closed".to_owned(),
            remedy: "write `\"` where the text ends, and `\\\"` for a quote within it (RFC 1035 section 5.1)",
        })
    }

    /// Steps over what a backslash makes part of the token.
    fn escaped(&mut self) {
        if let Some(octet) = self.peek() {
            self.line += usize::from(octet == b'\n');
            self.at += 1;
        }
    }

    /// An unquoted token.
    fn token(&mut self, expect: Expect) -> Result<Expect, Fault> {
        let (start, line) = (self.at, self.line);
        while let Some(octet) = self.peek() {
            match octet {
                b'\n' | b'(' | b')' | b';' | b'"' => break,
                octet if is_space(octet) => break,
                b'\\' => {
                    self.at += 1;
                    self.escaped();
                }
                _ => self.at += 1,
            }
        }
        // After a backslash it may be within a character; no such token is rewritten.
        let token = self.text.get(start..self.at).unwrap_or_default();
        if token == "\\#" && !self.peek().is_some_and(is_space) {
            // The reader takes the octet after it for part of it.
            self.replace(start, "\\# ");
        }
        if expect.is_time()
            && token.bytes().any(|octet| octet.is_ascii_alphabetic())
            && let Some(time) = seconds(token)
        {
            let Some(time) = time else {
                return Err(Fault {
                    line,
                    problem: format!("the time {token} is longer than {} seconds", u32::MAX),
                    remedy: "write a shorter one: a TTL is 2147483647 at most (RFC 2181 section 8)",
                });
            };
            self.replace(start, &time.to_string());
        }
        Ok(expect.after(token))
    }

    /// Puts other text in place of what was just read, from `start`.
    fn replace(&mut self, start: usize, by: &str) {
        self.output.push_str(&self.text[self.copied..start]);
        self.output.push_str(by);
        self.copied = self.at;
    }
}

fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r')
}

/// The seconds of `3600`, `1h` or `1w2d3h4m5s`; `Some(None)` if they do not fit.
/// `None` if it is no time.
#[expect(clippy::option_option, reason = "what is no time is no error here")]
fn seconds(token: &str) -> Option<Option<u32>> {
    let mut total = Some(0_u32);
    let mut rest = token;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let number = rest[..digits].parse::<u32>().ok();
        let unit = match rest.as_bytes().get(digits).map(u8::to_ascii_lowercase) {
            None | Some(b's') => 1,
            Some(b'm') => 60,
            Some(b'h') => 60 * 60,
            Some(b'd') => 24 * 60 * 60,
            Some(b'w') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        total = total
            .zip(number.and_then(|number| number.checked_mul(unit)))
            .and_then(|(total, more)| total.checked_add(more));
        rest = rest.get(digits + 1..).unwrap_or_default();
    }
    (!token.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::{name, read};

    fn rewritten(text: &str) -> String {
        let rewritten = rewrite(text);
        assert!(rewritten.fault.is_none(), "{text}");
        rewritten.text.into_owned()
    }

    #[test]
    fn times_with_units_become_seconds() {
        for (given, wanted) in [
            ("$TTL 1h30m\n", "$TTL 5400\n"),
            (
                "@ 1W IN SOA a b 1 2h 15m ( 2w\n 1d ) ; 1h\n",
                "@ 604800 IN SOA a b 1 7200 900 ( 1209600\n 86400 ) ; 1h\n",
            ),
            ("1h IN 1h A 192.0.2.1\n 5s MX 1 1h\n", "1h IN 3600 A 192.0.2.1\n 5 MX 1 1h\n"),
            ("x 60 TXT 1h \"2h\"\n", "x 60 TXT 1h \"2h\"\n"),
            ("x 1hour A 192.0.2.1\n", "x 1hour A 192.0.2.1\n"),
            ("a\\ b 1D CNAME c\n", "a\\ b 86400 CNAME c\n"),
        ] {
            assert_eq!(rewritten(given), wanted);
        }
        assert!(matches!(rewrite("x A 192.0.2.1\n").text, Cow::Borrowed(_)), "nothing is copied for nothing");
    }

    #[test]
    fn what_is_never_closed_is_told_where_it_was_opened_and_what_stands_before_is_read() {
        let origin = name("example.test").unwrap();
        let before = "$TTL 1h\nx TXT \"( not one\" ; ( nor this\nx A 192.0.2.1\n";
        for (end, line, problem) in [
            ("y TXT (\n \"a\"\n", 4, "parenthesis"),
            ("y TXT ( a\nz A 192.0.2.2", 4, "parenthesis"),
            ("y TXT a\"b\"c\"\"( (d) ; )\n\n", 4, "parenthesis"),
            ("\ny TXT \"a\n b", 5, "quote"),
            ("y TXT \"a\\\"\n", 4, "quote"),
            ("y 7102w A 192.0.2.2\n", 4, "longer than"),
        ] {
            let (records, findings) = read(&format!("{before}{end}"), &origin);
            assert_eq!(records.len(), 2, "{end}");
            assert_eq!(records[0].record.ttl, 3600);
            let [finding] = findings.as_slice() else { panic!("{end}: {findings:?}") };
            assert_eq!(finding.line, Some(line), "{end}: {finding}");
            assert!(finding.problem.contains(problem), "{end}: {finding}");
        }
    }

    #[test]
    fn quoted_tokens_may_touch() {
        let origin = name("example.test").unwrap();
        let (records, findings) = read(
            "$INCLUDE \"a\nb\"c\nx 60 TXT \"a\"b\"c\"\"d\"(\"e\")\nx 60 HTTPS 1 . alpn=\"h2\"port=\"8443\"\n",
            &origin,
        );
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert!(finding.problem.contains("$INCLUDE"), "{finding}");
        let [text, service] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!(*text.record.data, *b"\x01a\x01b\x01c\x01d\x01e");
        assert_eq!(service.record.to_string().matches('=').count(), 2, "{}", service.record);
    }

    #[test]
    fn raw_octets_end_with_their_line() {
        let origin = name("example.test").unwrap();
        let (records, findings) = read("x 60 TYPE65280 \\#\n2 0102\n", &origin);
        assert!(records.is_empty() && findings.len() == 1, "{records:?} {findings:?}");
        assert_eq!(findings[0].line, Some(1), "{}", findings[0]);
        let (records, findings) = read("x 60 TYPE65280 \\#(\n2 0102 )\n", &origin);
        assert!(records.len() == 1 && findings.is_empty(), "{findings:?}");
    }
}
