//! What the service tells a monitoring system.

use std::time::Duration;

use authfort::{Error, Hashing};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::callers::warm;
use crate::support::{PASSWORD, builder, clock, user};
use crate::tools::{Raw, access, guard};

const CHANGES: &str = "authfort_guard_changes_total";
const MINUTE: Duration = Duration::from_mins(1);

fn recorder() -> PrometheusRecorder {
    PrometheusBuilder::new().set_buckets(&[0.001, 1.0]).unwrap().build_recorder()
}

/// Returns the value of a metric.
fn value(of: &PrometheusHandle, metric: &str) -> Option<String> {
    let text = of.render();
    text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' ')).map(ToOwned::to_owned)
}

fn count(of: &PrometheusHandle, counter: &str) -> u64 {
    value(of, counter).map_or(0, |value| value.parse().unwrap())
}

fn lookups(of: &PrometheusHandle, result: &str) -> u64 {
    count(of, &format!("authfort_guard_lookups_total{{result=\"{result}\"}}"))
}

fn checks(of: &PrometheusHandle, outcome: &str) -> u64 {
    count(of, &format!("authfort_guard_checks_total{{outcome=\"{outcome}\"}}"))
}

both_engines! {
    async fn each_check_of_the_guard_is_counted_by_its_outcome_and_by_what_it_cost(db: TestDatabase) {
        let recorder = recorder();
        let metrics = recorder.handle();
        let _here = metrics::set_default_local_recorder(&recorder);
        // The first reading on each connection says nothing of single users.
        let auth = builder(&clock()).guard_connections(1).guard_staleness(MINUTE).connect(db.url()).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let token = access(&signed_in);
        warm(&auth, token).await;
        let before = (lookups(&metrics, "hit"), checks(&metrics, "ok"));
        for _ in 0..3 {
            assert_eq!(guard(&auth, token).await, "ok");
        }
        assert_eq!((lookups(&metrics, "hit"), checks(&metrics, "ok")), (before.0 + 3, before.1 + 3));

        let other = auth.create_session(jane.id).await.unwrap();
        let before = lookups(&metrics, "miss");
        assert_eq!(guard(&auth, access(&other)).await, "ok");
        assert_eq!(lookups(&metrics, "miss"), before + 1);
        assert_eq!(guard(&auth, "no token").await, "token_invalid");
        assert_eq!(checks(&metrics, "token_invalid"), 1);

        let before = (lookups(&metrics, "unsure") + lookups(&metrics, "changed"), count(&metrics, CHANGES));
        auth.ban_user(jane.id).await.unwrap();
        assert_eq!(guard(&auth, token).await, "user_banned");
        assert!(checks(&metrics, "user_banned") >= 1);
        // Before the log was read again the guard was unsure; after it, the user has changed.
        assert!(lookups(&metrics, "unsure") + lookups(&metrics, "changed") > before.0);
        while count(&metrics, CHANGES) == before.1 {
            assert_eq!(guard(&auth, token).await, "user_banned");
        }
        let text = metrics.render();
        for said in ["# HELP authfort_guard_staleness_seconds How long ago", "authfort_guard_tokens ",
            "authfort_pool_wait_seconds_bucket{pool=\"guard\",le=\"1\"}"] {
            assert!(text.contains(said), "{text}");
        }
        assert!(count(&metrics, "authfort_pool_wait_seconds_count{pool=\"guard\"}") > 0);
        assert!(count(&metrics, "authfort_guard_tokens") > 0);
        assert!(!text.contains("example.com") && !text.contains(&jane.id.to_string()), "{text}");
    }

    async fn the_staleness_grows_while_the_log_cannot_be_read(db: TestDatabase) {
        let recorder = recorder();
        let metrics = recorder.handle();
        let _here = metrics::set_default_local_recorder(&recorder);
        let bound = Duration::from_millis(100);
        let auth = builder(&clock()).guard_staleness(bound).connect(db.url()).await.unwrap();
        let jane = user(&auth, "jane@example.com").await;
        let signed_in = auth.create_session(jane.id).await.unwrap();
        warm(&auth, access(&signed_in)).await;
        let mut raw = Raw::open(&db).await;
        raw.execute("ALTER TABLE authfort_standing_changes RENAME TO away").await;
        let before = lookups(&metrics, "unsure");
        let staleness = || value(&metrics, "authfort_guard_staleness_seconds").unwrap().parse::<f64>().unwrap();
        while staleness() <= 2.0 * bound.as_secs_f64() || lookups(&metrics, "unsure") == before {
            assert_eq!(guard(&auth, access(&signed_in)).await, "ok");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        raw.execute("ALTER TABLE away RENAME TO authfort_standing_changes").await;
        warm(&auth, access(&signed_in)).await;
    }

    async fn hashes_that_wait_and_hashes_that_are_refused_are_counted(db: TestDatabase) {
        let recorder = recorder();
        let metrics = recorder.handle();
        let _here = metrics::set_default_local_recorder(&recorder);
        let hashing = Hashing::insecure_fast_for_tests().permits(1).queue(1);
        let auth = builder(&clock()).hashing(hashing).connect(db.url()).await.unwrap();
        user(&auth, "jane@example.com").await;
        // It is up to the database how many hashes come together.
        let mut refused = 0;
        while refused == 0 {
            let logins = join_all((0..30).map(|_| async { auth.login("jane@example.com", PASSWORD).await })).await;
            refused += logins.iter().map(|login| u64::from(matches!(login, Err(Error::Overloaded)))).sum::<u64>();
            assert_eq!(count(&metrics, "authfort_password_hashes_refused_total"), refused);
        }
        assert_eq!(value(&metrics, "authfort_password_hashes_waiting").as_deref(), Some("0"));
    }
}

#[test]
fn whether_notifications_are_heard_is_shown() {
    run(Engine::Postgres, async |db| {
        let recorder = recorder();
        let metrics = recorder.handle();
        let _here = metrics::set_default_local_recorder(&recorder);
        let auth = builder(&clock()).guard_staleness(MINUTE).connect(db.url()).await.unwrap();
        while value(&metrics, "authfort_guard_notified").as_deref() != Some("1") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        auth.close().await;
    });
}
