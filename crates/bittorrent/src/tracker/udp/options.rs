//! Options behind an announce (BEP 41).

/// An option of no use, of one octet.
const NOTHING: u8 = 1;
/// Part of the path and query of the tracker's URL.
const URL_DATA: u8 = 2;

/// The octets behind an announce, read as options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options<'a>(pub &'a [u8]);

/// The parts of the path and query that the client announces to.
#[derive(Debug, Clone)]
pub struct UrlData<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// Path and query, e.g. `/announce?key=1`, in parts that belong together.
    /// Ends where octets are no option; options that are not known are passed over.
    pub fn url_data(self) -> UrlData<'a> {
        UrlData(self.0)
    }
}

impl<'a> Iterator for UrlData<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (kind, rest) = self.0.split_first()?;
            self.0 = match kind {
                // The end; whatever follows is none.
                0 => &[],
                &NOTHING => rest,
                kind => {
                    let (length, rest) = rest.split_first()?;
                    let (data, rest) = rest.split_at_checked(usize::from(*length))?;
                    self.0 = rest;
                    if *kind == URL_DATA {
                        return Some(data);
                    }
                    continue;
                }
            };
        }
    }
}

/// Appends the options that say path and query.
pub fn write_url_data(path_and_query: &[u8], out: &mut Vec<u8>) {
    for part in path_and_query.chunks(255) {
        out.extend_from_slice(&[URL_DATA, part.len() as u8]);
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(octets: &[u8]) -> Vec<u8> {
        Options(octets).url_data().collect::<Vec<_>>().concat()
    }

    #[test]
    fn examples_of_the_specification_are_read() {
        // BEP 41, "Example": /dir?a=b&c=d in one piece and in two, with others between.
        assert_eq!(read(b"\x02\x0c/dir?a=b&c=d"), b"/dir?a=b&c=d");
        assert_eq!(read(b"\x02\x05/dir?\x01\x02\x07a=b&c=d\x00\x02\x01x"), b"/dir?a=b&c=d");
        assert_eq!(read(b"\x09\x02zz\x02\x01/"), b"/");
    }

    #[test]
    fn what_is_cut_short_ends_them() {
        assert_eq!(read(b"\x02\x01/\x02"), b"/");
        assert_eq!(read(b"\x02\x01/\x02\x05abc"), b"/");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(path in proptest::collection::vec(any::<u8>(), 0..700)) {
            let mut octets = Vec::new();
            write_url_data(&path, &mut octets);
            prop_assert_eq!(read(&octets), path);
        }

        #[test]
        fn any_octets_end(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(read(&octets).len() <= octets.len());
        }
    }
}
