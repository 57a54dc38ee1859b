//! What happened in a run, in order.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// Lines kept; older ones leave, but stay part of the digest.
const LINES_MAX: usize = 10_000;

/// Everything that happened, as lines; the last ones are kept, and a digest
/// covers all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    lines: VecDeque<String>,
    told: u64,
    digest: u64,
}

impl Default for Trace {
    fn default() -> Self {
        Self { lines: VecDeque::new(), told: 0, digest: 0xcbf2_9ce4_8422_2325 }
    }
}

impl Trace {
    pub(crate) fn tell(&mut self, at: Duration, what: &str) {
        let line = format!("{:>12.6} {what}", at.as_secs_f64());
        // FNV-1a: no secret is kept here, runs are compared.
        for octet in line.bytes() {
            self.digest = (self.digest ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
        }
        self.told += 1;
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// How many lines were told.
    pub fn told(&self) -> u64 {
        self.told
    }

    /// A digest of all lines: equal for equal runs.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// The lines kept.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
