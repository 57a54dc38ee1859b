//! Reading the configuration file: an error names the file, the line, what is
//! wrong and the nearest right thing.

use super::Configuration;
use serde::de::DeserializeOwned;
use std::path::Path;

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
        let error = |line, reason| ConfigurationError { file: file.display().to_string(), line, reason };
        let version = version(text).map_err(|(line, reason)| error(line, reason))?;
        if version != VERSION {
            return Err(error(
                line_of_key(text, "version"),
                format!("version {version} is not known here; this program reads version {VERSION}"),
            ));
        }
        let configuration: Self = parse_section(text).map_err(|(line, reason)| error(line, reason))?;
        configuration.check().map_err(|(key, reason)| error(line_of_key(text, key), reason))?;
        Ok(configuration)
    }
}

/// The `version` key, which must be there before anything else is read.
fn version(text: &str) -> Result<u32, (Option<usize>, String)> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: Option<u32>,
    }
    let version: Version = parse_section(text)?;
    version.version.ok_or_else(|| (Some(1), format!("begin the file with `version = {VERSION}`")))
}

fn parse_section<T: DeserializeOwned>(text: &str) -> Result<T, (Option<usize>, String)> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        (line, explain(error.message()))
    })
}

/// Adds the nearest right key to serde's words about an unknown one.
fn explain(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return in_words(message) };
    let Some((unknown, rest)) = rest.split_once('`') else { return message.to_owned() };
    let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(unknown, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(unknown.len()) / 2);
    match nearest {
        Some((_, nearest)) => format!("unknown key `{unknown}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`; possible are {}", known.join(", ")),
    }
}

/// Says in a person's words what serde says in Rust's.
fn in_words(message: &str) -> String {
    const WORDS: [(&str, &str); 12] = [
        ("expected usize", "write a whole number, 0 or more"),
        ("expected u64", "write a whole number, 0 or more"),
        ("expected u32", "write a whole number from 0 to 4294967295"),
        ("expected u16", "write a whole number from 0 to 65535"),
        ("expected a boolean", "write true or false"),
        ("expected a string", "write a text in quotes"),
        ("expected path string", "write a file's name in quotes"),
        ("expected a sequence", "write a list in square brackets"),
        ("expected a map", "write a table of keys and values"),
        (
            "invalid socket address syntax",
            "this is no address with a port; write one like 192.0.2.1:53 or [2001:db8::1]:53",
        ),
        ("invalid type: ", "this does not fit: "),
        ("invalid value: ", "this does not fit: "),
    ];
    let mut said = message.replace('\n', " ");
    for (theirs, ours) in WORDS {
        said = said.replace(theirs, ours);
    }
    said
}

/// The line that sets `key`, for errors found after reading.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    text.lines()
        .position(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
        })
        .map(|index| index + 1)
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
        let message = fails("version = 2\nanything = true\n");
        assert_eq!(message, "utopia.toml:1: version 2 is not known here; this program reads version 1");
    }

    #[test]
    fn a_wrong_value_names_its_line() {
        let message = fails("version = 1\ndomain = \"utopia.test\"\n[http]\nlisten = [\"127.0.0.1\"]\n");
        assert!(message.starts_with("utopia.toml:4: "), "{message}");
        assert!(message.contains("write one like 192.0.2.1:53"), "{message}");
        for (line, words) in [
            ("connections_max = \"many\"", "string \"many\", write a whole number"),
            ("connections_max = -1", "write a whole number"),
            ("own_address_only = 1", "integer `1`, write true or false"),
            ("listen = 25", "integer `25`, write a list in square brackets"),
            ("hostname = []", "sequence, write a text in quotes"),
        ] {
            let message = fails(&format!("version = 1\ndomain = \"utopia.test\"\n[smtp]\n{line}\n"));
            assert!(message.starts_with("utopia.toml:4: ") && message.contains(words), "{message}");
        }
        assert!(fails("version = 1\ndomain = \"utopia..test\"\n").starts_with("utopia.toml:2: "));
        assert!(fails("version = [\n").starts_with("utopia.toml:"));
    }
}
