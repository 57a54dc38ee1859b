//! From octets to commands: lines and the literals in them (RFC 9051 section 4.3,
//! RFC 7888), within bounds.

/// Literals larger than this are announced, so that many of them at the same time
/// can be bounded.
pub const LARGE_OCTETS: usize = 256 * 1024;

/// How much one command may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a command outside of its literals.
    pub line_octets_max: usize,
    /// Octets of all literals of a command other than APPEND.
    pub literal_octets_max: usize,
    /// Octets of all literals of an APPEND.
    pub append_octets_max: usize,
}

/// What came of the octets so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    /// A command, without the CRLF that ends it, literals in place.
    Command(Vec<u8>),
    /// The client waits for `+` before it sends a literal.
    Continue,
    /// A literal of more than [`LARGE_OCTETS`] comes: before the next octets are
    /// pushed, either there is room for it, or [`Framer::refuse`] passes it over.
    Large(usize),
    /// A command with too large a literal; it has been or is being passed over.
    TooLarge {
        /// How the command began, for its tag.
        line: Vec<u8>,
    },
    /// A line without end: the connection cannot be used further.
    TooLong,
}

/// Gathers octets until a command is whole.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    /// What arrived and is not yet looked at begins at `taken`.
    arrived: Vec<u8>,
    taken: usize,
    /// The command so far.
    command: Vec<u8>,
    /// Octets of `command` that are literals.
    literal_octets: usize,
    /// Octets of the literal still to come.
    literal_left: usize,
    /// Octets of a refused non-synchronising literal still to be passed over.
    discard: u64,
    /// The rest of the refused command's line is still to be passed over.
    refused: bool,
    /// The client waits for `+`, which was not said yet.
    waiting: bool,
}

impl Framer {
    /// Nothing has arrived.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            arrived: Vec::new(),
            taken: 0,
            command: Vec::new(),
            literal_octets: 0,
            literal_left: 0,
            discard: 0,
            refused: false,
            waiting: false,
        }
    }

    /// Changes the bounds, for instance after the login.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes octets from the connection. Call [`Framer::next`] until it gives
    /// `None` before bringing more, so that what waits stays small.
    pub fn push(&mut self, octets: &[u8]) {
        self.arrived.drain(..self.taken);
        self.taken = 0;
        self.arrived.extend_from_slice(octets);
    }

    /// Whether octets wait; after STARTTLS none may (RFC 9051 section 6.2.1).
    pub fn is_empty(&self) -> bool {
        self.taken == self.arrived.len() && self.command.is_empty()
    }

    /// Passes over the command whose literal was announced as [`Framed::Large`];
    /// gives how it began.
    pub fn refuse(&mut self) -> Vec<u8> {
        if !std::mem::take(&mut self.waiting) {
            self.refused = true;
            self.discard = self.literal_left as u64;
        }
        (self.literal_left, self.literal_octets) = (0, 0);
        std::mem::take(&mut self.command)
    }

    /// What came of the octets; `None` where more are needed.
    #[expect(clippy::should_implement_trait, reason = "no iterator: more may come after None")]
    pub fn next(&mut self) -> Option<Framed> {
        loop {
            if std::mem::take(&mut self.waiting) {
                return Some(Framed::Continue);
            }
            let rest = &self.arrived[self.taken..];
            if self.discard > 0 {
                let count = rest.len().min(usize::try_from(self.discard).unwrap_or(usize::MAX));
                self.discard -= count as u64;
                self.taken += count;
                if self.discard > 0 {
                    return None;
                }
                continue;
            }
            if self.literal_left > 0 {
                let count = rest.len().min(self.literal_left);
                self.command.extend_from_slice(&rest[..count]);
                self.literal_left -= count;
                self.taken += count;
                if self.literal_left > 0 {
                    return None;
                }
                continue;
            }
            let line_octets = self.command.len() - self.literal_octets;
            let Some(end) = rest.iter().position(|octet| *octet == b'\n') else {
                return (line_octets + rest.len() > self.limits.line_octets_max).then_some(Framed::TooLong);
            };
            if line_octets + end > self.limits.line_octets_max {
                return Some(Framed::TooLong);
            }
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let literal = announced(line);
            if self.refused {
                // What follows the literal of a refused command goes with it.
                self.taken += end + 1;
                match literal {
                    Some(literal) if !literal.synchronising => self.discard = literal.octets,
                    _ => self.refused = false,
                }
                continue;
            }
            self.command.extend_from_slice(line);
            self.taken += end + 1;
            let Some(literal) = literal else {
                self.literal_octets = 0;
                return Some(Framed::Command(std::mem::take(&mut self.command)));
            };
            let max = if is_append(&self.command) {
                self.limits.append_octets_max
            } else {
                self.limits.literal_octets_max
            };
            let octets = usize::try_from(literal.octets).unwrap_or(usize::MAX);
            if octets > max.saturating_sub(self.literal_octets) {
                self.literal_octets = 0;
                if !literal.synchronising {
                    self.refused = true;
                    self.discard = literal.octets;
                }
                return Some(Framed::TooLarge { line: std::mem::take(&mut self.command) });
            }
            // The line end between the length and the literal is not counted as line.
            self.command.extend_from_slice(b"\r\n");
            self.literal_octets += octets;
            self.literal_left = octets;
            self.waiting = literal.synchronising;
            if octets > LARGE_OCTETS {
                return Some(Framed::Large(octets));
            }
        }
    }
}

struct Literal {
    octets: u64,
    synchronising: bool,
}

/// The literal that the end of a line announces.
fn announced(line: &[u8]) -> Option<Literal> {
    let inside = line.strip_suffix(b"}")?;
    let open = inside.iter().rposition(|octet| *octet == b'{')?;
    let inside = &inside[open + 1..];
    let (digits, synchronising) = inside.strip_suffix(b"+").map_or((inside, true), |digits| (digits, false));
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let octets = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Literal { octets, synchronising })
}

fn is_append(command: &[u8]) -> bool {
    let name = command.splitn(3, |octet| *octet == b' ').nth(1);
    name.is_some_and(|name| name.eq_ignore_ascii_case(b"APPEND"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { line_octets_max: 100, literal_octets_max: 20, append_octets_max: 1_000 };

    fn frame(octets: &[u8], chunk: usize) -> Vec<Framed> {
        let mut framer = Framer::new(LIMITS);
        let mut framed = Vec::new();
        for chunk in octets.chunks(chunk.max(1)) {
            framer.push(chunk);
            while let Some(one) = framer.next() {
                let last = one == Framed::TooLong;
                framed.push(one);
                if last {
                    return framed;
                }
            }
        }
        framed
    }

    fn command(text: &str) -> Framed {
        Framed::Command(text.as_bytes().to_vec())
    }

    #[test]
    fn literals_are_gathered_with_and_without_waiting() {
        let octets = b"a LOGIN {3}\r\nfoo {2+}\r\nba\r\nb NOOP\r\nc NOOP\n";
        for chunk in 1..octets.len() {
            assert_eq!(
                frame(octets, chunk),
                [
                    Framed::Continue,
                    command("a LOGIN {3}\r\nfoo {2+}\r\nba"),
                    command("b NOOP"),
                    command("c NOOP")
                ]
            );
        }
    }

    #[test]
    fn bounds_exceeded_are_told_and_the_next_command_is_read() {
        let octets =
            b"a LOGIN {21}\r\nb LOGIN {30+}\r\n012345678901234567890123456789 {5+}\r\nabcde x\r\nc NOOP\r\n";
        for chunk in 1..octets.len() {
            assert_eq!(
                frame(octets, chunk),
                [
                    Framed::TooLarge { line: b"a LOGIN {21}".to_vec() },
                    Framed::TooLarge { line: b"b LOGIN {30+}".to_vec() },
                    command("c NOOP")
                ]
            );
        }
        assert_eq!(frame(b"a append x {1000}\r\n", 5), [Framed::Continue]);
        assert_eq!(frame(b"a append x {1001}\r\n", 5).len(), 1);
        assert_eq!(frame(&[b'x'; 101], 7), [Framed::TooLong]);
        // Many small literals do not get around the bound of all of them.
        let many = b"a X {15+}\r\n012345678901234 {6+}\r\n012345\r\n";
        assert!(matches!(frame(many, 9)[0], Framed::TooLarge { .. }));
        // A literal of no octets is still counted as line.
        assert_eq!(
            *frame(&[b"a ".to_vec(), b"{0+}\r\n".repeat(50)].concat(), 9).last().unwrap(),
            Framed::TooLong
        );
    }

    #[test]
    fn a_large_literal_is_announced_and_can_be_refused() {
        let limits = Limits { append_octets_max: 1_000_000, ..LIMITS };
        for (plus, refuse) in [("", false), ("", true), ("+", false), ("+", true)] {
            let mut framer = Framer::new(limits);
            framer.push(format!("a APPEND x {{300000{plus}}}\r\n").as_bytes());
            assert_eq!(framer.next(), Some(Framed::Large(300_000)));
            if refuse {
                assert!(framer.refuse().starts_with(b"a APPEND"));
            } else if plus.is_empty() {
                assert_eq!(framer.next(), Some(Framed::Continue));
            }
            assert_eq!(framer.next(), None);
            if !refuse || plus == "+" {
                framer.push(&vec![b'x'; 300_000]);
                assert_eq!(framer.next(), None);
                framer.push(b"\r\n");
                let whole = framer.next();
                assert_eq!(whole.is_some(), !refuse);
            }
            framer.push(b"b NOOP\r\n");
            assert_eq!(framer.next(), Some(command("b NOOP")), "{plus} {refuse}");
            assert!(framer.is_empty());
        }
    }

    proptest! {
        #[test]
        fn memory_stays_within_the_bounds(
            octets in proptest::collection::vec(prop_oneof![
                Just(b"{5}\r\n".to_vec()), Just(b"{9+}\r\n".to_vec()), Just(b"{99999999999+}\r\n".to_vec()),
                Just(b"\r\n".to_vec()), Just(b"a APPEND ".to_vec()), proptest::collection::vec(any::<u8>(), 0..30)], 0..30),
            chunk in 1usize..20,
        ) {
            let mut framer = Framer::new(LIMITS);
            for chunk in octets.concat().chunks(chunk) {
                framer.push(chunk);
                while let Some(framed) = framer.next() {
                    if framed == Framed::TooLong {
                        return Ok(());
                    }
                    if let Framed::Command(command) = framed {
                        prop_assert!(command.len() <= 1_000 + 3 * 100);
                    }
                }
                prop_assert!(framer.command.len() <= 1_000 + 3 * 100 && framer.arrived.len() <= 200);
            }
        }
    }
}
