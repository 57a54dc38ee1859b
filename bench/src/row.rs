//! One line of the table: the same figure of ours and of each peer.

use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// What was measured in several rounds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figure {
    /// The median of the rounds.
    pub(crate) median: f64,
    /// The least of them.
    pub(crate) least: f64,
    /// The most of them.
    pub(crate) most: f64,
}

impl Figure {
    /// The figure of these rounds; zero of none.
    pub(crate) fn median(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        Self { median: at(rounds.len() / 2), least: at(0), most: at(rounds.len().saturating_sub(1)) }
    }
}

/// The median alone: the spread is for people.
impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.median.serialize(serializer)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Multiples and seconds are small, rates are large.
        let places = if self.most < 100.0 { 3 } else { 0 };
        write!(f, "{:.places$}", self.median)?;
        if self.least < self.most {
            write!(f, " ({:.places$}–{:.places$})", self.least, self.most)?;
        }
        Ok(())
    }
}

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    #[serde(rename = "row")]
    pub(crate) what: String,
    /// Its unit, e.g. `queries/s`.
    pub(crate) unit: &'static str,
    /// Our figure.
    pub(crate) ours: Figure,
    /// Each peer's figure, by name; absent where the peer is not installed.
    pub(crate) peers: BTreeMap<&'static str, Figure>,
    /// Ours over the best peer's.
    pub(crate) ratio: Option<f64>,
}

impl Row {
    /// A row whose ratio is ours over the best (the largest) peer's figure;
    /// `beside` names peers that stand there for comparison only.
    pub(crate) fn more_is_better(
        what: impl Into<String>,
        unit: &'static str,
        ours: Figure,
        peers: BTreeMap<&'static str, Figure>,
        beside: &[&str],
    ) -> Self {
        Self::new(what.into(), unit, ours, peers, beside, f64::max)
    }

    /// The same where the best peer's figure is the smallest.
    pub(crate) fn less_is_better(
        what: impl Into<String>,
        unit: &'static str,
        ours: Figure,
        peers: BTreeMap<&'static str, Figure>,
        beside: &[&str],
    ) -> Self {
        Self::new(what.into(), unit, ours, peers, beside, f64::min)
    }

    fn new(
        what: String,
        unit: &'static str,
        ours: Figure,
        peers: BTreeMap<&'static str, Figure>,
        beside: &[&str],
        better: fn(f64, f64) -> f64,
    ) -> Self {
        let rivals = peers.iter().filter(|(name, _)| !beside.contains(name));
        let best = rivals.map(|(_, figure)| figure.median).reduce(better);
        Self { what, unit, ours, peers, ratio: best.map(|best| ours.median / best) }
    }

    /// Prints the row: a line of a table, or one JSON object.
    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string(self).unwrap_or_default());
            return;
        }
        let peers: Vec<String> = self.peers.iter().map(|(name, figure)| format!("{name} {figure}")).collect();
        let ratio =
            self.ratio.map_or_else(|| "no peer installed".to_owned(), |ratio| format!("ratio {ratio:.2}"));
        println!("{:<62} ours {} {}   {}   {ratio}", self.what, self.ours, self.unit, peers.join(", "));
    }
}
