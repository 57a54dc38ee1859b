//! Source files: each begins with its purpose, carries no banned name, stays
//! within one concern's size, and does I/O only where the house allows it.

/// Names that say nothing (DESIGN, "Names").
const BANNED: &[&str] = &["common", "util", "utils", "helper", "helpers", "misc", "manager", "base"];
/// More lines than one concern needs.
const LINES_MAX: usize = 800;

/// A word that may stand only in some places.
struct Rule {
    words: &'static [&'static str],
    /// Whether the rule holds for a file.
    holds: fn(place: &str) -> bool,
    reason: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["Instant::now", "SystemTime::now", "thread::spawn", "std::fs", "tokio::"],
        holds: |place| is_rules_only(place),
        reason: "floor 1 takes time, bytes and randomness as arguments",
    },
    Rule {
        words: &[
            "TcpListener",
            "TcpStream",
            "TcpSocket",
            "UdpSocket",
            "UnixListener",
            "UnixStream",
            "socket2::",
        ],
        holds: |place| {
            place.starts_with("crates/") && !place.starts_with("crates/net/") && !place.contains("/tests/")
        },
        reason: "only net opens a socket",
    },
    Rule {
        words: &["std::fs", "tokio::fs", "File::open", "File::create", "OpenOptions", "fs::write"],
        holds: |place| {
            ["crates/dns", "crates/mail", "crates/web/", "crates/host/", "crates/lab/"]
                .iter()
                .any(|folder| place.starts_with(folder))
                && !place.contains("/tests/")
        },
        reason: "only storage opens a data file",
    },
    Rule {
        words: &["unsafe {", "unsafe fn", "unsafe impl"],
        holds: |place| !place.starts_with("crates/net/") && !place.starts_with("xtask/"),
        reason: "unsafe code stands only in net",
    },
];

fn is_rules_only(place: &str) -> bool {
    ["crates/dns/", "crates/mail/", "crates/event/"].iter().any(|folder| place.starts_with(folder))
        && !place.contains("/tests/")
        // The event stream stamps what it tells with the machine's clock.
        && place != "crates/event/src/lib.rs"
}

pub(super) fn check(place: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(format!("{place}:1: begin the file with `//!` and what it is for"));
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        findings.push(format!("{place}: {lines} lines, more than {LINES_MAX}: split it by concern"));
    }
    let stem = place.trim_end_matches("/mod.rs").trim_end_matches(".rs").rsplit('/').next().unwrap_or(place);
    if BANNED.contains(&stem) {
        findings.push(format!("{place}: `{stem}` says nothing; name it after what it does"));
    }
    // A module of tests stands in a file of its own.
    let mut in_tests = place.ends_with("/tests.rs") || place.contains("/tests/");
    for (index, line) in text.lines().enumerate() {
        in_tests |= line.trim() == "#[cfg(test)]";
        let line = line.trim_start();
        if line.starts_with("//") {
            continue;
        }
        if let Some(name) = defined_name(line).filter(|name| is_banned(name)) {
            findings
                .push(format!("{place}:{}: `{name}` says nothing; name it after what it does", index + 1));
        }
        for rule in RULES.iter().filter(|rule| !in_tests && (rule.holds)(place)) {
            if let Some(word) = rule.words.iter().find(|word| line.contains(**word)) {
                findings.push(format!("{place}:{}: `{word}`: {}", index + 1, rule.reason));
            }
        }
    }
    findings
}

/// The module or type that a line defines.
fn defined_name(line: &str) -> Option<&str> {
    let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let mut word = words.next()?;
    if word == "pub" {
        word = words.next()?;
    }
    if matches!(word, "crate" | "super") {
        word = words.next()?;
    }
    matches!(word, "mod" | "struct" | "enum" | "trait" | "type").then(|| words.next()).flatten()
}

/// Whether a module's or type's name is, or ends in, a banned word.
fn is_banned(name: &str) -> bool {
    let lower = name.to_lowercase();
    BANNED.iter().any(|banned| {
        lower == *banned
            || (name.starts_with(char::is_uppercase) && *banned != "base" && lower.ends_with(banned))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_purpose_is_found() {
        assert_eq!(check("crates/x/src/a.rs", "//! Purpose.\nfn a() {}\n"), Vec::<String>::new());
        assert_eq!(check("crates/x/src/a.rs", "fn a() {}\n").len(), 1);
    }

    #[test]
    fn banned_names_are_found() {
        assert_eq!(check("crates/x/src/util.rs", "//! Purpose.\n").len(), 1);
        assert_eq!(check("crates/x/src/misc/mod.rs", "//! Purpose.\n").len(), 1);
        assert_eq!(check("crates/x/src/a.rs", "//! P.\npub struct ZoneManager;\n").len(), 1);
        assert_eq!(check("crates/x/src/a.rs", "//! P.\npub(crate) mod helpers {}\n").len(), 1);
        assert_eq!(check("crates/x/src/a.rs", "//! P.\nstruct Database;\n"), Vec::<String>::new());
    }

    #[test]
    fn io_outside_of_its_crate_is_found() {
        let clock = "//! P.\nfn a() { let _ = std::time::Instant::now(); }\n";
        assert_eq!(check("crates/dns/src/a.rs", clock).len(), 1);
        assert_eq!(check("crates/dns-server/src/a.rs", clock), Vec::<String>::new());
        let socket = "//! P.\nuse tokio::net::UdpSocket;\n";
        assert_eq!(check("crates/dns-server/src/a.rs", socket).len(), 1);
        assert_eq!(check("crates/net/src/a.rs", socket), Vec::<String>::new());
        let file = "//! P.\nuse std::fs;\n";
        assert_eq!(check("crates/mail-server/src/a.rs", file).len(), 1);
        assert_eq!(check("crates/storage/src/a.rs", file), Vec::<String>::new());
    }

    #[test]
    fn unsafe_code_outside_of_net_is_found() {
        let text = "//! P.\nfn a() { unsafe { b() } }\n";
        assert_eq!(check("crates/dns/src/a.rs", text).len(), 1);
        assert_eq!(check("crates/net/src/a.rs", text), Vec::<String>::new());
    }

    #[test]
    fn a_file_of_many_concerns_is_found() {
        let text = format!("//! P.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(check("crates/x/src/a.rs", &text).len(), 1);
    }
}
