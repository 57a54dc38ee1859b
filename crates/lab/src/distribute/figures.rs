//! What was measured, and what must hold of it.

use super::plan::DistributePlan;
use serde::Serialize;

/// By how much a time may seem to be below the bound: what a clock's reading and
/// timers of a millisecond amount to.
const MEASURING_ERROR: f64 = 0.01;
/// N is large where the server needs so many times the peers' bound: there peers
/// must be quicker, whatever else delays them.
const LARGE: f64 = 1.25;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Architecture {
    /// The server alone.
    ClientServer,
    /// Everybody.
    PeerToPeer,
}

impl Architecture {
    pub(super) const ALL: [Self; 2] = [Self::ClientServer, Self::PeerToPeer];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ClientServer => "client-server",
            Self::PeerToPeer => "P2P",
        }
    }
}

/// How it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way {
    /// In simulated time.
    Simulation,
    /// By real nodes.
    Real,
}

impl Way {
    pub(super) const ALL: [Self; 2] = [Self::Simulation, Self::Real];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Simulation => "simulation",
            Self::Real => "real run",
        }
    }
}

/// How long one distribution took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figure {
    pub(super) way: Way,
    pub(super) architecture: Architecture,
    /// N.
    pub(super) count: usize,
    /// Until the last had all; `None`: one never had.
    pub(super) seconds: Option<f64>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    pub(super) fn add(&mut self, figure: Figure) {
        self.0.push(figure);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }

    /// How long it took, where that was measured and came to an end.
    pub(super) fn seconds(&self, way: Way, architecture: Architecture, count: usize) -> Option<f64> {
        let it = self
            .iter()
            .find(|figure| (figure.way, figure.architecture, figure.count) == (way, architecture, count));
        it?.seconds
    }

    /// What must hold of all that was measured in one way, in words, and whether it
    /// does.
    pub(super) fn checks(&self, plan: &DistributePlan, way: Way) -> Vec<(String, bool)> {
        let of_way: Vec<&Figure> = self.iter().filter(|figure| figure.way == way).collect();
        let name = way.name();
        let complete = of_way.iter().all(|figure| figure.seconds.is_some());
        let ratios = of_way.iter().filter_map(|figure| {
            figure.seconds.map(|seconds| seconds / plan.bound(figure.architecture, figure.count))
        });
        let least = ratios.fold(f64::INFINITY, f64::min);
        let mut checks = vec![
            (format!("{name}: everybody has the whole file"), complete),
            (
                format!("{name}: nothing is quicker than its bound (the quickest: {least:.3} of it)"),
                least >= 1.0 - MEASURING_ERROR,
            ),
        ];
        let large: Vec<usize> = of_way
            .iter()
            .filter(|figure| figure.architecture == Architecture::PeerToPeer)
            .map(|figure| figure.count)
            .filter(|count| {
                let [server, peers] = Architecture::ALL.map(|architecture| plan.bound(architecture, *count));
                server >= LARGE * peers
            })
            .collect();
        if let (Some(first), Some(last)) = (large.iter().min(), large.iter().max()) {
            let quicker = large.iter().all(|count| {
                let of = |architecture| self.seconds(way, architecture, *count);
                of(Architecture::PeerToPeer) < of(Architecture::ClientServer)
                    && of(Architecture::PeerToPeer).is_some()
            });
            let text = format!("{name}: peers are quicker than a server alone (N from {first} to {last})");
            checks.push((text, quicker));
        }
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::lecture;
    use super::*;

    fn figures(times: &[(Architecture, usize, Option<f64>)]) -> Figures {
        Figures(
            times
                .iter()
                .map(|(architecture, count, hours)| Figure {
                    way: Way::Simulation,
                    architecture: *architecture,
                    count: *count,
                    seconds: hours.map(|hours| hours * 3_600.0),
                })
                .collect(),
        )
    }

    fn verdicts(times: &[(Architecture, usize, Option<f64>)]) -> Vec<bool> {
        let checks = figures(times).checks(&lecture(), Way::Simulation);
        checks.into_iter().map(|(_, holds)| holds).collect()
    }

    #[test]
    fn what_is_as_the_lecture_says_passes() {
        use Architecture::{ClientServer, PeerToPeer};
        let times = [
            (ClientServer, 1, Some(0.11)),
            (PeerToPeer, 1, Some(0.12)),
            (ClientServer, 30, Some(3.0)),
            (PeerToPeer, 30, Some(0.8)),
        ];
        assert_eq!(verdicts(&times), [true, true, true]);
    }

    #[test]
    fn what_is_not_fails() {
        use Architecture::{ClientServer, PeerToPeer};
        let of = |server, peers| verdicts(&[(ClientServer, 30, server), (PeerToPeer, 30, peers)]);
        assert_eq!(of(Some(3.1), None), [false, true, false], "one never had all");
        assert_eq!(of(None, Some(0.8)), [false, true, false]);
        assert_eq!(of(Some(2.9), Some(0.8)), [true, false, true], "quicker than the server's uplink");
        assert_eq!(of(Some(3.1), Some(0.74)), [true, false, true], "quicker than all uplinks");
        assert_eq!(of(Some(3.1), Some(3.2)), [true, true, false], "peers are no quicker");
        // Where N is small there is nothing to compare.
        assert_eq!(verdicts(&[(ClientServer, 1, Some(0.1)), (PeerToPeer, 1, Some(0.2))]), [true, true]);
    }
}
