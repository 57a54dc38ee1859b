//! Which numbers a key may have. Each section says it beside the key
//! (`schemars(range(…))`), where the reference finds it as well.

use super::Configuration;
use super::reference::resolve;
use super::source::{Misread, Source};
use serde_json::Value;
use std::sync::LazyLock;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The form of a configuration, as its structures give it.
pub(super) static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(schemars::schema_for!(Configuration)).unwrap_or_default());

/// The least and the greatest number that a key may have.
pub(super) fn range(property: &Value) -> Option<(u64, u64)> {
    Some((property["minimum"].as_u64()?, property["maximum"].as_u64()?))
}

/// Refuses the first number that is out of its range.
pub(super) fn check(source: &Source<'_>) -> Result<(), Misread> {
    let mut beyond = Vec::new();
    table(source.table(), &SCHEMA, "", &mut beyond);
    match beyond.into_iter().min() {
        Some((offset, reason)) => Err((Some(source.line_at(offset)), reason)),
        None => Ok(()),
    }
}

/// Where a number stands that is out of its range, and what is told of it.
type Beyond = (usize, String);

fn table(table: &DeTable<'_>, schema: &Value, path: &str, beyond: &mut Vec<Beyond>) {
    for (key, inner) in table {
        let key = key.get_ref();
        let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        value(inner, &schema["properties"][key.as_ref()], &path, beyond);
    }
}

fn value(value_: &Spanned<DeValue<'_>>, property: &Value, path: &str, beyond: &mut Vec<Beyond>) {
    let schema = resolve(&SCHEMA, property);
    match value_.get_ref() {
        DeValue::Table(inner) => table(inner, schema, path, beyond),
        DeValue::Array(items) => {
            items.iter().for_each(|item| value(item, &schema["items"], path, beyond));
        }
        DeValue::Integer(number) => {
            let Some((least, most)) = range(property) else { return };
            let read = i128::from_str_radix(number.as_str(), number.radix()).ok();
            if read.is_none_or(|read| read < i128::from(least) || read > i128::from(most)) {
                let must = if least == most {
                    format!("write {least}")
                } else {
                    format!("write a whole number from {least} to {most}")
                };
                beyond.push((value_.span().start, format!("{path} is {}; {must}", number.as_str())));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every number of the schema: section, key, property.
    fn numbers<'a>(schema: &'a Value, section: &str, all: &mut Vec<(String, String, &'a Value)>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            let inner = resolve(&SCHEMA, property);
            let path = if section.is_empty() { key.clone() } else { format!("{section}.{key}") };
            if inner["type"] == "integer" {
                all.push((section.to_owned(), key.clone(), property));
            }
            numbers(inner, &path, all);
            numbers(resolve(&SCHEMA, &inner["items"]), &path, all);
        }
    }

    #[test]
    fn every_number_has_a_range_and_is_refused_beyond_it() {
        let mut all = Vec::new();
        numbers(&SCHEMA, "", &mut all);
        assert!(all.len() > 50, "{}", all.len());
        for (section, key, property) in all {
            let (least, most) = range(property).unwrap_or_else(|| panic!("{section}.{key} has no range"));
            if key == "version" {
                continue;
            }
            let parse = |number: i128| {
                let text = format!("version = 1\ndomain = \"utopia.test\"\n[{section}]\n{key} = {number}\n");
                Configuration::parse(&text, Path::new("c.toml")).map_err(|error| error.to_string())
            };
            for right in [least, most] {
                parse(right.into()).unwrap_or_else(|error| panic!("{section}.{key} = {right}: {error}"));
            }
            let mut wrong = vec![i128::from(most) + 1, i64::MAX.into(), u64::MAX.into(), i128::MAX, -1];
            wrong.extend(least.checked_sub(1).map(i128::from));
            for number in wrong {
                let told = parse(number).expect_err("it is refused");
                let start = format!(
                    "c.toml:4: {section}.{key} is {number}; write a whole number from {least} to {most}"
                );
                assert_eq!(told, start);
            }
        }
    }
}
