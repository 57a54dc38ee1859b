//! Master files (RFC 1035 section 5): reading one, and telling what is wrong
//! with it, where, and what to do about it.

mod check;
mod rewrite;
mod words;

use crate::Name;
use crate::zone::{WireRecord, Zone, compose, key};
use bytes::Bytes;
use domain::base::iana::Class;
use domain::base::name::FlattenInto;
use domain::rdata::ZoneRecordData;
use domain::zonefile::inplace::{Entry, Zonefile};
use std::fmt;

/// Octets of the largest master file.
pub const FILE_OCTETS_MAX: usize = 1 << 30;
/// Findings told of one file; what comes after them is left out.
pub const FINDINGS_MAX: usize = 100;
/// Letters of what is told of one finding.
const PROBLEM_LETTERS_MAX: usize = 300;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The zone can be served, but surely not as meant.
    Warning,
    /// The zone cannot be served.
    Error,
}

/// Something wrong with a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The line of the file where the record ends, from 1.
    pub line: Option<usize>,
    /// The name concerned, in presentation form.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        write!(f, "{}: {}; {}", self.name, self.problem, self.remedy)
    }
}

impl Finding {
    /// The finding with the file it is in front: `file:line: name: problem; remedy`.
    pub fn in_file(&self, file: &str) -> String {
        let line = self.line.map_or_else(String::new, |line| format!("{line}:"));
        let warning = if self.severity == Severity::Warning { "warning: " } else { "" };
        format!("{file}:{line} {warning}{}: {}; {}", self.name, self.problem, self.remedy)
    }
}

/// A record and the line of the file it ends in.
#[derive(Debug, Clone)]
pub struct Located {
    /// The record.
    pub record: WireRecord,
    /// The line, from 1.
    pub line: usize,
}

/// Reads the records of a master file. `origin` is the origin at its beginning.
/// Reading ends with the first error, which is the last finding.
pub fn read(text: &str, origin: &Name) -> (Vec<Located>, Vec<Finding>) {
    let mut records = Vec::new();
    let mut findings = Vec::new();
    let finding = |line, problem: String, remedy: &str| Finding {
        severity: Severity::Error,
        line: Some(line),
        name: key::display(origin.as_slice()),
        // It may repeat what stands in the file.
        problem: one_line(&problem),
        remedy: remedy.to_owned(),
    };
    if text.len() > FILE_OCTETS_MAX {
        findings.push(finding(
            1,
            format!("the file is larger than {FILE_OCTETS_MAX} octets"),
            "split the zone",
        ));
        return (records, findings);
    }
    let rewrite::Rewritten { text, fault } = rewrite::rewrite(text);
    let mut file = Zonefile::with_capacity(text.len() + 1);
    file.extend_from_slice(text.as_bytes());
    if !text.ends_with('\n') {
        file.extend_from_slice(b"\n");
    }
    file.set_origin(origin.clone());
    file.set_default_class(Class::IN);
    let mut lines = Lines { text: text.as_bytes(), offset: 0, line: 1 };
    // Those of whole entries.
    let mut lines_read = 0;
    loop {
        let entry = file.next_entry();
        let line = lines.at(file.current_offset());
        let lines_before = lines_read;
        if matches!(entry, Ok(Some(_))) {
            lines_read = line;
        }
        match entry {
            Ok(None) => break,
            Ok(Some(Entry::Record(record))) => {
                if record.class() != Class::IN {
                    findings.push(finding(
                        line,
                        format!("a record has class {}", record.class()),
                        "only class IN is served: write IN or leave the class out",
                    ));
                    continue;
                }
                let owner: Name = record.owner().clone().flatten_into();
                let (rtype, ttl) = (record.rtype(), record.ttl().as_secs());
                let given_raw = matches!(record.data(), ZoneRecordData::Unknown(_));
                let record = WireRecord { owner, rtype, ttl, data: compose(record.data()) };
                if domain::base::Name::<[u8]>::from_slice(record.owner.as_slice()).is_err() {
                    findings.push(finding(
                        line,
                        format!("the owner of a {rtype} record has an empty label"),
                        "write single dots between labels",
                    ));
                    continue;
                }
                if !given_raw && record.to_record().is_none() {
                    let mut found = finding(
                        line,
                        format!("the data of the {rtype} record are not well formed"),
                        "write single dots between the labels of a name",
                    );
                    found.name = key::display(record.owner.as_slice());
                    findings.push(found);
                    continue;
                }
                if given_raw && record.to_record().is_none() {
                    findings.push(finding(
                        line,
                        format!("the octets after \\# are no data of type {rtype}"),
                        "write the data as its type is written, or correct the octets (RFC 3597 section 5)",
                    ));
                    continue;
                }
                records.push(Located { record, line });
            }
            Ok(Some(Entry::Include { path, .. })) => {
                findings.push(finding(
                    line,
                    format!("$INCLUDE {path} is not supported"),
                    "put the records of that file here",
                ));
            }
            Err(error) => {
                let said = error.to_string();
                let mut parts = said.splitn(3, ':');
                let line: usize = parts.next().and_then(|line| line.trim().parse().ok()).unwrap_or(line);
                let (column, problem) =
                    (parts.next().unwrap_or("?").trim(), parts.next().unwrap_or(&said).trim());
                // The reader looks one token ahead: at the beginning of a line it
                // complains of the line before.
                let (line, column) = match column.parse().ok() {
                    Some(1) if line > 1 => (line - 1, None),
                    column => (line, column),
                };
                let blamed = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
                let (problem, remedy) = words::told(problem, blamed, column);
                let mut found = finding(line, problem, remedy);
                match words::owner(&text, lines_before, line) {
                    Some("") => {
                        if let Some(Located { record, .. }) = records.last() {
                            found.name = key::display(record.owner.as_slice());
                        }
                    }
                    Some("@") => found.name = within(&file, origin, ""),
                    Some(owner) => found.name = within(&file, origin, owner),
                    None => {}
                }
                findings.push(found);
                return (records, findings);
            }
        }
    }
    if let Some(fault) = fault {
        findings.push(finding(fault.line, fault.problem, fault.remedy));
    }
    (records, findings)
}

/// A name as it stands in a file, whole; `""` is the current origin.
fn within(file: &Zonefile, origin: &Name, owner: &str) -> String {
    let origin = file.origin().unwrap_or_else(|_| origin.clone());
    let origin = key::display(origin.as_slice());
    let whole = match owner {
        "" => origin,
        owner if owner.ends_with('.') => owner.to_owned(),
        owner => format!("{owner}.{}", origin.trim_start_matches('.')),
    };
    one_line(&whole)
}

/// What a file says, as it may be repeated.
fn one_line(text: &str) -> String {
    let letters = text.chars().take(PROBLEM_LETTERS_MAX);
    letters.map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Counts lines as far as the reader has come.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line of the last octet before `offset`.
    fn at(&mut self, offset: usize) -> usize {
        let end = offset.saturating_sub(1).clamp(self.offset, self.text.len());
        self.line += self.text[self.offset..end].split(|octet| *octet == b'\n').count() - 1;
        self.offset = end;
        self.line
    }
}

/// All that is wrong with a master file, in the order of its lines.
pub fn check(text: &str, origin: &Name) -> Vec<Finding> {
    let (records, mut findings) = read(text, origin);
    if findings.is_empty() {
        check::check(&records, origin, &mut findings);
    }
    findings.sort_by_key(|finding| finding.line.unwrap_or(0));
    findings.truncate(FINDINGS_MAX);
    findings
}

/// Reads a zone from a master file. On success the findings are warnings.
pub fn load(text: &str, origin: &Name, seed: u64) -> Result<(Zone, Vec<Finding>), Vec<Finding>> {
    let (records, mut findings) = read(text, origin);
    if findings.is_empty() {
        check::check(&records, origin, &mut findings);
    }
    findings.sort_by_key(|finding| finding.line.unwrap_or(0));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        findings.truncate(FINDINGS_MAX);
        return Err(findings);
    }
    findings.truncate(FINDINGS_MAX);
    match Zone::new(origin.clone(), seed, records.into_iter().map(|located| located.record)) {
        Ok(zone) => Ok((zone, findings)),
        Err(error) => {
            findings.push(Finding {
                severity: Severity::Error,
                line: None,
                name: key::display(origin.as_slice()),
                problem: error.to_string(),
                remedy: "correct the record".to_owned(),
            });
            Err(findings)
        }
    }
}

/// The name in presentation form as an absolute name, for configuration and
/// command lines: `example` and `example.` are the same.
pub fn name(text: &str) -> Option<Name> {
    if text == "." {
        return Some(Name::root_bytes());
    }
    domain::base::Name::<Bytes>::bytes_from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_however_long_a_token_is() {
        let origin = name("example.test").unwrap();
        let path = "x\n".repeat(PROBLEM_LETTERS_MAX);
        for text in [format!("$INCLUDE \"{path}\" y\n"), format!("\"$z{path}\" y\n")] {
            let findings = check(&text, &origin);
            let told = findings[0].in_file("zone");
            assert!(!told.contains('\n') && told.len() < PROBLEM_LETTERS_MAX + 200, "{told}");
        }
    }

    #[test]
    fn empty_labels_are_refused_wherever_a_name_stands() {
        let origin = name("example.test").unwrap();
        for record in ["a..b A 192.0.2.1", "a..b. A 192.0.2.1", "x CNAME a..b", "x MX 5 a..b.", "x NS a.."] {
            let (records, findings) = read(&format!("$TTL 60\n{record}\n"), &origin);
            assert_eq!((records.len(), findings.len()), (0, 1), "{record}: {records:?}");
            assert_eq!(findings[0].line, Some(2), "{record}: {}", findings[0]);
        }
    }

    #[test]
    fn raw_octets_must_be_data_of_their_type() {
        let origin = name("example.test").unwrap();
        for (record, taken) in [
            ("x TYPE6 \\# 0", false),
            ("x TYPE5 \\# 2 0161", false),
            ("x TYPE1 \\# 4 C0000201", true),
            ("x TYPE65280 \\# 2 0102", true),
        ] {
            let (records, findings) = read(&format!("$TTL 60\n{record}\n"), &origin);
            assert_eq!(
                (records.len(), findings.is_empty()),
                (usize::from(taken), taken),
                "{record}: {findings:?}"
            );
        }
    }
}
