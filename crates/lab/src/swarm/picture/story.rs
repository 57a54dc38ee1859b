//! How a swarm went: how much each host had when, how rare the pieces were, and
//! who gave whom how much.

use super::{Caption, column_heads, label, rarity, rarity_legend};
use crate::svg::{Anchor, BLUE, FAINT, GRID, INK, ORANGE, PURPLE, Svg, step};
use crate::swarm::Role;
use crate::swarm::view::{Host, Seen};

const WIDTH: f64 = 1_240.0;
/// The charts over time.
const LEFT: f64 = 70.0;
const CHART_WIDTH: f64 = 560.0;
const CURVES_TOP: f64 = 120.0;
const CURVES_HEIGHT: f64 = 270.0;
const HEAT_TOP: f64 = 500.0;
const HEAT_HEIGHT: f64 = 190.0;
/// The matrix.
const MATRIX_X: f64 = 830.0;
const MATRIX_TOP: f64 = 150.0;
/// Columns and rows of the heat map at most.
const HEAT_COLUMNS: usize = 140;
const HEAT_ROWS: usize = 64;

/// A host that the picture names.
const NAMED: &str = "alice";

/// The whole run.
pub(crate) fn story(seen: &Seen, caption: &Caption) -> String {
    let hosts = seen.hosts.len() as f64;
    let cell = ((WIDTH - 70.0 - MATRIX_X) / hosts).min(34.0);
    let height = (HEAT_TOP + HEAT_HEIGHT + 76.0).max(MATRIX_TOP + cell * hosts + 110.0);
    let mut svg = Svg::new(WIDTH, height, &caption.title);
    svg.bold((20.0, 32.0), 18.0, Anchor::Start, INK, &caption.title);
    let end = seen.hosts.iter().filter_map(|host| host.completed).fold(1.0, f64::max);
    curves(&mut svg, seen, caption, end);
    heat(&mut svg, seen, end);
    gifts(&mut svg, seen, cell);
    svg.finish()
}

fn x_of(seconds: f64, end: f64) -> f64 {
    LEFT + CHART_WIDTH * (seconds / end).min(1.0)
}

/// The axis of time below a chart.
fn time_axis(svg: &mut Svg, top: f64, height: f64, end: f64) {
    let distance = step(end, 8.0);
    let mut seconds = 0.0;
    while seconds <= end {
        let x = x_of(seconds, end);
        svg.line((x, top), (x, top + height), GRID, 1.0);
        svg.text((x, top + height + 17.0), 11.0, Anchor::Middle, FAINT, &format!("{seconds:.0}"));
        seconds += distance;
    }
    svg.text((LEFT + CHART_WIDTH / 2.0, top + height + 34.0), 12.0, Anchor::Middle, INK, "time (s)");
}

fn curves(svg: &mut Svg, seen: &Seen, caption: &Caption, end: f64) {
    let y_of = |share: f64| CURVES_TOP + CURVES_HEIGHT * (1.0 - share);
    svg.bold((LEFT, 62.0), 13.0, Anchor::Start, INK, "how much each host has");
    time_axis(svg, CURVES_TOP, CURVES_HEIGHT, end);
    for percent in [0, 25, 50, 75, 100] {
        let y = y_of(f64::from(percent) / 100.0);
        svg.line((LEFT, y), (LEFT + CHART_WIDTH, y), GRID, 1.0);
        svg.text((LEFT - 8.0, y + 4.0), 11.0, Anchor::End, FAINT, &percent.to_string());
    }
    svg.upwards((LEFT - 44.0, CURVES_TOP + CURVES_HEIGHT / 2.0), 12.0, INK, "pieces (%)");
    for (row, (seconds, text)) in caption.marks.iter().enumerate() {
        let (x, y) = (x_of(*seconds, end), CURVES_TOP - 8.0 - 13.0 * (row % 3) as f64);
        svg.line((x, y + 3.0), (x, CURVES_TOP + CURVES_HEIGHT), "#aab2bd", 1.0);
        svg.text((x + 3.0, y), 10.5, Anchor::Start, FAINT, text);
    }
    let bound = x_of(caption.bound, end);
    svg.path(&[(bound, CURVES_TOP), (bound, CURVES_TOP + CURVES_HEIGHT)], PURPLE, 1.4, Some("5 4"));
    svg.upwards((bound - 5.0, CURVES_TOP + CURVES_HEIGHT * 0.82), 10.5, PURPLE, "the lecture's bound");
    // The named ones last, above the others.
    let mut order: Vec<usize> = (0..seen.hosts.len()).collect();
    order.sort_by_key(|at| seen.hosts.get(*at).map(|host| style(host).1 > 2.0));
    for at in order {
        let Some(host) = seen.hosts.get(at).filter(|host| host.role != Role::Seed) else { continue };
        let (colour, width) = style(host);
        for stay in stays(seen, at, end) {
            let points: Vec<(f64, f64)> =
                stay.iter().map(|(seconds, share)| (x_of(*seconds, end), y_of(*share))).collect();
            svg.path(&points, colour, width, None);
        }
    }
    let mut x = LEFT;
    for (colour, width, text) in [
        (BLUE, 3.0, "alice"),
        (ORANGE, 3.0, "the free rider"),
        ("#8fa3b5", 1.2, "each other peer (gaps: it is away)"),
    ] {
        let y = CURVES_TOP + CURVES_HEIGHT + 58.0;
        svg.line((x, y - 4.0), (x + 22.0, y - 4.0), colour, width);
        svg.text((x + 28.0, y), 11.0, Anchor::Start, FAINT, text);
        x += 52.0 + 6.2 * text.len() as f64;
    }
}

fn style(host: &Host) -> (&'static str, f64) {
    match host.role {
        Role::FreeRider => (ORANGE, 3.0),
        _ if host.name == NAMED => (BLUE, 3.0),
        _ => ("#8fa3b5", 1.2),
    }
}

/// The share that a host had, at the moments of each of its stays until it had all.
fn stays(seen: &Seen, at: usize, end: f64) -> Vec<Vec<(f64, f64)>> {
    let mut stays = Vec::new();
    let mut stay = Vec::new();
    for sample in seen.timeline.samples() {
        let share = f64::from(sample.have.get(at).copied().unwrap_or(0)) / f64::from(seen.pieces.max(1));
        if sample.present.get(at) == Some(&true) && sample.seconds <= end {
            let done = stay.last().is_some_and(|(_, share)| *share >= 1.0);
            if !done {
                stay.push((sample.seconds, share));
            }
        } else if stay.len() > 1 {
            stays.push(std::mem::take(&mut stay));
        }
    }
    stays.push(stay);
    stays
}

fn heat(svg: &mut Svg, seen: &Seen, end: f64) {
    svg.bold(
        (LEFT, HEAT_TOP - 10.0),
        13.0,
        Anchor::Start,
        INK,
        "how rare each piece is: rarest first evens it out",
    );
    let samples: Vec<_> = seen.timeline.samples().iter().filter(|sample| sample.seconds <= end).collect();
    let columns = samples.len().clamp(1, HEAT_COLUMNS);
    let rows = (seen.pieces as usize).clamp(1, HEAT_ROWS);
    let (width, height) = (CHART_WIDTH / columns as f64, HEAT_HEIGHT / rows as f64);
    svg.rect(LEFT, HEAT_TOP, CHART_WIDTH, HEAT_HEIGHT, GRID);
    // The first moment at or after each column's beginning.
    let moments: Vec<_> = (0..columns)
        .map(|column| {
            let from = end * column as f64 / columns as f64;
            samples.iter().find(|sample| sample.seconds >= from)
        })
        .collect();
    for row in 0..rows {
        let piece = row * seen.pieces as usize / rows;
        let colour = |column: usize| {
            let sample = moments.get(column).copied().flatten();
            let copies = sample.and_then(|sample| sample.copies.get(piece)).copied().unwrap_or(0);
            rarity(copies, seen.hosts.len())
        };
        // Moments of one colour are drawn as one.
        let mut from = 0;
        for column in 1..=columns {
            let fill = colour(from);
            if column < columns && colour(column) == fill {
                continue;
            }
            if fill != GRID {
                let (x, y) = (LEFT + width * from as f64, HEAT_TOP + height * row as f64);
                svg.rect(x, y, width * (column - from) as f64, height + 0.3, fill);
            }
            from = column;
        }
    }
    time_axis(svg, HEAT_TOP + HEAT_HEIGHT, 0.0, end);
    svg.upwards((LEFT - 44.0, HEAT_TOP + HEAT_HEIGHT / 2.0), 12.0, INK, "piece");
    svg.text((LEFT - 8.0, HEAT_TOP + 9.0), 11.0, Anchor::End, FAINT, "0");
    let last = seen.pieces.saturating_sub(1).to_string();
    svg.text((LEFT - 8.0, HEAT_TOP + HEAT_HEIGHT), 11.0, Anchor::End, FAINT, &last);
    rarity_legend(svg, LEFT, HEAT_TOP + HEAT_HEIGHT + 56.0, seen.hosts.len());
}

/// Who gave whom how much.
fn gifts(svg: &mut Svg, seen: &Seen, cell: f64) {
    let unit = 1e6;
    svg.bold((MATRIX_X, 62.0), 13.0, Anchor::Start, INK, "who (row) gave whom (column) how much, in MB");
    svg.text(
        (MATRIX_X, 82.0),
        11.5,
        Anchor::Start,
        FAINT,
        "Tit for tat: who gives is given to. The free rider's row is empty.",
    );
    column_heads(svg, seen, MATRIX_X, MATRIX_TOP - 8.0, cell);
    let hosts = seen.hosts.len();
    let most = seen.given.iter().flatten().copied().max().unwrap_or(0).max(1) as f64;
    svg.text((MATRIX_X + cell * hosts as f64 + 8.0, MATRIX_TOP - 8.0), 11.0, Anchor::Start, INK, "sent");
    for (at, host) in seen.hosts.iter().enumerate() {
        let y = MATRIX_TOP + cell * at as f64;
        let middle = y + cell / 2.0 + 4.0;
        let colour = if host.role == Role::FreeRider { ORANGE } else { INK };
        svg.text((MATRIX_X - 10.0, middle), 12.0, Anchor::End, colour, &label(host));
        let row: Vec<u64> = seen.given.get(at).cloned().unwrap_or_default();
        for (to, octets) in row.iter().enumerate() {
            let x = MATRIX_X + cell * to as f64;
            if to == at {
                continue;
            }
            let share = *octets as f64 / most;
            svg.rect(x + 0.5, y + 0.5, cell - 1.0, cell - 1.0, &shade(share));
            if cell >= 26.0 && *octets as f64 >= unit * 0.05 {
                let ink = if share > 0.55 { "#ffffff" } else { INK };
                let text = format!("{:.1}", *octets as f64 / unit);
                svg.text((x + cell / 2.0, middle), 10.0, Anchor::Middle, ink, &text);
            }
        }
        let sent = row.iter().sum::<u64>() as f64 / unit;
        let x = MATRIX_X + cell * hosts as f64 + 8.0;
        svg.text((x, middle), 11.0, Anchor::Start, colour, &format!("{sent:.1}"));
    }
    let y = MATRIX_TOP + cell * hosts as f64;
    svg.text((MATRIX_X - 10.0, y + 20.0), 11.0, Anchor::End, INK, "complete after (s)");
    for (at, host) in seen.hosts.iter().enumerate() {
        let text = match (host.role, host.completed) {
            (Role::Seed, _) => "–".to_owned(),
            (_, Some(seconds)) => format!("{seconds:.0}"),
            (_, None) => "never".to_owned(),
        };
        let colour = if host.role == Role::FreeRider { ORANGE } else { INK };
        svg.text((MATRIX_X + cell * (at as f64 + 0.5), y + 20.0), 11.0, Anchor::Middle, colour, &text);
    }
}

/// White to dark green.
fn shade(share: f64) -> String {
    let mix = |light: f64, dark: f64| (light + (dark - light) * share.clamp(0.0, 1.0)).round() as u8;
    format!("#{:02x}{:02x}{:02x}", mix(246.0, 0.0), mix(248.0, 94.0), mix(247.0, 60.0))
}
