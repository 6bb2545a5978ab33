//! An empty database that goes when the test does.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::{env, fmt, fs, thread};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use url::Url;
use uuid::Uuid;

/// Names the PostgreSQL server of the tests, as a URL: version 14 or later, and a user who may create databases.
pub const POSTGRES_URL_VARIABLE: &str = "AUTHFORT_TEST_POSTGRES_URL";

/// A database engine that this workspace supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file.
    Sqlite,
    /// A database on a server.
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

/// An empty database, which nobody else has and which is removed on drop, whoever is still connected.
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
    /// Empty once it was removed.
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
    /// When the engine cannot give one: no temporary directory can be written, [`POSTGRES_URL_VARIABLE`] is not set,
    /// its server does not answer, or its user may not create databases.
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

    /// Where to connect, in sqlx's form. A SQLite file is created by the first connection.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The engine that it is on.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Removes the database at once and breaks every connection to it. Dropping does the same, but cannot fail the test.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub async fn drop_now(mut self) {
        if let Some(place) = self.place.take() {
            place.remove().await.unwrap_or_else(|error| panic!("{}: not removed: {error}", self.url));
        }
    }
}

impl Drop for TestDatabase {
    /// A panic may be under way and the runtime may be closing, so this waits on a thread with a runtime of its own and
    /// only reports what fails.
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
    // The statement is made of constants and of `unique_name`.
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

/// The same server, user and parameters; another database.
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
