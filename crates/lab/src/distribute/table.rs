//! The table: one row for each N, the bounds beside what was measured.

use super::figures::{Architecture, Figures, Way};
use super::plan::DistributePlan;
use std::fmt::Write as _;

/// Columns of a bound, and of a measurement with its ratio.
const BOUND_WIDTH: usize = 9;
const MEASURED_WIDTH: usize = 18;

/// The lines of the table.
pub(super) fn lines(plan: &DistributePlan, figures: &Figures) -> Vec<String> {
    let ways: Vec<Way> =
        Way::ALL.into_iter().filter(|way| figures.iter().any(|figure| figure.way == *way)).collect();
    let width = BOUND_WIDTH + MEASURED_WIDTH * ways.len();
    let mut heads = "   N".to_owned();
    let mut kinds = "    ".to_owned();
    for architecture in Architecture::ALL {
        let formula = match architecture {
            Architecture::ClientServer => "client-server (s)",
            Architecture::PeerToPeer => "P2P (s)",
        };
        let _ = write!(heads, " │ {formula:^width$}");
        let _ = write!(kinds, " │ {:>BOUND_WIDTH$}", "bound");
        for way in &ways {
            let _ = write!(kinds, "{:>MEASURED_WIDTH$}", way.name());
        }
    }
    let rule = format!("────{0}{0}", format_args!("─┼─{}", "─".repeat(width)));
    let mut lines = vec![heads, kinds, rule];
    for count in plan.rows() {
        let mut line = format!("{count:>4}");
        for architecture in Architecture::ALL {
            let bound = plan.bound(architecture, count);
            let _ = write!(line, " │ {bound:>BOUND_WIDTH$.2}");
            for way in &ways {
                let cell = figures
                    .seconds(*way, architecture, count)
                    .map_or_else(String::new, |seconds| format!("{seconds:.2} ({:.3}×)", seconds / bound));
                let _ = write!(line, "{cell:>MEASURED_WIDTH$}");
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figure;
    use super::super::plan::tests::lecture;
    use super::*;

    #[test]
    fn every_row_has_its_bounds_and_ratios() {
        let mut figures = Figures::default();
        for (architecture, seconds) in
            [(Architecture::ClientServer, 11_340.0), (Architecture::PeerToPeer, 2_916.0)]
        {
            figures.add(Figure { way: Way::Simulation, architecture, count: 30, seconds: Some(seconds) });
        }
        let lines = lines(&lecture(), &figures);
        assert_eq!(lines.len(), 3 + 5);
        let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{lines:#?}");
        let last = lines.last().map(String::as_str).unwrap_or_default();
        assert_eq!(
            last.split_whitespace().collect::<Vec<_>>(),
            ["30", "│", "10800.00", "11340.00", "(1.050×)", "│", "2700.00", "2916.00", "(1.080×)"]
        );
    }
}
