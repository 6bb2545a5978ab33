//! Connections on which a transaction could not be ended: they are never used again.

use authfort::{AuthFort, UserId};
use authfort_testkit::{Engine, SmallDisk, run};
use serde_json::{Map, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

use crate::support::{PASSWORD, builder, clock, service, user};
use crate::tools::{Raw, access, code, guard, log};

const EMAIL: &str = "jane@example.com";

/// Writes that need room, until one fails; how it failed.
async fn write_until_refused(auth: &AuthFort, id: UserId) -> &'static str {
    for n in 0..2_000 {
        let code = write(auth, id, n).await;
        if code != "ok" {
            return code;
        }
    }
    panic!("the disk is not full")
}

/// Some pages of new content.
async fn write(auth: &AuthFort, id: UserId, n: usize) -> &'static str {
    let mut metadata = Map::new();
    metadata.insert("text".into(), json!(format!("{n:08}").repeat(1_500)));
    code(&auth.update_user(id).metadata(metadata).await)
}

/// What holds while nothing can be written, and afterwards.
async fn refused_and_healed(auth: &AuthFort, file: &str, obstruct: impl FnOnce(), clear: impl FnOnce()) {
    let jane = user(auth, EMAIL).await;
    let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
    obstruct();
    assert_eq!(write_until_refused(auth, jane.id).await, "database_unavailable");
    for n in 0..20 {
        assert_eq!(write(auth, jane.id, n).await, "database_unavailable");
        assert_eq!(code(&auth.get_user(jane.id).await), "ok");
        assert_eq!(code(&auth.list_users().await), "ok");
        assert_eq!(guard(auth, access(&signed_in)).await, "ok");
    }
    let before = auth.get_user(jane.id).await.unwrap();
    clear();
    // The first one, and not only after a while.
    assert_eq!(write(auth, jane.id, 7).await, "ok");
    assert_eq!(code(&auth.ban_user(jane.id).await), "ok");
    let after = auth.get_user(jane.id).await.unwrap();
    assert!(after.banned && after.version > before.version);
    let mut conn = sqlite(file).connect().await.unwrap();
    assert_eq!(integrity(&mut conn).await, "ok");
}

async fn integrity(conn: &mut SqliteConnection) -> String {
    sqlx::query_scalar("PRAGMA integrity_check").fetch_one(conn).await.unwrap()
}

fn sqlite(file: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file).journal_mode(SqliteJournalMode::Wal).create_if_missing(true)
}

/// The same for a service's own pools and for a pool of the application's.
fn on_sqlite(disk: &SmallDisk, obstruct: impl Fn(), clear: impl Fn()) {
    let file = |name: &str| disk.path().join(name).display().to_string();
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(async {
        let own = file("own.db");
        let auth = builder(&clock()).connect(format!("sqlite://{own}")).await.unwrap();
        refused_and_healed(&auth, &own, &obstruct, &clear).await;
        auth.close().await;

        let shared = file("shared.db");
        let pool = SqlitePoolOptions::new().max_connections(2).connect_with(sqlite(&shared)).await.unwrap();
        let auth = builder(&clock()).from_pool(pool.clone()).await.unwrap();
        refused_and_healed(&auth, &shared, &obstruct, &clear).await;

        // The application's own transaction fails, on each connection of its pool.
        let john = user(&auth, "john@example.com").await;
        obstruct();
        for _ in 0..4 {
            assert!(fill_table(&pool).await.is_err());
            assert!(["ok", "database_unavailable"].contains(&code(&auth.ban_user(john.id).await)));
        }
        clear();
        assert_eq!(code(&auth.unban_user(john.id).await), "ok");
        assert_eq!(write(&auth, john.id, 1).await, "ok");
    });
}

async fn fill_table(pool: &SqlitePool) -> sqlx::Result<()> {
    let mut tx = pool.begin().await?;
    sqlx::query("CREATE TABLE IF NOT EXISTS blobs (content blob)").execute(&mut *tx).await?;
    sqlx::query("INSERT INTO blobs VALUES (randomblob(3000000))").execute(&mut *tx).await?;
    tx.commit().await
}

#[test]
fn a_full_disk_fails_writes_alone_and_heals_when_there_is_room() {
    let Some(disk) = SmallDisk::of("broken::a_full_disk_fails_writes_alone_and_heals_when_there_is_room", 6 * 1024)
    else {
        return;
    };
    let ballast = std::cell::Cell::new(None);
    on_sqlite(&disk, || ballast.set(Some(disk.fill())), || ballast.take().unwrap().remove());
}

#[test]
fn an_input_output_error_at_the_commit_fails_writes_alone_and_heals() {
    let Some(disk) =
        SmallDisk::of("broken::an_input_output_error_at_the_commit_fails_writes_alone_and_heals", 64 * 1024)
    else {
        return;
    };
    // Enough for the index of a write-ahead log that is made anew, too little for anything else.
    on_sqlite(&disk, || disk.limit_files(Some(48 * 1024)), || disk.limit_files(None));
}

/// The server ends the session at one point of a transaction, as it does when somebody stops it, and no later one.
async fn end_session(raw: &mut Raw, at_commit: bool) {
    raw.execute("CREATE SEQUENCE ends").await;
    raw.execute(
        "CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN IF nextval(''ends'') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); END IF;
          RETURN NEW; END'",
    )
    .await;
    raw.execute(if at_commit {
        "CREATE CONSTRAINT TRIGGER ends AFTER INSERT ON authfort_events DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION end_session()"
    } else {
        "CREATE TRIGGER ends BEFORE INSERT ON authfort_events FOR EACH ROW EXECUTE FUNCTION end_session()"
    })
    .await;
}

#[test]
fn a_session_that_ends_inside_a_transaction_or_at_its_commit_leaves_nothing_behind() {
    for at_commit in [false, true] {
        run(Engine::Postgres, async |db| {
            let auth = builder(&clock()).max_connections(1).connect(db.url()).await.unwrap();
            let jane = user(&auth, EMAIL).await;
            end_session(&mut Raw::open(&db).await, at_commit).await;
            assert_eq!(code(&auth.ban_user(jane.id).await), "database_unavailable");
            assert!(!auth.get_user(jane.id).await.unwrap().banned);
            assert_eq!(log(&auth, jane.id).await.len(), 1);
            assert_eq!(code(&auth.ban_user(jane.id).await), "ok");
            assert!(auth.get_user(jane.id).await.unwrap().banned);
        });
    }
}

#[test]
fn a_session_that_ended_before_a_transaction_costs_no_call() {
    run(Engine::Postgres, async |db| {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let mut raw = Raw::open(&db).await;
        for round in 0..20 {
            let ended = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'authfort'";
            assert!(raw.count(ended).await > 0);
            let renamed = auth.update_user(jane.id).name(format!("Jane {round}")).await;
            assert_eq!(code(&renamed), "ok");
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
            assert_eq!(code(&auth.get_user(jane.id).await), "ok");
        }
    });
}

#[test]
fn a_commit_that_a_rule_refuses_leaves_the_connection_usable() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        run(engine, async |db| {
            let auth = builder(&clock()).max_connections(1).connect(db.url()).await.unwrap();
            let jane = user(&auth, EMAIL).await;
            let id = if engine == Engine::Sqlite { "blob" } else { "uuid" };
            let mut raw = Raw::open(&db).await;
            raw.execute(format!(
                "CREATE TABLE notes (owner {id} REFERENCES authfort_users (id) DEFERRABLE INITIALLY DEFERRED)"
            ))
            .await;
            raw.execute("INSERT INTO notes SELECT id FROM authfort_users").await;
            for _ in 0..3 {
                assert_eq!(code(&auth.delete_user(jane.id).await), "blocked_by_reference");
                assert_eq!(code(&auth.update_user(jane.id).name("Jane").await), "ok");
            }
            raw.execute("DELETE FROM notes").await;
            assert_eq!(code(&auth.delete_user(jane.id).await), "ok");
        });
    }
}
