//! The reference of all keys, generated from the doc comments of the structures
//! that hold them.

use super::ranges::{self, SCHEMA};
use serde_json::{Map, Value};
use std::fmt::Write;

/// The reference as Markdown.
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration\n\n\
         Generated from the doc comments by `cargo xtask reference`; do not edit.\n\n\
         One TOML file, which begins with `version = 1`. `utopia up` reads `utopia.toml` in the data folder, or the file that \
         `--config` names; SIGHUP reads it again without dropping a connection. Unknown keys are refused. Secrets \
         stand in files of their own, which the configuration names: mode 0600, or at most 0640 where root owns them \
         (systemd's credentials). Others are refused.\n",
    );
    section(&mut out, &SCHEMA, &SCHEMA, "");
    out
}

/// Writes one section's keys as a table, then the sections below it.
fn section(out: &mut String, root: &Value, schema: &Value, path: &str) {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let (sections, keys): (Vec<_>, Vec<_>) =
        properties.iter().partition(|(_, property)| below(root, property).is_some());
    if !keys.is_empty() {
        out.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
        for (key, property) in keys {
            let default = match property.get("default") {
                Some(value) => format!("`{value}`"),
                None if is_required(schema, key) => "required".to_owned(),
                None => "unset".to_owned(),
            };
            let meaning = describe(root, property).replace('\n', " ").replace('|', "\\|");
            let _ = writeln!(out, "| `{key}` | {} | {default} | {meaning} |", kind(root, property));
        }
    }
    for (key, property) in sections {
        let Some((inner, many)) = below(root, property) else { continue };
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let heading = if many { format!("[[{path}]]") } else { format!("[{path}]") };
        let _ = write!(out, "\n## `{heading}`\n\n{}\n", describe(root, property));
        section(out, root, inner, &path);
    }
}

/// The structure a property holds, and whether it holds many of them.
fn below<'a>(root: &'a Value, property: &'a Value) -> Option<(&'a Value, bool)> {
    let resolved = resolve(root, property);
    if resolved["properties"].is_object() {
        return Some((resolved, false));
    }
    let items = resolve(root, &resolved["items"]);
    items["properties"].is_object().then_some((items, true))
}

/// Follows `$ref`, also inside of `anyOf` with null (an optional value).
pub(super) fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"]
        .as_str()
        .or_else(|| schema["anyOf"].as_array()?.iter().find_map(|choice| choice["$ref"].as_str()));
    match target.and_then(|target| root.pointer(target.trim_start_matches('#'))) {
        Some(found) => found,
        None => schema,
    }
}

fn is_required(schema: &Value, key: &str) -> bool {
    schema["required"].as_array().is_some_and(|required| required.iter().any(|name| name == key))
}

fn describe(root: &Value, property: &Value) -> String {
    let own = property["description"].as_str();
    own.or_else(|| resolve(root, property)["description"].as_str()).unwrap_or_default().to_owned()
}

/// The type in a word or two.
fn kind(root: &Value, property: &Value) -> String {
    let schema = resolve(root, property);
    if let Some(choices) = schema["enum"].as_array() {
        let words: Vec<_> =
            choices.iter().filter(|choice| !choice.is_null()).map(|choice| format!("`{choice}`")).collect();
        return words.join(" or ");
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let words: Vec<_> = choices
            .iter()
            .filter_map(|choice| choice["const"].as_str().or_else(|| choice["enum"][0].as_str()))
            .map(|word| format!("`\"{word}\"`"))
            .collect();
        if !words.is_empty() {
            return words.join(" or ");
        }
    }
    let name = match &schema["type"] {
        Value::String(name) => name.as_str(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or("value")
        }
        _ => "value",
    };
    match name {
        "array" => format!("list of {}", kind(root, &schema["items"])),
        "integer" => match ranges::range(property) {
            Some((least, most)) if least < most => format!("integer, {least} to {most}"),
            _ => "integer".to_owned(),
        },
        "object" => "table".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_the_one_generated() {
        let written = include_str!("../../../../docs/configuration.md");
        assert_eq!(written, reference(), "run `cargo xtask reference`");
    }

    #[test]
    fn every_key_has_a_meaning() {
        for line in reference().lines().filter(|line| line.starts_with("| `")) {
            assert!(!line.ends_with("|  |"), "no doc comment: {line}");
        }
    }
}
