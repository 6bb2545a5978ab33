//! Lists from a streaming replica of PostgreSQL: what it may answer, and what happens where it cannot.
#![cfg(unix)]

use std::time::Duration;

use authfort::{AuthFort, Error};
use authfort_testkit::{Cluster, Engine, Relay, TestDatabase, both_engines, run};
use sqlx::{Connection as _, PgConnection};

use crate::support::{builder, clock, user};
use crate::tools::{access, code, guard};

const HOUR: Duration = Duration::from_hours(1);

async fn connect(server: &Cluster) -> PgConnection {
    PgConnection::connect(&server.url()).await.unwrap()
}

/// Waits until the replica has replayed all that the primary wrote.
async fn catch_up(primary: &Cluster, replica: &Cluster) {
    let (mut primary, mut replica) = (connect(primary).await, connect(replica).await);
    let written: String =
        sqlx::query_scalar("SELECT CAST(pg_current_wal_lsn() AS text)").fetch_one(&mut primary).await.unwrap();
    let replayed = "SELECT coalesce(pg_last_wal_replay_lsn() >= CAST($1 AS pg_lsn), false)";
    while !sqlx::query_scalar::<_, bool>(replayed).bind(&written).fetch_one(&mut replica).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

/// The replica receives, but shows nothing new.
async fn hold_back(replica: &Cluster) {
    let mut replica = connect(replica).await;
    sqlx::raw_sql("SELECT pg_wal_replay_pause()").execute(&mut replica).await.unwrap();
    let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
    while !sqlx::query_scalar::<_, bool>(paused).fetch_one(&mut replica).await.unwrap() {
        tokio::task::yield_now().await;
    }
}

async fn go_on(replica: &Cluster) {
    sqlx::raw_sql("SELECT pg_wal_replay_resume()").execute(&mut connect(replica).await).await.unwrap();
}

/// How many connections of the library a server has.
async fn connections(server: &Cluster) -> i64 {
    let counted = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'authfort'";
    sqlx::query_scalar(counted).fetch_one(&mut connect(server).await).await.unwrap()
}

async fn total(auth: &AuthFort) -> Option<u64> {
    let page = auth.list_users().await.unwrap();
    assert_eq!(page.total, Some(page.users.len() as u64));
    assert_eq!(page.total, Some(auth.get_user_count().await.unwrap()));
    page.total
}

async fn node(primary: &Cluster, replica: &str, lag: Duration) -> AuthFort {
    builder(&clock()).replica_url(replica).replica_lag(lag).connect(primary.url()).await.unwrap()
}

#[test]
fn a_replica_answers_lists_and_nothing_else() {
    run(Engine::Postgres, async |_| {
        let primary = Cluster::primary();
        let elsewhere = builder(&clock()).connect(primary.url()).await.unwrap();
        let jane = user(&elsewhere, "jane@example.com").await;
        let signed_in = elsewhere.create_session(jane.id).await.unwrap();
        let replica = primary.replica();
        for prepared in [true, false] {
            let options = builder(&clock()).prepared_statements(prepared).replica_url(replica.url()).replica_lag(HOUR);
            let auth = options.connect(primary.url()).await.unwrap();
            let old = elsewhere.get_user_count().await.unwrap();
            catch_up(&primary, &replica).await;
            // From here on the replica is known to be far enough.
            assert_eq!(total(&auth).await, Some(old));
            hold_back(&replica).await;
            let events = auth.list_events().await.unwrap();
            let john = user(&elsewhere, &format!("john-{prepared}@example.com")).await;
            assert_eq!(total(&auth).await, Some(old), "the replica has no John yet");
            assert_eq!(auth.list_events().await.unwrap(), events);
            // What decides reads the primary.
            assert_eq!(auth.get_user(john.id).await.unwrap().id, john.id);
            elsewhere.ban_user(jane.id).await.unwrap();
            assert_eq!(guard(&auth, access(&signed_in)).await, "user_banned");
            assert_eq!(auth.get_user_count().banned(true).await.unwrap(), 0, "the replica has no ban yet");
            // The caller's own change is seen.
            auth.unban_user(jane.id).await.unwrap();
            auth.ban_user(jane.id).await.unwrap();
            assert_eq!(auth.get_user_count().banned(true).await.unwrap(), 1);
            assert_eq!(total(&auth).await, Some(old + 1));
            assert_ne!(auth.list_events().await.unwrap(), events);
            go_on(&replica).await;
            auth.unban_user(jane.id).await.unwrap();
            assert_eq!(auth.get_user_count().banned(true).await.unwrap(), 0);
        }
    });
}

#[test]
fn a_replica_that_is_too_far_behind_is_passed_over() {
    run(Engine::Postgres, async |_| {
        let primary = Cluster::primary();
        let elsewhere = builder(&clock()).connect(primary.url()).await.unwrap();
        let replica = primary.replica();
        let auth = node(&primary, &replica.url(), Duration::ZERO).await;
        assert_eq!(total(&auth).await, Some(0));
        hold_back(&replica).await;
        user(&elsewhere, "jane@example.com").await;
        assert_eq!(total(&auth).await, Some(1));
        go_on(&replica).await;
        assert_eq!(total(&auth).await, Some(1));

        // A change inside the application's transaction, once that is committed.
        let auth = node(&primary, &replica.url(), HOUR).await;
        assert_eq!(total(&auth).await, Some(1));
        hold_back(&replica).await;
        let pool = sqlx::PgPool::connect(&primary.url()).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        auth.create_user("john@example.com").in_tx(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(total(&auth).await, Some(2));

        // Promoted, it is no replica any more, whatever it has.
        go_on(&replica).await;
        catch_up(&primary, &replica).await;
        assert_eq!(total(&auth).await, Some(2));
        replica.promote();
        let promoted = builder(&clock()).connect(replica.url()).await.unwrap();
        user(&promoted, "mary@example.com").await;
        assert_eq!((total(&auth).await, total(&promoted).await), (Some(2), Some(3)));
        auth.close().await;
        assert_eq!(code(&auth.list_users().await), "database_unavailable");
    });
}

#[test]
fn without_its_replica_the_primary_answers() {
    run(Engine::Postgres, async |_| {
        let primary = Cluster::primary();
        user(&builder(&clock()).connect(primary.url()).await.unwrap(), "jane@example.com").await;
        let mut replica = primary.replica();
        let relay = Relay::to(&replica.url()).await;
        let auth = node(&primary, relay.url(), HOUR).await;
        catch_up(&primary, &replica).await;
        assert_eq!(total(&auth).await, Some(1));
        assert!(connections(&replica).await > 0);

        relay.fall_silent();
        assert_eq!(total(&auth).await, Some(1));
        // So too a start.
        let started = node(&primary, relay.url(), HOUR).await;
        assert_eq!(total(&started).await, Some(1));
        assert_eq!(total(&auth).await, Some(1));
        relay.go_on();

        replica.stop();
        assert_eq!(total(&auth).await, Some(1));
        let started = node(&primary, &replica.url(), HOUR).await;
        assert_eq!(total(&started).await, Some(1));
        replica.start();
        // It is used again by both.
        for auth in [&auth, &started] {
            let before = connections(&replica).await;
            while connections(&replica).await == before {
                assert_eq!(total(auth).await, Some(1));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
}

#[test]
fn only_a_replica_of_this_database_is_accepted() {
    run(Engine::Postgres, async |db| {
        let stranger = Cluster::primary();
        let url = stranger.url();
        let error = builder(&clock()).replica_url(url.as_str()).connect(db.url()).await.unwrap_err();
        assert_eq!(error.to_string(), "replica_url: is not a replica of this database; correct its URL");
        // Another database of the right server.
        let other = TestDatabase::create(Engine::Postgres).await;
        let error = builder(&clock()).replica_url(other.url()).connect(db.url()).await.unwrap_err();
        assert!(matches!(error, Error::Config { field: "replica_url", .. }), "{error:?}");
        // The primary itself replays nothing, and is used as what it is.
        let auth = builder(&clock()).replica_url(db.url()).connect(db.url()).await.unwrap();
        user(&auth, "jane@example.com").await;
        assert_eq!(total(&auth).await, Some(1));
    });
}

both_engines! {
    async fn options_of_a_replica_are_checked(db: TestDatabase) {
        let secret = "postgres://app:sesame@[oops/app";
        for (field, options) in [
            ("replica_url", builder(&clock()).replica_url(secret)),
            ("replica_url", builder(&clock()).replica_url("sqlite://replica.db")),
            ("replica_url", builder(&clock()).replica_url("")),
            ("replica_lag", builder(&clock()).replica_lag(HOUR)),
            ("replica_lag", builder(&clock()).replica_url("postgres://app@localhost/app").replica_lag(HOUR * 2)),
        ] {
            let error = options.check().unwrap_err();
            assert!(!format!("{error:?} {error}").contains("sesame"));
            assert!(matches!(&error, Error::Config { field: named, .. } if *named == field), "{field}: {error:?}");
        }
        if db.engine() == Engine::Sqlite {
            let options = || builder(&clock()).replica_url("postgres://app@localhost/app");
            let of_url = options().connect(db.url()).await.unwrap_err();
            let pool = authfort::open_sqlite(db.url(), 1).await.unwrap();
            for error in [of_url, options().from_pool(pool).await.unwrap_err()] {
                assert_eq!(error.to_string(), "replica_url: is only for PostgreSQL; leave it out with SQLite");
            }
        }
    }
}
