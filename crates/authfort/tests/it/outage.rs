//! The database is gone, silent or used up: how the guard, the keys and the health check answer.

use std::any::Any;
use std::future::IntoFuture;
use std::time::{Duration, Instant};

use authfort::sqlx::postgres::PgPoolOptions;
use authfort::{AuthFort, Builder, Clock, Error};
use authfort_testkit::{Engine, Relay, TestDatabase, both_engines, run};
use chrono::TimeDelta;

use crate::statements::counted;
use crate::support::{clock, user};
use crate::tokens::{kid, kids, with_kid};
use crate::tools::{Raw, access, code, guard};

const EMAIL: &str = "jane@example.com";
/// How long a call waits for a connection.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The guard asks the database for each request. What it remembers is in `standings`.
fn builder(clock: &Clock) -> Builder {
    crate::support::builder(clock).guard_staleness(Duration::ZERO)
}

/// Fifty requests at once are all unanswerable, and in time.
async fn all_fail_in_time(auth: &AuthFort, token: impl Fn(u32) -> String) {
    let started = Instant::now();
    let calls: Vec<_> = (0..50)
        .map(|n| {
            let (auth, token) = (auth.clone(), token(n));
            tokio::spawn(async move { guard(&auth, &token).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), "database_unavailable");
    }
    // One after the other they would take fifty times as long.
    assert!(started.elapsed() < TIMEOUT * 2, "{:?}", started.elapsed());
}

/// An application's pool of one connection.
async fn pool_of_one(db: &TestDatabase) -> authfort::Pool {
    match db.engine() {
        Engine::Sqlite => {
            let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT);
            options.connect(db.url()).await.unwrap().into()
        }
        Engine::Postgres => {
            let options = sqlx::postgres::PgPoolOptions::new().max_connections(1).acquire_timeout(TIMEOUT);
            options.connect(db.url()).await.unwrap().into()
        }
    }
}

/// Takes that connection, until what is answered is dropped.
async fn hold(pool: &authfort::Pool) -> Box<dyn Any + Send> {
    match pool {
        authfort::Pool::Sqlite(pool) => Box::new(pool.acquire().await.unwrap()),
        authfort::Pool::Postgres(pool) => Box::new(pool.acquire().await.unwrap()),
        _ => panic!("a third engine"),
    }
}

both_engines! {
    async fn a_guarded_request_is_one_statement_however_old_the_keys_are(db: TestDatabase) {
        let clock = clock();
        // One connection, so that none is opened meanwhile: SQLite's would send its settings as statements.
        let auth = builder(&clock).guard_connections(1).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        for _ in 0..3 {
            let (answer, statements) = counted(guard(&auth, access(&signed_in))).await;
            assert_eq!((answer, statements), ("ok", 1));
            clock.advance(TimeDelta::minutes(4));
        }
    }

    async fn guarded_requests_do_not_wait_for_each_other_where_all_connections_are_held(db: TestDatabase) {
        let clock = clock();
        let pool = pool_of_one(&db).await;
        let auth = builder(&clock).from_pool(pool.clone()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let held = hold(&pool).await;
        for age in [0, 60] {
            clock.advance(TimeDelta::seconds(age));
            all_fail_in_time(&auth, |_| access(&signed_in).to_owned()).await;
        }
        // Unknown keys make the keys be read: once for all of them.
        all_fail_in_time(&auth, |n| with_kid(access(&signed_in), &format!("{n:043}"))).await;
        assert_eq!(code(&auth.ping().await), "database_unavailable");
        drop(held);
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        assert_eq!(code(&auth.ping().await), "ok");
    }

    async fn the_public_keys_are_the_last_known_while_the_database_is_away(db: TestDatabase) {
        let clock = clock();
        let pool = pool_of_one(&db).await;
        let auth = builder(&clock).from_pool(pool.clone()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let (keys, statements) = counted(auth.jwks()).await;
        assert_eq!((kids(&keys), statements), (vec![kid(access(&signed_in))], 0));
        let held = hold(&pool).await;
        clock.advance(TimeDelta::minutes(10));
        assert_eq!(auth.jwks().await, keys);
        // Who asks after that does not wait.
        let started = Instant::now();
        for _ in 0..100 {
            assert_eq!(auth.jwks().await, keys);
        }
        assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
        // But nobody signs with keys that may be out of date.
        assert_eq!(code(&auth.create_session(jane.id).await), "database_unavailable");
        drop(held);
        let new = auth.rotate_keys().revoke_old_tokens().await.unwrap();
        assert_eq!(kids(&auth.jwks().await), [new.kid]);
    }

    async fn neither_health_nor_public_keys_use_the_guards_connections(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).acquire_timeout(Duration::from_secs(1)).guard_connections(1).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let mut raw = Raw::open(&db).await;
        // The guard hangs: it reads the users.
        raw.hold_up_readers("authfort_users").await;
        let (node, token) = (auth.clone(), access(&signed_in).to_owned());
        let hanging = tokio::spawn(async move { guard(&node, &token).await });
        while !hanging.is_finished() {
            auth.ping().await.unwrap();
            assert_eq!(kids(&auth.jwks().await).len(), 1);
        }
        assert_eq!(hanging.await.unwrap(), "database_unavailable", "in time");
        if db.engine() == Engine::Postgres {
            raw.execute("COMMIT").await;
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        }
    }

    async fn what_a_pool_of_the_applications_decides_is_no_option(db: TestDatabase) {
        for (field, options) in [
            ("max_connections", AuthFort::builder().max_connections(10)),
            ("guard_connections", AuthFort::builder().guard_connections(2)),
            ("acquire_timeout", AuthFort::builder().acquire_timeout(TIMEOUT)),
        ] {
            let error = options.from_pool(pool_of_one(&db).await).await.unwrap_err();
            assert!(matches!(&error, Error::Config { field: named, .. } if *named == field), "{field}: {error:?}");
        }
        let in_memory = AuthFort::builder().guard_connections(1).connect("sqlite::memory:").await.unwrap_err();
        assert!(matches!(in_memory, Error::Config { field: "guard_connections", .. }), "{in_memory:?}");
    }
}

#[test]
fn guarded_requests_do_not_wait_for_each_other_where_the_server_fell_silent() {
    run(Engine::Postgres, async |db| {
        let clock = clock();
        let relay = Relay::to(db.url()).await;
        let auth = builder(&clock).acquire_timeout(TIMEOUT).connect(relay.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        relay.fall_silent();
        for age in [0, 60] {
            clock.advance(TimeDelta::seconds(age));
            all_fail_in_time(&auth, |_| access(&signed_in).to_owned()).await;
        }
        all_fail_in_time(&auth, |n| with_kid(access(&signed_in), &format!("{n:043}"))).await;
        assert_eq!(code(&auth.ping().await), "database_unavailable");
        assert_eq!(kids(&auth.jwks().await), [kid(access(&signed_in))]);
        relay.go_on();
        while guard(&auth, access(&signed_in)).await != "ok" {
            tokio::task::yield_now().await;
        }
        assert_eq!(code(&auth.create_session(jane.id).await), "ok");
    });
}

#[test]
fn guarded_requests_do_not_wait_for_each_other_where_the_database_was_dropped() {
    run(Engine::Postgres, async |db| {
        let clock = clock();
        let auth = builder(&clock).acquire_timeout(TIMEOUT).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        db.drop_now().await;
        for age in [0, 60] {
            clock.advance(TimeDelta::seconds(age));
            all_fail_in_time(&auth, |_| access(&signed_in).to_owned()).await;
        }
    });
}

#[test]
fn the_guard_goes_on_where_the_server_ended_all_its_sessions() {
    run(Engine::Postgres, async |db| {
        let auth = builder(&clock()).guard_connections(5).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let mut raw = Raw::open(&db).await;
        for _ in 0..5 {
            let calls: Vec<_> = (0..40)
                .map(|_| {
                    let (auth, token) = (auth.clone(), access(&signed_in).to_owned());
                    tokio::spawn(async move { guard(&auth, &token).await })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap(), "ok");
            }
            let ended = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'authfort'";
            assert!(raw.count(ended).await > 0);
        }
    });
}

/// Where statements do not stay prepared, each read is a transaction, which must not outlive a caller that goes away.
#[test]
fn a_read_that_is_dropped_while_it_begins_leaves_no_transaction_open() {
    run(Engine::Postgres, async |db| {
        let relay = Relay::to(db.url()).await;
        // A connection is not pinged before it is used, so the first that waits is the transaction's BEGIN.
        let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
        let pool = pool.connect(relay.url()).await.unwrap();
        let auth = builder(&clock()).prepared_statements(false).from_pool(pool.clone()).await.unwrap();
        let jane = auth.create_user(EMAIL).await.unwrap().id;
        let signed_in = auth.create_session(jane).await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
        // The transaction of the last read ends behind its caller's back.
        while pool.num_idle() == 0 {
            tokio::task::yield_now().await;
        }
        // What is sent from now on arrives after its sender has gone.
        relay.fall_silent();
        let gone = Duration::from_millis(100);
        assert!(tokio::time::timeout(gone, auth.get_user(jane).into_future()).await.is_err());
        relay.go_on();
        auth.update_user(jane).name("Jane").await.unwrap();
        assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
    });
}
