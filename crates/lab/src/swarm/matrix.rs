//! The swarm as lines of a terminal: which pieces each host has, and whom it
//! unchokes.

use super::view::{Door, Seen};
use std::fmt::Write as _;

/// Letters that show the pieces of one host.
const CELLS: usize = 32;

/// A line for each host: its pieces, how many those are, and a column for each
/// host that it may unchoke: `#` for what that sends, `o` optimistically. Below, how
/// many copies there are of the rarest piece of each part.
pub(crate) fn matrix(seen: &Seen) -> String {
    let width = seen.hosts.iter().map(|host| host.name.chars().count()).max().unwrap_or_default();
    let copies = seen.distributed_copies(|_| true);
    let mut out = format!("{:>5.1} s   {copies:.2} copies among those who give\n", seen.seconds);
    let _ = write!(out, "{:width$}  {:CELLS$}   have   unchokes ", "", "pieces");
    for host in &seen.hosts {
        let letter: String = short(&host.name);
        let _ = write!(out, "{letter:>3}");
    }
    out.push('\n');
    for (at, host) in seen.hosts.iter().enumerate() {
        let _ = write!(out, "{:width$}  ", host.name);
        for cell in 0..CELLS {
            let (from, until) = pieces(seen, cell);
            let has = (from..until).filter(|piece| host.has.contains(*piece as u32)).count();
            out.push(match has * 4 / (until - from) {
                0 if has == 0 => '·',
                0 | 1 => '░',
                2 => '▒',
                3 => '▓',
                _ => '█',
            });
        }
        let share = f64::from(host.has.count()) * 100.0 / f64::from(seen.pieces.max(1));
        let state = if host.present { "         " } else { " (away)  " };
        let _ = write!(out, " {share:>5.0} %  {state}");
        for (to, door) in seen.doors.get(at).into_iter().flatten().enumerate() {
            out.push_str(match door {
                _ if to == at => "  \\",
                Door::Choked => "  ·",
                Door::Unchoked => "  #",
                Door::Optimistic => "  o",
            });
        }
        out.push('\n');
    }
    let _ = write!(out, "{:width$}  ", "rarest");
    let copies = seen.copies(|host| host.present);
    for cell in 0..CELLS {
        let (from, until) = pieces(seen, cell);
        let fewest = copies.get(from..until).into_iter().flatten().min().copied().unwrap_or_default();
        out.push(char::from_digit(u32::from(fewest), 10).unwrap_or('+'));
    }
    out.push_str("  copies of the rarest piece of each part\n");
    out
}

/// The pieces that a letter stands for: from, and until before.
fn pieces(seen: &Seen, cell: usize) -> (usize, usize) {
    let from = seen.pieces as usize * cell / CELLS;
    (from, (seen.pieces as usize * (cell + 1) / CELLS).max(from + 1))
}

/// A host's name as the head of a column.
pub(super) fn short(name: &str) -> String {
    let number: String = name.chars().filter(char::is_ascii_digit).collect();
    if number.is_empty() { name.chars().take(1).collect::<String>().to_uppercase() } else { number }
}
