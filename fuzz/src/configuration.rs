//! The configuration file.

use host::Configuration;
use std::path::Path;

/// Reads the octets as a configuration. What is refused is refused with one
/// line that names the file; what is read is read again from what it is written
/// as.
pub fn configuration(octets: &[u8]) {
    let file = Path::new("utopia.toml");
    let Ok(text) = std::str::from_utf8(octets) else { return };
    match Configuration::parse(text, file) {
        Ok(configuration) => {
            let written = toml::to_string(&configuration).expect("a configuration can be written");
            let again = Configuration::parse(&written, file).expect("what is written can be read");
            assert_eq!(again, configuration);
        }
        Err(error) => {
            let told = error.to_string();
            assert!(told.starts_with("utopia.toml"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}
