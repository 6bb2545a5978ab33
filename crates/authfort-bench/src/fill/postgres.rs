//! `COPY … FROM STDIN`, in its text format.

use std::fmt::Write as _;

use sqlx::PgConnection;

use super::rows::{Batch, Cell};
use crate::Outcome;

pub async fn write(conn: &mut PgConnection, batch: &Batch) -> Outcome<()> {
    let mut text = String::new();
    for row in &batch.rows {
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                text.push('\t');
            }
            push(&mut text, cell)?;
        }
        text.push('\n');
    }
    let statement = format!("COPY {} ({}) FROM STDIN", batch.table, batch.columns.join(", "));
    let mut copy = conn.copy_in_raw(&statement).await?;
    copy.send(text.into_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

fn push(text: &mut String, cell: &Cell) -> std::fmt::Result {
    match cell {
        Cell::Null => text.push_str("\\N"),
        Cell::Bool(value) => text.push(if *value { 't' } else { 'f' }),
        Cell::Id(id) => write!(text, "{id}")?,
        Cell::Time(time) => text.push_str(&time.to_rfc3339()),
        Cell::Bytes(bytes) => {
            text.push_str("\\\\x");
            for byte in bytes {
                write!(text, "{byte:02x}")?;
            }
        }
        Cell::Text(value) => {
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '\n' => text.push_str("\\n"),
                    '\t' => text.push_str("\\t"),
                    '\r' => text.push_str("\\r"),
                    other => text.push(other),
                }
            }
        }
    }
    Ok(())
}

/// What autovacuum does in time: statistics, the visibility map, and the trigrams that wait to be merged.
pub async fn settle(conn: &mut PgConnection) -> Outcome<()> {
    sqlx::raw_sql("VACUUM ANALYZE").execute(&mut *conn).await?;
    sqlx::raw_sql("CHECKPOINT").execute(conn).await?;
    Ok(())
}
