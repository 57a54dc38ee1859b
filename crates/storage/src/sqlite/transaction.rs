//! The transaction trait on one SQLite connection.

use crate::{
    ContentId, KEY_OCTETS_MAX, Pair, Prepared, StorageError, Table, Transaction, VALUE_OCTETS_MAX, Visit,
    content,
};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};
use std::collections::HashSet;

/// The tables the writer knows to exist.
#[derive(Default)]
pub(super) struct Known(HashSet<Table>);

/// What a batch leaves to do once it is durable.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) released: Vec<ContentId>,
    pub(super) actions: Vec<Box<dyn FnOnce() + Send>>,
}

impl Changes {
    /// Where the changes of the next job begin.
    pub(super) fn mark(&self) -> (usize, usize) {
        (self.released.len(), self.actions.len())
    }

    /// Forgets what a job that was rolled back left.
    pub(super) fn back_to(&mut self, (released, actions): (usize, usize)) {
        self.released.truncate(released);
        self.actions.truncate(actions);
    }
}

/// One job's access to the tables.
pub(super) struct SqliteTransaction<'a> {
    connection: &'a Connection,
    place: &'a str,
    /// `None` in a view.
    change: Option<(&'a mut Changes, &'a mut Known)>,
    /// The first failure of the database: a closure that ignores it must not
    /// be committed half done.
    failure: Option<StorageError>,
}

impl<'a> SqliteTransaction<'a> {
    pub(super) fn view(connection: &'a Connection, place: &'a str) -> Self {
        SqliteTransaction { connection, place, change: None, failure: None }
    }

    pub(super) fn change(
        connection: &'a Connection,
        place: &'a str,
        changes: &'a mut Changes,
        known: &'a mut Known,
    ) -> Self {
        SqliteTransaction { connection, place, change: Some((changes, known)), failure: None }
    }

    pub(super) fn into_failure(self) -> Option<StorageError> {
        self.failure
    }

    fn failed(&mut self, table: Table, reason: impl ToString) -> StorageError {
        let error = StorageError::failed(format!("{}, table {}", self.place, table.0), reason);
        self.failure.get_or_insert_with(|| error.clone());
        error
    }

    /// Prepares a statement; `None` where the table does not exist yet.
    fn prepare(
        &mut self,
        table: Table,
        sql: &dyn Fn(&str) -> String,
    ) -> Result<Option<CachedStatement<'a>>, StorageError> {
        if !table.0.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b'_') {
            return Err(self.failed(table, "a table's name has lower-case letters and underscores only"));
        }
        match self.connection.prepare_cached(&sql(table.0)) {
            Ok(statement) => Ok(Some(statement)),
            Err(error) if error.to_string().contains("no such table") => Ok(None),
            Err(error) => Err(self.failed(table, error)),
        }
    }

    /// Refuses changes in a view, and makes the table at its first change.
    fn changing(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        let too_large = |what, octets: usize, limit, octets_max: usize| StorageError::TooLarge {
            what,
            octets: octets as u64,
            limit,
            octets_max: octets_max as u64,
        };
        if key.len() > KEY_OCTETS_MAX {
            return Err(too_large("a key", key.len(), "KEY_OCTETS_MAX", KEY_OCTETS_MAX));
        }
        if value.len() > VALUE_OCTETS_MAX {
            return Err(too_large("a value", value.len(), "VALUE_OCTETS_MAX", VALUE_OCTETS_MAX));
        }
        let Some((_, known)) = &mut self.change else {
            return Err(self.failed(table, "a view cannot be changed"));
        };
        if known.0.contains(&table) {
            return Ok(());
        }
        let create = |name: &str| {
            format!("CREATE TABLE IF NOT EXISTS t_{name} (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
        };
        let Some(mut statement) = self.prepare(table, &create)? else { return Ok(()) };
        statement.execute([]).map_err(|error| self.failed(table, error))?;
        if let Some((_, known)) = &mut self.change {
            known.0.insert(table);
        }
        Ok(())
    }
}

impl Transaction for SqliteTransaction<'_> {
    fn get(&mut self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        let sql = |name: &str| format!("SELECT v FROM t_{name} WHERE k = ?1");
        let Some(mut statement) = self.prepare(table, &sql)? else { return Ok(None) };
        statement
            .query_row(params![key], |row| row.get(0))
            .optional()
            .map_err(|error| self.failed(table, error))
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.changing(table, key, value)?;
        let sql = |name: &str| {
            format!("INSERT INTO t_{name} (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = ?2")
        };
        let Some(mut statement) = self.prepare(table, &sql)? else { return Ok(()) };
        statement.execute(params![key, value]).map_err(|error| self.failed(table, error))?;
        Ok(())
    }

    fn delete(&mut self, table: Table, key: &[u8]) -> Result<(), StorageError> {
        self.changing(table, key, &[])?;
        let sql = |name: &str| format!("DELETE FROM t_{name} WHERE k = ?1");
        let Some(mut statement) = self.prepare(table, &sql)? else { return Ok(()) };
        statement.execute(params![key]).map_err(|error| self.failed(table, error))?;
        Ok(())
    }

    fn scan(
        &mut self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        let sql = |name: &str| {
            let upper = if to.is_empty() { "?2 = x''" } else { "k < ?2" };
            format!("SELECT k, v FROM t_{name} WHERE k >= ?1 AND {upper} ORDER BY k")
        };
        let Some(mut statement) = self.prepare(table, &sql)? else { return Ok(()) };
        let mut walk = || -> Result<(), rusqlite::Error> {
            let mut rows = statement.query(params![from, to])?;
            while let Some(row) = rows.next()? {
                let (key, value) = (row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
                if visit(key, value).is_break() {
                    break;
                }
            }
            Ok(())
        };
        walk().map_err(|error| self.failed(table, error))
    }

    fn last(&mut self, table: Table, from: &[u8], to: &[u8]) -> Result<Option<Pair>, StorageError> {
        let sql = |name: &str| {
            let upper = if to.is_empty() { "?2 = x''" } else { "k < ?2" };
            format!("SELECT k, v FROM t_{name} WHERE k >= ?1 AND {upper} ORDER BY k DESC LIMIT 1")
        };
        let Some(mut statement) = self.prepare(table, &sql)? else { return Ok(None) };
        statement
            .query_row(params![from, to], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
            .map_err(|error| self.failed(table, error))
    }

    fn keep(&mut self, content: &Prepared) -> Result<(), StorageError> {
        content::keep(self, content)
    }

    fn keep_again(&mut self, id: ContentId) -> Result<(), StorageError> {
        content::keep_again(self, id)
    }

    fn release(&mut self, id: ContentId) -> Result<(), StorageError> {
        let collect = content::release(self, id)?;
        if collect && let Some((changes, _)) = &mut self.change {
            changes.released.push(id);
        }
        Ok(())
    }

    fn after_commit(&mut self, action: Box<dyn FnOnce() + Send>) {
        if let Some((changes, _)) = &mut self.change {
            changes.actions.push(action);
        }
    }
}
