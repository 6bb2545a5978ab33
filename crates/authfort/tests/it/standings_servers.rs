//! The guard where servers stop, start again, and are replaced; and what it makes of what it does not know.
#![cfg(unix)]

use std::time::{Duration, Instant};

use authfort::AuthFort;
use authfort_testkit::{Cluster, Engine, Relay, TestDatabase, both_engines, run};
use sqlx::{Connection as _, PgConnection};

use crate::callers::{is_refused_within, signed_in, warm};
use crate::support::{builder, clock};
use crate::tools::{Raw, access, guard};

const BOUND: Duration = Duration::from_millis(300);

async fn node(url: &str, staleness: Duration) -> AuthFort {
    let options = builder(&clock()).guard_connections(1).guard_staleness(staleness);
    options.acquire_timeout(Duration::from_secs(3)).connect(url).await.unwrap()
}

/// Bans a user past all nodes, and returns when.
async fn ban(server: &Cluster, email: &str) -> Instant {
    let mut past_them = PgConnection::connect(&server.url()).await.unwrap();
    let ban = "UPDATE authfort_users SET banned = TRUE WHERE email = $1";
    assert_eq!(sqlx::query(ban).bind(email).execute(&mut past_them).await.unwrap().rows_affected(), 1);
    Instant::now()
}

#[test]
fn a_server_that_starts_again_hides_nothing() {
    run(Engine::Postgres, async |_| {
        let mut server = Cluster::primary();
        let auth = node(&server.url(), BOUND).await;
        for n in 0..2 {
            let (jane, john) = (format!("jane{n}@example.com"), format!("john{n}@example.com"));
            let (janes, johns) = (signed_in(&auth, &jane).await, signed_in(&auth, &john).await);
            assert_eq!(warm(&auth, access(&janes)).await, "ok");
            assert_eq!(warm(&auth, access(&johns)).await, "ok");
            server.stop();
            let stopped = Instant::now();
            loop {
                let asked = Instant::now();
                match guard(&auth, access(&janes)).await {
                    "database_unavailable" => break,
                    answer => assert_eq!(answer, "ok"),
                }
                assert!(asked.duration_since(stopped) <= BOUND, "let through by a guard that hears nothing");
            }
            server.start();
            is_refused_within(BOUND, ban(&server, &jane).await, &auth, access(&janes)).await;
            assert_eq!(warm(&auth, access(&johns)).await, "ok");
        }
    });
}

#[test]
fn a_standby_that_takes_over_hides_nothing() {
    run(Engine::Postgres, async |_| {
        let mut primary = Cluster::primary();
        let relay = Relay::to(&primary.url()).await;
        let auth = node(relay.url(), BOUND).await;
        let janes = signed_in(&auth, "jane@example.com").await;
        let johns = signed_in(&auth, "john@example.com").await;
        let marys = signed_in(&auth, "mary@example.com").await;
        // The copy has all that was committed so far.
        let standby = primary.replica();
        for session in [&janes, &johns, &marys] {
            assert_eq!(warm(&auth, access(session)).await, "ok");
        }
        primary.stop();
        standby.promote();
        // Before the node knows of the new server.
        let banned = ban(&standby, "john@example.com").await;
        relay.turn_to(&standby.url());
        is_refused_within(BOUND, banned, &auth, access(&johns)).await;
        is_refused_within(BOUND, ban(&standby, "jane@example.com").await, &auth, access(&janes)).await;
        assert_eq!(warm(&auth, access(&marys)).await, "ok");
    });
}

both_engines! {
    async fn rows_of_unknown_users_and_rows_that_come_twice_do_no_harm(db: TestDatabase) {
        let auth = node(db.url(), BOUND).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let mut raw = Raw::open(&db).await;
        let copies = match db.engine() {
            Engine::Sqlite => "INSERT INTO authfort_standing_changes (user_id) SELECT user_id FROM authfort_standing_changes",
            Engine::Postgres => "INSERT INTO authfort_standing_changes (user_id)
                SELECT DISTINCT user_id FROM authfort_standing_changes WHERE user_id IS NOT NULL",
        };
        let unknown = match db.engine() {
            Engine::Sqlite => "INSERT INTO authfort_standing_changes (user_id) VALUES (randomblob(16)), (randomblob(16))",
            Engine::Postgres => "INSERT INTO authfort_standing_changes (user_id) VALUES (gen_random_uuid()), (gen_random_uuid())",
        };
        for banned in ["TRUE", "FALSE", "TRUE"] {
            raw.execute(unknown).await;
            raw.execute(format!("UPDATE authfort_users SET banned = {banned}")).await;
            raw.execute(copies).await;
            let expected = if banned == "TRUE" { "user_banned" } else { "ok" };
            while guard(&auth, access(&jane)).await != expected {}
            assert_eq!(warm(&auth, access(&jane)).await, expected);
        }
    }
}

/// Another version, or anybody who may connect, can send what they like. The log is read every 15 seconds here, unless a
/// notification comes.
#[test]
fn a_notification_with_any_text_is_only_a_reason_to_look() {
    run(Engine::Postgres, async |db| {
        let auth = node(db.url(), Duration::from_mins(1)).await;
        let jane = signed_in(&auth, "jane@example.com").await;
        let mut raw = Raw::open(&db).await;
        let began = Instant::now();
        for (n, text) in ["", "{\"kind\": \"of another version\"}", "\u{10ffff}", &"x".repeat(7000)].iter().enumerate()
        {
            assert_eq!(warm(&auth, access(&jane)).await, "ok");
            raw.execute(format!("SELECT pg_notify('authfort_standing', '{text}')")).await;
            let name = format!("Jane {n}");
            raw.execute(format!("UPDATE authfort_users SET name = '{name}'")).await;
            while auth.authenticate(access(&jane)).await.unwrap().name.as_deref() != Some(&name) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
    });
}
