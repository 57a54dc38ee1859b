//! Hexadecimal digits, as magnet links write keys.

/// The octets that exactly 2 · `N` digits stand for.
pub(super) fn decode<const N: usize>(digits: &str) -> Option<[u8; N]> {
    decode_any(digits)?.try_into().ok()
}

/// The octets that an even number of digits stands for.
pub(super) fn decode_any(digits: &str) -> Option<Vec<u8>> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| u8::try_from(digit(high)? * 16 + digit(low)?).ok()).collect()
}

/// Two digits for each octet.
pub(super) fn encode(octets: &[u8]) -> String {
    use std::fmt::Write as _;
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut digits, octet| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{octet:02x}");
        digits
    })
}
