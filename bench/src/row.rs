//! One line of the table: the same figure of ours and of each peer.

use serde::Serialize;
use std::collections::BTreeMap;

/// One measured figure.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    #[serde(rename = "row")]
    pub(crate) what: String,
    /// Its unit, e.g. `queries/s`.
    pub(crate) unit: &'static str,
    /// Our figure.
    pub(crate) ours: f64,
    /// Each peer's figure, by name; absent where the peer is not installed.
    pub(crate) peers: BTreeMap<&'static str, f64>,
    /// Ours over the best peer's.
    pub(crate) ratio: Option<f64>,
}

impl Row {
    /// A row whose ratio is ours over the best (the largest) peer's figure.
    pub(crate) fn more_is_better(
        what: impl Into<String>,
        unit: &'static str,
        ours: f64,
        peers: BTreeMap<&'static str, f64>,
    ) -> Self {
        let best = peers.values().copied().reduce(f64::max);
        Self { what: what.into(), unit, ours, peers, ratio: best.map(|best| ours / best) }
    }

    /// Prints the row: a line of a table, or one JSON object.
    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{}", serde_json::to_string(self).unwrap_or_default());
            return;
        }
        let peers: Vec<String> =
            self.peers.iter().map(|(name, figure)| format!("{name} {figure:.0}")).collect();
        let ratio =
            self.ratio.map_or_else(|| "no peer installed".to_owned(), |ratio| format!("ratio {ratio:.2}"));
        println!("{:<44} ours {:>12.0} {}   {}   {ratio}", self.what, self.ours, self.unit, peers.join(", "));
    }
}
