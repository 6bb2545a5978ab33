//! What several topics need: tokens as text, the log as pairs, and a look into the database past the library.

use authfort::secrecy::ExposeSecret;
use authfort::{AuthFort, Error, SignedIn, SortOrder, UserId};
use authfort_testkit::{Engine, TestDatabase};
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

pub fn access(signed_in: &SignedIn) -> &str {
    signed_in.tokens.access_token.expose_secret()
}

pub fn refresh(signed_in: &SignedIn) -> &str {
    signed_in.tokens.refresh_token.expose_secret()
}

/// The code of the error, or `ok`.
pub fn code<T>(outcome: &Result<T, Error>) -> &'static str {
    outcome.as_ref().err().map_or("ok", Error::code)
}

/// What the guard says of an access token.
pub async fn guard(auth: &AuthFort, token: &str) -> &'static str {
    code(&auth.authenticate(token).await)
}

/// Type and data of a user's events, oldest first.
pub async fn log(auth: &AuthFort, user: UserId) -> Vec<(String, Map<String, Value>)> {
    let page = auth.list_events().user_id(user).order(SortOrder::Asc).limit(200).await.unwrap();
    assert_eq!(page.next_cursor, None, "more events than this helper reads");
    page.events.into_iter().map(|event| (event.r#type, event.data)).collect()
}

/// How many events of a type a user has.
pub async fn count(auth: &AuthFort, user: UserId, r#type: &str) -> usize {
    log(auth, user).await.iter().filter(|(name, _)| name == r#type).count()
}

/// Numbers that look random and are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A connection of the test's own.
pub enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    pub async fn open(db: &TestDatabase) -> Self {
        match db.engine() {
            Engine::Sqlite => Self::Sqlite(SqliteConnection::connect(db.url()).await.unwrap()),
            Engine::Postgres => Self::Postgres(PgConnection::connect(db.url()).await.unwrap()),
        }
    }

    pub async fn execute(&mut self, sql: impl Into<String>) -> u64 {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(conn) => sqlx::query(sql).execute(conn).await.unwrap().rows_affected(),
            Self::Postgres(conn) => sqlx::query(sql).execute(conn).await.unwrap().rows_affected(),
        }
    }

    /// The first column of every row, which must be text.
    pub async fn texts(&mut self, sql: impl Into<String>) -> Vec<String> {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(conn) => sqlx::query_scalar(sql).fetch_all(conn).await.unwrap(),
            Self::Postgres(conn) => sqlx::query_scalar(sql).fetch_all(conn).await.unwrap(),
        }
    }

    pub async fn count(&mut self, sql: impl Into<String>) -> i64 {
        let sql = AssertSqlSafe(sql.into());
        match self {
            Self::Sqlite(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
            Self::Postgres(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
        }
    }

    /// Makes whoever reads a table wait: on PostgreSQL until `COMMIT`, on SQLite for seconds each time.
    pub async fn hold_up_readers(&mut self, table: &str) {
        if matches!(self, Self::Postgres(_)) {
            self.execute("BEGIN").await;
            self.execute(format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await;
        } else {
            self.execute(format!("ALTER TABLE {table} RENAME TO kept")).await;
            self.execute(format!(
                "CREATE VIEW {table} AS WITH RECURSIVE n (i) AS
                     (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000000)
                 SELECT k.* FROM kept k WHERE (SELECT max(i) FROM n) > 0"
            ))
            .await;
        }
    }

    /// Every value of every table of the library, one row a line, bytes as lower-case hexadecimal digits.
    pub async fn dump(&mut self) -> String {
        let mut dump = String::new();
        let tables = match self {
            Self::Sqlite(_) => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'authfort%' \
                 AND sql NOT LIKE 'CREATE VIRTUAL%'"
            }
            Self::Postgres(_) => {
                "SELECT table_name::text FROM information_schema.tables WHERE table_name LIKE 'authfort%'"
            }
        };
        let tables = self.texts(tables).await;
        assert!(tables.len() >= 9, "{tables:?}");
        for table in tables {
            let rows = if matches!(self, Self::Sqlite(_)) {
                let columns = self.texts(format!("SELECT name FROM pragma_table_info('{table}')")).await;
                let values: Vec<_> = columns
                    .iter()
                    .map(|c| format!(r#"CASE typeof("{c}") WHEN 'blob' THEN lower(hex("{c}")) ELSE quote("{c}") END"#))
                    .collect();
                format!(r#"SELECT {} FROM "{table}""#, values.join(" || ' ' || "))
            } else {
                format!(r#"SELECT row_to_json(t)::text FROM "{table}" t"#)
            };
            for row in self.texts(rows).await {
                dump.extend([table.as_str(), ": ", row.as_str(), "\n"]);
            }
        }
        dump
    }
}

/// Waits until so many connections wait for a lock. PostgreSQL only: SQLite cannot tell.
pub async fn lock_waiters(db: &TestDatabase, number: usize) {
    let mut raw = Raw::open(db).await;
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while raw.count(waiting).await < i64::try_from(number).unwrap() {
        tokio::task::yield_now().await;
    }
}

/// How a token could lie in a dump: as text, without its prefix, or as the bytes of its secret.
pub fn spellings(token: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    // A JWT may hold an underscore anywhere.
    let body = token.strip_prefix("afr_").or_else(|| token.strip_prefix("afv_")).unwrap_or(token);
    let mut spellings = vec![token.to_owned(), body.to_owned()];
    if let Ok(bytes) = URL_SAFE_NO_PAD.decode(body) {
        spellings.push(bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")));
        spellings.push(STANDARD.encode(bytes));
    }
    spellings
}

/// A process that is killed when this is dropped, also where the test fails.
pub struct Killed(pub std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
