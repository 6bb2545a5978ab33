//! One JSON array a statement, unpacked by `json_each`.

use chrono::SecondsFormat;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::rows::{Batch, Cell};
use crate::Outcome;

const ROWS: usize = 500;

/// A loss of power spoils the file; it is then made anew.
pub async fn hasty(conn: &mut SqliteConnection) -> Outcome<()> {
    sqlx::raw_sql("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000").execute(conn).await?;
    Ok(())
}

pub async fn write(conn: &mut SqliteConnection, batch: &Batch) -> Outcome<()> {
    let columns: Vec<String> = (0..batch.columns.len())
        .map(|at| match batch.rows.iter().filter_map(|row| row.get(at)).find(|cell| !matches!(cell, Cell::Null)) {
            Some(Cell::Id(_) | Cell::Bytes(_)) => format!("unhex(value ->> {at})"),
            _ => format!("value ->> {at}"),
        })
        .collect();
    let statement = format!(
        "INSERT INTO {} ({}) SELECT {} FROM json_each($1)",
        batch.table,
        batch.columns.join(", "),
        columns.join(", ")
    );
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    for rows in batch.rows.chunks(ROWS) {
        let rows: Vec<Vec<Value>> = rows.iter().map(|row| row.iter().map(value).collect()).collect();
        let text = serde_json::to_string(&rows)?;
        sqlx::query(AssertSqlSafe(statement.clone())).bind(text).execute(&mut *conn).await?;
    }
    sqlx::raw_sql("COMMIT").execute(conn).await?;
    Ok(())
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Bool(value) => Value::Bool(*value),
        Cell::Text(text) => Value::String(text.clone()),
        Cell::Id(id) => Value::String(id.simple().to_string()),
        Cell::Bytes(bytes) => Value::String(crate::hex(bytes)),
        // As sqlx writes a time.
        Cell::Time(time) => Value::String(time.to_rfc3339_opts(SecondsFormat::AutoSi, false)),
    }
}

pub async fn settle(conn: &mut SqliteConnection) -> Outcome<()> {
    sqlx::raw_sql("PRAGMA analysis_limit = 400; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)").execute(conn).await?;
    Ok(())
}
