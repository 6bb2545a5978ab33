//! Migrates the schema, once, even if many nodes start at the same time.
//!
//! All missing migrations run in one transaction that holds a lock on the whole database; nodes that do not get the
//! lock retry until the schema is up to date. A version that this build does not know is refused: an older build must
//! not write into a newer schema. The table is `authfort_migrations`, because `_sqlx_migrations` belongs to the
//! application.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Conn, Db, Pool, Tx, classify, sql};
use crate::{Error, Result};

pub(super) struct Migration {
    version: i64,
    name: &'static str,
    #[cfg(feature = "sqlite")]
    pub sqlite: &'static str,
    #[cfg(feature = "postgres")]
    pub postgres: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),* $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            #[cfg(feature = "sqlite")]
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
            #[cfg(feature = "postgres")]
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

pub(super) const MIGRATIONS: &[Migration] = migrations![
    1 "0001_users",
    2 "0002_sessions",
    3 "0003_events",
    4 "0004_totals",
    5 "0005_orders",
    6 "0006_standing_changes",
    7 "0007_standing_gaps",
    8 "0008_plain_sql",
    9 "0009_values",
    10 "0010_last_login_day",
    11 "0011_event_positions",
    12 "0012_subscriptions",
    13 "0013_webhooks",
    14 "0014_event_rowids",
];

/// How long a node waits for another node's migration.
const LOCK_TIMEOUT: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_millis(100);

impl Db {
    async fn begin_migration(&self) -> Result<Option<Tx>> {
        match &self.write.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => super::sqlite::begin_migration(&self.write).await,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => super::postgres::begin_migration(&self.write).await,
        }
    }

    /// Runs the missing migrations.
    pub(crate) async fn migrate(&self, now: DateTime<Utc>) -> Result<()> {
        // If the schema is up to date, there is no lock and no write.
        if self.pending().await? == Some(0) {
            return Ok(());
        }
        let mut waited = Duration::ZERO;
        let mut tx = loop {
            if let Some(tx) = self.begin_migration().await? {
                break tx;
            }
            if waited >= LOCK_TIMEOUT {
                return Err(Error::Migration("another node has been migrating for five minutes".into()));
            }
            tokio::time::sleep(PAUSE).await;
            waited += PAUSE;
        };
        let mut conn = tx.conn();
        sql!(
            &mut conn,
            execute,
            "CREATE TABLE IF NOT EXISTS authfort_migrations (
                 version bigint NOT NULL PRIMARY KEY, name text NOT NULL, applied_at text NOT NULL)"
        )
        .map_err(classify)?;
        let applied = applied(&mut conn).await?;
        for migration in MIGRATIONS.iter().filter(|m| !applied.contains(&m.version)) {
            tracing::info!(version = migration.version, name = migration.name, "migrating");
            match &mut conn {
                #[cfg(feature = "sqlite")]
                Conn::Sqlite(c) => sqlx::raw_sql(migration.sqlite).execute(&mut **c).await.map(|_| ()),
                #[cfg(feature = "postgres")]
                Conn::Postgres(c, _) => sqlx::raw_sql(migration.postgres).execute(&mut **c).await.map(|_| ()),
            }
            .map_err(classify)?;
            sql!(
                &mut conn,
                execute,
                "INSERT INTO authfort_migrations (version, name, applied_at) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                now.to_rfc3339()
            )
            .map_err(classify)?;
        }
        tx.commit().await
    }

    /// Refuses a schema that is not exactly this build's, for applications that run migrations separately.
    pub(crate) async fn check_schema(&self) -> Result<()> {
        match self.pending().await? {
            Some(0) => Ok(()),
            Some(n) => Err(Error::Migration(format!("{n} migrations are missing; start once with migrate(true)"))),
            None => Err(Error::Migration("the tables are missing; start once with migrate(true)".into())),
        }
    }

    /// Returns how many migrations are missing; `None` if their table does not exist.
    async fn pending(&self) -> Result<Option<usize>> {
        let mut conn = self.read().await?;
        let mut conn = conn.conn();
        let found: Option<i64> = match &mut conn {
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(c) => {
                sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'authfort_migrations'")
                    .fetch_optional(&mut **c)
                    .await
            }
            #[cfg(feature = "postgres")]
            Conn::Postgres(c, prepared) => {
                sqlx::query_scalar("SELECT 1::bigint WHERE to_regclass('authfort_migrations') IS NOT NULL")
                    .persistent(*prepared)
                    .fetch_optional(&mut **c)
                    .await
            }
        }
        .map_err(classify)?;
        if found.is_none() {
            return Ok(None);
        }
        let applied = applied(&mut conn).await?;
        Ok(Some(MIGRATIONS.iter().filter(|m| !applied.contains(&m.version)).count()))
    }
}

async fn applied(conn: &mut Conn<'_>) -> Result<Vec<i64>> {
    let versions: Vec<i64> =
        sql!(conn, fetch_all, query_scalar, "SELECT version FROM authfort_migrations ORDER BY version")
            .map_err(classify)?;
    if let Some(unknown) = versions.iter().find(|v| !MIGRATIONS.iter().any(|m| m.version == **v)) {
        return Err(Error::Migration(format!(
            "the database is at version {unknown}, which this build does not know; start a newer build"
        )));
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn every_file_is_linked_in() {
        for engine in ["sqlite", "postgres"] {
            let dir = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<String> = std::fs::read_dir(dir)
                .unwrap()
                .map(|f| f.unwrap().file_name().into_string().unwrap().trim_end_matches(".sql").to_owned())
                .collect();
            files.sort();
            let linked: Vec<_> = MIGRATIONS.iter().map(|m| m.name.to_owned()).collect();
            assert_eq!(files, linked);
        }
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
        }
    }
}
