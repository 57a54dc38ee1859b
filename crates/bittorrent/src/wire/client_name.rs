//! The program behind a peer id (BEP 20), to be shown to people; nothing
//! depends on it.

use super::PeerId;

/// Two letters of ids like `-TR4060-`, and the program.
const AZUREUS_STYLE: &[(&[u8; 2], &str)] = &[
    (b"7T", "aTorrent"),
    (b"AZ", "Vuze"),
    (b"BC", "BitComet"),
    (b"BI", "BiglyBT"),
    (b"BT", "BitTorrent"),
    (b"DE", "Deluge"),
    (b"FD", "Free Download Manager"),
    (b"FW", "FrostWire"),
    (b"KG", "KGet"),
    (b"KT", "KTorrent"),
    (b"LT", "libtorrent"),
    (b"lt", "rTorrent"),
    (b"MO", "MonoTorrent"),
    (b"PI", "PicoTorrent"),
    (b"qB", "qBittorrent"),
    (b"rQ", "rqbit"),
    (b"SD", "Thunder"),
    (b"TL", "Tribler"),
    (b"TR", "Transmission"),
    (b"TX", "Tixati"),
    (b"UM", "µTorrent for Mac"),
    (b"UT", "µTorrent"),
    (b"UW", "µTorrent Web"),
    (b"WD", "WebTorrent Desktop"),
    (b"WW", "WebTorrent"),
    (b"XL", "Xunlei"),
];

impl PeerId {
    /// The program's name and version, if they can be told.
    pub fn client_name(&self) -> Option<String> {
        if self.is_of_our_kind() {
            return Some("Utopia 0.1.0".to_owned());
        }
        match &self.0 {
            [b'-', a, b, version @ .., _, _, _, _, _, _, _, _, _, _, _, _, _]
                if self.0.get(7) == Some(&b'-') =>
            {
                let (_, name) = AZUREUS_STYLE.iter().find(|(code, _)| *code == &[*a, *b])?;
                Some(format!("{name} {}", dotted(version)?))
            }
            // aria2 writes its version as text: A2-1-36-0-.
            [b'A', b'2', b'-', rest @ ..] => numbered("aria2", rest),
            [b'M', rest @ ..] => numbered("Mainline", rest),
            _ => None,
        }
    }
}

/// Digits of a version, one a place, `A` being 10; zeros at the end but of the
/// first three places left out.
fn dotted(version: &[u8]) -> Option<String> {
    let digit = |octet: &u8| char::from(*octet).to_digit(36);
    let mut digits: Vec<u32> = version.iter().map(digit).collect::<Option<_>>()?;
    while digits.len() > 3 && digits.last() == Some(&0) {
        digits.pop();
    }
    Some(digits.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

/// Numbers with dashes between them and one behind.
fn numbered(name: &str, rest: &[u8]) -> Option<String> {
    let numbers: Vec<&str> = rest
        .split(|octet| *octet == b'-')
        .take(3)
        .map(|number| std::str::from_utf8(number).ok().filter(|text| text.parse::<u16>().is_ok()))
        .collect::<Option<_>>()?;
    (numbers.len() == 3).then(|| format!("{name} {}", numbers.join(".")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(id: &[u8; 20]) -> Option<String> {
        PeerId(*id).client_name()
    }

    #[test]
    fn programs_are_told_by_their_ids() {
        assert_eq!(name(b"-TR4060-abcdefghijkl").as_deref(), Some("Transmission 4.0.6"));
        assert_eq!(name(b"-LT2110-\0\x01\xff345678901").as_deref(), Some("libtorrent 2.1.1"));
        assert_eq!(name(b"-qB4A15-abcdefghijkl").as_deref(), Some("qBittorrent 4.10.1.5"));
        assert_eq!(name(b"-AZ2060-abcdefghijkl").as_deref(), Some("Vuze 2.0.6"));
        assert_eq!(name(b"-UO0100-abcdefghijkl").as_deref(), Some("Utopia 0.1.0"));
        assert_eq!(name(b"-UT3550-abcdefghijkl").as_deref(), Some("µTorrent 3.5.5"));
        assert_eq!(name(b"A2-1-36-0-abcdefghij").as_deref(), Some("aria2 1.36.0"));
        assert_eq!(name(b"M4-20-8-abcdefghijkl").as_deref(), Some("Mainline 4.20.8"));
    }

    #[test]
    fn nothing_is_made_up_about_others() {
        for id in [b"-ZZ1234-abcdefghijkl", b"-TR40\xff0-abcdefghijkl", b"-TR4060xabcdefghijkl"] {
            assert_eq!(name(id), None);
        }
        assert_eq!(name(b"Mxxxxxxxxxxxxxxxxxxx"), None);
        assert_eq!(name(&[0; 20]), None);
        assert_eq!(name(&[0xff; 20]), None);
    }
}
