//! The application's side of the database: its own connections, its own SQL, its own transactions.

use authfort::sqlx::postgres::PgPoolOptions;
use authfort::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use authfort::sqlx::{self, AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use authfort::{Conn, Pool, UserId};
use authfort_testkit::{Engine, TestDatabase};

/// A pool of the application's.
#[derive(Debug, Clone)]
pub enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A transaction of the application's.
pub enum HostTx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

macro_rules! on {
    ($self:expr, $pool:ident => $body:expr) => {
        match $self {
            Raw::Sqlite($pool) => $body,
            Raw::Postgres($pool) => $body,
        }
    };
}

impl Raw {
    pub async fn open(db: &TestDatabase, connections: u32) -> Self {
        match db.engine() {
            Engine::Sqlite => {
                let options: SqliteConnectOptions = db.url().parse().unwrap();
                let options = options.busy_timeout(std::time::Duration::from_secs(20));
                let pool = SqlitePoolOptions::new().max_connections(connections).connect_with(options).await;
                Self::Sqlite(pool.unwrap())
            }
            Engine::Postgres => {
                let pool = PgPoolOptions::new().max_connections(connections).connect(db.url()).await;
                Self::Postgres(pool.unwrap())
            }
        }
    }

    pub fn pool(&self) -> Pool {
        match self {
            Self::Sqlite(pool) => pool.clone().into(),
            Self::Postgres(pool) => pool.clone().into(),
        }
    }

    /// One statement, or several with a semicolon between.
    pub async fn execute(&self, sql: impl Into<String>) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.into());
        on!(self, pool => sqlx::raw_sql(sql).execute(pool).await.map(|_| ()))
    }

    pub async fn number(&self, sql: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(sql.into());
        on!(self, pool => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap())
    }

    pub async fn texts(&self, sql: impl Into<String>) -> Vec<String> {
        let sql = AssertSqlSafe(sql.into());
        on!(self, pool => sqlx::query_scalar(sql).fetch_all(pool).await.unwrap())
    }

    /// On SQLite with the lock of a writer, as the documentation asks for.
    pub async fn begin(&self) -> HostTx {
        match self {
            Self::Sqlite(pool) => HostTx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.unwrap()),
            Self::Postgres(pool) => HostTx::Postgres(pool.begin().await.unwrap()),
        }
    }

    /// Makes the schema as the first migrations left it.
    pub async fn migrate_to(&self, version: usize) {
        let engine = if matches!(self, Self::Sqlite(_)) { "sqlite" } else { "postgres" };
        let folder = format!("{}/migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        self.execute(
            "CREATE TABLE authfort_migrations
                 (version bigint NOT NULL PRIMARY KEY, name text NOT NULL, applied_at text NOT NULL)",
        )
        .await
        .unwrap();
        for (index, file) in files.iter().take(version).enumerate() {
            let (name, text) = (file.file_stem().unwrap().to_str().unwrap(), std::fs::read_to_string(file).unwrap());
            self.execute(text).await.unwrap();
            let row = format!("INSERT INTO authfort_migrations VALUES ({}, '{name}', '')", index + 1);
            self.execute(row).await.unwrap();
        }
    }

    pub async fn tables(&self) -> Vec<String> {
        self.texts(match self {
            Self::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
            Self::Postgres(_) => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
            }
        })
        .await
    }

    /// Every column of every table in which the id stands, as `table.column`. The log of the guard is left out: it holds ids
    /// for ten minutes.
    pub async fn columns_that_hold(&self, id: UserId) -> Vec<String> {
        let mut found = Vec::new();
        for table in self.tables().await.into_iter().filter(|table| table != "authfort_standing_changes") {
            let columns = match self {
                Self::Sqlite(_) => self.texts(format!("SELECT name FROM pragma_table_info('{table}')")).await,
                Self::Postgres(_) => {
                    self.texts(format!(
                        "SELECT column_name::text FROM information_schema.columns
                         WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
                    ))
                    .await
                }
            };
            for column in columns {
                let is_id = match self {
                    Self::Sqlite(_) => format!("hex(\"{column}\") = '{}'", id.0.simple().to_string().to_uppercase()),
                    Self::Postgres(_) => format!("\"{column}\"::text = '{id}'"),
                };
                if self.number(format!("SELECT count(*) FROM \"{table}\" WHERE {is_id}")).await > 0 {
                    found.push(format!("{table}.{column}"));
                }
            }
        }
        found
    }

    /// The id as the engine writes it.
    pub fn literal(&self, id: UserId) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{}'", id.0.simple()),
            Self::Postgres(_) => format!("'{id}'"),
        }
    }

    /// The type of a column for ids.
    pub fn id_type(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "BLOB",
            Self::Postgres(_) => "uuid",
        }
    }
}

impl HostTx {
    pub fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => tx.into(),
            Self::Postgres(tx) => tx.into(),
        }
    }

    pub async fn execute(&mut self, sql: impl Into<String>) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()),
            Self::Postgres(tx) => sqlx::raw_sql(sql).execute(&mut **tx).await.map(|_| ()),
        }
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    pub async fn rollback(self) {
        match self {
            Self::Sqlite(tx) => tx.rollback().await.unwrap(),
            Self::Postgres(tx) => tx.rollback().await.unwrap(),
        }
    }
}
