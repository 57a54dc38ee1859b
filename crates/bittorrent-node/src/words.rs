//! Numbers in words for people.

/// Octets as people say them, e.g. `1.5 MiB`.
pub fn octets(octets: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = octets as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let unit_name = UNITS.get(unit).unwrap_or(&"B");
    if unit == 0 || value.fract() < 0.05 {
        format!("{value:.0} {unit_name}")
    } else {
        format!("{value:.1} {unit_name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_are_said_as_people_do() {
        for (number, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (1 << 30, "1 GiB"),
            (1 << 50, "1024 TiB"),
        ] {
            assert_eq!(octets(number), said);
        }
    }
}
