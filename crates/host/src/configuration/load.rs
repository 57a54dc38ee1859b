//! Reading the configuration file: an error names the file, the line, what is
//! wrong and the nearest right thing.

use super::source::{Misread, Source};
use super::{Configuration, ranges, words};
use std::path::Path;
use toml::de::DeValue;

/// Why a configuration could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {reason}", line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct ConfigurationError {
    /// The file.
    pub file: String,
    /// The line, from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong and what to do about it.
    pub reason: String,
}

/// The only version there is.
pub(crate) const VERSION: u32 = 1;

impl Configuration {
    /// Reads a configuration from text; `file` is for the error.
    ///
    /// # Errors
    /// When the text is no TOML, the version is not one we know, a key is unknown
    /// or a value is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigurationError> {
        read(text).map_err(|(line, reason)| ConfigurationError {
            file: file.display().to_string(),
            line,
            reason,
        })
    }
}

fn read(text: &str) -> Result<Configuration, Misread> {
    let source = Source::read(text)?;
    check_version(&source)?;
    ranges::check(&source)?;
    let configuration: Configuration = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| source.line_at(span.start));
        (line, words::explain(error.message()))
    })?;
    configuration
        .check()
        .map_err(|(path, reason)| (source.line_of(path.iter().map(String::as_str)), reason))?;
    Ok(configuration)
}

/// The `version` key comes first: nothing else is understood without it.
fn check_version(source: &Source<'_>) -> Result<(), Misread> {
    let begin = format!("begin the file with `version = {VERSION}`");
    let version = source.table().get("version");
    match (source.first_key(), version) {
        (Some(("version", line)), Some(version)) => match version.get_ref() {
            DeValue::Integer(number) if number.as_str() == VERSION.to_string() => Ok(()),
            DeValue::Integer(number) => Err((
                Some(line),
                format!(
                    "version {} is not known here; this program reads version {VERSION}",
                    number.as_str()
                ),
            )),
            _ => Err((Some(line), begin)),
        },
        (Some((_, line)), Some(_)) => {
            let there = source.line_of(["version"]).unwrap_or_default();
            Err((Some(line), format!("{begin}, which stands only on line {there}")))
        }
        (Some((_, line)), None) => Err((Some(line), begin)),
        (None, _) => Err((Some(1), begin)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        Configuration::parse(text, Path::new("utopia.toml")).expect_err("it is wrong").to_string()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_one() {
        let text = "version = 1\ndomain = \"utopia.test\"\n\n[http]\nlisen = []\n";
        assert_eq!(fails(text), "utopia.toml:5: unknown key `lisen`; did you mean `listen`?");
        let text = "version = 1\ndomain = \"utopia.test\"\n[dsn]\n";
        assert_eq!(fails(text), "utopia.toml:3: unknown key `dsn`; did you mean `dns`?");
    }

    #[test]
    fn a_missing_or_unknown_version_is_refused() {
        assert_eq!(fails("domain = \"utopia.test\"\n"), "utopia.toml:1: begin the file with `version = 1`");
        let message = fails("[dns]\n[smtp]\n");
        assert_eq!(message, "utopia.toml:1: begin the file with `version = 1`");
        let message = fails("# First\ndomain = \"utopia.test\"\nversion = 1\n");
        assert_eq!(message, "utopia.toml:2: begin the file with `version = 1`, which stands only on line 3");
        let message = fails("version = 2\nanything = true\n");
        assert_eq!(message, "utopia.toml:1: version 2 is not known here; this program reads version 1");
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let message = fails("version = 1\ndomain = \"utopia.test\"\n[http]\nlisten = [\"127.0.0.1\"]\n");
        assert!(message.starts_with("utopia.toml:4: "), "{message}");
        assert!(message.contains("write one like \"192.0.2.1:53\""), "{message}");
        let message = fails("version = 1\ndomain = \"utopia.test\"\n[storage]\nbackend = \"postgres\"\n");
        assert_eq!(message, "utopia.toml:4: \"postgres\" is not known here; write \"sqlite\"");
        let message = fails("version = 1\ndomain = \"utopia.test\"\n[storage]\nbackend = 5\n");
        assert!(message.contains("utopia config reference"), "{message}");
        assert!(fails("version = 1\nsmtp = 5\n").contains("write a table of keys and values"));
        assert!(fails("version = 1\n").contains("the key `domain` is missing here"));
        for (line, words) in [
            ("connections_max = \"many\"", "the text \"many\" does not fit here; write a whole number"),
            ("connections_max = 1.5", "the number 1.5 does not fit here; write a whole number"),
            ("connections_max = -1", "write a whole number"),
            ("own_address_only = 1", "the number 1 does not fit here; write true or false"),
            ("listen = 25", "the number 25 does not fit here; write a list in square brackets"),
            ("listen = [25]", "this is no address with a port; write one like \"192.0.2.1:53\""),
            ("listen = { a = 1 }", "a table does not fit here; write a list in square brackets"),
            ("hostname = []", "a list does not fit here; write a text in quotes"),
            ("hostname = true", "true does not fit here; write a text in quotes"),
            ("dkim = [{ selector = \"a\" }]", "the key `key_file` is missing here; add it"),
            ("dkim = [5]", "the number 5 does not fit here; write a table of keys and values"),
        ] {
            let message = fails(&format!("version = 1\ndomain = \"utopia.test\"\n[smtp]\n{line}\n"));
            assert!(message.starts_with("utopia.toml:4: ") && message.contains(words), "{message}");
        }
        assert!(fails("version = 1\ndomain = \"utopia..test\"\n").starts_with("utopia.toml:2: "));
        assert!(fails("version = [\n").starts_with("utopia.toml:"));
    }
}
