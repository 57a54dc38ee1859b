//! How a swarm stands now: which piece is where and how rare, and who unchokes whom.

use super::{Caption, column_heads, label, rarity, rarity_legend};
use crate::svg::{Anchor, FAINT, GREEN, GRID, INK, ORANGE, Svg};
use crate::swarm::Role;
use crate::swarm::view::{Door, Host, Seen};

const WIDTH: f64 = 1_180.0;
const TOP: f64 = 92.0;
const ROW: f64 = 24.0;
/// The piece map.
const MAP_X: f64 = 160.0;
const MAP_WIDTH: f64 = 520.0;
/// The matrix.
const MATRIX_X: f64 = 770.0;

/// The swarm at this moment.
pub(crate) fn moment(seen: &Seen, caption: &Caption) -> String {
    let hosts = seen.hosts.len();
    let bottom = TOP + ROW * hosts as f64;
    let mut svg = Svg::new(WIDTH, bottom + 62.0, &caption.title);
    svg.bold((20.0, 30.0), 17.0, Anchor::Start, INK, &caption.title);
    let copies = seen.distributed_copies(|_| true);
    let now = format!("{:.0} s: {copies:.2} copies among those who give", seen.seconds);
    svg.text((20.0, 52.0), 13.0, Anchor::Start, FAINT, &now);

    svg.bold((MAP_X, TOP - 12.0), 12.0, Anchor::Start, INK, "which piece is where");
    let present = seen.copies(|host| host.present);
    for (at, host) in seen.hosts.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        let colour = if host.role == Role::FreeRider { ORANGE } else { INK };
        let colour = if host.present { colour } else { FAINT };
        svg.text((MAP_X - 10.0, y + 15.0), 12.0, Anchor::End, colour, &label(host));
        map_row(&mut svg, y, host, &present, hosts);
        let share = f64::from(host.has.count()) * 100.0 / f64::from(seen.pieces.max(1));
        let state = if host.present { format!("{share:.0} %") } else { "away".to_owned() };
        svg.text((MAP_X + MAP_WIDTH + 8.0, y + 15.0), 12.0, Anchor::Start, colour, &state);
    }
    rarity_legend(&mut svg, MAP_X, bottom + 24.0, hosts);

    let cell = ((WIDTH - 20.0 - MATRIX_X) / hosts as f64).min(ROW + 4.0);
    svg.bold((MATRIX_X, TOP - 30.0), 12.0, Anchor::Start, INK, "who (row) unchokes whom (column)");
    column_heads(&mut svg, seen, MATRIX_X, TOP - 8.0, cell);
    for (at, host) in seen.hosts.iter().enumerate() {
        let y = TOP + ROW * at as f64;
        svg.text(
            (MATRIX_X - 8.0, y + 15.0),
            11.0,
            Anchor::End,
            FAINT,
            &crate::swarm::matrix::short(&host.name),
        );
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

/// The pieces of one host, neighbours of one colour drawn as one.
fn map_row(svg: &mut Svg, y: f64, host: &Host, copies: &[u16], hosts: usize) {
    svg.rect(MAP_X, y + 1.0, MAP_WIDTH, ROW - 3.0, if host.present { GRID } else { "#f6f7f8" });
    if !host.present {
        return;
    }
    let width = MAP_WIDTH / copies.len().max(1) as f64;
    let colour = |piece: usize| {
        let has = host.has.contains(piece as u32);
        has.then(|| copies.get(piece).map(|copies| rarity(*copies, hosts))).flatten()
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
