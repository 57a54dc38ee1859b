//! Says in a person's words what the reader of the file says in Rust's.

/// What is wrong and what to do about it, on one line.
pub(super) fn explain(message: &str) -> String {
    let message = message.replace('\n', " ");
    let said = unknown_key(&message).or_else(|| missing_key(&message)).or_else(|| unknown_word(&message));
    said.or_else(|| misfit(&message)).unwrap_or(message)
}

/// The words in backquotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The nearest right key for one that is not known.
fn unknown_key(message: &str) -> Option<String> {
    let words = quoted(message.strip_prefix("unknown field ")?);
    let (unknown, known) = words.split_first()?;
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(unknown, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().max(unknown.len()) / 2);
    Some(match nearest {
        Some((_, nearest)) => format!("unknown key `{unknown}`; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`; possible are {}", known.join(", ")),
    })
}

fn missing_key(message: &str) -> Option<String> {
    let key = *quoted(message.strip_prefix("missing field ")?).first()?;
    Some(format!("the key `{key}` is missing here; add it, see `utopia config reference`"))
}

/// One of several words was to be chosen.
fn unknown_word(message: &str) -> Option<String> {
    let words = quoted(message.strip_prefix("unknown variant ")?);
    let (unknown, known) = words.split_first()?;
    let known: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
    Some(format!("\"{unknown}\" is not known here; write {}", known.join(" or ")))
}

/// `invalid type: WHAT, expected WANTED`, and the like.
fn misfit(message: &str) -> Option<String> {
    // What cannot be a socket address is told alone.
    if message.contains("socket address") {
        return Some(format!("this is no address with a port; {}", wanted("socket address")));
    }
    if message.starts_with("wanted ") {
        return Some(format!("this does not fit here; {}", wanted("")));
    }
    let said = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    // A text may hold the words that follow it.
    let (what, expected) = said.rsplit_once(", expected ")?;
    Some(format!("{} does not fit here; {}", found(what), wanted(expected)))
}

/// What stands there.
fn found(what: &str) -> String {
    let value = quoted(what).first().map_or("", |value| *value);
    match what.split(' ').next().unwrap_or_default() {
        "map" | "table" => "a table".to_owned(),
        "sequence" | "array" => "a list".to_owned(),
        "string" => format!("the text {}", what.trim_start_matches("string ").trim()),
        "integer" | "float" | "floating" => format!("the number {value}"),
        "boolean" => value.to_owned(),
        _ => format!("this ({what})"),
    }
}

/// What to write in its place.
fn wanted(expected: &str) -> String {
    let words = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number",
        "a boolean" => "true or false",
        "a string" | "string" => "a text in quotes",
        "path string" => "a file's name in quotes",
        "a sequence" => "a list in square brackets",
        "a map" => "a table of keys and values",
        "socket address" => "one like \"192.0.2.1:53\" or \"[2001:db8::1]:53\"",
        // The name of a structure says nothing to a person.
        struct_ if struct_.starts_with("struct ") => "a table of keys and values",
        // A word that stands for a choice.
        _ => "what `utopia config reference` says of this key",
    };
    format!("write {words}")
}
