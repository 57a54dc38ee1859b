//! docs/standards.md: each row has a known state, each row that claims something
//! names tests that exist, and each RFC or BEP cited in a doc comment has its row.

use std::collections::BTreeMap;

/// Where the tables stand.
const PLACE: &str = "docs/standards.md";
/// Columns of a row: number, title, state, missing, test.
const COLUMNS: usize = 5;

/// A document: `RFC` or `BEP`, and its number.
pub(super) type Document = (&'static str, u32);

/// Where documents come from. In the tables an RFC stands by its number alone.
const SERIES: [&str; 2] = ["RFC", "BEP"];

/// The documents cited in doc comments, each with the first place that does.
pub(super) type Citations = BTreeMap<Document, String>;

/// Checks the tables in `text`. `source` gives the text of a file by its path
/// from the root, if it is there.
pub(super) fn check(
    text: &str,
    citations: &Citations,
    source: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let mut findings = Vec::new();
    let mut rows = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let place = format!("{PLACE}:{}", index + 1);
        let Some((document, cells)) = row(line) else { continue };
        let name = format!("{} {}", document.0, document.1);
        if let Some(before) = rows.insert(document, index + 1) {
            findings.push(format!("{place}: {name} has a row already, in line {before}: keep one"));
        }
        let [_, _, state, missing, tests] = cells[..] else {
            findings.push(format!("{place}: {name} has {} columns in place of {COLUMNS}", cells.len()));
            continue;
        };
        match state {
            "yes" | "partial" => findings.extend(
                check_tests(tests, &source).into_iter().map(|fault| format!("{place}: {name}: {fault}")),
            ),
            "no" => {}
            _ => {
                findings.push(format!("{place}: {name}: `{state}` is no state; write yes, partial or no"));
            }
        }
        if state == "partial" && missing.is_empty() {
            findings.push(format!("{place}: {name} is partial: say what is missing"));
        }
    }
    for ((series, number), place) in citations.iter().filter(|(document, _)| !rows.contains_key(document)) {
        findings.push(format!("{place}: {series} {number} is cited but has no row in {PLACE}: add one"));
    }
    findings
}

/// The document and the cells of a row of a table; `None` for any other line.
fn row(line: &str) -> Option<(Document, Vec<&str>)> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<_> = inner.split('|').map(str::trim).collect();
    let first = cells.first()?;
    let document = match first.strip_prefix("BEP ") {
        Some(number) => ("BEP", number.parse().ok()?),
        None => ("RFC", first.parse().ok()?),
    };
    Some((document, cells))
}

/// What is wrong with a cell of tests, each written `path: name` in backticks.
fn check_tests(cell: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let tests: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
    if tests.is_empty() {
        return vec!["name the test that shows it, as `path: name`".to_owned()];
    }
    let fault = |test: &&str| {
        let Some((path, name)) = test.split_once(": ") else {
            return Some(format!("`{test}` is no test; write `path: name`"));
        };
        match source(path) {
            None => Some(format!("there is no file {path}")),
            Some(text) if !text.contains(&format!("fn {name}(")) => {
                Some(format!("{path} has no test {name}"))
            }
            Some(_) => None,
        }
    };
    tests.iter().filter_map(fault).collect()
}

/// Adds the documents that the doc comments of a file cite.
pub(super) fn cite(place: &str, text: &str, citations: &mut Citations) {
    // A citation may be broken across two lines of a comment.
    let mut comment = String::new();
    let mut start = 1;
    for (index, line) in text.lines().chain(std::iter::once("")).enumerate() {
        let line = line.trim_start();
        if let Some(words) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) {
            if comment.is_empty() {
                start = index + 1;
            }
            comment.push_str(words);
            comment.push(' ');
        } else {
            for series in SERIES {
                for number in numbers(&comment, series) {
                    citations.entry((series, number)).or_insert_with(|| format!("{place}:{start}"));
                }
            }
            comment.clear();
        }
    }
}

/// The numbers that follow the name of a series: `BEP 3, 52` cites two.
fn numbers(comment: &str, series: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for rest in comment.split(&format!("{series} ")).skip(1) {
        let mut rest = rest.trim_start();
        loop {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let Ok(number) = rest[..end].parse() else { break };
            numbers.push(number);
            match rest[end..].strip_prefix(", ") {
                Some(next) => rest = next,
                None => break,
            }
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str) -> Option<String> {
        (path == "tests/tests/a.rs").then(|| "#[test]\nfn it_holds() {}\n".to_owned())
    }

    fn findings(rows: &str) -> Vec<String> {
        let head = "| RFC | title | state | missing | test |\n|---|---|---|---|---|\n";
        check(&format!("{head}{rows}"), &Citations::new(), source)
    }

    #[test]
    fn rows_that_hold_are_passed_over() {
        let rows = "| 1 | a | yes | | `tests/tests/a.rs: it_holds` |\n\
                    | 2 | b | partial | half of it | `tests/tests/a.rs: it_holds`, `tests/tests/a.rs: it_holds` |\n\
                    | 3 | c | no | | |\n";
        assert_eq!(findings(rows), Vec::<String>::new());
    }

    #[test]
    fn claims_without_a_test_are_found() {
        for (tests, told) in [
            ("", "name the test"),
            ("some prose", "name the test"),
            ("`it_holds`", "is no test"),
            ("`tests/tests/b.rs: it_holds`", "there is no file tests/tests/b.rs"),
            ("`tests/tests/a.rs: it_hold`", "has no test it_hold"),
            ("`tests/tests/a.rs: it_holds`, `tests/tests/a.rs: gone`", "has no test gone"),
        ] {
            let found = findings(&format!("| 7 | a | yes | | {tests} |\n"));
            assert!(found.len() == 1 && found[0].contains(told), "{tests}: {found:?}");
            assert!(found[0].starts_with("docs/standards.md:3: RFC 7"), "{found:?}");
        }
    }

    #[test]
    fn malformed_rows_are_found() {
        assert!(findings("| 1 | a | mostly | | |\n")[0].contains("`mostly` is no state"));
        assert!(findings("| 1 | a | no | |\n")[0].contains("4 columns"));
        assert!(
            findings("| 1 | a | no | | |\n| 1 | b | no | | |\n")[0].contains("has a row already, in line 3")
        );
        assert!(
            findings("| 1 | a | partial | | `tests/tests/a.rs: it_holds` |\n")[0].contains("what is missing")
        );
    }

    #[test]
    fn citations_without_a_row_are_found() {
        let mut citations = Citations::new();
        let text = "//! Rules (RFC 1034 section 4, RFC\n//! 1035).\n\n// RFC 7 is no doc comment.\n\
                    fn a() {}\n    /// RFC 2181.\n    /// And the RFCs in general, RFC\n";
        cite("crates/a/src/a.rs", text, &mut citations);
        let numbers: Vec<_> = citations.keys().map(|(_, number)| *number).collect();
        assert_eq!(numbers, [1034, 1035, 2181]);
        let found = check("| 1034 | a | no | | |\n| 1035 | b | no | | |\n", &citations, source);
        assert_eq!(
            found,
            ["crates/a/src/a.rs:6: RFC 2181 is cited but has no row in docs/standards.md: add one"]
        );
        let mut citations = Citations::new();
        cite("a.rs", "/// As in BEP 3, 52 and BEP 9.\n", &mut citations);
        assert_eq!(citations.keys().copied().collect::<Vec<_>>(), [("BEP", 3), ("BEP", 9), ("BEP", 52)]);
        let found = check("| BEP 3 | a | no | | |\n| BEP 9 | b | no | | |\n", &citations, source);
        assert_eq!(found, ["a.rs:1: BEP 52 is cited but has no row in docs/standards.md: add one"]);
    }
}
