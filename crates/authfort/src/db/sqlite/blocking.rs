//! Finds the table of the application that prevents the deletion of a user. SQLite names it neither in the error of a
//! delete, nor at a commit that finds a violated deferred key. So it is searched after the refused delete was rolled
//! back.
//!
//! A row prevents the deletion if it refers, by a key without an action, to a row that would be deleted, and would not
//! be deleted itself. The deletion includes the user and, table by table, all rows that depend on it by
//! `ON DELETE CASCADE`.

use std::fmt::Write as _;

use crate::db::classify;
use crate::{Result, UserId};

/// A foreign key: these columns of a table refer to those of its parent.
struct Key {
    table: String,
    parent: String,
    columns: Vec<String>,
    referred: Vec<String>,
    action: String,
}

impl Key {
    /// Returns a condition: true for a row that refers to a row of the parent that would be deleted.
    fn refers_to(&self, doomed: usize) -> String {
        let list = |columns: &[String]| columns.iter().map(|c| quote(c)).collect::<Vec<_>>().join(", ");
        // A key that contains NULL refers to nothing.
        format!("coalesce(({}) IN (SELECT {} FROM d{doomed}), FALSE)", list(&self.columns), list(&self.referred))
    }
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(crate) async fn blocking_table(conn: &mut sqlx::SqliteConnection, user: UserId) -> Result<Option<String>> {
    let keys = keys(conn).await?;
    let doomed = doomed(&keys);
    let position = |table: &str| doomed.iter().position(|other| same(other, table));
    // The condition under which a row of the table would be deleted, considering only the tables before that position.
    let goes = |table: &str, before: usize| {
        let cascades = keys.iter().filter(|key| same(&key.table, table) && key.action == "CASCADE");
        let reasons =
            cascades.filter_map(|key| position(&key.parent).filter(|p| *p < before).map(|p| key.refers_to(p)));
        reasons.collect::<Vec<_>>().join(" OR ")
    };
    let mut with = String::from("WITH d0 AS (SELECT * FROM authfort_users WHERE id = $1)");
    for (n, table) in doomed.iter().enumerate().skip(1) {
        let _ = write!(with, ", d{n} AS (SELECT * FROM {} WHERE {})", quote(table), goes(table, n));
    }
    for key in keys.iter().filter(|key| matches!(key.action.as_str(), "NO ACTION" | "RESTRICT")) {
        let Some(parent) = position(&key.parent) else { continue };
        let mut text =
            format!("{with} SELECT EXISTS (SELECT 1 FROM {} WHERE {}", quote(&key.table), key.refers_to(parent));
        let goes = goes(&key.table, doomed.len());
        // RESTRICT refuses at once, even if the row would be deleted as well.
        if !goes.is_empty() && key.action == "NO ACTION" {
            let _ = write!(text, " AND NOT ({goes})");
        }
        text.push(')');
        let blocks: bool =
            sqlx::query_scalar(sqlx::AssertSqlSafe(text)).bind(user).fetch_one(&mut *conn).await.map_err(classify)?;
        if blocks {
            return Ok(Some(key.table.clone()));
        }
    }
    Ok(None)
}

/// Returns the tables that would lose rows, each after one that it depends on.
fn doomed(keys: &[Key]) -> Vec<String> {
    let mut doomed = vec!["authfort_users".to_owned()];
    while let Some(key) = keys.iter().find(|key| {
        let goes = |table: &str| doomed.iter().any(|other| same(other, table));
        key.action == "CASCADE" && goes(&key.parent) && !goes(&key.table)
    }) {
        doomed.push(key.table.clone());
    }
    doomed
}

async fn keys(conn: &mut sqlx::SqliteConnection) -> Result<Vec<Key>> {
    // A key that names no columns refers to the primary key.
    let rows: Vec<(String, i64, String, String, Option<String>, String)> = sqlx::query_as(
        "SELECT t.name, k.seq, k.\"table\", k.\"from\",
             coalesce(k.\"to\", (SELECT c.name FROM pragma_table_info(k.\"table\") c WHERE c.pk = k.seq + 1)), k.on_delete
         FROM sqlite_schema t, pragma_foreign_key_list(t.name) k WHERE t.type = 'table' ORDER BY t.name, k.id, k.seq",
    )
    .fetch_all(conn)
    .await
    .map_err(classify)?;
    let mut keys: Vec<Key> = Vec::new();
    for (table, seq, parent, column, referred, action) in rows {
        // It refers to a table that does not exist.
        let Some(referred) = referred else { continue };
        match keys.last_mut() {
            Some(key) if seq > 0 => {
                key.columns.push(column);
                key.referred.push(referred);
            }
            _ => keys.push(Key { table, parent, columns: vec![column], referred: vec![referred], action }),
        }
    }
    Ok(keys)
}
