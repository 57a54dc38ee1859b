//! SASLprep: RFC 4013, a profile of stringprep (RFC 3454) for names and
//! passwords.

use super::SaslError;
use unicode_normalization::UnicodeNormalization;

/// Prepares a name or password: maps, normalises to NFKC, and refuses what is
/// prohibited.
///
/// Unassigned code points are let through, as for queries (RFC 3454 section 7).
pub fn saslprep(text: &str) -> Result<String, SaslError> {
    if text.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        return Ok(text.to_owned());
    }
    let mapped =
        text.chars().filter(|c| !is_mapped_to_nothing(*c)).map(|c| if is_space(c) { ' ' } else { c });
    let prepared: String = mapped.nfkc().collect();
    if prepared.chars().any(is_prohibited) || !is_bidi_well_formed(&prepared) {
        return Err(SaslError::Prohibited);
    }
    Ok(prepared)
}

/// RFC 3454 table B.1.
fn is_mapped_to_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{1806}' | '\u{180b}'..='\u{180d}' | '\u{200b}'..='\u{200d}' | '\u{2060}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// RFC 3454 table C.1.2.
fn is_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200b}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// RFC 3454 tables C.1.2 to C.9 (C.5, surrogates, cannot be in a `char`).
fn is_prohibited(c: char) -> bool {
    is_space(c)
        || c.is_control()
        || matches!(
            c,
            '\u{6dd}' | '\u{70f}' | '\u{180e}' | '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2063}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'
                | '\u{fdd0}'..='\u{fdef}' | '\u{340}' | '\u{341}' | '\u{2ff0}'..='\u{2ffb}'
                | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
        )
        || (c as u32) & 0xfffe == 0xfffe
}

/// RFC 3454 section 6: right-to-left text holds no left-to-right characters and
/// begins and ends with right-to-left ones.
fn is_bidi_well_formed(text: &str) -> bool {
    if !text.chars().any(is_right_to_left) {
        return true;
    }
    !text.chars().any(is_left_to_right)
        && text.chars().next().is_some_and(is_right_to_left)
        && text.chars().next_back().is_some_and(is_right_to_left)
}

/// RFC 3454 table D.1.
fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{5be}' | '\u{5c0}' | '\u{5c3}' | '\u{5d0}'..='\u{5ea}' | '\u{5f0}'..='\u{5f4}' | '\u{61b}' | '\u{61f}'
            | '\u{621}'..='\u{63a}' | '\u{640}'..='\u{64a}' | '\u{66d}'..='\u{66f}' | '\u{671}'..='\u{6d5}'
            | '\u{6dd}' | '\u{6e5}' | '\u{6e6}' | '\u{6fa}'..='\u{6fe}' | '\u{700}'..='\u{70d}' | '\u{710}'
            | '\u{712}'..='\u{72c}' | '\u{780}'..='\u{7a5}' | '\u{7b1}' | '\u{200f}' | '\u{fb1d}'
            | '\u{fb1f}'..='\u{fb28}' | '\u{fb2a}'..='\u{fb36}' | '\u{fb38}'..='\u{fb3c}' | '\u{fb3e}'
            | '\u{fb40}' | '\u{fb41}' | '\u{fb43}' | '\u{fb44}' | '\u{fb46}'..='\u{fbb1}'
            | '\u{fbd3}'..='\u{fd3d}' | '\u{fd50}'..='\u{fd8f}' | '\u{fd92}'..='\u{fdc7}'
            | '\u{fdf0}'..='\u{fdfc}' | '\u{fe70}'..='\u{fe74}' | '\u{fe76}'..='\u{fefc}'
    )
}

/// RFC 3454 table D.2, taken as every letter that is not in table D.1.
fn is_left_to_right(c: char) -> bool {
    c.is_alphabetic() && !is_right_to_left(c)
}

#[cfg(test)]
mod tests {
    //! RFC 4013 section 3.
    use super::*;

    #[test]
    fn vectors() {
        assert_eq!(saslprep("I\u{ad}X").as_deref(), Ok("IX"));
        assert_eq!(saslprep("user").as_deref(), Ok("user"));
        assert_eq!(saslprep("USER").as_deref(), Ok("USER"));
        assert_eq!(saslprep("\u{aa}").as_deref(), Ok("a"));
        assert_eq!(saslprep("\u{2168}").as_deref(), Ok("IX"));
        assert_eq!(saslprep("\u{7}"), Err(SaslError::Prohibited));
        assert_eq!(saslprep("\u{627}1"), Err(SaslError::Prohibited));
        assert_eq!(saslprep("\u{627}\u{628}").as_deref(), Ok("\u{627}\u{628}"));
        assert_eq!(saslprep("a\u{a0}b").as_deref(), Ok("a b"));
    }
}
