//! Command lines: RFC 5321 section 4.1 and its extensions.

use super::{EnhancedCode, Reply};
use crate::address::{HelloName, Path, parse_path};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO.
    Ehlo(HelloName),
    /// HELO.
    Helo(HelloName),
    /// MAIL FROM.
    Mail {
        /// The reverse-path.
        from: Path,
        /// Its parameters.
        parameters: MailParameters,
    },
    /// RCPT TO. No parameter is known here.
    Rcpt {
        /// The forward-path.
        to: Path,
    },
    /// DATA.
    Data,
    /// BDAT (RFC 3030): a chunk of this size follows the line.
    Bdat {
        /// Its size.
        octets: u64,
        /// Whether it is the last one.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// QUIT.
    Quit,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// The mechanism's name in upper case.
        mechanism: String,
        /// The initial response, still in base64; `=` stands for an empty one.
        initial: Option<String>,
    },
}

/// What follows the reverse-path in MAIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// SIZE (RFC 1870): the client's estimate in octets.
    pub size: Option<u64>,
    /// BODY (RFC 6152, RFC 3030).
    pub body: Body,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// Whether AUTH= was given (RFC 4954 section 5). It is not trusted.
    pub auth: bool,
}

/// What kind of octets the message has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Body {
    /// Seven bits, the default.
    #[default]
    SevenBit,
    /// Lines of eight bits.
    EightBitMime,
    /// Any octets; with BDAT only.
    BinaryMime,
}

/// Why a line is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The verb is unknown: 500.
    #[error("command not recognised")]
    Unknown,
    /// The verb is known, its argument is not well formed: 501.
    #[error("{0}")]
    Argument(String),
    /// A parameter of MAIL or RCPT is unknown: 555.
    #[error("the parameter {0} is not supported")]
    Parameter(String),
    /// The line is not UTF-8: 500.
    #[error("the command is not UTF-8")]
    NotUtf8,
}

impl CommandError {
    /// The reply it deserves (RFC 5321 section 4.2.4, RFC 3463).
    pub fn reply(&self) -> Reply {
        match self {
            CommandError::Unknown => Reply::new(500, EnhancedCode(5, 5, 1), self.to_string()),
            CommandError::Argument(_) => Reply::new(501, EnhancedCode(5, 5, 4), self.to_string()),
            CommandError::Parameter(_) => Reply::new(555, EnhancedCode(5, 5, 4), self.to_string()),
            CommandError::NotUtf8 => Reply::new(500, EnhancedCode(5, 5, 2), self.to_string()),
        }
    }
}

impl Command {
    /// Reads one line, without its CRLF.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = std::str::from_utf8(line).map_err(|_| CommandError::NotUtf8)?;
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
        let bare = |command: Command| {
            if argument.is_empty() {
                Ok(command)
            } else {
                Err(CommandError::Argument(format!("{} takes no argument", verb.to_ascii_uppercase())))
            }
        };
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => Ok(Command::Ehlo(hello(argument)?)),
            "HELO" => Ok(Command::Helo(hello(argument)?)),
            "MAIL" => mail(argument),
            "RCPT" => rcpt(argument),
            "DATA" => bare(Command::Data),
            "BDAT" => bdat(argument),
            "RSET" => bare(Command::Rset),
            "NOOP" => Ok(Command::Noop),
            "VRFY" if argument.is_empty() => Err(CommandError::Argument("VRFY needs a user's name".into())),
            "VRFY" => Ok(Command::Vrfy),
            "EXPN" if argument.is_empty() => Err(CommandError::Argument("EXPN needs a list's name".into())),
            "EXPN" => Ok(Command::Expn),
            "HELP" => Ok(Command::Help),
            "QUIT" => bare(Command::Quit),
            "STARTTLS" => bare(Command::StartTls),
            "AUTH" => auth(argument),
            _ => Err(CommandError::Unknown),
        }
    }
}

fn hello(argument: &str) -> Result<HelloName, CommandError> {
    HelloName::parse(argument).map_err(|_| {
        CommandError::Argument("say a host name, or an address literal such as [192.0.2.1]".into())
    })
}

/// The path after `FROM:` or `TO:`. The space that some clients put after the
/// colon is let through, as nearly everybody does.
fn path<'a>(argument: &'a str, keyword: &str, usage: &str) -> Result<(Path, &'a str), CommandError> {
    let text = argument
        .get(..keyword.len())
        .filter(|start| start.eq_ignore_ascii_case(keyword))
        .and_then(|_| argument.get(keyword.len()..))
        .ok_or_else(|| CommandError::Argument(format!("the form is {usage}")))?;
    parse_path(text.trim_start_matches(' ')).map_err(|error| CommandError::Argument(error.to_string()))
}

/// The ESMTP parameters: each with a space before it, `KEYWORD` or `KEYWORD=value`.
fn parameters(text: &str) -> Result<impl Iterator<Item = (String, Option<&str>)>, CommandError> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(CommandError::Argument("a space must follow the path".into()));
    }
    Ok(text.split(' ').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (keyword, value) =
            parameter.split_once('=').map_or((parameter, None), |(keyword, value)| (keyword, Some(value)));
        (keyword.to_ascii_uppercase(), value)
    }))
}

fn mail(argument: &str) -> Result<Command, CommandError> {
    let (from, rest) = path(argument, "FROM:", "MAIL FROM:<address>")?;
    if from == Path::Postmaster {
        return Err(CommandError::Argument("a reverse-path needs a domain".into()));
    }
    let mut seen = MailParameters::default();
    for (keyword, value) in parameters(rest)? {
        match (keyword.as_str(), value) {
            ("SIZE", Some(value)) => {
                let digits =
                    (1..=20).contains(&value.len()) && value.bytes().all(|octet| octet.is_ascii_digit());
                if !digits {
                    return Err(CommandError::Argument("SIZE= needs a number of octets".into()));
                }
                seen.size = Some(value.parse().unwrap_or(u64::MAX));
            }
            ("BODY", Some(value)) => {
                seen.body = match value.to_ascii_uppercase().as_str() {
                    "7BIT" => Body::SevenBit,
                    "8BITMIME" => Body::EightBitMime,
                    "BINARYMIME" => Body::BinaryMime,
                    _ => {
                        return Err(CommandError::Argument(
                            "BODY= needs 7BIT, 8BITMIME or BINARYMIME".into(),
                        ));
                    }
                }
            }
            ("SMTPUTF8", None) => seen.smtputf8 = true,
            ("AUTH", Some(_)) => seen.auth = true,
            ("SIZE" | "BODY" | "SMTPUTF8" | "AUTH", _) => {
                return Err(CommandError::Argument(format!("the parameter {keyword} is not well formed")));
            }
            _ => return Err(CommandError::Parameter(keyword)),
        }
    }
    Ok(Command::Mail { from, parameters: seen })
}

fn rcpt(argument: &str) -> Result<Command, CommandError> {
    let (to, rest) = path(argument, "TO:", "RCPT TO:<address>")?;
    if to == Path::Null {
        return Err(CommandError::Argument("a recipient must be named".into()));
    }
    match parameters(rest)?.next() {
        Some((keyword, _)) => Err(CommandError::Parameter(keyword)),
        None => Ok(Command::Rcpt { to }),
    }
}

fn bdat(argument: &str) -> Result<Command, CommandError> {
    let form = || CommandError::Argument("the form is BDAT octets [LAST]".into());
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let octets =
        words.next().filter(|word| word.bytes().all(|octet| octet.is_ascii_digit())).ok_or_else(form)?;
    let octets = octets.parse().map_err(|_| form())?;
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(form()),
    };
    if words.next().is_some() { Err(form()) } else { Ok(Command::Bdat { octets, last }) }
}

fn auth(argument: &str) -> Result<Command, CommandError> {
    let form = || CommandError::Argument("the form is AUTH mechanism [initial-response]".into());
    let mut words = argument.split(' ').filter(|word| !word.is_empty());
    let mechanism = words.next().filter(|word| word.len() <= 20).ok_or_else(form)?;
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err(form());
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

#[cfg(test)]
mod tests {
    //! Lines of the RFCs, and lines that are wrong.
    use super::*;
    use proptest::prelude::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    #[test]
    fn mail_and_its_parameters() {
        let Ok(Command::Mail { from, parameters }) =
            parse("mail from:<Smith@bar.com> SIZE=1000 body=8bitmime SMTPUTF8 AUTH=<>")
        else {
            panic!("not read")
        };
        assert_eq!(from.to_string(), "<Smith@bar.com>");
        assert_eq!(
            parameters,
            MailParameters { size: Some(1000), body: Body::EightBitMime, smtputf8: true, auth: true }
        );
        assert!(matches!(parse("MAIL FROM:<>"), Ok(Command::Mail { from: Path::Null, .. })));
        assert!(matches!(parse("MAIL FROM: <a@b>"), Ok(Command::Mail { .. })));
    }

    #[test]
    fn what_each_wrong_line_gets() {
        for (line, code) in [
            ("", 500),
            ("WIZ", 500),
            ("MAIL FROM:<a@b", 501),
            ("MAIL FROM:a@b", 501),
            ("MAIL <a@b>", 501),
            ("MAIL FROM:<a@b>SIZE=1", 501),
            ("MAIL FROM:<a@b> SIZE=x", 501),
            ("MAIL FROM:<a@b> BODY=9BIT", 501),
            ("MAIL FROM:<a@b> SMTPUTF8=1", 501),
            ("MAIL FROM:<Postmaster>", 501),
            ("MAIL FROM:<a@b> RET=FULL", 555),
            ("RCPT TO:<>", 501),
            ("RCPT TO:<a@b> NOTIFY=NEVER", 555),
            ("EHLO", 501),
            ("EHLO a b", 501),
            ("DATA now", 501),
            ("QUIT now", 501),
            ("VRFY", 501),
            ("AUTH", 501),
            ("AUTH PLAIN a b", 501),
            ("BDAT", 501),
            ("BDAT -1", 501),
            ("BDAT 1 FIRST", 501),
        ] {
            assert_eq!(parse(line).map_err(|error| error.reply().code()), Err(code), "{line}");
        }
        assert_eq!(Command::parse(b"NOOP \xff"), Err(CommandError::NotUtf8));
    }

    proptest! {
        #[test]
        fn hostile_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..200), text in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO )\\PC{0,60}") {
            let _ = Command::parse(&octets);
            let _ = parse(&text);
        }
    }
}
