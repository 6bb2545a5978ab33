//! Opening, migrating, sharing: what the library does to a database and to the application's own transactions.

use std::time::Duration;

use authfort::events::{UserCreated, UserDeleted};
use authfort::secrecy::ExposeSecret;
use authfort::sqlx::postgres::PgPoolOptions;
use authfort::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use authfort::sqlx::{self, AssertSqlSafe};
use authfort::{Actor, Algorithm, AuthFort, Builder, Error, Hashing, PasswordPolicy, SortOrder, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use futures_util::future::join_all;
use tokio::sync::mpsc;

use crate::raw::{HostTx, Raw};
use crate::support::{PASSWORD, builder, clock, event_types, service, user};

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("in time")
}

/// Every row of every table of ours, as text.
async fn everything(raw: &Raw) -> Vec<String> {
    let mut rows = Vec::new();
    for table in raw.tables().await {
        if table.starts_with("authfort_") && !table.contains("search") {
            let columns = match raw {
                Raw::Sqlite(_) => {
                    raw.texts(format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')")).await
                }
                Raw::Postgres(_) => vec![format!("{table}::text")],
            };
            let row = columns.join(" || '|' || ");
            let found = raw.texts(format!("SELECT {row} FROM {table} ORDER BY 1")).await;
            rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
        }
    }
    rows
}

/// Five nodes that start at the same moment.
async fn five_start(url: &str) -> Vec<AuthFort> {
    let nodes = (0..5).map(|_| {
        tokio::spawn({
            let url = url.to_owned();
            async move { builder(&clock()).connect(url).await }
        })
    });
    within(join_all(nodes)).await.into_iter().map(|node| node.unwrap().unwrap()).collect()
}

both_engines! {
    /// Whatever the collation of the database: else an order, or what counts as equal, would be of the machine.
    async fn every_engine_compares_text_by_code_points(db: TestDatabase) {
        let (_auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let otherwise = match raw {
            Raw::Sqlite(_) => {
                "SELECT t.name || ' ' || x.name || ' ' || x.coll FROM sqlite_schema t, pragma_index_list(t.name) i,
                     pragma_index_xinfo(i.name) x WHERE t.name LIKE 'authfort%' AND x.coll <> 'BINARY'"
            }
            Raw::Postgres(_) => {
                "SELECT i.indexrelid::regclass || ' ' || c.oid::regcollation FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
                     CROSS JOIN unnest(i.indcollation::oid[]) c (oid)
                 WHERE t.relname LIKE 'authfort%' AND c.oid NOT IN (0, 'pg_catalog.\"C\"'::regcollation)"
            }
        };
        assert_eq!(raw.texts(otherwise).await, Vec::<String>::new());
    }

    async fn a_log_from_before_keeps_its_order_and_goes_on(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        raw.migrate_to(13).await;
        let event = |n: u128| authfort::EventId::from(uuid::Uuid::from_u128(n));
        for n in [3, 1, 4, 2, 5] {
            let id = raw.literal(UserId(uuid::Uuid::from_u128(n)));
            let values = format!("({id}, 'user_updated', '2029-01-01T00:00:00+00:00', '{{}}')");
            raw.execute(format!("INSERT INTO authfort_events (id, type, timestamp, data) VALUES {values}")).await.unwrap();
        }
        if db.engine() == Engine::Postgres {
            assert_eq!(raw.number("SELECT authfort_place_events(100)").await, 5);
        }
        let last = raw.literal(UserId(uuid::Uuid::from_u128(5)));
        raw.execute(format!("DELETE FROM authfort_events WHERE id = {last}")).await.unwrap();
        let auth = builder(&clock()).connect(db.url()).await.unwrap();
        let mut stream = auth.follow_events().after(event(3)).await.unwrap();
        for n in [1, 4, 2] {
            assert_eq!(within(stream.next()).await.unwrap().unwrap().id, event(n));
        }
        assert_eq!(within(stream.next()).await.unwrap().unwrap().r#type, "key_rotated");
        // Nobody gets the position of an event that was deleted.
        let positions = "SELECT CAST(position AS text) FROM authfort_events ORDER BY position";
        assert_eq!(raw.texts(positions).await, ["1", "2", "3", "4", "6"]);
        raw.execute("DELETE FROM authfort_events").await.unwrap();
        auth.create_user("jane@example.com").await.unwrap();
        assert_eq!(within(stream.next()).await.unwrap().unwrap().r#type, "user_created");
        assert_eq!(raw.texts(positions).await, ["7"]);
    }

    async fn a_migration_takes_nothing_from_a_table_that_refers_to_the_log(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        raw.migrate_to(13).await;
        let id = raw.literal(UserId(uuid::Uuid::from_u128(1)));
        raw.execute(format!(
            "INSERT INTO authfort_events (id, type, timestamp, data) VALUES ({id}, 'user_updated', '2029-01-01T00:00:00+00:00', '{{}}');
             CREATE TABLE notes (event {} REFERENCES authfort_events (id) ON DELETE CASCADE);
             INSERT INTO notes VALUES ({id})", raw.id_type(),
        )).await.unwrap();
        let started = builder(&clock()).connect(db.url()).await;
        if db.engine() == Engine::Sqlite {
            let error = started.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("no_foreign_key_of_another_table_refers_to_authfort_events"), "{text}");
            assert_eq!(raw.number("SELECT max(version) FROM authfort_migrations").await, 13);
        } else {
            started.unwrap();
        }
        assert_eq!(raw.number("SELECT count(*) FROM notes").await, 1);
    }

    /// Defect 12 too: they make one signing key, and each of them signs with it.
    async fn five_nodes_that_start_at_once_make_one_schema_and_one_key(db: TestDatabase) {
        for round in 0..2 {
            let other = TestDatabase::create(db.engine()).await;
            let nodes = five_start(other.url()).await;
            let raw = Raw::open(&other, 1).await;
            let versions = raw.texts("SELECT name FROM authfort_migrations ORDER BY version").await;
            assert_eq!(versions, ["0001_users", "0002_sessions", "0003_events", "0004_totals", "0005_orders", "0006_standing_changes", "0007_standing_gaps", "0008_plain_sql", "0009_values", "0010_last_login_day", "0011_event_positions", "0012_subscriptions", "0013_webhooks", "0014_event_rowids"], "round {round}");
            let keys = nodes[0].list_keys().await.unwrap();
            assert_eq!((keys.len(), keys[0].current), (1, true), "round {round}");
            assert_eq!(event_types(&nodes[0]).await, ["key_rotated"], "round {round}");
            let signed_in = nodes[0].sign_up("jane@example.com", PASSWORD).await.unwrap();
            for node in &nodes {
                assert!(node.authenticate(signed_in.tokens.access_token.expose_secret()).await.is_ok());
                let next = node.create_session(signed_in.user.id).await.unwrap();
                assert!(nodes[4].authenticate(next.tokens.access_token.expose_secret()).await.is_ok());
            }
            // And once more on the schema that is there.
            five_start(other.url()).await;
            assert_eq!(nodes[0].list_keys().await.unwrap(), keys);
        }
    }

    /// It holds the lock and has made tables; then its connection is gone.
    async fn a_node_that_dies_while_it_migrates_holds_nobody_up(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        let mut dying = raw.begin().await;
        if matches!(raw, Raw::Postgres(_)) {
            dying.execute("CREATE TABLE authfort_locks (name text PRIMARY KEY)").await.unwrap();
        }
        dying.execute(
            "CREATE TABLE authfort_migrations (version bigint PRIMARY KEY, name text, applied_at text);
             INSERT INTO authfort_migrations VALUES (1, '0001_users', ''); CREATE TABLE authfort_users (id int)",
        ).await.unwrap();
        let url = db.url().to_owned();
        let nodes = tokio::spawn(async move { five_start(&url).await });
        if matches!(raw, Raw::Postgres(_)) {
            // All five have asked for the lock and were told no.
            let watch = Raw::open(&db, 1).await;
            let asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND application_name = 'authfort' AND backend_type = 'client backend'";
            within(async { while watch.number(asked).await < 5 { tokio::task::yield_now().await } }).await;
        }
        if matches!(raw, Raw::Sqlite(_)) {
            // Who asked for the file cannot be seen; most have by now.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(!nodes.is_finished());
        // Closes the connection without a word of goodbye to the transaction.
        match dying {
            HostTx::Sqlite(tx) => drop(tx),
            HostTx::Postgres(tx) => drop(tx),
        }
        match &raw {
            Raw::Sqlite(pool) => pool.close().await,
            Raw::Postgres(pool) => pool.close().await,
        }
        let nodes = within(nodes).await.unwrap();
        user(&nodes[0], "jane@example.com").await;
        assert_eq!(nodes[4].get_user_count().await.unwrap(), 1);
        assert_eq!(nodes[0].list_keys().await.unwrap().len(), 1);
    }

    async fn a_newer_schema_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        let raw = Raw::open(&db, 1).await;
        raw.execute("INSERT INTO authfort_migrations VALUES (999, '0999_future', '2040-01-01T00:00:00Z')").await.unwrap();
        let before = everything(&raw).await;
        for migrate in [true, false] {
            let error = builder(&clock()).migrate(migrate).connect(db.url()).await.unwrap_err();
            assert!(matches!(&error, Error::Migration(text) if text.contains("999")), "{error:?}");
        }
        assert_eq!(everything(&raw).await, before);
    }

    async fn without_migrations_an_incomplete_schema_is_refused_and_left_alone(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        let error = builder(&clock()).migrate(false).connect(db.url()).await.unwrap_err();
        assert!(matches!(&error, Error::Migration(_)), "{error:?}");
        assert_eq!(raw.tables().await, Vec::<String>::new());

        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        let again = builder(&clock()).migrate(false).connect(db.url()).await.unwrap();
        assert_eq!(again.get_user_count().await.unwrap(), 1);

        raw.execute("DELETE FROM authfort_migrations WHERE version = 3").await.unwrap();
        let error = builder(&clock()).migrate(false).connect(db.url()).await.unwrap_err();
        assert!(error.to_string().starts_with("1 migrations are missing"), "{error}");
    }

    /// A migration that fails half-way leaves nothing of itself.
    async fn a_failed_migration_changes_nothing(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        // The application has a table of this name: the second migration cannot make its own.
        raw.execute("CREATE TABLE authfort_sessions (mine text)").await.unwrap();
        let error = builder(&clock()).connect(db.url()).await.unwrap_err();
        assert!(matches!(error, Error::Start { .. }), "{error:?}");
        assert_eq!(raw.tables().await, ["authfort_sessions"]);
        raw.execute("DROP TABLE authfort_sessions").await.unwrap();
        service(&db).await;
    }

    async fn every_table_is_called_authfort_and_the_applications_own_are_left_alone(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        raw.execute("CREATE TABLE _sqlx_migrations (version bigint); INSERT INTO _sqlx_migrations VALUES (7);
            CREATE TABLE users (id bigint)").await.unwrap();
        let (auth, _) = service(&db).await;
        user(&auth, "jane@example.com").await;
        let tables = raw.tables().await;
        let foreign: Vec<_> = tables.iter().filter(|name| !name.starts_with("authfort_")).collect();
        let engine: Vec<_> = foreign.iter().filter(|name| !name.starts_with("sqlite_")).copied().collect();
        assert_eq!(engine, ["_sqlx_migrations", "users"]);
        assert_eq!(raw.number("SELECT max(version) FROM _sqlx_migrations").await, 7);
        assert!(tables.contains(&"authfort_migrations".to_owned()));
        let names = match raw {
            Raw::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY 1",
            Raw::Postgres(_) => "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        };
        let names = raw.texts(names).await;
        assert!(names.len() > 10 && names.iter().all(|name| name.starts_with("authfort_")), "{names:?}");
    }

    async fn defect_35_every_foreign_key_is_indexed_and_cascades(db: TestDatabase) {
        service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let keys = match &raw {
            Raw::Sqlite(_) => {
                "SELECT t.name || '.' || k.\"from\" || ' ' || k.on_delete FROM sqlite_schema t, pragma_foreign_key_list(t.name) k
                 WHERE t.type = 'table' ORDER BY 1"
            }
            Raw::Postgres(_) => {
                "SELECT c.conrelid::regclass::text || '.' || a.attname ||
                     CASE c.confdeltype WHEN 'c' THEN ' CASCADE' ELSE ' ' || c.confdeltype::text END
                 FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
                 WHERE c.contype = 'f' ORDER BY 1"
            }
        };
        assert_eq!(raw.texts(keys).await, [
            "authfort_deliveries.subscription CASCADE", "authfort_oauth_accounts.user_id CASCADE",
            "authfort_refresh_tokens.session_id CASCADE", "authfort_refresh_tokens.user_id CASCADE", "authfort_sessions.user_id CASCADE",
            "authfort_subscription_lanes.subscription CASCADE", "authfort_subscription_members.subscription CASCADE",
            "authfort_user_roles.user_id CASCADE", "authfort_verification_tokens.user_id CASCADE",
            "authfort_webhook_deliveries.webhook_id CASCADE", "authfort_webhooks.subscription CASCADE",
        ]);
        // The first column of some index, as it has to be to be of use.
        let without = match &raw {
            Raw::Sqlite(_) => {
                "SELECT t.name || '.' || k.\"from\" FROM sqlite_schema t, pragma_foreign_key_list(t.name) k
                 WHERE t.type = 'table' AND NOT EXISTS (
                     SELECT 1 FROM pragma_index_list(t.name) i, pragma_index_info(i.name) c
                     WHERE c.seqno = 0 AND c.name = k.\"from\" AND i.partial = 0) ORDER BY 1"
            }
            Raw::Postgres(_) => {
                "SELECT c.conrelid::regclass::text || '.' || c.conname FROM pg_constraint c
                 WHERE c.contype = 'f' AND NOT EXISTS (
                     SELECT 1 FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
                         AND i.indpred IS NULL) ORDER BY 1"
            }
        };
        assert_eq!(raw.texts(without).await, Vec::<String>::new());
        // The same question about a table without an index finds it.
        raw.execute(format!("CREATE TABLE app_slow (customer {} REFERENCES authfort_users (id))", raw.id_type())).await.unwrap();
        assert_eq!(raw.texts(without).await.len(), 1);
    }

    async fn defect_06_hooks_run_after_the_applications_commit_and_never_after_its_rollback(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let (sender, mut hook) = mpsc::unbounded_channel();
        let (to_created, to_deleted) = (sender.clone(), sender);
        auth.on(move |event: UserCreated| {
            let sender = to_created.clone();
            async move { sender.send(format!("created {}", event.email)).unwrap() }
        });
        auth.on(move |event: UserDeleted| {
            let sender = to_deleted.clone();
            async move { sender.send(format!("deleted {}", event.email)).unwrap() }
        });

        let mut tx = raw.begin().await;
        auth.create_user("lost@example.com").in_tx(tx.conn()).await.unwrap();
        tx.rollback().await;

        let mut tx = raw.begin().await;
        // Of two calls one fails; the application commits all the same.
        auth.create_user("kept@example.com").in_tx(tx.conn()).await.unwrap();
        assert_eq!(auth.create_user("kept@example.com").in_tx(tx.conn()).await.unwrap_err().code(), "user_exists");
        // That nothing comes cannot be awaited: it would have come in a hundredth of this.
        let early = tokio::time::timeout(Duration::from_millis(300), hook.recv()).await;
        assert!(early.is_err(), "before the commit: {early:?}");
        tx.commit().await.unwrap();
        assert_eq!(within(hook.recv()).await.unwrap(), "created kept@example.com");

        // An operation that fails on its own fires nothing either.
        auth.create_user("kept@example.com").await.unwrap_err();
        let id = auth.find_user_by_email("kept@example.com").await.unwrap().unwrap().id;
        auth.delete_user(id).await.unwrap();
        assert_eq!(within(hook.recv()).await.unwrap(), "deleted kept@example.com");
        let late = tokio::time::timeout(Duration::from_millis(300), hook.recv()).await;
        assert!(late.is_err(), "{late:?}");
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created", "user_deleted"]);
    }

    async fn a_rolled_back_transaction_of_the_application_leaves_nothing(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute("CREATE TABLE app_workspaces (name text PRIMARY KEY)").await.unwrap();
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let before = everything(&raw).await;
        let by = auth.by(Actor::user(jane.id).request_id("req-1"));

        let mut tx = raw.begin().await;
        tx.execute("INSERT INTO app_workspaces VALUES ('acme')").await.unwrap();
        let john = by.create_user("john@example.com").password(PASSWORD).role("admin").in_tx(tx.conn()).await.unwrap();
        by.update_user(jane.id).email("j@example.com").in_tx(tx.conn()).await.unwrap();
        by.ban_user(john.id).in_tx(tx.conn()).await.unwrap_err();
        by.add_role(jane.id, "author").in_tx(tx.conn()).await.unwrap();
        by.link_account(jane.id, "github", "1").in_tx(tx.conn()).await.unwrap();
        by.verify_email("afv_wrong").in_tx(tx.conn()).await.unwrap_err();
        by.delete_user(jane.id).block_email(true).in_tx(tx.conn()).await.unwrap();
        tx.rollback().await;
        assert_eq!(everything(&raw).await, before);
        assert_eq!(raw.number("SELECT count(*) FROM app_workspaces").await, 0);
        assert!(auth.authenticate(signed_in.tokens.access_token.expose_secret()).await.is_ok());

        // The same with a commit is all there, with the application's own row.
        let mut tx = raw.begin().await;
        tx.execute("INSERT INTO app_workspaces VALUES ('acme')").await.unwrap();
        let john = by.create_user("john@example.com").role("editor").in_tx(tx.conn()).await.unwrap();
        let john = by.create_session(john.id).in_tx(tx.conn()).await.unwrap().user;
        tx.commit().await.unwrap();
        assert_eq!(auth.get_user(john.id).await.unwrap(), john);
        let events = auth.list_events().user_id(john.id).order(SortOrder::Asc).await.unwrap().events;
        let facts: Vec<_> = events.iter().map(|e| (e.r#type.as_str(), e.actor_id, e.request_id.as_deref())).collect();
        let actor = (Some(jane.id), Some("req-1"));
        assert_eq!(facts, [
            ("user_created", actor.0, actor.1), ("role_added", actor.0, actor.1), ("login", actor.0, actor.1),
        ]);
    }

    async fn an_error_inside_the_applications_transaction_takes_back_its_half_and_nothing_else(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        raw.execute(format!("CREATE TABLE app_carts (session {0} REFERENCES authfort_sessions (id))", raw.id_type())).await.unwrap();
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
        let session = UserId(auth.create_session(jane.id).await.unwrap().session_id.0);
        raw.execute(format!("INSERT INTO app_carts VALUES ({})", raw.literal(session))).await.unwrap();
        let before = everything(&raw).await;

        let mut tx = raw.begin().await;
        tx.execute("DELETE FROM app_carts WHERE session IS NULL").await.unwrap();
        // Roles and refresh tokens are gone by the time that the session cannot go.
        let error = auth.delete_user(jane.id).in_tx(tx.conn()).await.unwrap_err();
        assert_eq!(error.code(), "blocked_by_reference");
        let error = auth.create_user("jane@example.com").role("author").in_tx(tx.conn()).await.unwrap_err();
        assert_eq!(error.code(), "user_exists");
        let error = auth.create_user("not an address").in_tx(tx.conn()).await.unwrap_err();
        assert_eq!(error.code(), "validation_failed");
        tx.execute("CREATE TABLE app_after (id int)").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(everything(&raw).await, before);
        assert!(raw.tables().await.contains(&"app_after".to_owned()));
        assert_eq!(auth.get_roles(jane.id).await.unwrap(), ["editor"]);
    }

    async fn a_transaction_of_the_other_engine_is_refused(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let other = TestDatabase::create(match db.engine() {
            Engine::Sqlite => Engine::Postgres,
            Engine::Postgres => Engine::Sqlite,
        }).await;
        let mut tx = Raw::open(&other, 1).await.begin().await;
        let error = auth.create_user("jane@example.com").in_tx(tx.conn()).await.unwrap_err();
        assert!(matches!(error, Error::Config { field: "in_tx", .. }), "{error:?}");
    }

    async fn defect_34_a_pool_of_one_connection_serves_everything(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        let auth = builder(&clock()).from_pool(raw.pool()).await.unwrap();
        within(async {
            let root = auth.create_user("root@example.com").role("admin").await.unwrap().id;
            let signed_in = auth.sign_up("jane@example.com", PASSWORD).await.unwrap();
            let id = signed_in.user.id;
            let access = signed_in.tokens.access_token.expose_secret();
            auth.ping().await.unwrap();
            auth.authenticate(access).await.unwrap();
            auth.introspect(access).await.unwrap();
            auth.jwks().await;
            auth.list_keys().await.unwrap();
            auth.get_user(id).await.unwrap();
            auth.find_user_by_email("jane@example.com").await.unwrap();
            auth.get_user_count().await.unwrap();
            auth.get_roles(id).await.unwrap();
            auth.has_role(id, "editor").await.unwrap();
            auth.update_user(id).name("Jane").await.unwrap();
            auth.by(root).add_role(id, "editor").await.unwrap();
            auth.by(root).remove_role(id, "editor").await.unwrap();
            let next = auth.refresh(signed_in.tokens.refresh_token.expose_secret()).check_rate(|_| Ok(())).await.unwrap();
            auth.logout(next.tokens.refresh_token.expose_secret()).await.unwrap();
            auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
            auth.login("jane@example.com", "wrong password").await.unwrap_err();
            let session = auth.create_session(id).await.unwrap().session_id;
            auth.list_sessions(id).await.unwrap();
            auth.revoke_session(id, session).await.unwrap();
            auth.revoke_sessions(id).await.unwrap();
            auth.change_password(id, PASSWORD, "another password").await.unwrap();
            auth.set_password(id, PASSWORD).await.unwrap();
            auth.link_account(id, "github", "1").await.unwrap();
            auth.find_user_by_account("github", "1").await.unwrap().unwrap();
            auth.list_accounts(id).await.unwrap();
            auth.unlink_account(id, "github").await.unwrap();
            let token = auth.request_email_verification("jane@example.com").await.unwrap().unwrap();
            auth.verify_email(token.token).await.unwrap();
            let token = auth.request_password_reset("jane@example.com").await.unwrap().unwrap();
            auth.reset_password(token.token, PASSWORD).await.unwrap();
            auth.rotate_keys().await.unwrap();
            auth.ban_user(id).await.unwrap();
            auth.unban_user(id).await.unwrap();
            auth.delete_user(id).anonymize().block_email(true).await.unwrap();
            auth.unblock_email("jane@example.com").await.unwrap();
            auth.delete_user(id).await.unwrap();
            auth.list_events().await.unwrap();
        }).await;
        for n in 0..5 {
            user(&auth, &format!("user{n}@example.com")).await;
        }
        let lists = join_all((0..100).map(|_| tokio::spawn(auth.list_users().into_future())));
        let writes = join_all((0..10).map(|n| tokio::spawn(auth.create_user(format!("new{n}@example.com")).into_future())));
        let logins = join_all((0..10).map(|n| tokio::spawn(auth.login(format!("user{}@example.com", n % 5), PASSWORD).into_future())));
        let (lists, writes, logins) = within(async { tokio::join!(lists, writes, logins) }).await;
        for list in lists {
            assert!(list.unwrap().unwrap().total >= Some(6));
        }
        assert!(writes.into_iter().all(|write| write.unwrap().is_ok()));
        assert!(logins.into_iter().all(|login| login.unwrap().is_ok()));
    }

    async fn a_bad_option_is_named_before_the_database_is_touched(db: TestDatabase) {
        let long = Duration::from_secs(u64::MAX);
        let options: Vec<(&str, Builder)> = vec![
            ("access_ttl", AuthFort::builder().access_ttl(Duration::from_millis(999))),
            ("access_ttl", AuthFort::builder().access_ttl(long)),
            ("refresh_ttl", AuthFort::builder().refresh_ttl(Duration::ZERO)),
            ("session_ttl", AuthFort::builder().session_ttl(long)),
            ("session_ttl", AuthFort::builder().session_ttl(Duration::from_hours(1))),
            ("email_verification_ttl", AuthFort::builder().email_verification_ttl(Duration::ZERO)),
            ("password_reset_ttl", AuthFort::builder().password_reset_ttl(Duration::ZERO)),
            ("refresh_grace", AuthFort::builder().refresh_grace(Duration::from_secs(61))),
            ("leeway", AuthFort::builder().leeway(Duration::from_secs(31))),
            ("issuer", AuthFort::builder().issuer("")),
            ("issuer", AuthFort::builder().issuer("x".repeat(513))),
            ("audience", AuthFort::builder().audience("")),
            ("metadata_max_bytes", AuthFort::builder().metadata_max_bytes(1)),
            ("metadata_max_bytes", AuthFort::builder().metadata_max_bytes(2 << 20)),
            ("breach_timeout", AuthFort::builder().breach_timeout(Duration::ZERO)),
            ("admin_role", AuthFort::builder().admin_role("The Boss")),
            ("roles", AuthFort::builder().roles(["fine", "Not Fine"])),
            ("max_connections", AuthFort::builder().max_connections(0)),
            ("guard_connections", AuthFort::builder().guard_connections(0)),
            ("acquire_timeout", AuthFort::builder().acquire_timeout(Duration::ZERO)),
            ("password_policy.min_chars", AuthFort::builder().password_policy(PasswordPolicy::default().min_chars(0))),
            ("hashing.permits", AuthFort::builder().hashing(Hashing::default().permits(0))),
            ("secret", AuthFort::builder().secret("short")),
        ];
        let raw = Raw::open(&db, 1).await;
        for (field, options) in options {
            let error = options.algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap_err();
            assert!(matches!(&error, Error::Config { field: named, .. } if *named == field), "{field}: {error:?}");
            assert!(error.to_string().starts_with(field), "{error}");
            assert_eq!(raw.tables().await, Vec::<String>::new(), "{field}");
        }
        for url in ["", "mysql://root:hunter2@localhost/db", "/tmp/x.db", "postgres//x", "sqlite"] {
            let error = builder(&clock()).connect(url).await.unwrap_err();
            assert!(matches!(error, Error::Config { field: "database_url", .. }), "{url}: {error:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
    }

    async fn a_closed_service_says_that_the_database_is_not_available(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        auth.close().await;
        let list = auth.list_users().await.unwrap_err();
        let create = auth.create_user("jane@example.com").await.unwrap_err();
        let ping = auth.ping().await.unwrap_err();
        assert_eq!([list.code(), create.code(), ping.code()], ["database_unavailable"; 3]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_13_a_sqlite_pool_without_foreign_keys_is_refused() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let options: SqliteConnectOptions = db.url().parse().unwrap();
    let pool = SqlitePoolOptions::new().connect_with(options.clone().foreign_keys(false)).await.unwrap();
    let error = builder(&clock()).from_pool(pool.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Config { field: "pool", .. }), "{error:?}");
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&pool).await.unwrap();
    assert_eq!(tables, 0);

    // Switched off later, on the connection that is used.
    let own = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let auth = builder(&clock()).from_pool(own.clone()).await.unwrap();
    let jane = user(&auth, "jane@example.com").await;
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&own).await.unwrap();
    let error = auth.delete_user(jane.id).await.unwrap_err();
    assert!(matches!(error, Error::Config { field: "pool", .. }), "{error:?}");
    sqlx::query("PRAGMA foreign_keys = ON").execute(&own).await.unwrap();
    // Or off in the application's transaction, which may be of another pool.
    let mut tx = pool.begin().await.unwrap();
    let error = auth.delete_user(jane.id).in_tx(&mut tx).await.unwrap_err();
    assert!(matches!(error, Error::Config { field: "pool", .. }), "{error:?}");
    tx.commit().await.unwrap();
    assert_eq!(auth.get_user(jane.id).await.unwrap(), jane);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_file_is_kept_in_wal_mode_and_an_in_memory_database_lives_as_long_as_its_service() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let (_auth, _) = service(&db).await;
    let raw = Raw::open(&db, 1).await;
    assert_eq!(raw.texts("PRAGMA journal_mode").await, ["wal"]);

    for url in ["sqlite::memory:", "sqlite://?mode=memory", "sqlite://:memory:"] {
        let auth = builder(&clock()).connect(url).await.unwrap();
        let calls = (0..20).map(|n| tokio::spawn(auth.create_user(format!("user{n}@example.com")).into_future()));
        assert!(join_all(calls).await.into_iter().all(|call| call.unwrap().is_ok()));
        assert_eq!(auth.get_user_count().await.unwrap(), 20, "{url}");
        let other = builder(&clock()).connect(url).await.unwrap();
        assert_eq!(other.get_user_count().await.unwrap(), 0, "{url}: another is another");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_not_available_and_its_password_is_not_shown() {
    let url = "postgres://jane:hunter2@127.0.0.1:1/db";
    let error = within(builder(&clock()).acquire_timeout(Duration::from_millis(500)).connect(url)).await.unwrap_err();
    assert!(matches!(error, Error::Start { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let db = TestDatabase::create(Engine::Postgres).await;
    let server = PgPoolOptions::new().max_connections(1).connect(db.url()).await.unwrap();
    let name = format!("{}_latin1", db.url().rsplit('/').next().unwrap());
    let create = format!("CREATE DATABASE \"{name}\" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    sqlx::query(AssertSqlSafe(create)).execute(&server).await.unwrap();
    let url = format!("{}/{name}", db.url().rsplit_once('/').unwrap().0);
    let error = builder(&clock()).connect(&url).await.unwrap_err();
    sqlx::query(AssertSqlSafe(format!("DROP DATABASE \"{name}\" WITH (FORCE)"))).execute(&server).await.unwrap();
    assert!(
        matches!(&error, Error::Config { field: "database_url", message } if message.contains("LATIN1")),
        "{error:?}"
    );
}

/// As SQLite does where the disk is full: the savepoint is gone too, but that is not what went wrong.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_ends_the_applications_transaction_is_the_one_that_is_reported() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let (auth, _) = service(&db).await;
    let raw = Raw::open(&db, 1).await;
    raw.execute("CREATE TRIGGER app_stop BEFORE INSERT ON authfort_users BEGIN SELECT RAISE(ROLLBACK, 'enough'); END")
        .await
        .unwrap();
    let mut tx = raw.begin().await;
    let error = auth.create_user("jane@example.com").in_tx(tx.conn()).await.unwrap_err();
    assert!(matches!(&error, Error::Database(inner) if inner.to_string().contains("enough")), "{error:?}");
}
