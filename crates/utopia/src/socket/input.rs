//! What the person types: standard input as lines, octets or hexadecimal.

use super::{Failure, LINE_OCTETS_MAX};
use std::io::{self, BufRead, Read};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pieces of input read ahead of what the network takes.
const PIECES_MAX: usize = 16;

/// How standard input is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// As it comes.
    Octets,
    /// By lines, with their ends.
    Lines,
    /// By lines, without their ends: one datagram each.
    Datagrams,
    /// By lines of hexadecimal digits.
    Hex,
}

/// Reads standard input on a thread of its own, which, unlike a task, does not
/// keep the program alive while nobody types.
pub(super) fn read(cut: Cut) -> mpsc::Receiver<Result<Vec<u8>, Failure>> {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        for line in 1_u64.. {
            let piece = match next(&mut stdin, cut, line) {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => break,
                Err(failure) => Err(failure),
            };
            if sender.blocking_send(piece).is_err() {
                break;
            }
        }
    });
    receiver
}

fn next(input: &mut impl BufRead, cut: Cut, line: u64) -> Result<Option<Vec<u8>>, Failure> {
    if cut == Cut::Octets {
        let mut piece = vec![0; LINE_OCTETS_MAX];
        let octets = input.read(&mut piece)?;
        piece.truncate(octets);
        return Ok((octets > 0).then_some(piece));
    }
    let mut piece = Vec::new();
    if input.take(LINE_OCTETS_MAX as u64).read_until(b'\n', &mut piece)? == 0 {
        return Ok(None);
    }
    if cut != Cut::Lines {
        without_line_end(&mut piece);
    }
    if cut == Cut::Hex {
        piece = octets(&piece).ok_or_else(|| {
            Failure(format!(
                "line {line} of the input is no hexadecimal: expected e.g. 48656c6c6f or 48 65 6c"
            ))
        })?;
    }
    Ok(Some(piece))
}

fn without_line_end(line: &mut Vec<u8>) {
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
}

/// Octets from pairs of hexadecimal digits, with or without spaces between.
fn octets(text: &[u8]) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .iter()
        .filter(|octet| !octet.is_ascii_whitespace())
        .map(|digit| (*digit as char).to_digit(16).map(|value| value as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// What was typed next; waits for ever where nobody types.
pub(super) async fn typed_next(
    typed: &mut Option<mpsc::Receiver<Result<Vec<u8>, Failure>>>,
) -> Option<Result<Vec<u8>, Failure>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// Resolves when nothing has happened for so long; never without a bound.
pub(super) async fn idle(timeout: Option<Duration>) {
    match timeout {
        Some(timeout) => tokio::time::sleep(timeout).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_lines_datagrams_and_hex() {
        let cut = |cut, mut text: &[u8]| next(&mut text, cut, 1).ok().flatten();
        assert_eq!(cut(Cut::Lines, b"a\r\nb").unwrap(), b"a\r\n");
        assert_eq!(cut(Cut::Datagrams, b"a\r\nb").unwrap(), b"a");
        assert_eq!(cut(Cut::Hex, b"0a FF\n").unwrap(), [10, 255]);
        assert_eq!(cut(Cut::Hex, b"0a F\n"), None);
        assert_eq!(cut(Cut::Octets, b"a\r\nb").unwrap(), b"a\r\nb");
        assert_eq!(cut(Cut::Lines, b""), None);
    }

    #[test]
    fn passes_a_line_beyond_the_bound_on_in_pieces() {
        let long = vec![b'a'; LINE_OCTETS_MAX + 1];
        let mut text = long.as_slice();
        assert_eq!(next(&mut text, Cut::Lines, 1).unwrap().unwrap().len(), LINE_OCTETS_MAX);
        assert_eq!(next(&mut text, Cut::Lines, 2).unwrap().unwrap().len(), 1);
    }
}
