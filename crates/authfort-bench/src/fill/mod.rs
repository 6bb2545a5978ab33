//! Fills an empty, migrated database by bulk SQL: `COPY` on PostgreSQL, JSON arrays on SQLite.
//!
//! The schema is the library's own, with every index and trigger that it has; only the rows come from here.

mod origin;
mod postgres;
mod rows;
mod sqlite;

use std::time::Instant;

use authfort::{AuthFort, Clock};
use sqlx::AssertSqlSafe;

use crate::Outcome;
use crate::database::{BARE, Database, Link};
use crate::people::{People, fold, search_key};
use rows::Batch;
pub use rows::{cells, victim_tables};

/// How many users are written at once.
const BATCH: u64 = 20_000;

/// Brings the schema up to date and fills in users, where there are none.
pub async fn fill(database: &Database, users: u64) -> Outcome<()> {
    let auth = AuthFort::builder().connect(database.url()).await?;
    check_keys(&auth, database).await?;
    let there = auth.get_user_count().deleted(authfort::DeletedFilter::With).await?;
    auth.close().await;
    if there > 0 {
        // The users of the measurements come on top.
        return origin::check(&mut database.link().await?, database.engine()).await;
    }
    let mut link = database.link().await?;
    people(database, &mut link, users).await?;
    origin::note(&mut link, database.engine()).await
}

/// Fills in the same users beside the database, in tables as they were before the library kept totals and had an index for
/// each order. What is there already is left.
pub async fn bare(database: &Database, users: u64) -> Outcome<()> {
    let mut link = database.link().await?;
    let there = match &mut link {
        Link::Sqlite(conn) => {
            let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'authfort_users'";
            let there: i64 = sqlx::query_scalar(sql).fetch_one(&mut *conn).await?;
            if there == 0 {
                sqlx::raw_sql("PRAGMA journal_mode = WAL").execute(&mut *conn).await?;
                for migration in SQLITE_BEFORE {
                    sqlx::raw_sql(*migration).execute(&mut *conn).await?;
                }
            }
            there > 0
        }
        Link::Postgres(conn) => {
            let sql = format!("SELECT to_regclass('{BARE}.authfort_users') IS NOT NULL");
            let there: bool = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *conn).await?;
            if !there {
                sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA {BARE}"))).execute(&mut *conn).await?;
                for migration in POSTGRES_BEFORE {
                    sqlx::raw_sql(*migration).execute(&mut *conn).await?;
                }
            }
            there
        }
    };
    if there { Ok(()) } else { people(database, &mut link, users).await }
}

macro_rules! before {
    ($engine:literal) => {
        &[
            include_str!(concat!("../../../../migrations/", $engine, "/0001_users.sql")),
            include_str!(concat!("../../../../migrations/", $engine, "/0002_sessions.sql")),
            include_str!(concat!("../../../../migrations/", $engine, "/0003_events.sql")),
        ]
    };
}
const SQLITE_BEFORE: &[&str] = before!("sqlite");
const POSTGRES_BEFORE: &[&str] = before!("postgres");

async fn people(database: &Database, link: &mut Link, users: u64) -> Outcome<()> {
    let started = Instant::now();
    let people = People::new(users, Clock::system().now());
    let mut from = 0;
    if let Link::Sqlite(conn) = link {
        sqlite::hasty(conn).await?;
    }
    while from < users {
        let to = users.min(from + BATCH);
        write(link, &Batch::of(&people, from..to)).await?;
        from = to;
        if from % (BATCH * 10) == 0 {
            crate::say(&format!("{}: {from} users after {} s", database.engine(), started.elapsed().as_secs()));
        }
    }
    match link {
        Link::Sqlite(conn) => sqlite::settle(conn).await?,
        Link::Postgres(conn) => postgres::settle(conn).await?,
    }
    crate::say(&format!("{}: filled in {users} users within {} s", database.engine(), started.elapsed().as_secs()));
    Ok(())
}

/// Writes rows, table after table.
pub async fn write(link: &mut Link, batches: &[Batch]) -> Outcome<()> {
    for batch in batches.iter().filter(|batch| !batch.rows.is_empty()) {
        match link {
            Link::Sqlite(conn) => sqlite::write(conn, batch).await?,
            Link::Postgres(conn) => postgres::write(conn, batch).await?,
        }
    }
    Ok(())
}

/// Compares the computed keys of a sample with what the library writes for the same people, and takes it back.
async fn check_keys(auth: &AuthFort, database: &Database) -> Outcome<()> {
    let people = People::new(100_000, Clock::system().now());
    let mut sample = Vec::new();
    for number in (0..100_000).step_by(497) {
        let person = people.person(number);
        if person.deleted_at.is_none() {
            sample.push((format!("check.{}", person.email), person.name));
        }
    }
    let mut link = database.link().await?;
    let mut found: Vec<(String, Option<String>, String)> = Vec::new();
    macro_rules! compare {
        ($conn:expr) => {{
            let mut tx = sqlx::Connection::begin(&mut *$conn).await?;
            for (email, name) in &sample {
                let mut call = auth.create_user(email.as_str());
                if let Some(name) = name {
                    call = call.name(name.as_str());
                }
                call.in_tx(&mut tx).await?;
            }
            let sql = "SELECT email_key, name_key, search_key FROM authfort_users WHERE email LIKE 'check.%'";
            found.extend(sqlx::query_as::<_, (String, Option<String>, String)>(sql).fetch_all(&mut *tx).await?);
            tx.rollback().await?;
        }};
    }
    match &mut link {
        Link::Sqlite(conn) => compare!(conn),
        Link::Postgres(conn) => compare!(conn),
    }
    if found.len() < sample.len() {
        return Err("the sample of users was not found again".into());
    }
    for (email, name) in &sample {
        let name_key = name.as_deref().map(fold);
        let mine = (email.clone(), name_key.clone(), search_key(email, name_key.as_deref()));
        if !found.contains(&mine) {
            return Err(format!("the library keeps other keys than the harness for {email}").into());
        }
    }
    Ok(())
}
