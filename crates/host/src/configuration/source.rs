//! The text of a configuration file, and on which line of it a key stands.

use toml::de::{DeTable, DeValue};

/// What is wrong, and on which line.
pub(super) type Misread = (Option<usize>, String);

/// A file that is TOML.
pub(super) struct Source<'i> {
    text: &'i str,
    table: DeTable<'i>,
}

impl<'i> Source<'i> {
    /// # Errors
    /// When the text is no TOML.
    pub(super) fn read(text: &'i str) -> Result<Self, Misread> {
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { text, table: table.into_inner() }),
            Err(error) => {
                let line = error.span().map(|span| line_at(text, span.start));
                Err((line, error.message().replace('\n', " ")))
            }
        }
    }

    /// All of it.
    pub(super) fn table(&self) -> &DeTable<'i> {
        &self.table
    }

    /// The line of an octet of the text, from 1.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        line_at(self.text, offset)
    }

    /// The first key of the file and its line.
    pub(super) fn first_key(&self) -> Option<(&str, usize)> {
        let first = self.table.keys().min_by_key(|key| key.span().start)?;
        Some((first.get_ref().as_ref(), self.line_at(first.span().start)))
    }

    /// The line of the key that `path` leads to, of which a number is an item of
    /// a list; where it is not there, of what it would be part of.
    pub(super) fn line_of<'p>(&self, path: impl IntoIterator<Item = &'p str>) -> Option<usize> {
        let mut offset = None;
        let mut path = path.into_iter();
        let mut found = path.next().and_then(|key| self.table.get_key_value(key));
        while let Some((key, value)) = found {
            offset = Some(key.span().start);
            let mut inner = value;
            // Items of lists have no key of their own.
            let mut next = path.next();
            while let (DeValue::Array(items), Some(number)) = (inner.get_ref(), next) {
                let Some(item) = number.parse().ok().and_then(|number: usize| items.get(number)) else {
                    break;
                };
                offset = Some(item.span().start);
                inner = item;
                next = path.next();
            }
            found = match (inner.get_ref(), next) {
                (DeValue::Table(table), Some(key)) => table.get_key_value(key),
                _ => None,
            };
        }
        offset.map(|offset| self.line_at(offset))
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = &text.as_bytes()[..offset.min(text.len())];
    before.split(|octet| *octet == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_own_section() {
        let text =
            "a = 1\n[x]\nsame = 1\n[y]\nsame = 2\n[[y.many]]\nname = 1\n[[y.many]]\nname = [\n 2,\n 3]\n";
        let source = Source::read(text).map_err(|(_, reason)| reason).expect("TOML");
        assert_eq!(source.first_key(), Some(("a", 1)));
        for (path, line) in [
            (&["x", "same"][..], Some(3)),
            (&["y", "same"], Some(5)),
            (&["y", "many", "0", "name"], Some(7)),
            (&["y", "many", "1", "name"], Some(9)),
            (&["y", "many", "1", "name", "1"], Some(11)),
            (&["y", "many", "1", "none"], Some(8)),
            (&["z"], None),
        ] {
            assert_eq!(source.line_of(path.iter().copied()), line, "{path:?}");
        }
    }
}
