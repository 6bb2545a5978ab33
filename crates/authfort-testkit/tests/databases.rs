//! The databases that every other test relies on.
#![cfg(test)]

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::str::FromStr as _;

use authfort_testkit::{Engine, POSTGRES_URL_VARIABLE, TestDatabase, both_engines, run};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection};

const ANSWER: i64 = 42;

/// Creates a table, which only an empty database allows, and gives back what it wrote.
async fn use_it(db: &TestDatabase) -> i64 {
    const CREATE: &str = "CREATE TABLE answer (value BIGINT NOT NULL)";
    const INSERT: &str = "INSERT INTO answer (value) VALUES ($1)";
    const SELECT: &str = "SELECT value FROM answer";
    match db.engine() {
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(db.url()).await.unwrap();
            sqlx::query(CREATE).execute(&mut connection).await.unwrap();
            sqlx::query(INSERT).bind(ANSWER).execute(&mut connection).await.unwrap();
            sqlx::query_scalar(SELECT).fetch_one(&mut connection).await.unwrap()
        }
        Engine::Postgres => {
            let mut connection = PgConnection::connect(db.url()).await.unwrap();
            sqlx::query(CREATE).execute(&mut connection).await.unwrap();
            sqlx::query(INSERT).bind(ANSWER).execute(&mut connection).await.unwrap();
            sqlx::query_scalar(SELECT).fetch_one(&mut connection).await.unwrap()
        }
    }
}

/// Whether the database behind a URL is there, without creating it.
async fn is_there(engine: Engine, url: &str) -> bool {
    match engine {
        Engine::Sqlite => {
            let file = url.strip_prefix("sqlite://").unwrap().split('?').next().unwrap();
            Path::new(file).parent().unwrap().exists()
        }
        Engine::Postgres => {
            let name = PgConnectOptions::from_str(url).unwrap().get_database().unwrap().to_owned();
            let mut server = PgConnection::connect(&env::var(POSTGRES_URL_VARIABLE).unwrap()).await.unwrap();
            let found: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1")
                .bind(name)
                .fetch_one(&mut server)
                .await
                .unwrap();
            found == 1
        }
    }
}

both_engines! {
    async fn a_database_starts_empty_and_keeps_what_is_written(db: TestDatabase) {
        assert_eq!(use_it(&db).await, ANSWER);
    }

    async fn two_databases_share_nothing(first: TestDatabase) {
        let second = TestDatabase::create(first.engine()).await;
        assert_ne!(first.url(), second.url());
        assert_eq!(use_it(&first).await, ANSWER);
        assert_eq!(use_it(&second).await, ANSWER);
    }

    async fn a_dropped_database_is_gone(db: TestDatabase) {
        let (engine, url) = (db.engine(), db.url().to_owned());
        use_it(&db).await;
        assert!(is_there(engine, &url).await);
        drop(db);
        assert!(!is_there(engine, &url).await);
    }

    async fn a_database_is_removed_under_open_connections(db: TestDatabase) {
        let (engine, url) = (db.engine(), db.url().to_owned());
        let connection = match engine {
            Engine::Sqlite => (Some(SqliteConnection::connect(&url).await.unwrap()), None),
            Engine::Postgres => (None, Some(PgConnection::connect(&url).await.unwrap())),
        };
        db.drop_now().await;
        assert!(!is_there(engine, &url).await);
        drop(connection);
    }
}

fn a_panic_leaves_nothing_behind(engine: Engine) {
    let mut url = String::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run(engine, async |db| {
            use_it(&db).await;
            url = db.url().to_owned();
            panic!("as a failing test does");
        });
    }));
    assert!(outcome.is_err());
    run(Engine::Sqlite, async |_| assert!(!is_there(engine, &url).await));
}

#[test]
fn a_panic_leaves_no_file_behind() {
    a_panic_leaves_nothing_behind(Engine::Sqlite);
}

#[test]
fn a_panic_leaves_no_database_on_the_server() {
    a_panic_leaves_nothing_behind(Engine::Postgres);
}
