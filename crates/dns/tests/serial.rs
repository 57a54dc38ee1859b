//! Serial numbers compare around their end (RFC 1982).

use dns::zone::serial_is_newer;

/// RFC 1982 section 3.2, and the examples of section 5.2.
#[test]
fn serials_compare_around_their_end() {
    for (older, newer) in [(0, 1), (0, 44), (44, 100), (100, 200), (1 << 31, u32::MAX), (u32::MAX, 0)] {
        assert!(serial_is_newer(newer, older), "{newer} after {older}");
        assert!(!serial_is_newer(older, newer), "{older} before {newer}");
    }
    assert!(!serial_is_newer(7, 7));
    // Half the circle apart neither is newer for sure; neither may be taken for
    // newer by both sides.
    assert!(!(serial_is_newer(0, 1 << 31) && serial_is_newer(1 << 31, 0)));
}
