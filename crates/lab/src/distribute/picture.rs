//! The lecture's plot as a picture: time against N, the formulas as lines, what was
//! measured as marks; below it, how many times its bound each was.

use super::figures::{Architecture, Figure, Figures, Way};
use super::plan::{self, DistributePlan};
use crate::svg::{Anchor, BLUE, FAINT, GRID, INK, ORANGE, Svg, mebi, step};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 754.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = WIDTH - 78.0;
/// The plot.
const TOP: f64 = 84.0;
const BOTTOM: f64 = 430.0;
/// The ratios.
const RATIO_TOP: f64 = 496.0;
const RATIO_BOTTOM: f64 = 632.0;
/// The legend's two rows.
const LEGEND: f64 = 706.0;
const LEGEND_ROW: f64 = 24.0;

/// Where values are on the paper.
struct Axes {
    /// The largest N, seconds and ratio.
    counts: f64,
    seconds: f64,
    ratio: f64,
}

impl Axes {
    fn new(plan: &DistributePlan, figures: &Figures) -> Self {
        let counts = plan.rows().last().copied().unwrap_or(1).max(2);
        let bounds = Architecture::ALL.map(|architecture| plan.bound(architecture, counts));
        let measured = figures.iter().filter_map(|figure| figure.seconds);
        let ratios = figures.iter().filter_map(|figure| ratio(plan, figure));
        Self {
            counts: counts as f64,
            seconds: measured.chain(bounds).fold(0.0, f64::max) * 1.04,
            ratio: ratios.fold(1.1, f64::max) + 0.02,
        }
    }

    fn x(&self, count: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * count / (self.counts * 1.02)
    }

    fn y(&self, seconds: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * seconds / self.seconds
    }

    fn ratio_y(&self, ratio: f64) -> f64 {
        let least = 0.98;
        RATIO_BOTTOM - (RATIO_BOTTOM - RATIO_TOP) * (ratio - least) / (self.ratio - least)
    }
}

/// The picture.
pub(super) fn draw(plan: &DistributePlan, figures: &Figures) -> String {
    let title = "The time to get a file to N: client-server and P2P";
    let mut svg = Svg::new(WIDTH, HEIGHT, title);
    let axes = Axes::new(plan, figures);
    svg.bold((LEFT, 32.0), 18.0, Anchor::Start, INK, title);
    let facts = format!(
        "F = {}, us = {}, ui = {} each, dmin = {}, F/u = {:.1} s",
        mebi(plan.octets()),
        plan::rate(plan.server_up),
        plan::rate(plan.peer_up),
        plan::rate(plan.down),
        plan.peer_seconds(),
    );
    svg.text((LEFT, 54.0), 12.5, Anchor::Start, FAINT, &facts);
    grid(&mut svg, plan, &axes);
    for architecture in Architecture::ALL {
        let points: Vec<(f64, f64)> = (1..=axes.counts as usize)
            .map(|count| (axes.x(count as f64), axes.y(plan.bound(architecture, count))))
            .collect();
        let (colour, dash) = style(architecture);
        svg.path(&points, colour, 2.2, dash);
    }
    for way in Way::ALL {
        for architecture in Architecture::ALL {
            measured(&mut svg, plan, figures, &axes, way, architecture);
        }
    }
    legend(&mut svg, figures);
    svg.finish()
}

/// The marks of one way, in both charts.
fn measured(
    svg: &mut Svg,
    plan: &DistributePlan,
    figures: &Figures,
    axes: &Axes,
    way: Way,
    architecture: Architecture,
) {
    let (colour, dash) = style(architecture);
    let (mut times, mut ratios) = (Vec::new(), Vec::new());
    for figure in figures.iter().filter(|it| (it.way, it.architecture) == (way, architecture)) {
        let (Some(seconds), Some(ratio)) = (figure.seconds, ratio(plan, figure)) else { continue };
        let x = axes.x(figure.count as f64);
        times.push((x, axes.y(seconds)));
        ratios.push((x, axes.ratio_y(ratio)));
    }
    if ratios.len() > 1 {
        svg.path(&ratios, colour, 1.0, dash);
    }
    for at in times.into_iter().chain(ratios) {
        mark(svg, at, way, colour);
    }
}

fn ratio(plan: &DistributePlan, figure: &Figure) -> Option<f64> {
    figure.seconds.map(|seconds| seconds / plan.bound(figure.architecture, figure.count))
}

/// Told apart without colours too.
fn style(architecture: Architecture) -> (&'static str, Option<&'static str>) {
    match architecture {
        Architecture::ClientServer => (ORANGE, Some("8 4")),
        Architecture::PeerToPeer => (BLUE, None),
    }
}

/// A ring for the simulation, a dot, which fits into it, for the real run.
fn mark(svg: &mut Svg, at: (f64, f64), way: Way, colour: &str) {
    match way {
        Way::Simulation => svg.dot(at, 5.5, colour, false),
        Way::Real => svg.dot(at, 2.6, colour, true),
    }
}

/// What a way's marks stand for.
fn meaning(way: Way) -> &'static str {
    match way {
        Way::Simulation => "simulated: our rules in simulated time",
        Way::Real => "measured: real nodes, shaped links",
    }
}

/// Multiples of `distance` from `from` to `to`.
fn marks(from: f64, to: f64, distance: f64) -> impl Iterator<Item = f64> {
    let (first, last) = ((from / distance).ceil() as i64, (to / distance + 1e-9).floor() as i64);
    (first..=last).map(move |at| at as f64 * distance)
}

/// As many decimals as the marks of an axis need.
fn number(value: f64, distance: f64) -> String {
    let decimals = (-distance.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

fn grid(svg: &mut Svg, plan: &DistributePlan, axes: &Axes) {
    let distance = step(axes.counts, 8.0).max(1.0);
    for count in marks(0.0, axes.counts * 1.02, distance) {
        let x = axes.x(count);
        for (top, bottom) in [(TOP, BOTTOM), (RATIO_TOP, RATIO_BOTTOM)] {
            svg.line((x, top), (x, bottom), GRID, 1.0);
            svg.text((x, bottom + 17.0), 11.5, Anchor::Middle, FAINT, &number(count, distance));
        }
    }
    let distance = step(axes.seconds, 9.0);
    for seconds in marks(0.0, axes.seconds, distance) {
        let y = axes.y(seconds);
        svg.line((LEFT, y), (RIGHT, y), GRID, 1.0);
        svg.text((LEFT - 8.0, y + 4.0), 11.5, Anchor::End, FAINT, &number(seconds, distance));
    }
    // The same scale in the lecture's hours.
    let hours = axes.seconds / plan.peer_seconds();
    let distance = step(hours, 7.0);
    for hour in marks(0.0, hours, distance) {
        let y = axes.y(hour * plan.peer_seconds());
        svg.line((RIGHT, y), (RIGHT + 5.0, y), FAINT, 1.0);
        svg.text((RIGHT + 9.0, y + 4.0), 11.5, Anchor::Start, FAINT, &number(hour, distance));
    }
    let distance = step(axes.ratio - 1.0, 4.0);
    for ratio in marks(1.0, axes.ratio, distance) {
        let y = axes.ratio_y(ratio);
        let (colour, width) = if ratio < 1.0 + 1e-9 { (INK, 1.2) } else { (GRID, 1.0) };
        svg.line((LEFT, y), (RIGHT, y), colour, width);
        svg.text((LEFT - 8.0, y + 4.0), 11.5, Anchor::End, FAINT, &number(ratio, distance));
    }
    for (top, bottom) in [(TOP, BOTTOM), (RATIO_TOP, RATIO_BOTTOM)] {
        svg.line((LEFT, top), (LEFT, bottom), INK, 1.2);
        svg.text(
            (f64::midpoint(LEFT, RIGHT), bottom + 36.0),
            12.5,
            Anchor::Middle,
            INK,
            "N (clients or peers)",
        );
    }
    svg.line((LEFT, BOTTOM), (RIGHT, BOTTOM), INK, 1.2);
    svg.line((RIGHT, TOP), (RIGHT, BOTTOM), FAINT, 1.0);
    let middle = f64::midpoint(TOP, BOTTOM);
    svg.upwards((LEFT - 50.0, middle), 12.5, INK, "time until the last has all (s)");
    svg.upwards((RIGHT + 56.0, middle), 12.5, INK, "the same in F/u (the lecture's hours)");
    svg.upwards((LEFT - 50.0, f64::midpoint(RATIO_TOP, RATIO_BOTTOM)), 12.5, INK, "times the bound");
}

fn legend(svg: &mut Svg, figures: &Figures) {
    let column = 340.0;
    for (at, (architecture, formula)) in [
        (Architecture::ClientServer, "client-server: max{NF/us, F/dmin}"),
        (Architecture::PeerToPeer, "P2P: max{F/us, F/dmin, NF/(us+Σui)}"),
    ]
    .into_iter()
    .enumerate()
    {
        let x = LEFT + column * at as f64;
        let (colour, dash) = style(architecture);
        svg.path(&[(x, LEGEND - 4.0), (x + 36.0, LEGEND - 4.0)], colour, 2.2, dash);
        svg.text((x + 46.0, LEGEND), 12.5, Anchor::Start, INK, formula);
    }
    let measured = |way: Way| figures.iter().any(|figure| figure.way == way);
    for (at, way) in Way::ALL.into_iter().filter(|way| measured(*way)).enumerate() {
        let (x, y) = (LEFT + column * at as f64, LEGEND + LEGEND_ROW);
        mark(svg, (x + 8.0, y - 4.0), way, style(Architecture::ClientServer).0);
        mark(svg, (x + 28.0, y - 4.0), way, style(Architecture::PeerToPeer).0);
        svg.text((x + 46.0, y), 12.5, Anchor::Start, INK, meaning(way));
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::lecture;
    use super::*;

    #[test]
    fn everything_is_on_the_paper() {
        let plan = lecture();
        let mut figures = Figures::default();
        for way in Way::ALL {
            for architecture in Architecture::ALL {
                let seconds = Some(plan.bound(architecture, 30) * 1.4);
                figures.add(Figure { way, architecture, count: 30, seconds });
            }
        }
        let axes = Axes::new(&plan, &figures);
        for figure in figures.iter() {
            let seconds = figure.seconds.unwrap_or_default();
            assert!((TOP..=BOTTOM).contains(&axes.y(seconds)));
            assert!((RATIO_TOP..=RATIO_BOTTOM).contains(&axes.ratio_y(1.4)));
            assert!((LEFT..=RIGHT).contains(&axes.x(30.0)));
        }
        let svg = draw(&plan, &figures);
        assert_eq!(svg.matches("<polyline").count(), 4, "two lines and their legend");
        // Twice each measurement, and each way twice in the legend.
        assert_eq!(svg.matches("<circle").count(), 4 * 2 + 2 * 2);
        assert!(svg.contains("us+Σui") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn one_point_alone_can_be_drawn() {
        let plan = DistributePlan { formula: "1".parse().expect("a list"), ..lecture() };
        let svg = draw(&plan, &Figures::default());
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn axes_are_marked_from_end_to_end() {
        assert_eq!(marks(0.0, 1.0, 0.2).count(), 6);
        assert_eq!(
            marks(1.0, 1.1, 0.05).map(|at| number(at, 0.05)).collect::<Vec<_>>(),
            ["1.00", "1.05", "1.10"]
        );
    }
}
