//! Finds the table of the application that prevents the deletion of a user: beforehand, and after a refused deletion where the
//! engine does not name it (SQLite names it neither in the error of a delete, nor at a commit that finds a violated deferred
//! key).
//!
//! A row prevents the deletion if it refers, by a key without an action, to a row that would be deleted, and would not
//! be deleted itself. The deletion includes the user and, table by table, all rows that depend on it by
//! `ON DELETE CASCADE`.
//!
//! Beforehand this is an estimate. It does not look at triggers, at `SET NULL` on columns that must not be null, at keys to a
//! single partition, and at more than one level of a table that refers to itself; and whether `RESTRICT` refuses a row that
//! would be deleted as well depends on the order of the keys. The database decides.

use std::fmt::Write as _;

use super::dynamic::{Statement, run};
use super::tx::Tx;
use super::{Conn, Db, classify, row};
use crate::{Result, UserId};

row! {
    /// A column of a foreign key, as the engine's catalog has it. Names are quoted where SQL needs it.
    struct Column {
        /// The table's name, for people.
        name: String,
        child: String,
        /// The position in the key, from 0.
        seq: i64,
        parent: Option<String>,
        own: String,
        referred: Option<String>,
        action: String,
    }
}

/// A foreign key: these columns of a table refer to those of its parent.
struct Key {
    name: String,
    table: String,
    parent: String,
    columns: Vec<String>,
    referred: Vec<String>,
    action: String,
}

impl Key {
    /// Returns a condition: true for a row that refers to a row of the parent that would be deleted, else false or unknown.
    fn refers_to(&self, doomed: usize) -> String {
        format!("({}) IN (SELECT {} FROM d{doomed})", self.columns.join(", "), self.referred.join(", "))
    }
}

impl Db {
    /// Looks for a table whose rows would prevent the deletion. The tables are the application's: one that is locked, or large and
    /// without an index, must not hold a connection for long. So on PostgreSQL the look waits half a second for a lock and takes
    /// two seconds for a statement.
    ///
    /// # Errors
    /// If it did not come to its end; also if this role may not read a table.
    pub(crate) async fn find_blocking_table(&self, user: UserId) -> Result<Option<String>> {
        let mut tx = Tx::begin(&self.read, "BEGIN").await.map_err(classify)?;
        let mut conn = tx.conn();
        let found = match conn.set_local_timeouts().await {
            Ok(()) => blocking_table(&mut conn, user).await,
            Err(error) => Err(error),
        };
        tx.rollback().await?;
        found
    }
}

/// Returns the first table whose rows prevent the deletion. In a transaction that the deletion has failed in, call it after the
/// rollback.
pub(super) async fn blocking_table(conn: &mut Conn<'_>, user: UserId) -> Result<Option<String>> {
    let keys = keys(conn).await?;
    let doomed = doomed(&keys);
    let position = |table: &str| doomed.iter().position(|other| *other == table);
    // The conditions under which a row of the table would be deleted, considering only the tables before that position.
    let goes = |table: &str, before: usize| {
        let cascades = keys.iter().filter(|key| key.table == table && key.action == "CASCADE");
        let reasons =
            cascades.filter_map(|key| position(&key.parent).filter(|p| *p < before).map(|p| key.refers_to(p)));
        reasons.collect::<Vec<_>>()
    };
    let mut with = String::from("WITH d0 AS (SELECT * FROM authfort_users WHERE id = $1)");
    for (n, table) in doomed.iter().enumerate().skip(1) {
        // One for each key, so that each uses its index.
        let rows: Vec<_> =
            goes(table, n).iter().map(|reason| format!("SELECT * FROM {table} WHERE {reason}")).collect();
        let _ = write!(with, ", d{n} AS ({})", rows.join(" UNION ALL "));
    }
    for key in keys.iter().filter(|key| matches!(key.action.as_str(), "NO ACTION" | "RESTRICT")) {
        let Some(parent) = position(&key.parent) else { continue };
        let mut text = format!("{with} SELECT EXISTS (SELECT 1 FROM {} WHERE {}", key.table, key.refers_to(parent));
        // RESTRICT may refuse at once, even if the row would be deleted as well.
        if key.action == "NO ACTION" {
            for reason in goes(&key.table, doomed.len()) {
                // A key that contains NULL refers to nothing.
                let _ = write!(text, " AND NOT coalesce({reason}, FALSE)");
            }
        }
        text.push(')');
        let statement = Statement { text, args: vec![user.into()], plan_anew: true };
        let blocks = run!(&mut *conn, fetch_one, sqlx::query_scalar::<_, bool>, statement).map_err(classify)?;
        if blocks {
            return Ok(Some(key.name.clone()));
        }
    }
    Ok(None)
}

/// Returns the tables that would lose rows, each after one that it depends on.
fn doomed(keys: &[Key]) -> Vec<String> {
    let users = keys
        .iter()
        .find(|key| ["authfort_users", "\"authfort_users\"", "ONLY authfort_users"].contains(&key.parent.as_str()));
    let mut doomed: Vec<String> = users.map(|key| key.parent.clone()).into_iter().collect();
    while let Some(key) =
        keys.iter().find(|key| key.action == "CASCADE" && doomed.contains(&key.parent) && !doomed.contains(&key.table))
    {
        doomed.push(key.table.clone());
    }
    doomed
}

async fn keys(conn: &mut Conn<'_>) -> Result<Vec<Key>> {
    let statement = Statement::new(conn.foreign_keys());
    let columns = run!(&mut *conn, fetch_all, sqlx::query_as::<_, Column>, statement).map_err(classify)?;
    let mut keys: Vec<Key> = Vec::new();
    for Column { name, child: table, seq, parent, own, referred, action } in columns {
        // It refers to a table that does not exist.
        let (Some(parent), Some(referred)) = (parent, referred) else { continue };
        match keys.last_mut() {
            Some(key) if seq > 0 => {
                key.columns.push(own);
                key.referred.push(referred);
            }
            _ => keys.push(Key { name, table, parent, columns: vec![own], referred: vec![referred], action }),
        }
    }
    Ok(keys)
}
