//! What each operation writes to the log, and what hooks see of it.

use std::sync::Arc;
use std::time::Duration;

use authfort::events::{
    KeyRotated, Login, LoginFailed, RoleAdded, SessionRevoked, UserBanned, UserCreated, UserDeleted, UserUpdated,
};
use authfort::secrecy::ExposeSecret;
use authfort::{Actor, AuthFort, Event, EventId, SortOrder, UserId};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use crate::raw::Raw;
use crate::support::{PASSWORD, admin, builder, clock, service, user};
use crate::users::faults;

/// A hook that is late by this much is lost.
const TIMEOUT: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(TIMEOUT, future).await.expect("in time")
}

async fn all(auth: &AuthFort) -> Vec<Event> {
    auth.list_events().order(SortOrder::Asc).limit(200).await.unwrap().events
}

async fn mark(auth: &AuthFort) -> EventId {
    auth.list_events().limit(1).await.unwrap().events[0].id
}

/// Type, user and data of what was written after a mark, oldest first.
async fn after(auth: &AuthFort, mark: EventId) -> Vec<(String, Option<UserId>, Value)> {
    let page = auth.list_events().after(mark).order(SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| (event.r#type, event.user_id, Value::Object(event.data))).collect()
}

both_engines! {
    async fn a_stream_has_what_every_process_commits_in_the_order_of_commits(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let other = builder(&clock).connect(db.url()).await.unwrap();
        let mut streams = [auth.follow_events().await.unwrap(), other.follow_events().await.unwrap()];
        let jane = user(&auth, "jane@example.com").await.id;
        other.ban_user(jane).await.unwrap();
        auth.unban_user(jane).await.unwrap();
        let john = user(&other, "john@example.com").await.id;
        auth.delete_user(jane).await.unwrap();
        let expected = [
            ("user_created", jane), ("user_banned", jane), ("user_unbanned", jane), ("user_created", john), ("user_deleted", jane),
        ];
        let mut ids = Vec::new();
        for (name, user) in expected {
            let [one, two] = &mut streams;
            let event = within(one.next()).await.unwrap().unwrap();
            assert_eq!((event.r#type.as_str(), event.user_id), (name, Some(user)));
            assert_eq!(within(two.next()).await.unwrap().unwrap(), event);
            ids.push(event.id);
        }
        let mut resumed = other.follow_events().after(ids[1]).user_id(jane).r#type("user_unbanned").r#type("user_deleted").await.unwrap();
        assert_eq!(within(resumed.next()).await.unwrap().unwrap().id, ids[2]);
        assert_eq!(within(resumed.next()).await.unwrap().unwrap().id, ids[4]);
        let unknown = auth.follow_events().after(EventId::from(uuid::Uuid::nil())).await.unwrap_err();
        assert_eq!(faults(&unknown), ["after not_found"]);
        assert_eq!(faults(&auth.follow_events().r#type("nonsense").await.unwrap_err()), ["type not_allowed"]);
        auth.end_streams();
        let [mut one, mut two] = streams;
        assert_eq!((one.next().await.unwrap(), one.next().await.unwrap()), (None, None));
        other.close().await;
        assert_eq!(two.next().await.unwrap(), None);
    }

    async fn an_event_that_sql_has_made_unreadable_is_left_out_of_a_stream(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let begin = mark(&auth).await;
        user(&auth, "jane@example.com").await;
        Raw::open(&db, 1).await.execute("UPDATE authfort_events SET data = 'odd' WHERE type = 'user_created'").await.unwrap();
        let john = user(&auth, "john@example.com").await.id;
        let mut stream = auth.follow_events().after(begin).await.unwrap();
        assert_eq!(within(stream.next()).await.unwrap().unwrap().user_id, Some(john));
    }

    async fn the_log_is_listed_from_one_time_to_another(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        for name in ["first", "second", "third"] {
            clock.advance(TimeDelta::days(1));
            user(&auth, &format!("{name}@example.com")).await;
        }
        let second = clock.now() - TimeDelta::days(1);
        let found = async |call: authfort::ListEvents| {
            let events = call.r#type("user_created").await.unwrap().events;
            events.iter().map(|event| event.data["email"].as_str().unwrap().replace("@example.com", "")).collect::<Vec<_>>()
        };
        assert_eq!(found(auth.list_events().since(second)).await, ["third", "second"]);
        assert_eq!(found(auth.list_events().since(second + TimeDelta::milliseconds(1))).await, ["third"]);
        for (year, since) in [(1900, 3), (9999, 0)] {
            let far = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap();
            assert_eq!(found(auth.list_events().since(far)).await.len(), since);
            assert_eq!(found(auth.list_events().until(far)).await.len(), 3 - since);
        }
        for odd in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert_eq!(faults(&auth.list_events().since(odd).await.unwrap_err()), ["since out_of_range"]);
            assert_eq!(faults(&auth.list_events().until(odd).await.unwrap_err()), ["until out_of_range"]);
        }
    }

    /// The table of the contract, line by line.
    async fn each_operation_writes_its_events_with_their_data(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let kid = auth.list_keys().await.unwrap()[0].kid.clone();
        let first = all(&auth).await;
        assert_eq!(first.len(), 1);
        assert_eq!((first[0].r#type.as_str(), first[0].user_id), ("key_rotated", None));
        assert_eq!(Value::Object(first[0].data.clone()), json!({"old_kid": null, "new_kid": kid}));

        let root = admin(&auth, "root@example.com").await.id;
        let actor = Actor::user(root).request_id("req-1").ip_address("192.0.2.7".parse().unwrap()).user_agent("curl/8");
        let by = auth.by(actor);
        let jane = by.create_user("jane@example.com").name("Jane").password(PASSWORD).await.unwrap().id;
        let until = clock.now() + TimeDelta::days(1);
        let mut last = mark(&auth).await;
        macro_rules! writes {
            ($call:expr, $($expected:tt),* $(,)?) => {{
                let answer = $call.await;
                let expected: Vec<(&str, Value)> = vec![$($expected),*];
                let expected: Vec<_> = expected.into_iter().map(|(name, data)| (name.to_owned(), Some(jane), data)).collect();
                assert_eq!(after(&auth, last).await, expected, "{}", stringify!($call));
                last = mark(&auth).await;
                answer
            }};
        }
        writes!(by.update_user(jane).name("Janet").phone("+41 44 668"), ("user_updated", json!({"fields": ["name", "phone"]}))).unwrap();
        writes!(by.update_user(jane).email_verified(true),
            ("user_updated", json!({"fields": ["email_verified"]})), ("email_verified", json!({"email": "jane@example.com"}))).unwrap();
        writes!(by.update_user(jane).email_verified(false), ("user_updated", json!({"fields": ["email_verified"]}))).unwrap();
        writes!(by.ban_user(jane).reason("spam").expires_at(until),
            ("user_banned", json!({"reason": "spam", "expires_at": "2030-01-02T12:00:00Z"}))).unwrap();
        writes!(by.ban_user(jane), ("user_banned", json!({"reason": null, "expires_at": null}))).unwrap();
        writes!(by.unban_user(jane), ("user_unbanned", json!({}))).unwrap();
        writes!(by.add_role(jane, "editor"), ("role_added", json!({"role": "editor"}))).unwrap();
        writes!(by.remove_role(jane, "editor").immediate(false), ("role_removed", json!({"role": "editor"}))).unwrap();
        let client = json!({"ip_address": "192.0.2.7", "user_agent": "curl/8"});
        let login = |provider: &str| json!({
            "email": "jane@example.com", "provider": provider, "ip_address": "192.0.2.7", "user_agent": "curl/8",
        });
        let signed_in = writes!(by.login("jane@example.com", PASSWORD), ("login", login("email"))).unwrap().signed_in().unwrap();
        let refresh = signed_in.tokens.refresh_token.expose_secret().to_owned();
        let next = writes!(by.refresh(&refresh), ("token_refreshed", client)).unwrap();
        writes!(by.logout(next.tokens.refresh_token.expose_secret()), ("logout", json!({}))).unwrap();
        let session = writes!(by.create_session(jane).provider("github"), ("login", login("github"))).unwrap().session_id;
        writes!(by.revoke_session(jane, session), ("session_revoked", json!({"session_id": session, "revoke_all": false}))).unwrap();
        writes!(by.create_session(jane), ("login", login("application"))).unwrap();
        writes!(by.revoke_sessions(jane), ("session_revoked", json!({"session_id": null, "revoke_all": true}))).unwrap();
        writes!(by.set_password(jane, "another password"), ("password_changed", json!({}))).unwrap();
        writes!(by.change_password(jane, "another password", PASSWORD), ("password_changed", json!({}))).unwrap();
        let token = writes!(by.request_password_reset("jane@example.com"),
            ("password_reset_requested", json!({"email": "jane@example.com"}))).unwrap().unwrap();
        writes!(by.reset_password(token.token, PASSWORD),
            ("email_verified", json!({"email": "jane@example.com"})), ("password_reset", json!({}))).unwrap();
        writes!(by.update_user(jane).email_verified(false), ("user_updated", json!({"fields": ["email_verified"]}))).unwrap();
        let token = writes!(by.request_email_verification("jane@example.com"),
            ("email_verification_requested", json!({"email": "jane@example.com"}))).unwrap().unwrap();
        writes!(by.verify_email(token.token),
            ("email_verified", json!({"email": "jane@example.com"})), ("user_updated", json!({"fields": ["password"]}))).unwrap();
        writes!(by.set_password(jane, PASSWORD), ("password_set", json!({}))).unwrap();
        writes!(by.link_account(jane, "github", "1"), ("oauth_link", json!({"email": "jane@example.com", "provider": "github"}))).unwrap();
        writes!(by.unlink_account(jane, "github"), ("oauth_unlink", json!({"provider": "github"}))).unwrap();
        writes!(by.delete_user(jane).anonymize(), ("user_deleted", json!({"email": "jane@example.com", "mode": "anonymize"}))).unwrap();

        let new = by.rotate_keys().await.unwrap().kid;
        assert_eq!(after(&auth, last).await, [("key_rotated".into(), None, json!({"old_kid": kid, "new_kid": new}))]);
        last = mark(&auth).await;
        let john = by.sign_up("john@example.com", PASSWORD).name("John").await.unwrap().user.id;
        assert_eq!(after(&auth, last).await, [
            ("user_created".into(), Some(john), json!({"email": "john@example.com", "name": "John", "provider": "email"})),
            ("login".into(), Some(john), json!({
                "email": "john@example.com", "provider": "email", "ip_address": "192.0.2.7", "user_agent": "curl/8",
            })),
        ]);
        last = mark(&auth).await;
        let bare = by.create_user("bare@example.com").await.unwrap().id;
        by.set_password(bare, PASSWORD).await.unwrap();
        by.delete_user(bare).await.unwrap();
        assert_eq!(after(&auth, last).await, [
            ("user_created".into(), Some(bare), json!({"email": "bare@example.com", "name": null, "provider": "email"})),
            ("password_set".into(), Some(bare), json!({})),
            ("user_deleted".into(), Some(bare), json!({"email": "bare@example.com", "mode": "delete"})),
        ]);
        last = mark(&auth).await;
        let webhook = by.create_webhook("https://example.com:8443/hooks?token=x").enabled(false).await.unwrap().webhook.id;
        by.update_webhook(webhook).description("CRM").await.unwrap();
        by.delete_webhook(webhook).await.unwrap();
        let data = |more: Value| {
            let mut data = json!({"webhook_id": webhook, "origin": "https://example.com:8443"});
            data.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            data
        };
        assert_eq!(after(&auth, last).await, [
            ("webhook_created".into(), None, data(json!({}))),
            ("webhook_updated".into(), None, data(json!({"fields": ["description"]}))),
            ("webhook_deleted".into(), None, data(json!({}))),
        ]);
        // Between them they are every type that there is, but what a webhook's receiver causes, and the end of old ones.
        auth.login("john@example.com", "wrong password").await.unwrap_err();
        let mut seen: Vec<_> = all(&auth).await.into_iter().map(|event| event.r#type).collect();
        seen.sort();
        seen.dedup();
        let mut known = authfort::events::EVENT_TYPES.to_vec();
        known.retain(|name| !["webhook_disabled", "events_purged"].contains(name));
        known.sort_unstable();
        assert_eq!(seen, known);
    }

    async fn defect_37_an_event_names_actor_request_and_itself(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let root = admin(&auth, "root@example.com").await.id;
        let jane = user(&auth, "jane@example.com").await.id;
        clock.advance(TimeDelta::minutes(1));
        let long = "r".repeat(200);
        let actor = Actor::user(root).request_id(format!("a\r\nb\u{1b}[31m{long}")).user_agent("x\ny");
        auth.by(actor).ban_user(jane).await.unwrap();
        auth.by(root).unban_user(jane).await.unwrap();
        auth.by(Actor::system().request_id("cron")).add_role(jane, "editor").await.unwrap();
        auth.add_role(jane, "author").await.unwrap();
        let facts: Vec<_> = all(&auth).await.into_iter().skip(4)
            .map(|event| (event.r#type, event.user_id, event.actor_id, event.request_id, event.timestamp)).collect();
        let cut = format!("ab[31m{}", "r".repeat(122));
        let at = clock.now();
        assert_eq!(facts, [
            ("user_banned".into(), Some(jane), Some(root), Some(cut), at),
            ("user_unbanned".into(), Some(jane), Some(root), None, at),
            ("role_added".into(), Some(jane), None, Some("cron".into()), at),
            ("role_added".into(), Some(jane), None, None, at),
        ]);
        let mut ids: Vec<_> = all(&auth).await.into_iter().map(|event| event.id).collect();
        let in_order = ids.clone();
        ids.sort();
        ids.dedup();
        assert_eq!(ids, in_order);
    }

    async fn defect_05_a_failed_login_is_in_the_log_though_it_is_an_error(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let bare = auth.create_user("bare@example.com").await.unwrap().id;
        let banned = user(&auth, "banned@example.com").await.id;
        auth.ban_user(banned).await.unwrap();
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: LoginFailed| {
            let sender = sender.clone();
            async move { sender.send((event.user_id, event.email, event.detail, event.ip_address)).unwrap() }
        });
        let last = mark(&auth).await;
        let from = auth.by(Actor::system().ip_address("::ffff:192.0.2.7".parse().unwrap()));
        let long = format!("{}@example.com", "a".repeat(254));
        let tries = [
            ("Jane@example.com", "wrong password", Some(jane), Some("jane@example.com"), "wrong_password"),
            ("bare@example.com", PASSWORD, Some(bare), Some("bare@example.com"), "no_password"),
            ("banned@example.com", PASSWORD, Some(banned), Some("banned@example.com"), "banned"),
            ("nobody@example.com", PASSWORD, None, Some("nobody@example.com"), "unknown_user"),
            // A password in the wrong field stays out of the log, as does whatever else is no address.
            (PASSWORD, PASSWORD, None, None, "unknown_user"),
            ("jane@example.com hunter2", PASSWORD, None, None, "unknown_user"),
            ("no\0body@example.com", PASSWORD, None, None, "unknown_user"),
            (long.as_str(), PASSWORD, None, None, "unknown_user"),
        ];
        for (email, password, user, ..) in &tries {
            let expected = if *user == Some(banned) { "user_banned" } else { "invalid_credentials" };
            assert_eq!(from.login(email, *password).await.unwrap_err().code(), expected);
        }
        let expected: Vec<_> = tries.iter().map(|(_, _, user, email, detail)| {
            let reason = if *user == Some(banned) { "user_banned" } else { "invalid_credentials" };
            let data = json!({
                "email": email, "reason": reason, "detail": detail, "ip_address": "192.0.2.7", "user_agent": null,
            });
            ("login_failed".to_owned(), *user, data)
        }).collect();
        assert_eq!(after(&auth, last).await, expected);
        for (_, _, user, email, reason) in tries {
            let seen = within(hook.recv()).await.unwrap();
            assert_eq!(seen, (user, email.map(ToOwned::to_owned), reason.to_owned(), Some("192.0.2.7".to_owned())));
        }
    }

    async fn defect_05_and_07_a_detected_theft_is_in_the_log_and_names_user_and_session(db: TestDatabase) {
        let auth = builder(&clock()).refresh_grace(Duration::ZERO).connect(db.url()).await.unwrap();
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: SessionRevoked| {
            let sender = sender.clone();
            async move { sender.send((event.user_id, event.session_id, event.revoke_all)).unwrap() }
        });
        let signed_in = auth.sign_up("jane@example.com", PASSWORD).await.unwrap();
        let (jane, session) = (signed_in.user.id, signed_in.session_id);
        auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap();
        let last = mark(&auth).await;
        for code in ["refresh_token_reused", "refresh_token_invalid"] {
            let error = auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap_err();
            assert_eq!(error.code(), code);
        }
        let data = json!({"session_id": session, "revoke_all": false});
        assert_eq!(after(&auth, last).await, [("session_revoked".into(), Some(jane), data)]);
        assert_eq!(within(hook.recv()).await.unwrap(), (jane, Some(session), false));

        auth.create_session(jane).await.unwrap();
        auth.create_session(jane).await.unwrap();
        auth.revoke_sessions(jane).await.unwrap();
        assert_eq!(within(hook.recv()).await.unwrap(), (jane, None, true));
        assert!(hook.try_recv().is_err());
    }

    async fn defect_36_what_changes_nothing_or_fails_writes_nothing(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = admin(&auth, "root@example.com").await.id;
        let jane = auth.create_user("jane@example.com").password(PASSWORD).email_verified(true).role("editor").await.unwrap().id;
        auth.ban_user(jane).reason("spam").await.unwrap();
        auth.link_account(jane, "github", "1").await.unwrap();
        let last = mark(&auth).await;
        // No effect.
        auth.add_role(jane, "editor").await.unwrap();
        auth.remove_role(jane, "author").await.unwrap();
        auth.ban_user(jane).reason("spam").await.unwrap();
        auth.unban_user(root).await.unwrap();
        auth.update_user(jane).email("JANE@example.com").await.unwrap();
        auth.link_account(jane, "github", "1").await.unwrap();
        assert_eq!(auth.revoke_sessions(jane).await.unwrap(), 0);
        assert!(!auth.logout("no token").await.unwrap());
        assert!(auth.request_email_verification("jane@example.com").await.unwrap().is_none());
        assert!(auth.request_password_reset("nobody@example.com").await.unwrap().is_none());
        // Refused.
        assert_eq!(auth.delete_user(root).await.unwrap_err().code(), "last_admin");
        assert_eq!(auth.create_user("jane@example.com").await.unwrap_err().code(), "user_exists");
        assert_eq!(auth.update_user(jane).name("X").if_version(0).await.unwrap_err().code(), "precondition_failed");
        assert_eq!(auth.create_session(jane).await.unwrap_err().code(), "user_banned");
        assert_eq!(auth.unlink_account(jane, "gitlab").await.unwrap_err().code(), "account_not_found");
        assert_eq!(auth.refresh("no token").await.unwrap_err().code(), "refresh_token_invalid");
        assert_eq!(after(&auth, last).await, []);
    }

    async fn a_typed_hook_sees_the_facts_of_its_type_and_no_other(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let root = admin(&auth, "root@example.com").await.id;
        let (sender, mut hook) = mpsc::unbounded_channel::<Value>();
        macro_rules! watch {
            ($($event:ident { $($field:ident),* })*) => {$({
                let sender = sender.clone();
                auth.on(move |event: $event| {
                    let sender = sender.clone();
                    async move {
                        let seen = json!({
                            "type": stringify!($event), "id": event.id, "user": event.user_id, "actor": event.actor_id,
                            "request": event.request_id, "at": event.timestamp, $(stringify!($field): event.$field),*
                        });
                        sender.send(seen).unwrap();
                    }
                });
            })*};
        }
        watch! {
            UserCreated { email, name, provider }
            UserUpdated { fields }
            UserBanned { reason, expires_at }
            UserDeleted { email, mode }
            RoleAdded { role }
            Login { email, provider, ip_address, user_agent }
            KeyRotated { old_kid, new_kid }
        }
        let by = auth.by(Actor::user(root).request_id("req-9"));
        let jane = by.create_user("jane@example.com").await.unwrap().id;
        let mut expected = Vec::new();
        let mut seen = Vec::new();
        by.update_user(jane).name("Jane").await.unwrap();
        by.add_role(jane, "editor").await.unwrap();
        by.remove_role(jane, "editor").await.unwrap();
        by.create_session(jane).await.unwrap();
        by.ban_user(jane).reason("spam").await.unwrap();
        by.rotate_keys().await.unwrap();
        by.delete_user(jane).await.unwrap();
        for _ in 0..7 {
            seen.push(within(hook.recv()).await.unwrap());
        }
        let names = ["UserCreated", "UserUpdated", "RoleAdded", "Login", "UserBanned", "KeyRotated", "UserDeleted"];
        let logged = all(&auth).await.into_iter().skip(3).filter(|event| event.r#type != "role_removed");
        for (event, name) in logged.zip(names) {
            let mut facts = json!({
                "type": name, "id": event.id, "user": event.user_id, "actor": root, "request": "req-9", "at": clock.now(),
            });
            facts.as_object_mut().unwrap().extend(event.data);
            expected.push(facts);
        }
        // Hooks run apart from each other, in no order between them.
        seen.sort_by_key(|event| event["id"].as_str().unwrap().to_owned());
        assert_eq!(seen, expected);
        assert!(hook.try_recv().is_err());
    }

    /// Defect 38 too: it runs apart from the call.
    async fn defect_39_a_hook_that_panics_or_hangs_harms_nobody(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (sender, mut hook) = mpsc::unbounded_channel();
        let hanging = Arc::new(Notify::new());
        auth.on(|event: UserCreated| {
            assert!(!event.email.starts_with("sync"), "in the closure");
            async {}
        });
        auth.on(|event: UserCreated| async move { panic!("in the future of {}", event.id) });
        let started = Arc::clone(&hanging);
        auth.on(move |_: UserCreated| {
            let started = Arc::clone(&started);
            async move {
                started.notify_one();
                std::future::pending::<()>().await;
            }
        });
        auth.on(move |event: UserCreated| {
            assert!(event.email != "sync-late@example.com", "in the last hook");
            let sender = sender.clone();
            async move { sender.send(event.email).unwrap() }
        });
        let emails = ["sync@example.com", "a@example.com", "sync-late@example.com", "b@example.com"];
        for email in emails {
            within(auth.create_user(email).into_future()).await.unwrap();
        }
        within(hanging.notified()).await;
        // A hook that panicked once is there for the next event.
        for email in ["sync@example.com", "a@example.com", "b@example.com"] {
            assert_eq!(within(hook.recv()).await.unwrap(), email);
        }
        assert_eq!(auth.get_user_count().await.unwrap(), 4);
        assert_eq!(all(&auth).await.len(), 5);
    }

    /// On a pool of one connection, where whatever is held twice is a deadlock.
    async fn a_hook_may_call_back_into_the_library(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        let auth = builder(&clock()).from_pool(raw.pool()).await.unwrap();
        let (sender, mut gone) = mpsc::unbounded_channel();
        let inner = auth.clone();
        auth.on(move |event: UserBanned| {
            let auth = inner.clone();
            async move { assert_eq!(auth.delete_user(event.user_id).await.unwrap().users, 1) }
        });
        let inner = auth.clone();
        auth.on(move |event: UserDeleted| {
            let (auth, sender) = (inner.clone(), sender.clone());
            async move {
                // It runs after the commit: the user is gone already.
                let found = auth.find_user(event.user_id).await.unwrap();
                // A hook may even register a hook.
                auth.on(|_: UserDeleted| async {});
                sender.send((event.user_id, event.email, found)).unwrap();
            }
        });
        for n in 0..5 {
            let email = format!("user{n}@example.com");
            let id = within(auth.create_user(&email).into_future()).await.unwrap().id;
            within(auth.ban_user(id).into_future()).await.unwrap();
            assert_eq!(within(gone.recv()).await.unwrap(), (id, email, None));
        }
    }

    async fn hooks_and_log_agree_under_parallel_changes(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: UserCreated| {
            let sender = sender.clone();
            async move { sender.send(event.id).unwrap() }
        });
        let calls = (0..30).map(|n| tokio::spawn(auth.create_user(format!("user{}@example.com", n % 20)).into_future()));
        let created = futures_util::future::join_all(calls).await.into_iter().filter(|call| matches!(call, Ok(Ok(_)))).count();
        assert_eq!(created, 20);
        let mut seen = Vec::new();
        for _ in 0..20 {
            seen.push(within(hook.recv()).await.unwrap());
        }
        seen.sort();
        let mut logged: Vec<_> = all(&auth).await.into_iter().skip(1).map(|event| event.id).collect();
        logged.sort();
        assert_eq!(seen, logged);
        assert!(hook.try_recv().is_err());
    }

    async fn a_hook_sees_the_events_of_a_user_in_the_order_of_their_commits(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let ids = [user(&auth, "jane@example.com").await.id, user(&auth, "john@example.com").await.id];
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: UserUpdated| {
            let sender = sender.clone();
            async move { sender.send((event.user_id, event.id)).unwrap() }
        });
        let calls = (0..60).map(|n| {
            let auth = auth.clone();
            // Each of these waits for the lock of its user; a change that comes to nothing lies between.
            tokio::spawn(async move {
                let _ = auth.update_user(ids[n % 2]).email("not an address").await;
                auth.update_user(ids[n % 2]).name(format!("Name {n}")).await.unwrap();
            })
        });
        for call in futures_util::future::join_all(calls).await {
            call.unwrap();
        }
        let mut seen = Vec::new();
        for _ in 0..60 {
            seen.push(within(hook.recv()).await.unwrap());
        }
        for id in ids {
            // The id of an event is made under the lock, so it follows the commits.
            let of_user: Vec<_> = seen.iter().filter(|(user, _)| *user == id).map(|(_, event)| *event).collect();
            assert_eq!(of_user.len(), 30);
            assert!(of_user.is_sorted(), "{of_user:?}");
        }
    }

    async fn a_hook_that_is_slow_misses_nothing(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let (sender, mut hook) = mpsc::unbounded_channel();
        let go = Arc::new(Notify::new());
        let waits = Arc::clone(&go);
        auth.on(move |event: UserUpdated| {
            let (sender, go) = (sender.clone(), Arc::clone(&waits));
            async move {
                if event.fields == ["phone"] {
                    go.notified().await;
                }
                sender.send(event.id).unwrap();
            }
        });
        auth.update_user(jane).phone("+41 44 668").await.unwrap();
        // More than are read at once.
        for n in 0..250 {
            auth.update_user(jane).name(format!("Name {n}")).await.unwrap();
        }
        go.notify_one();
        let mut seen = Vec::new();
        for _ in 0..251 {
            seen.push(within(hook.recv()).await.unwrap());
        }
        let mut logged = Vec::new();
        let mut call = auth.list_events().r#type("user_updated").order(SortOrder::Asc).limit(200);
        loop {
            let page = call.clone().await.unwrap();
            logged.extend(page.events.into_iter().map(|event| event.id));
            let Some(next) = page.next_cursor else { break };
            call = call.after(next);
        }
        assert_eq!(seen, logged);
        assert!(hook.try_recv().is_err());
    }

    async fn a_hook_sees_what_was_erased_from_the_log_in_the_same_transaction(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await.id;
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: UserDeleted| {
            let sender = sender.clone();
            async move { sender.send(event.email).unwrap() }
        });
        let erase = |data: &str| format!("UPDATE authfort_events SET data = '{data}', ip_address = NULL");
        // Also as something that is no JSON.
        for data in ["{}", "erased"] {
            let id = if data == "{}" { jane } else { user(&auth, "john@example.com").await.id };
            let raw = Raw::open(&db, 1).await;
            let mut tx = raw.begin().await;
            auth.delete_user(id).in_tx(tx.conn()).await.unwrap();
            tx.execute(erase(data)).await.unwrap();
            tx.commit().await.unwrap();
            let expected = if data == "{}" { "jane@example.com" } else { "john@example.com" };
            assert_eq!(within(hook.recv()).await.unwrap(), expected);
        }
    }

    async fn a_service_that_is_closed_runs_its_hooks_before(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.on(move |event: UserCreated| {
            let sender = sender.clone();
            async move { sender.send(event.email).unwrap() }
        });
        for n in 0..5 {
            auth.create_user(format!("user{n}@example.com")).await.unwrap();
        }
        auth.close().await;
        for n in 0..5 {
            assert_eq!(hook.try_recv().unwrap(), format!("user{n}@example.com"));
        }
    }

    async fn a_hook_sees_only_what_its_own_service_commits_after_it_was_registered(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let other = builder(&clock()).connect(db.url()).await.unwrap();
        let (sender, mut hook) = mpsc::unbounded_channel();
        auth.create_user("before@example.com").await.unwrap();
        auth.on(move |event: UserCreated| {
            let sender = sender.clone();
            async move { sender.send(event.email).unwrap() }
        });
        other.create_user("elsewhere@example.com").await.unwrap();
        for n in 0..3 {
            auth.create_user(format!("user{n}@example.com")).await.unwrap();
            assert_eq!(within(hook.recv()).await.unwrap(), format!("user{n}@example.com"));
        }
        assert!(hook.try_recv().is_err());
    }

    async fn a_hook_that_is_taken_away_runs_no_more_and_others_go_on(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (sender, mut hooks) = mpsc::unbounded_channel();
        let register = |name: &'static str| {
            let sender = sender.clone();
            auth.on(move |event: UserCreated| {
                let sender = sender.clone();
                async move { sender.send((name, event.email)).unwrap() }
            })
        };
        let (first, _second) = (register("first"), register("second"));
        user(&auth, "jane@example.com").await;
        let mut seen = [within(hooks.recv()).await.unwrap(), within(hooks.recv()).await.unwrap()];
        seen.sort();
        assert_eq!(seen.map(|(name, _)| name), ["first", "second"]);
        first.clone().unsubscribe();
        first.unsubscribe();
        user(&auth, "john@example.com").await;
        user(&auth, "joan@example.com").await;
        for email in ["john@example.com", "joan@example.com"] {
            assert_eq!(within(hooks.recv()).await.unwrap(), ("second", email.to_owned()));
        }
        assert!(hooks.try_recv().is_err());
    }

    async fn the_log_is_read_by_user_by_type_and_in_pages(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.create_user("jane@example.com").role("a").role("b").await.unwrap().id;
        let john = auth.create_user("john@example.com").role("a").await.unwrap().id;
        auth.remove_role(jane, "a").await.unwrap();
        let everything = all(&auth).await;
        let types: Vec<_> = everything.iter().map(|event| event.r#type.as_str()).collect();
        assert_eq!(types, ["key_rotated", "user_created", "role_added", "role_added", "user_created", "role_added", "role_removed"]);
        let pick = |list: &[usize]| list.iter().map(|n| everything[*n].clone()).collect::<Vec<_>>();
        let ids: Vec<_> = everything.iter().map(|event| event.id).collect();
        let list = || auth.list_events();
        let asc = || auth.list_events().order(SortOrder::Asc);
        for (call, expected) in [
            (list(), pick(&[6, 5, 4, 3, 2, 1, 0])),
            (list().user_id(jane), pick(&[6, 3, 2, 1])),
            (asc().user_id(john), pick(&[4, 5])),
            (list().r#type("role_added"), pick(&[5, 3, 2])),
            (list().r#type("role_removed").r#type("user_created").r#type("role_removed"), pick(&[6, 4, 1])),
            (asc().user_id(jane).r#type("role_added").r#type("role_removed"), pick(&[2, 3, 6])),
            (list().r#type("logout"), pick(&[])),
            (list().user_id("0198c0de-0000-7000-8000-000000000001".parse().unwrap()), pick(&[])),
            (list().after(ids[4]), pick(&[6, 5])),
            (list().before(ids[2]), pick(&[1, 0])),
            (asc().after(ids[1]).before(ids[4]), pick(&[2, 3])),
            (asc().after(ids[6]), pick(&[])),
            (list().limit(7), pick(&[6, 5, 4, 3, 2, 1, 0])),
        ] {
            let page = call.await.unwrap();
            assert_eq!((page.events, page.next_cursor), (expected, None));
        }
        // Pages in both directions.
        for order in [SortOrder::Asc, SortOrder::Desc] {
            let mut walked = Vec::new();
            let mut call = auth.list_events().order(order).limit(3);
            loop {
                let page = call.clone().await.unwrap();
                assert!(page.events.len() <= 3);
                walked.extend(page.events);
                let Some(next) = page.next_cursor else { break };
                call = if order == SortOrder::Asc { call.after(next) } else { call.before(next) };
            }
            if order == SortOrder::Desc {
                walked.reverse();
            }
            assert_eq!(walked, everything);
        }
    }

    async fn the_log_refuses_what_it_does_not_know(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for limit in [0, 201, u32::MAX] {
            assert_eq!(faults(&auth.list_events().limit(limit).await.unwrap_err()), ["limit out_of_range"], "{limit}");
        }
        for name in ["", "user_delete", "USER_DELETED", "user_deleted ", "\0", &"x".repeat(100_000)] {
            let error = auth.list_events().r#type("user_deleted").r#type(name).await.unwrap_err();
            assert_eq!(faults(&error), ["type not_allowed"], "{name:.20}");
            assert!(error.to_string().len() < 1000);
        }
        let mut many = auth.list_events();
        for _ in 0..70_000 {
            many = many.r#type("key_rotated");
        }
        assert_eq!(many.await.unwrap().events.len(), 1);
    }
}
