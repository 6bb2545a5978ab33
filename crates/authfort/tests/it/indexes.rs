//! Every statement finds its rows by an index, however many there are. Lists have tests of their own, beside their code.

use std::collections::BTreeSet;

use authfort::{AuthFort, Clock, SortOrder, Start};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};

use crate::statements::recorded;
use crate::support::{PASSWORD, admin, builder, clock};
use crate::tools::{Raw, access, refresh};

const NEW: &str = "a new password";

/// One of everything that a service does, apart from lists and checks of all users.
async fn life(auth: &AuthFort, clock: &Clock) {
    let boss = auth.by(admin(auth, "boss@example.com").await.id);
    let jane = boss.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
    let id = jane.id;
    let john = auth.sign_up("john@example.com", PASSWORD).await.unwrap();
    auth.login("nobody@example.com", PASSWORD).await.unwrap_err();
    auth.login("jane@example.com", NEW).await.unwrap_err();
    let first = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
    auth.authenticate(access(&first)).await.unwrap();
    auth.introspect(access(&first)).await.unwrap();
    let second = auth.refresh(refresh(&first)).await.unwrap();
    clock.advance(TimeDelta::days(3));
    auth.refresh(refresh(&second)).await.unwrap();
    auth.refresh(refresh(&first)).await.unwrap_err();
    auth.logout(refresh(&john)).await.unwrap();
    let other = auth.create_session(id).await.unwrap();
    auth.list_sessions(id).await.unwrap();
    auth.revoke_session(id, other.session_id).await.unwrap();
    auth.revoke_sessions(id).await.unwrap();

    auth.get_user(id).await.unwrap();
    auth.find_user_by_email("jane@example.com").await.unwrap();
    boss.update_user(id).name("Jane").email("jane.doe@example.com").if_version(jane.version).await.unwrap();
    boss.add_role(id, "auditor").immediate(true).await.unwrap();
    boss.remove_role(id, "auditor").await.unwrap();
    boss.add_role(id, "admin").await.unwrap();
    boss.remove_role(id, "admin").await.unwrap();
    auth.get_roles(id).await.unwrap();
    auth.has_role(id, "editor").await.unwrap();
    boss.set_password(id, NEW).await.unwrap();
    auth.change_password(id, NEW, PASSWORD).await.unwrap();
    boss.ban_user(id).await.unwrap();
    boss.unban_user(id).await.unwrap();
    auth.link_account(id, "github", "1").await.unwrap();
    auth.find_user_by_account("github", "1").await.unwrap();
    auth.list_accounts(id).await.unwrap();
    auth.unlink_account(id, "github").await.unwrap();
    let token = auth.request_email_verification("jane.doe@example.com").await.unwrap().unwrap().token;
    auth.verify_email(token).await.unwrap();
    let token = auth.request_password_reset("jane.doe@example.com").await.unwrap().unwrap().token;
    auth.reset_password(token, NEW).await.unwrap();
    for query in [auth.list_events(), auth.list_events().user_id(id), auth.list_events().r#type("login")] {
        let page = query.clone().limit(1).await.unwrap();
        query.clone().limit(1).before(page.events[0].id).await.unwrap();
        query.limit(1).order(SortOrder::Asc).after(page.events[0].id).await.unwrap();
    }
    let first = auth.list_events().order(SortOrder::Asc).limit(1).await.unwrap().events[0].id;
    for call in [
        auth.follow_events(),
        auth.follow_events().user_id(id).r#type("login"),
        auth.follow_events().r#type("login").r#type("logout"),
    ] {
        call.after(first).await.unwrap().next().await.unwrap();
    }
    boss.delete_user(john.user.id).anonymize().await.unwrap();
    boss.delete_user(id).block_email(true).await.unwrap();
    boss.unblock_email("jane.doe@example.com").await.unwrap();
    auth.rotate_keys().await.unwrap();
    auth.rotate_keys().revoke_old_tokens().await.unwrap();
    auth.list_keys().await.unwrap();
    subscriptions(auth).await;
    webhooks(auth).await;
    auth.purge_events(auth.now()).await.unwrap();
    auth.ping().await.unwrap();
}

/// Subscribers that succeed and fail.
async fn subscriptions(auth: &AuthFort) {
    let (calls, mut called) = tokio::sync::watch::channel(0);
    let call = auth.subscribe("billing-sync", move |_| {
        calls.send_modify(|calls| *calls += 1);
        let fails = *calls.borrow() < 5;
        async move { if fails { Err("down") } else { Ok(()) } }
    });
    let short = std::time::Duration::from_millis(1);
    let subscription =
        call.attempts(3).backoff(short, short).start(Start::Beginning).r#type("user_updated").await.unwrap();
    called.wait_for(|calls| *calls >= 3).await.unwrap();
    let dead = loop {
        if let [letter, ..] = auth.list_dead_letters("billing-sync").await.unwrap().letters.as_slice() {
            break letter.event.id;
        }
    };
    auth.replay_dead_letter("billing-sync", dead).await.unwrap();
    called.wait_for(|calls| *calls >= 5).await.unwrap();
    auth.replay_dead_letters("billing-sync").await.unwrap();
    subscription.status().await.unwrap();
    auth.list_subscriptions().await.unwrap();
    subscription.stop().await;
    auth.delete_subscription("billing-sync").await.unwrap();
}

/// A webhook whose requests fail, since nothing is sent to this machine.
async fn webhooks(auth: &AuthFort) {
    let id = auth.create_webhook("https://localhost:1/").await.unwrap().webhook.id;
    auth.create_user("hook@example.com").await.unwrap();
    let event = loop {
        if let [delivery, ..] = auth.list_webhook_deliveries(id).await.unwrap().deliveries.as_slice() {
            break delivery.event_id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    auth.list_webhook_deliveries(id).before(event).await.unwrap();
    auth.redeliver_webhook(id, event).await.unwrap();
    auth.update_webhook(id).enabled(false).await.unwrap();
    auth.rotate_webhook_secret(id).await.unwrap();
    auth.test_webhook(id).await.unwrap();
    auth.list_webhooks().await.unwrap();
    auth.delete_webhook(id).await.unwrap();
}

/// The statements of a service's life, each with its plan for all values of its parameters, as if its tables were large.
async fn plans(db: &TestDatabase) -> Vec<(String, Vec<String>)> {
    let clock = clock();
    let mut plans = Vec::new();
    match db.engine() {
        Engine::Sqlite => {
            let auth = builder(&clock).connect(db.url()).await.unwrap();
            let ((), statements) = recorded(life(&auth, &clock)).await;
            let mut conn = SqliteConnection::connect(db.url()).await.unwrap();
            for statement in BTreeSet::from_iter(statements) {
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
                if READ_ROWS.iter().any(|word| statement.starts_with(word)) {
                    let lines: Vec<(i64, i64, i64, String)> =
                        sqlx::query_as(explain).fetch_all(&mut conn).await.unwrap();
                    plans.push((statement, lines.into_iter().map(|(.., line)| line).collect()));
                }
            }
        }
        Engine::Postgres => {
            // The server keeps what was prepared on the one connection.
            let pool = PgPoolOptions::new().max_connections(1).connect(db.url()).await.unwrap();
            let auth = builder(&clock).from_pool(pool.clone()).await.unwrap();
            life(&auth, &clock).await;
            let mut conn = pool.acquire().await.unwrap();
            // A statement without values keeps the plan that it had when the tables were small.
            let settings = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; DISCARD PLANS";
            sqlx::raw_sql(settings).execute(&mut *conn).await.unwrap();
            let prepared = "SELECT name, statement, cardinality(parameter_types) FROM pg_prepared_statements";
            let prepared: Vec<(String, String, i32)> =
                sqlx::query_as(prepared).persistent(false).fetch_all(&mut *conn).await.unwrap();
            for (name, statement, many) in prepared {
                if READ_ROWS.iter().any(|word| statement.starts_with(word)) {
                    let nulls = vec!["NULL"; usize::try_from(many).unwrap()].join(", ");
                    let nulls = if many == 0 { nulls } else { format!("({nulls})") };
                    let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE {name} {nulls}"));
                    plans.push((
                        statement,
                        sqlx::query_scalar(explain).persistent(false).fetch_all(&mut *conn).await.unwrap(),
                    ));
                }
            }
        }
    }
    plans
}

/// How statements begin that read or write rows.
const READ_ROWS: [&str; 5] = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"];

/// Whether a line of a plan reads all rows of a table or an index.
fn reads_all(line: &str) -> bool {
    let line = line.trim_start().trim_start_matches("->  ");
    let few = [
        "CONSTANT",
        "VALUES CLAUSE",
        "sqlite_sequence",
        "authfort_event_positions",
        "authfort_signing_keys",
        "authfort_subscriptions",
        "authfort_subscription_lanes",
        "authfort_webhooks",
        "pg_trigger",
    ]
    .iter()
    .any(|few| line.contains(few));
    // A page of the log ends where it is full.
    let page = line.starts_with("SCAN authfort_events USING INDEX");
    (line.starts_with("SCAN ") || line.starts_with("Seq Scan")) && !few && !page
}

both_engines! {
    async fn no_statement_reads_a_whole_table(db: TestDatabase) {
        let plans = plans(&db).await;
        for (statement, plan) in &plans {
            let scan = plan.iter().find(|line| reads_all(line));
            assert_eq!(scan, None, "{statement}\n{}", plan.join("\n"));
        }
        assert!(plans.len() > 60, "{}", plans.len());
    }

    /// Else a deletion would read the whole table that refers to what is deleted.
    async fn what_refers_to_a_row_has_an_index(db: TestDatabase) {
        builder(&clock()).connect(db.url()).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let (all, without) = match &raw {
            Raw::Sqlite(_) => (
                "SELECT count(*) FROM sqlite_schema t, pragma_foreign_key_list(t.name) WHERE t.type = 'table'",
                "SELECT t.name || '.' || f.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f
                 WHERE t.type = 'table' AND NOT EXISTS (
                     SELECT 1 FROM pragma_index_list(t.name) i, pragma_index_info(i.name) c
                     WHERE NOT i.partial AND c.seqno = 0 AND c.name = f.\"from\")",
            ),
            Raw::Postgres(_) => (
                "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND cardinality(conkey) = 1",
                "SELECT CAST(c.conname AS text) FROM pg_constraint c WHERE c.contype = 'f' AND NOT EXISTS (
                     SELECT 1 FROM pg_index i
                     WHERE i.indrelid = c.conrelid AND i.indpred IS NULL AND i.indkey[0] = c.conkey[1])",
            ),
        };
        assert_eq!(raw.count(all).await, 11);
        assert_eq!(raw.texts(without).await, [""; 0]);
    }
}
