//! How a swarm stands now: which piece is where and how rare, and who unchokes whom.

use super::{Caption, column_heads, label, rarity, rarity_legend};
use crate::svg::{Anchor, FAINT, GREEN, GRID, INK, ORANGE, Svg};
use crate::swarm::view::{Door, Host, Seen};
use crate::swarm::{Role, matrix};

const WIDTH: f64 = 1_180.0;
const TOP: f64 = 92.0;
const ROW: f64 = 24.0;
/// Between the hosts and the row of all pieces.
const RARITY_GAP: f64 = 8.0;
/// The piece map.
const MAP_X: f64 = 160.0;
const MAP_WIDTH: f64 = 520.0;
/// The matrix.
const MATRIX_X: f64 = 770.0;

/// The swarm at this moment.
pub(crate) fn moment(seen: &Seen, caption: &Caption) -> String {
    let hosts = seen.hosts.len();
    let bottom = TOP + ROW * hosts as f64 + RARITY_GAP + ROW;
    let mut svg = Svg::new(WIDTH, bottom + 42.0, &caption.title);
    let copies = seen.distributed_copies(|_| true);
    let last = caption.marks.last().map(|(_, mark)| format!("; {mark}")).unwrap_or_default();
    let now = format!("{:.0} s: {copies:.2} copies among those who give{last}", seen.seconds);
    svg.text((20.0, 26.0), 14.0, Anchor::Start, INK, &now);

    svg.bold((MAP_X, TOP - 12.0), 12.0, Anchor::Start, INK, "which piece is where");
    let present = seen.copies(|host| host.present);
    for (at, host) in seen.hosts.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let colour = if host.role == Role::FreeRider { ORANGE } else { INK };
        let colour = if host.present { colour } else { FAINT };
        svg.text((MAP_X - 10.0, y + 15.0), 12.0, Anchor::End, colour, &label(host));
        strip(&mut svg, y, &present, hosts, |piece| host.present && host.has.contains(piece));
        svg.text((MAP_X + MAP_WIDTH + 8.0, y + 15.0), 12.0, Anchor::Start, colour, &state(host, seen));
    }
    let y = bottom - ROW;
    svg.bold((MAP_X - 10.0, y + 15.0), 12.0, Anchor::End, INK, "how rare each is");
    strip(&mut svg, y, &present, hosts, |_| true);
    rarity_legend(&mut svg, MAP_X, bottom + 24.0, hosts);

    let cell = ((WIDTH - 20.0 - MATRIX_X) / hosts as f64).min(ROW + 4.0);
    svg.bold((MATRIX_X, TOP - 30.0), 12.0, Anchor::Start, INK, "who (row) unchokes whom (column)");
    column_heads(&mut svg, seen, MATRIX_X, TOP - 8.0, cell);
    for (at, host) in seen.hosts.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        svg.text((MATRIX_X - 8.0, y + 15.0), 11.0, Anchor::End, FAINT, &matrix::short(&host.name));
        for (to, door) in seen.doors.get(at).into_iter().flatten().enumerate() {
            let there = host.present && seen.hosts.get(to).is_some_and(|host| host.present);
            let fill = match door {
                _ if to == at || !there => continue,
                Door::Choked => GRID,
                Door::Unchoked => GREEN,
                Door::Optimistic => ORANGE,
            };
            svg.rect(MATRIX_X + cell * to as f64 + 1.0, y + 1.0, cell - 2.0, ROW - 3.0, fill);
        }
    }
    let mut x = MATRIX_X;
    for (fill, text, room) in [
        (GREEN, "for what it sends, or takes of a seed", 232.0),
        (ORANGE, "optimistically", 104.0),
        (GRID, "choked", 60.0),
    ] {
        svg.rect(x, bottom + 15.0, 11.0, 11.0, fill);
        svg.text((x + 15.0, bottom + 24.0), 11.0, Anchor::Start, FAINT, text);
        x += room;
    }
    svg.finish()
}

/// How much a host has, or why that cannot be had.
fn state(host: &Host, seen: &Seen) -> String {
    let share = f64::from(host.has.count()) * 100.0 / f64::from(seen.pieces.max(1));
    match (host.present, host.joined) {
        (true, _) => format!("{share:.0} %"),
        (false, Some(_)) => "away".to_owned(),
        (false, None) => "to come".to_owned(),
    }
}

/// A row of pieces, coloured by how rare they are; neighbours of one colour drawn
/// as one.
fn strip(svg: &mut Svg, y: f64, copies: &[u16], hosts: usize, is_here: impl Fn(u32) -> bool) {
    svg.rect(MAP_X, y + 1.0, MAP_WIDTH, ROW - 3.0, GRID);
    let width = MAP_WIDTH / copies.len().max(1) as f64;
    let colour = |piece: usize| {
        let copies = copies.get(piece).filter(|copies| **copies > 0 && is_here(piece as u32));
        copies.map(|copies| rarity(*copies, hosts))
    };
    let mut from = 0;
    for piece in 1..=copies.len() {
        let before = colour(from);
        if piece < copies.len() && colour(piece) == before {
            continue;
        }
        if let Some(fill) = before {
            svg.rect(MAP_X + width * from as f64, y + 1.0, width * (piece - from) as f64, ROW - 3.0, fill);
        }
        from = piece;
    }
}
