//! Pictures of a swarm: how it stands now, and how it went.

mod moment;
mod story;

pub(crate) use moment::moment;
pub(crate) use story::story;

use super::view::{Host, Seen};
use super::{Role, matrix};
use crate::svg::{Anchor, FAINT, GRID, ORANGE, Svg};

/// Things that happened and are marked in the picture.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caption {
    /// What the picture is about.
    pub(crate) title: String,
    /// When what happened, in seconds and a few words.
    pub(crate) marks: Vec<(f64, &'static str)>,
    /// The lecture's bound, in seconds.
    pub(crate) bound: f64,
}

/// From a single copy to many.
const RARITY: [&str; 6] = ["#d7301f", "#fc8d59", "#fdcc8a", "#a6bddb", "#3690c0", "#045a8d"];

/// Copies up to which each colour of [`RARITY`] stands but the last.
fn thresholds(hosts: usize) -> [u16; 5] {
    let part = |share: f64| (hosts as f64 * share).round() as u16;
    let fourth = part(0.45).max(4);
    [1, 2, 3, fourth, part(0.75).max(fourth + 1)]
}

/// The colour of a piece of which there are so many copies.
fn rarity(copies: u16, hosts: usize) -> &'static str {
    if copies == 0 {
        return GRID;
    }
    let at = thresholds(hosts).iter().position(|most| copies <= *most);
    RARITY.get(at.unwrap_or(5)).copied().unwrap_or(GRID)
}

/// What the colours mean, from `x` on along a line of text.
fn rarity_legend(svg: &mut Svg, x: f64, y: f64, hosts: usize) {
    svg.text((x, y), 11.0, Anchor::Start, FAINT, "copies of a piece:");
    let [one, two, three, fourth, fifth] = thresholds(hosts);
    let labels = [
        one.to_string(),
        two.to_string(),
        three.to_string(),
        format!("to {fourth}"),
        format!("to {fifth}"),
        "more".to_owned(),
    ];
    let mut at = x + 108.0;
    for (colour, label) in RARITY.iter().zip(labels) {
        svg.rect(at, y - 9.0, 11.0, 11.0, colour);
        svg.text((at + 15.0, y), 11.0, Anchor::Start, FAINT, &label);
        at += 26.0 + 6.5 * label.len() as f64;
    }
}

/// A host's name, and what is particular about it.
fn label(host: &Host) -> String {
    match host.role {
        Role::FreeRider => format!("{} (gives nothing)", host.name),
        _ => host.name.clone(),
    }
}

/// The names of those who take, above the columns of a matrix.
fn column_heads(svg: &mut Svg, seen: &Seen, x: f64, y: f64, cell: f64) {
    for (at, host) in seen.hosts.iter().enumerate() {
        let colour = if host.role == Role::FreeRider { ORANGE } else { FAINT };
        let centre = x + cell * (at as f64 + 0.5);
        svg.text((centre, y), 11.0, Anchor::Middle, colour, &matrix::short(&host.name));
    }
}
