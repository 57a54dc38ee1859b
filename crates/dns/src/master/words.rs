//! What the reader of master files complains of, in a person's words: whose
//! record it is, which token is wrong, and what to write.

/// What to do where nothing better is known.
const FORM: &str =
    "a record reads OWNER [TTL] [IN] TYPE DATA, with the TTL in seconds or like 1h30m (RFC 1035 section 5.1)";
/// Letters of a line that are repeated.
const LINE_LETTERS_MAX: usize = 80;

/// Complaints about one token: theirs, what it is not, what to write.
const TOKENS: [(&str, &str, &str); 5] = [
    ("expected IPv4 address", "is no IPv4 address", "write one like 192.0.2.1"),
    ("expected IPv6 address", "is no IPv6 address", "write one like 2001:db8::1"),
    (
        "expected rtype",
        "is no record type",
        "write one like A, AAAA, MX or TXT, after the owner's name and the TTL",
    ),
    ("expected decimal number", "is no number", "write digits only"),
    ("expected hex digits", "is not hexadecimal", "write the digits 0 to 9 and a to f"),
];

/// Complaints about a record: theirs, ours, what to do.
const RECORDS: [(&str, &str, &str); 9] = [
    ("unexpected end of entry", "the record ends too early", FORM),
    (
        "trailing tokens",
        "something follows the data",
        "write texts with spaces in quotes, and comments after `;`",
    ),
    ("bad name", "a name is not well formed", "labels have 1 to 63 octets and stand between single dots"),
    (
        "bad charstr",
        "a text is not well formed",
        "a text in quotes has at most 255 octets; part a longer one",
    ),
    ("unbalanced parens", "a parenthesis is closed that was not opened", "remove it, or open it before"),
    (
        "missing last owner",
        "the first record has no owner",
        "begin its line with a name, or `@` for the zone's own",
    ),
    ("missing origin", "a relative name has no origin", "write `$ORIGIN example.org.` above it"),
    ("unknown control", "there is no such control entry", "$ORIGIN, $TTL and $INCLUDE are known"),
    ("different class", "the class is not IN", "only class IN is served: write IN or leave the class out"),
];

/// What is wrong and what to do about it. `line` is the line to blame; `column`,
/// from 1, is where the reader stood on it, which looks one token ahead, or
/// `None` behind it.
pub(super) fn told(complaint: &str, line: &str, column: Option<usize>) -> (String, &'static str) {
    if let Some((_, not, remedy)) = TOKENS.iter().find(|(theirs, ..)| *theirs == complaint)
        && let Some(token) = token_before(line, column)
    {
        return (format!("{token} {not}"), remedy);
    }
    let known = RECORDS.iter().find(|(theirs, ..)| complaint.starts_with(theirs));
    let (ours, remedy) = known.map_or((complaint, FORM), |(_, ours, remedy)| (*ours, *remedy));
    let line = line.trim();
    let dots = if line.chars().nth(LINE_LETTERS_MAX).is_some() { "…" } else { "" };
    let shown: String = line.chars().take(LINE_LETTERS_MAX).collect();
    (format!("{ours}, in `{shown}{dots}`"), remedy)
}

/// The last token that begins before the column.
fn token_before(line: &str, column: Option<usize>) -> Option<&str> {
    let end = column.map_or(line.len(), |column| column.saturating_sub(1).min(line.len()));
    let read = line.get(..end)?;
    let read = read.split(';').next().unwrap_or(read).trim_end_matches(is_space);
    let start = read.rfind(is_space).map_or(0, |at| at + 1);
    let rest = line.get(start..)?;
    Some(rest.split(is_space).next().unwrap_or(rest)).filter(|token| !token.is_empty())
}

fn is_space(letter: char) -> bool {
    letter.is_ascii_whitespace() || matches!(letter, '(' | ')')
}

/// The owner as the first entry has it that stands behind so many lines of the
/// text and begins on `last_line`, from 1, or before: `Some("")` where it is that
/// of the record before, `None` where there is no record.
pub(super) fn owner(text: &str, lines_before: usize, last_line: usize) -> Option<&str> {
    let mut lines = text.lines().take(last_line).skip(lines_before);
    let is_record = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with([';', '$']);
    let line = lines.find(is_record)?;
    if line.starts_with(is_space) {
        return Some("");
    }
    line.split(is_space).next()
}

#[cfg(test)]
mod tests {
    use crate::master::{name, read};

    #[test]
    fn what_cannot_be_read_is_told_with_its_line_owner_and_token() {
        let origin = name("a.test").unwrap();
        let before = "$TTL 60\n@ SOA a b 1 2 3 4 5\n\n; a comment\n";
        for (entry, line, told) in [
            ("x A 1.2.3.444\n", 5, "x.a.test.: 1.2.3.444 is no IPv4 address; write one like 192.0.2.1"),
            ("x A 1.2.3.444 ; why\ny A 192.0.2.1\n", 5, "x.a.test.: 1.2.3.444 is no IPv4 address"),
            ("x A 1.2.3.444 5\n", 5, "x.a.test.: 1.2.3.444 is no IPv4 address"),
            ("x A 192.0.2.1\n AAAA 192.0.2.2", 6, "x.a.test.: 192.0.2.2 is no IPv6 address"),
            ("x.\tNOTYPE 1\n", 5, "x.: NOTYPE is no record type; "),
            ("@ MX ten b\n", 5, "a.test.: ten is no number; write digits only"),
            ("$ORIGIN b.test.\nx MX 10\n", 6, "x.b.test.: the record ends too early, in `x MX 10`"),
            ("x SOA a b (\n 1 2\n x 4 5 )\n", 7, "x.a.test.: x is no number"),
            ("x A 192.0.2.1 5\n", 5, "x.a.test.: something follows the data, in `x A 192.0.2.1 5`"),
            ("$TTL x\n", 5, "a.test.: x is no number"),
            ("$FOO\n", 5, "a.test.: there is no such control entry, in `$FOO`"),
            ("x CH A 192.0.2.1\n", 5, "x.a.test.: the class is not IN"),
            ("é A 1\n", 5, "é.a.test.: "),
        ] {
            let (_, findings) = read(&format!("{before}{entry}"), &origin);
            let [finding] = findings.as_slice() else { panic!("{entry}: {findings:?}") };
            assert_eq!(finding.line, Some(line), "{entry}: {finding}");
            let shown = finding.to_string();
            assert!(shown.starts_with(&format!("line {line}: {told}")), "{entry}: {shown}");
        }
    }
}
