//! How soon the other nodes know of a change, and what ten thousand unknown callers cost. `just soak` measures; the test run
//! has a few changes, and measures nothing.

use std::pin::pin;
use std::time::{Duration, Instant};

use authfort::{AuthFort, SignedIn};
use authfort_testkit::{Engine, TestDatabase, run};
use futures_util::future::join_all;

use crate::statements::counted;
use crate::support::{builder, clock, user};
use crate::tools::{Raw, access, guard, refresh};

/// What a node does, and the others are to know.
#[derive(Debug, Clone, Copy)]
enum Change {
    Ban,
    Demotion,
    Logout,
}

impl Change {
    const ALL: [Self; 3] = [Self::Ban, Self::Demotion, Self::Logout];

    async fn make(self, node: &AuthFort, of: &SignedIn) {
        match self {
            Self::Ban => drop(node.ban_user(of.user.id).await.unwrap()),
            Self::Demotion => drop(node.remove_role(of.user.id, "editor").immediate(false).await.unwrap()),
            Self::Logout => drop(node.logout(refresh(of)).await.unwrap()),
        }
    }

    async fn is_known(self, node: &AuthFort, of: &SignedIn) -> bool {
        match self {
            Self::Ban => guard(node, access(of)).await == "user_banned",
            Self::Demotion => !node.authenticate(access(of)).await.unwrap().has_role("editor"),
            Self::Logout => guard(node, access(of)).await == "session_revoked",
        }
    }
}

/// Makes each change so many times on one of three nodes, and returns how long after its acknowledgement each of the others
/// knew of it, the shortest first.
async fn delays(db: &TestDatabase, times: usize, bound: Duration, notifications: bool) -> Vec<Duration> {
    let node = async || {
        let options = builder(&clock()).guard_staleness(bound).notifications(notifications);
        options.connect(db.url()).await.unwrap()
    };
    let nodes = [node().await, node().await, node().await];
    let mut delays = Vec::new();
    for n in 0..times {
        for change in Change::ALL {
            let [there, others @ ..] = &nodes;
            let id = user(there, &format!("{change:?}{n}@example.com")).await.id;
            there.add_role(id, "editor").await.unwrap();
            let session = there.create_session(id).await.unwrap();
            for node in others {
                // Until it is remembered, and no earlier change makes the node ask.
                while counted(change.is_known(node, &session)).await != (false, 0) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            change.make(there, &session).await;
            let acknowledged = Instant::now();
            let known = async |node: &AuthFort| {
                loop {
                    let asked = Instant::now();
                    if change.is_known(node, &session).await {
                        return acknowledged.elapsed();
                    }
                    assert!(asked.duration_since(acknowledged) <= bound, "{change:?}: let through after the bound");
                    tokio::time::sleep(Duration::from_micros(200)).await;
                }
            };
            let [one, other] = others;
            let (one, other) = tokio::join!(known(one), known(other));
            delays.extend([one, other]);
        }
    }
    delays.sort();
    delays
}

#[test]
fn three_nodes_know_of_each_change_within_the_bound() {
    for notifications in [true, false] {
        run(Engine::Postgres, async |db| {
            let delays = delays(&db, 5, Duration::from_millis(300), notifications).await;
            assert_eq!(delays.len(), 5 * 3 * 2);
        });
    }
}

#[test]
#[ignore = "takes minutes and measures; run it with `just soak`"]
fn three_nodes_know_of_a_thousand_changes_of_each_kind() {
    for (notifications, limit) in [(true, Duration::from_millis(100)), (false, Duration::from_secs(1))] {
        run(Engine::Postgres, async |db| {
            let delays = delays(&db, 1000, Duration::from_secs(1), notifications).await;
            let at = |share: usize| delays[(delays.len() - 1) * share / 1000];
            let (median, p99, most) = (at(500), at(990), at(1000));
            println!(
                "notifications {notifications}: {} changes known after {median:?} (median), {p99:?} (p99), {most:?} (most)",
                delays.len()
            );
            assert!(p99 <= limit, "{p99:?}");
        });
    }
}

#[test]
#[ignore = "takes minutes and measures; run it with `just soak`"]
fn ten_thousand_unknown_tokens_at_once_wait_for_the_guards_connections() {
    run(Engine::Postgres, async |db| {
        let there = builder(&clock()).connect(db.url()).await.unwrap();
        let mut tokens = Vec::new();
        for n in 0..200 {
            let id = user(&there, &format!("user{n}@example.com")).await.id;
            for _ in 0..50 {
                tokens.push(there.create_session(id).await.unwrap());
            }
        }
        let options =
            builder(&clock()).acquire_timeout(Duration::from_secs(30)).guard_staleness(Duration::from_mins(1));
        let cold = options.connect(db.url()).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let running = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
        let began = Instant::now();
        let calls = counted(join_all(tokens.iter().map(|token| guard(&cold, access(token)))));
        let mut calls = pin!(calls);
        let mut most = 0;
        let (answers, statements) = loop {
            tokio::select! {
                answered = &mut calls => break answered,
                now = raw.count(running) => most = most.max(now),
            }
        };
        println!("10,000 tokens: {statements} statements, {most} at once at most, {:?} in all", began.elapsed());
        assert!(answers.iter().all(|answer| *answer == "ok"));
        assert_eq!(statements, 10_000);
        assert!((1..=8).contains(&most), "{most}");
    });
}
