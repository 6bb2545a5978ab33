//! An empty database that is removed at the end of a test.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::{env, fmt, fs, thread};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use url::Url;
use uuid::Uuid;

/// The environment variable with the URL of the PostgreSQL server for tests: version 14 or later, with a user who may
/// create databases.
pub const POSTGRES_URL_VARIABLE: &str = "AUTHFORT_TEST_POSTGRES_URL";

/// A database engine that this workspace supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// SQLite, in a file.
    Sqlite,
    /// PostgreSQL, as a database on a server.
    Postgres,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// An empty database that no other test uses. It is removed on drop, even if connections to it are open.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use authfort_testkit::{Engine, TestDatabase};
///
/// let db = TestDatabase::create(Engine::Sqlite).await;
/// assert!(db.url().starts_with("sqlite://"));
/// db.drop_now().await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TestDatabase {
    engine: Engine,
    url: String,
    /// `None` after it was removed.
    place: Option<Place>,
}

/// What has to be removed.
#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    Server { url: String, name: String },
}

impl TestDatabase {
    /// Creates an empty database.
    ///
    /// # Panics
    /// If no database can be created: no temporary directory can be written, [`POSTGRES_URL_VARIABLE`] is not set, its
    /// server does not respond, or its user may not create databases.
    pub async fn create(engine: Engine) -> Self {
        let name = unique_name();
        match engine {
            Engine::Sqlite => {
                let directory = env::temp_dir().join(name);
                fs::create_dir(&directory).expect("a directory for a SQLite file");
                let url = format!("sqlite://{}?mode=rwc", directory.join("test.db").display());
                Self { engine, url, place: Some(Place::Directory(directory)) }
            }
            Engine::Postgres => {
                let server = postgres_url();
                execute(&server, format!(r#"CREATE DATABASE "{name}""#))
                    .await
                    .unwrap_or_else(|error| panic!("{POSTGRES_URL_VARIABLE}: no database could be created: {error}"));
                let url = at_database(&server, &name);
                Self { engine, url, place: Some(Place::Server { url: server, name }) }
            }
        }
    }

    /// Returns the URL to connect to, in sqlx's form. The first connection creates the SQLite file.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the engine of this database.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Removes the database at once and breaks every connection to it. Dropping does the same, but cannot fail the
    /// test.
    ///
    /// # Panics
    /// If it cannot be removed.
    pub async fn drop_now(mut self) {
        if let Some(place) = self.place.take() {
            place.remove().await.unwrap_or_else(|error| panic!("{}: not removed: {error}", self.url));
        }
    }
}

impl Drop for TestDatabase {
    /// Removes the database on a thread with its own runtime, because a panic may be in progress and the current
    /// runtime may be shutting down. An error is only printed.
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let removed = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(place.remove())
        })
        .join();
        if !matches!(removed, Ok(Ok(()))) {
            #[expect(clippy::print_stderr, reason = "the only way to tell, while a test panics")]
            {
                eprintln!("{}: not removed: {removed:?}", self.url);
            }
        }
    }
}

impl Place {
    async fn remove(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Directory(directory) => Ok(fs::remove_dir_all(directory)?),
            Self::Server { url, name } => execute(&url, format!(r#"DROP DATABASE "{name}" WITH (FORCE)"#)).await,
        }
    }
}

async fn execute(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnectOptions::from_str(server)?.connect().await?;
    // The statement consists of constants and of `unique_name`.
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    connection.close().await
}

fn unique_name() -> String {
    #[expect(clippy::disallowed_methods, reason = "runs at the same time must not meet; no test sees the name")]
    let unique = Uuid::now_v7().simple();
    format!("authfort_test_{unique}")
}

fn postgres_url() -> String {
    env::var(POSTGRES_URL_VARIABLE).ok().filter(|url| !url.is_empty()).unwrap_or_else(|| {
        panic!(
            "{POSTGRES_URL_VARIABLE} is not set. Run scripts/test, which starts a server, or set it to a PostgreSQL server, \
             14 or later, whose user may create databases: postgres://user:password@host:port/database"
        )
    })
}

/// Returns a URL with the same server, user and parameters and another database.
fn at_database(server: &str, name: &str) -> String {
    let mut url = Url::parse(server).unwrap_or_else(|error| panic!("{POSTGRES_URL_VARIABLE} is not a URL: {error}"));
    url.set_path(name);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::at_database;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        assert_eq!(
            at_database("postgres://u:p%40@h:1/old?sslmode=disable", "new"),
            "postgres://u:p%40@h:1/new?sslmode=disable"
        );
        assert_eq!(at_database("postgres://u@127.0.0.1:5432", "new"), "postgres://u@127.0.0.1:5432/new");
    }
}
