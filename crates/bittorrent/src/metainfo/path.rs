//! Names of files that are safe to make on a disk.
//!
//! Torrents with odd names exist and users want them, so a name that could do
//! harm is made harmless instead of refused: what cannot stand in a name goes.

/// Octets of a component before its extension. File systems take 255; the rest
/// leaves room for an extension and for a number against duplicates.
pub const COMPONENT_OCTETS_MAX: usize = 240;

/// Octets of an extension, its dot included, that is kept when a name is cut.
pub const EXTENSION_OCTETS_MAX: usize = 10;

/// What stands for a character that cannot be in a name, and for a name of which
/// nothing is left.
const REPLACEMENT: char = '_';

/// A component of a path that can do no harm: it is not empty, is neither `.`
/// nor `..`, has no separator (`/`, `\`), NUL, control or invisible character,
/// and has at most [`COMPONENT_OCTETS_MAX`] + [`EXTENSION_OCTETS_MAX`] octets.
/// Separators and invisible characters are left out, control characters and
/// what is no UTF-8 become `_`.
pub fn safe_component(raw: &[u8]) -> String {
    let safe = filtered(raw);
    if is_nothing(&safe) { REPLACEMENT.into() } else { safe }
}

/// As [`safe_component`], but nothing where nothing is left: another name can be
/// taken.
pub(super) fn safe_name(raw: &[u8]) -> Option<String> {
    let safe = filtered(raw);
    (!is_nothing(&safe)).then_some(safe)
}

/// Whether a component is safe as it stands.
pub fn is_safe_component(component: &str) -> bool {
    safe_component(component.as_bytes()) == component
}

fn is_nothing(name: &str) -> bool {
    matches!(name, "" | "." | "..")
}

fn filtered(raw: &[u8]) -> String {
    let mut safe = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '/' | '\\' => {}
                invisible if is_invisible(invisible) => {}
                control if control.is_control() => safe.push(REPLACEMENT),
                other => safe.push(other),
            }
        }
        if !chunk.invalid().is_empty() {
            safe.push(REPLACEMENT);
        }
    }
    cut(safe)
}

/// Characters without a shape or that turn the direction of writing: with them
/// one name can be made to look like another.
fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Cuts a name that is too long in front of its extension.
fn cut(mut name: String) -> String {
    if name.len() <= COMPONENT_OCTETS_MAX {
        return name;
    }
    let extension = match name.rfind('.') {
        Some(dot) if name.len() - dot <= EXTENSION_OCTETS_MAX => name.split_off(dot),
        _ => String::new(),
    };
    name.truncate(name.floor_char_boundary(COMPONENT_OCTETS_MAX));
    name.push_str(&extension);
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_could_do_harm_are_made_harmless() {
        for (raw, safe) in [
            (&b"readme.txt"[..], "readme.txt"),
            (b"..", "_"),
            (b".", "_"),
            (b"", "_"),
            (b"/", "_"),
            (b"/..", "_"),
            (b"../../etc/passwd", "....etcpasswd"),
            (b"..\\..\\boot.ini", "....boot.ini"),
            (b"/absolute", "absolute"),
            (b"nul\0byte", "nul_byte"),
            (b"bell\x07", "bell_"),
            (b"delete\x7f", "delete_"),
            ("c1\u{85}control".as_bytes(), "c1_control"),
            ("right\u{202e}gnp.exe".as_bytes(), "rightgnp.exe"),
            ("zero\u{200b}width\u{feff}".as_bytes(), "zerowidth"),
            (b"truncated\xe2\x9f", "truncated_"),
            (b"...", "..."),
            ("smörgåsbord ⟹".as_bytes(), "smörgåsbord ⟹"),
            (b" ", " "),
            (b"C:", "C:"),
        ] {
            assert_eq!(safe_component(raw), safe);
        }
        assert_eq!(safe_name(b"/.."), None);
        assert_eq!(safe_name(b"a/"), Some("a".into()));
    }

    #[test]
    fn a_name_beyond_the_bound_keeps_its_extension() {
        let longest = "x".repeat(COMPONENT_OCTETS_MAX);
        assert_eq!(safe_component(longest.as_bytes()), longest);
        assert_eq!(safe_component(format!("{longest}yyy.torrent").as_bytes()), format!("{longest}.torrent"));
        let cut = safe_component(format!("{longest}.extension-too-long").as_bytes());
        assert_eq!(cut, longest);
        let many = "é".repeat(200);
        assert_eq!(safe_component(many.as_bytes()), "é".repeat(120));
    }

    proptest! {
        #[test]
        fn what_is_safe_stays_as_it_is(raw in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300), "[./\\\\a-z\u{0}\u{202e}é]{0,300}".prop_map(String::into_bytes),
        ]) {
            let safe = safe_component(&raw);
            prop_assert!(is_safe_component(&safe), "{safe:?}");
            prop_assert!(!safe.is_empty() && safe != "." && safe != "..");
            prop_assert!(!safe.contains(['/', '\\', '\0']) && !safe.chars().any(char::is_control));
            prop_assert!(safe.len() <= COMPONENT_OCTETS_MAX + EXTENSION_OCTETS_MAX);
        }
    }
}
