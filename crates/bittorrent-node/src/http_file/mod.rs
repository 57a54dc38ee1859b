//! What HTTP says of a file that it serves (RFC 9110): its type, its place in an
//! address, and which of its octets are asked for.

mod media_type;
mod range;

pub use media_type::media_type;
pub use range::{Wanted, wanted};

/// Appends a path in an address: each of its parts percent-encoded (RFC 3986
/// section 2.1) behind a `/`.
pub fn encode_path<'a>(parts: impl IntoIterator<Item = &'a str>, out: &mut String) {
    for part in parts {
        out.push('/');
        bittorrent::percent::encode(part.as_bytes(), out);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_part_of_a_path_is_encoded() {
        let mut path = String::new();
        super::encode_path(["a b", "c?", "é"], &mut path);
        assert_eq!(path, "/a%20b/c%3F/%C3%A9");
    }
}
