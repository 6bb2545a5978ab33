//! A start that fails says why, and what to do about it.

use std::time::Duration;

use authfort::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use authfort::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use authfort::sqlx::{self, AssertSqlSafe, ConnectOptions, Connection, PgPool};
use authfort::{Algorithm, AuthFort, Error};
use authfort_testkit::{Engine, SmallDisk, TestDatabase, run};
use futures_util::future::join_all;

use crate::support::{builder, clock};

const TIMEOUT: Duration = Duration::from_millis(200);

fn said(outcome: authfort::Result<AuthFort>) -> String {
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    error.to_string()
}

async fn refusal(url: &str) -> String {
    said(builder(&clock()).connect(url).await)
}

/// Of the test's own SQLite database.
fn folder(db: &TestDatabase) -> String {
    let path = db.url().trim_start_matches("sqlite://").split('?').next().unwrap();
    path.rsplit_once('/').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_that_cannot_be_opened_is_named_with_its_remedy() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let folder = folder(&db);
    std::fs::write(format!("{folder}/text"), "no database, and longer than the head of a page is".repeat(9)).unwrap();
    for (url, cause, remedy) in [
        (format!("sqlite://{folder}/no/x.db"), format!("There is no folder {folder}/no."), "Make it"),
        (format!("sqlite://{folder}/text/x.db"), format!("There is no folder {folder}/text."), "Make it"),
        (format!("sqlite://{folder}"), format!("{folder} is a folder."), "Name a file in it"),
        (format!("sqlite://{folder}/x.db?mode=rw"), format!("There is no file {folder}/x.db."), "say mode=rwc"),
        (format!("sqlite://{folder}/text"), format!("{folder}/text is not an SQLite database:"), "another file"),
        ("sqlite:///sys/x.db".to_owned(), "/sys/x.db cannot be opened:".to_owned(), "Let the user that runs"),
    ] {
        let text = refusal(&url).await;
        assert!(text.starts_with(&cause) && text.contains(remedy), "{url}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sqlite_file_that_cannot_be_written_or_is_held_is_named_with_its_remedy() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let options: SqliteConnectOptions = db.url().parse().unwrap();
    let pool = SqlitePoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT);
    let pool = |options: SqliteConnectOptions| pool.clone().connect_with(options.busy_timeout(TIMEOUT));
    let writer = pool(options.clone()).await.unwrap();
    let from = |pool| async { said(builder(&clock()).from_pool(pool).await) };

    let text = from(pool(options.clone().read_only(true)).await.unwrap()).await;
    assert!(text.contains("test.db cannot be written:") && text.contains("write the file and its folder"), "{text}");
    let text = from(pool(options.clone().pragma("max_page_count", "3")).await.unwrap()).await;
    assert!(text.contains("There is no room for") && text.contains("Make room"), "{text}");

    let mut tx = writer.begin_with("BEGIN EXCLUSIVE").await.unwrap();
    sqlx::query("CREATE TABLE application (id INTEGER)").execute(&mut *tx).await.unwrap();
    let text = said(builder(&clock()).acquire_timeout(TIMEOUT).connect(db.url()).await);
    assert!(text.to_lowercase().contains("another process holds") && text.contains("Stop "), "{text}");
}

#[test]
fn a_full_disk_is_named_at_the_start() {
    let Some(disk) = SmallDisk::of("start::a_full_disk_is_named_at_the_start", 256) else { return };
    run(Engine::Sqlite, |_| async move {
        let _ballast = disk.fill();
        let text = refusal(&format!("sqlite://{}", disk.path().join("x.db").display())).await;
        assert!(text.contains("Make room"), "{text}");
    });
}

/// Puts everything into the file itself. That is refused while a connection is open, as one is for a moment after `close`.
async fn leave_one_file(url: &str) {
    let options: SqliteConnectOptions = url.parse().unwrap();
    for _ in 0..1_000 {
        let mut conn = options.clone().busy_timeout(Duration::ZERO).connect().await.unwrap();
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut conn).await;
        conn.close().await.unwrap();
        if mode.is_ok_and(|mode| mode == "delete") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a connection stays open");
}

#[test]
fn a_file_system_that_is_read_only_is_named_at_the_start_and_nothing_is_lost() {
    let name = "start::a_file_system_that_is_read_only_is_named_at_the_start_and_nothing_is_lost";
    let Some(disk) = SmallDisk::of(name, 6 * 1024) else { return };
    run(Engine::Sqlite, |_| async move {
        let url = format!("sqlite://{}", disk.path().join("x.db").display());
        let auth = builder(&clock()).connect(&url).await.unwrap();
        let jane = auth.create_user("jane@example.com").await.unwrap();
        auth.close().await;
        leave_one_file(&url).await;
        disk.read_only(true);
        let text = refusal(&url).await;
        assert!(text.contains("x.db") && text.contains("write the file and its folder"), "{text}");
        disk.read_only(false);
        let auth = builder(&clock()).connect(&url).await.unwrap();
        assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
        assert_eq!(auth.ban_user(jane.id).await.unwrap().email, jane.email);
    });
}

/// A role of its own on the test's server, and the URL by which it comes.
struct Role {
    admin: PgPool,
    options: PgConnectOptions,
    name: String,
}

impl Role {
    /// It belongs to the group of which `pg_hba.conf` asks a password.
    async fn create(db: &TestDatabase) -> Self {
        let admin = PgPool::connect(db.url()).await.unwrap();
        let options: PgConnectOptions = db.url().parse().unwrap();
        let name = options.get_database().unwrap().replace("test", "role");
        let role = Self { admin, options, name };
        // Another test may make the group at the same time.
        role.run("DO $$ BEGIN CREATE ROLE authfort_by_password; EXCEPTION WHEN OTHERS THEN NULL; END $$").await;
        role.run(&format!("CREATE ROLE {} LOGIN PASSWORD 'planted' IN ROLE authfort_by_password", role.name)).await;
        role.run(&format!("GRANT ALL ON SCHEMA public TO {}", role.name)).await;
        role
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.admin).await.unwrap();
    }

    fn url(&self, password: &str) -> String {
        let (options, name) = (&self.options, &self.name);
        let database = options.get_database().unwrap();
        format!("postgres://{name}:{password}@{}:{}/{database}", options.get_host(), options.get_port())
    }

    /// Breaks its connections: the next ones have to sign in.
    async fn disconnect(&self) {
        self.run(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", self.name))
            .await;
    }

    async fn drop(self) {
        self.disconnect().await;
        self.run(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_server_that_lets_nobody_in_is_named_with_its_remedy() {
    let db = TestDatabase::create(Engine::Postgres).await;
    let role = Role::create(&db).await;
    let at = format!("{}:{}", role.options.get_host(), role.options.get_port());
    for (url, cause, remedy) in [
        (role.url("planted-wrong"), format!("at {at} refuses the password of the role"), "Correct the password"),
        (
            format!("postgres://nobody_here@{at}/postgres"),
            "role \"nobody_here\" does not exist".into(),
            "Create the role",
        ),
        (format!("{}_gone", db.url()), "_gone\"".into(), "CREATE DATABASE"),
        ("postgres://jane:planted@127.0.0.1:1/x".into(), "at 127.0.0.1:1 cannot be reached: ".into(), "correct host"),
        ("postgres://jane:planted@no.such.invalid/x".into(), "at no.such.invalid:5432 cannot".into(), "correct host"),
    ] {
        let text = refusal(&url).await;
        assert!(text.contains(&cause) && text.contains(remedy), "{url}: {text}");
    }
    role.run(&format!("ALTER ROLE {} NOLOGIN", role.name)).await;
    let text = refusal(&role.url("planted")).await;
    assert!(text.contains("is not permitted to log in") && text.contains("ALTER ROLE … LOGIN"), "{text}");
    role.run(&format!("ALTER ROLE {0} LOGIN; REVOKE CREATE ON SCHEMA public FROM {0}, PUBLIC", role.name)).await;
    let text = refusal(&role.url("planted")).await;
    assert!(text.contains("permission denied") && text.contains("Grant it"), "{text}");
    role.run(&format!("ALTER ROLE {} SET default_transaction_read_only = on", role.name)).await;
    let text = refusal(&role.url("planted")).await;
    assert!(text.contains("read-only transaction") && text.contains("Name the primary"), "{text}");
    role.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_of_the_applications_says_why_too() {
    let refused = PgPoolOptions::new()
        .acquire_timeout(Duration::from_secs(1))
        .connect_lazy("postgres://jane:planted@127.0.0.1:1/x");
    let text = said(AuthFort::from_pool(refused.unwrap()).await);
    assert!(text.contains("127.0.0.1:1 cannot be reached"), "{text}");

    let db = TestDatabase::create(Engine::Postgres).await;
    let busy = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(1))
        .connect(db.url())
        .await
        .unwrap();
    let _held = busy.acquire().await.unwrap();
    let text = said(AuthFort::from_pool(busy.clone()).await);
    assert!(text.contains("gave no connection within") && text.contains("more connections"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_changed_makes_the_database_unavailable_and_is_no_fault() {
    let db = TestDatabase::create(Engine::Postgres).await;
    let role = Role::create(&db).await;
    let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).connect(role.url("planted")).await.unwrap();
    auth.ping().await.unwrap();
    for change in [format!("ALTER ROLE {} PASSWORD 'another'", role.name), format!("ALTER ROLE {} NOLOGIN", role.name)]
    {
        role.run(&change).await;
        role.disconnect().await;
        // A connection that was just being made, also by what runs beside the calls, has no name yet by which it could be found.
        // So many calls at once as there can be connections use each of them.
        for _ in 0..100 {
            if join_all((0..10).map(|_| auth.ping())).await.iter().all(Result::is_err) {
                break;
            }
            role.disconnect().await;
        }
        // A connection that was broken may be found first.
        for _ in 0..20 {
            let errors = [auth.ping().await.unwrap_err(), auth.create_user("jane@example.com").await.unwrap_err()];
            assert!(errors.iter().all(|error| matches!(error, Error::DatabaseUnavailable(_))), "{change}: {errors:?}");
        }
    }
    // Both are as they were, and so is the service.
    role.run(&format!("ALTER ROLE {} LOGIN PASSWORD 'planted'", role.name)).await;
    auth.create_user("jane@example.com").await.unwrap();
    auth.close().await;
    role.drop().await;
}
