//! The floor: the best SQL for the same answer, in a bare loop on a connection of its own.
//!
//! The texts are in `floor/<engine>/<name>.sql`, so that they can be revised without reading any Rust. A value is written
//! `:name`, numbered in the order of first use. Several statements, ended by `;` at a line's end, are one transaction. The line
//! `-- then` begins another group of statements; one group is timed, the first unless another is chosen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::Outcome;
use crate::database::{Database, Engine, Link};

/// Every text of an engine, by name.
macro_rules! texts {
    ($engine:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../floor/", $engine, "/", $name, ".sql")))),*]
    };
}

macro_rules! floors {
    ($($name:literal),* $(,)?) => {
        const POSTGRES: &[(&str, &str)] = texts!("postgres": $($name),*);
        const SQLITE: &[(&str, &str)] = texts!("sqlite": $($name),*);
    };
}
floors!(
    "first_page",
    "get_user",
    "count_broad",
    "delete",
    "ban",
    "ban_unlogged",
    "create",
    "role",
    "login",
    "many_bans",
    "many_roles",
    "many_users",
);

#[derive(Clone)]
pub struct Floor {
    database: Arc<Database>,
    groups: Arc<[Vec<Statement>]>,
    /// Which group is timed.
    timed: usize,
    /// How many rows it must answer.
    rows: Option<usize>,
}

#[derive(Debug)]
struct Statement {
    text: SqlStr,
    /// Which of the values it takes, in its own order.
    values: Vec<usize>,
}

impl Floor {
    pub fn new(database: &Arc<Database>, name: &str, rows: Option<usize>) -> Outcome<Self> {
        let texts = if database.engine() == Engine::Postgres { POSTGRES } else { SQLITE };
        let (_, text) = texts.iter().find(|(known, _)| *known == name).ok_or("an unknown floor")?;
        Ok(Self { database: Arc::clone(database), groups: groups(text).into(), timed: 0, rows })
    }

    /// Times another group of the statements.
    pub fn timing(self, group: usize) -> Self {
        Self { timed: group, ..self }
    }

    pub async fn prepare(&self) -> Outcome<Prepared> {
        Ok(Prepared { link: self.database.link().await?, floor: self.clone() })
    }
}

/// A connection that has the statements prepared after their first run.
pub struct Prepared {
    link: Link,
    floor: Floor,
}

impl Prepared {
    /// Runs all statements, and says how long the group took that is timed.
    pub async fn run(&mut self, values: &[String]) -> Outcome<Duration> {
        let mut rows = 0;
        let mut time = Duration::ZERO;
        macro_rules! run {
            ($conn:expr, $begin:literal) => {
                for (at, group) in self.floor.groups.iter().enumerate() {
                    let begun = Instant::now();
                    let several = group.len() > 1;
                    if several {
                        sqlx::raw_sql($begin).execute(&mut *$conn).await?;
                    }
                    for statement in group {
                        let mut query = sqlx::query(statement.text.clone());
                        for at in &statement.values {
                            query = query.bind(values.get(*at).map(String::as_str));
                        }
                        rows += query.fetch_all(&mut *$conn).await?.len();
                    }
                    if several {
                        sqlx::raw_sql("COMMIT").execute(&mut *$conn).await?;
                    }
                    if at == self.floor.timed {
                        time = begun.elapsed();
                    }
                }
            };
        }
        match &mut self.link {
            Link::Sqlite(conn) => run!(conn, "BEGIN IMMEDIATE"),
            Link::Postgres(conn) => run!(conn, "BEGIN"),
        }
        match self.floor.rows {
            Some(expected) if expected != rows => Err(format!("the floor answered {rows} rows, not {expected}").into()),
            _ => Ok(time),
        }
    }
}

/// Splits the file and numbers its values: `:id` becomes `$1` wherever it stands; `::uuid` stays.
fn groups(text: &str) -> Vec<Vec<Statement>> {
    let mut names: Vec<String> = Vec::new();
    let mut group = |text: &str| {
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
        let text = lines.join("\n");
        let pieces = text.split(";\n").map(|piece| piece.trim().trim_end_matches(';'));
        pieces.filter(|piece| !piece.is_empty()).map(|piece| statement(piece, &mut names)).collect()
    };
    text.split("-- then\n").map(&mut group).collect()
}

fn statement(text: &str, names: &mut Vec<String>) -> Statement {
    let mut out = String::new();
    let mut values: Vec<usize> = Vec::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        quoted ^= c == '\'';
        match (c, chars.peek()) {
            _ if quoted => out.push(c),
            (':', Some(':')) => {
                chars.next();
                out.push_str("::");
            }
            (':', Some(next)) if next.is_ascii_alphabetic() => {
                let mut name = String::new();
                while let Some(letter) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(letter);
                }
                let value = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                    names.push(name);
                    names.len() - 1
                });
                let place = values.iter().position(|known| *known == value).unwrap_or_else(|| {
                    values.push(value);
                    values.len() - 1
                });
                out.push('$');
                out.push_str(&(place + 1).to_string());
            }
            _ => out.push(c),
        }
    }
    Statement { text: AssertSqlSafe(out).into_sql_str(), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_and_casts_stay() {
        let found =
            groups("-- a note\nSELECT :id::uuid, :term, :id, '{\"a\":null}';\nDELETE FROM t WHERE term = :term;\n");
        let [statements] = &found[..] else { panic!("{found:?}") };
        let texts: Vec<&str> = statements.iter().map(|s| s.text.as_str()).collect();
        assert_eq!(texts, ["SELECT $1::uuid, $2, $1, '{\"a\":null}'", "DELETE FROM t WHERE term = $1"]);
        assert_eq!(statements[1].values, [1]);
    }

    #[test]
    fn groups_share_their_values() {
        let found = groups("INSERT;\n-- then\nDELETE :id;\n-- a note\nUPDATE :other, :id;\n");
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found[1][1].values, [1, 0]);
    }
}
