//! Sessions: opening, listing and ending them.

use authfort::{Actor, Introspection, LoginOutcome, Session};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use serde_json::json;

use crate::support::{PASSWORD, builder, clock, service, user};
use crate::tools::{Raw, access, code, count, guard, log, refresh};

const EMAIL: &str = "jane@example.com";

both_engines! {
    async fn an_access_token_logs_its_session_out_until_it_expires(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let sign_in = async || auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let (first, second, other) = (sign_in().await, sign_in().await, sign_in().await);
        assert!(auth.logout(access(&first)).await.unwrap());
        assert!(!auth.logout(access(&first)).await.unwrap(), "it had ended");
        assert_eq!(guard(&auth, access(&first)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&second)).await, "ok");
        // With roles of yesterday.
        auth.add_role(jane.id, "editor").await.unwrap();
        assert!(auth.logout(access(&second)).await.unwrap());
        clock.advance(TimeDelta::minutes(20));
        assert!(!auth.logout(access(&other)).await.unwrap());
        assert!(auth.refresh(refresh(&other)).await.is_ok());
    }

    async fn no_token_survives_a_committed_end_of_its_session(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        for round in 0..40 {
            let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
            let token = refresh(&first).to_owned();
            let refreshing = tokio::spawn(auth.refresh(&token).into_future());
            // Whichever way it is ended, and whoever of the two comes first.
            let ended = match round % 4 {
                0 => auth.revoke_session(jane.id, first.session_id).await.unwrap(),
                1 => auth.revoke_sessions(jane.id).await.unwrap(),
                2 => u64::from(auth.logout(&token).await.unwrap()),
                _ => {
                    auth.set_password(jane.id, PASSWORD).await.unwrap();
                    1
                }
            };
            assert_eq!(ended, 1, "round {round}");
            let mut pairs = vec![first];
            pairs.extend(refreshing.await.unwrap().ok());
            for pair in &pairs {
                assert_eq!(guard(&auth, access(pair)).await, "session_revoked", "round {round}");
                assert_eq!(code(&auth.refresh(refresh(pair)).await), "refresh_token_invalid", "round {round}");
            }
        }
        assert_eq!(auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions, []);
    }

    async fn no_token_survives_a_committed_ban(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        for round in 0..20 {
            let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
            let refreshing = tokio::spawn(auth.refresh(refresh(&first)).into_future());
            let signing_in = tokio::spawn(auth.login(EMAIL, PASSWORD).into_future());
            auth.ban_user(jane.id).await.unwrap();
            let mut pairs = vec![first];
            pairs.extend(refreshing.await.unwrap().ok());
            pairs.extend(signing_in.await.unwrap().ok().and_then(LoginOutcome::signed_in));
            // A ban that is lifted brings nothing back.
            auth.unban_user(jane.id).await.unwrap();
            for pair in &pairs {
                assert_eq!(guard(&auth, access(pair)).await, "session_revoked", "round {round}");
                assert_eq!(code(&auth.refresh(refresh(pair)).await), "refresh_token_invalid", "round {round}");
            }
        }
    }

    async fn every_sign_in_has_a_session_of_its_own(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let first = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        // Signing in while holding a session does not go on with that session.
        let actor = Actor::user(jane.id).session(first.session_id);
        let second = auth.by(actor).login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert_ne!(second.session_id, first.session_id);
        assert_ne!(refresh(&second), refresh(&first));
        assert_eq!(auth.list_sessions(jane.id).await.unwrap().sessions.len(), 2);
    }

    async fn the_live_sessions_of_all_users_are_counted(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let counted = async || {
            let found = auth.count_sessions().await.unwrap();
            (found.active, found.is_capped)
        };
        assert_eq!(counted().await, (0, false));
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        auth.create_session(jane.id).await.unwrap();
        auth.create_session(john.id).await.unwrap();
        let ended = auth.create_session(john.id).await.unwrap();
        auth.revoke_session(john.id, ended.session_id).await.unwrap();
        assert_eq!(counted().await, (2, false));
        clock.advance(TimeDelta::days(365));
        auth.create_session(jane.id).await.unwrap();
        assert_eq!(counted().await, (1, false), "what has run out is none");
        let mut raw = Raw::open(&db).await;
        let (id, source) = match db.engine() {
            Engine::Sqlite => ("randomblob(16)", "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n)"),
            Engine::Postgres => ("gen_random_uuid()", "generate_series(1, 20000)"),
        };
        raw.execute(format!(
            "INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at)
             SELECT {id}, s.user_id, s.created_at, s.last_seen_at, s.expires_at, s.final_expires_at
             FROM {source} n, (SELECT * FROM authfort_sessions ORDER BY id DESC LIMIT 1) s"
        )).await;
        let (active, is_capped) = counted().await;
        assert!(is_capped && (19_990..=20_001).contains(&active), "{active}");
    }

    async fn the_live_sessions_of_all_users_are_listed_newest_first(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await.id, user(&auth, "john@example.com").await.id);
        let mut live = Vec::new();
        for round in 0..7 {
            let owner = if round % 2 == 0 { jane } else { john };
            let session = auth.create_session(owner).await.unwrap().session_id;
            if round == 3 {
                auth.revoke_session(owner, session).await.unwrap();
            } else {
                live.insert(0, (session, owner));
            }
            clock.advance(TimeDelta::seconds(1));
        }
        let walk = async |limit: u32| {
            let (mut found, mut pages) = (Vec::new(), 0);
            let mut call = auth.list_all_sessions().active_only(true).limit(limit);
            loop {
                let page = call.await.unwrap();
                pages += 1;
                found.extend(page.sessions.into_iter().map(|session| (session.id, session.user_id)));
                let Some(next) = page.next_cursor else { return (found, pages) };
                call = auth.list_all_sessions().active_only(true).limit(limit).cursor(next);
            }
        };
        assert_eq!(walk(2).await, (live.clone(), 3));
        assert_eq!(auth.list_all_sessions().await.unwrap().sessions.len(), 7, "the ended one too");
        // Older ones, which are dead, are looked at in parts.
        let mut raw = Raw::open(&db).await;
        let (id, source) = match db.engine() {
            Engine::Sqlite => ("randomblob(15)", "(WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000) SELECT i FROM n)"),
            Engine::Postgres => ("('00' || substr(md5(n::text), 3))::uuid", "generate_series(1, 30000)"),
        };
        let id = if db.engine() == Engine::Sqlite { format!("CAST(x'00' || {id} AS BLOB)") } else { id.to_owned() };
        raw.execute(format!(
            "INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at, revoked_at)
             SELECT {id}, s.user_id, s.created_at, s.last_seen_at, s.expires_at, s.final_expires_at, s.created_at
             FROM {source} n, (SELECT * FROM authfort_sessions ORDER BY id DESC LIMIT 1) s"
        )).await;
        assert_eq!(walk(200).await, (live, 2), "20,000 and the others");
    }

    async fn a_session_of_somebody_else_is_not_found(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let (jane, john) = (user(&auth, EMAIL).await, user(&auth, "john@example.com").await);
        let janes = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let johns = auth.login("john@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let unknown = authfort::SessionId::from(john.id.0);
        for session in [janes.session_id, unknown] {
            assert_eq!(code(&auth.revoke_session(john.id, session).await), "session_not_found");
            assert_eq!(code(&auth.revoke_sessions(john.id).except(session).await), "session_not_found");
        }
        let nobody = authfort::UserId::from(janes.session_id.0);
        assert_eq!(code(&auth.revoke_session(nobody, janes.session_id).await), "user_not_found");
        assert_eq!(code(&auth.revoke_sessions(nobody).await), "user_not_found");
        assert_eq!(code(&auth.list_sessions(nobody).await), "user_not_found");
        assert_eq!(guard(&auth, access(&janes)).await, "ok");
        assert_eq!(guard(&auth, access(&johns)).await, "ok");
        for id in [jane.id, john.id] {
            assert_eq!(count(&auth, id, "session_revoked").await, 0);
        }
    }

    async fn defect_03_an_ended_session_takes_its_access_tokens_along(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let out = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let revoked = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let kept = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        assert!(auth.logout(refresh(&out)).await.unwrap());
        assert_eq!(auth.revoke_session(jane.id, revoked.session_id).await.unwrap(), 1);
        assert_eq!(guard(&auth, access(&out)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&revoked)).await, "session_revoked");
        assert_eq!(guard(&auth, access(&kept)).await, "ok");
    }

    async fn one_all_but_one_and_all_sessions_are_ended(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut sessions = Vec::new();
        for _ in 0..4 {
            sessions.push(auth.create_session(jane.id).await.unwrap());
        }
        assert_eq!(auth.revoke_session(jane.id, sessions[0].session_id).await.unwrap(), 1);
        assert_eq!(auth.revoke_session(jane.id, sessions[0].session_id).await.unwrap(), 0);
        assert_eq!(auth.revoke_sessions(jane.id).except(sessions[1].session_id).await.unwrap(), 2);
        assert_eq!(auth.revoke_sessions(jane.id).except(sessions[1].session_id).await.unwrap(), 0);
        assert_eq!(guard(&auth, access(&sessions[1])).await, "ok");
        assert_eq!(auth.revoke_sessions(jane.id).await.unwrap(), 1);
        assert_eq!(auth.revoke_sessions(jane.id).await.unwrap(), 0);
        for session in &sessions {
            assert_eq!(guard(&auth, access(session)).await, "session_revoked");
        }
        // What ended nothing left no event.
        let expected = [
            json!({"session_id": sessions[0].session_id, "revoke_all": false}),
            json!({"session_id": null, "revoke_all": true}),
            json!({"session_id": null, "revoke_all": true}),
        ];
        let revoked: Vec<_> = log(&auth, jane.id).await.into_iter().filter(|(t, _)| t == "session_revoked").collect();
        assert_eq!(revoked.into_iter().map(|(_, data)| data.into()).collect::<Vec<serde_json::Value>>(), expected);
    }

    async fn defect_31_the_list_has_one_row_a_session_with_its_real_times(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let client = Actor::system().ip_address("192.0.2.7".parse().unwrap()).user_agent("Firefox");
        let signed_in_at = clock.now();
        let mut first = auth.by(client).login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        for _ in 0..5 {
            clock.advance(TimeDelta::minutes(10));
            first = auth.refresh(refresh(&first)).await.unwrap();
        }
        let seen_at = clock.now();
        clock.advance(TimeDelta::minutes(1));
        let second = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        auth.revoke_session(jane.id, second.session_id).await.unwrap();

        let listed = auth.list_sessions(jane.id).await.unwrap().sessions;
        let as_json = |sessions: &[Session]| serde_json::to_value(sessions).unwrap();
        let first_row = json!({
            "id": first.session_id, "user_agent": "Firefox", "ip_address": "192.0.2.7", "created_at": signed_in_at,
            "last_seen_at": seen_at, "expires_at": seen_at + TimeDelta::days(30), "revoked": false,
        });
        let second_row = json!({
            "id": second.session_id, "user_agent": null, "ip_address": null, "created_at": clock.now(),
            "last_seen_at": clock.now(), "expires_at": clock.now() + TimeDelta::days(30), "revoked": true,
        });
        assert_eq!(as_json(&listed), json!([second_row, first_row]));
        assert_eq!(as_json(&auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions), json!([first_row]));
    }

    async fn a_user_has_so_many_live_sessions_and_the_oldest_makes_room(db: TestDatabase) {
        let clock = clock();
        let auth = builder(&clock).max_sessions(3).connect(db.url()).await.unwrap();
        let jane = user(&auth, EMAIL).await;
        let mut opened = Vec::new();
        for _ in 0..5 {
            clock.advance(TimeDelta::seconds(1));
            opened.push(auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap());
        }
        let live: Vec<_> =
            auth.list_sessions(jane.id).active_only(true).await.unwrap().sessions.iter().map(|s| s.id).collect();
        assert_eq!(live, [opened[4].session_id, opened[3].session_id, opened[2].session_id]);
        assert_eq!(guard(&auth, access(&opened[0])).await, "session_revoked");
        assert_eq!(guard(&auth, access(&opened[2])).await, "ok");
        assert_eq!(count(&auth, jane.id, "session_revoked").await, 2);
        // An ended one makes room too.
        auth.revoke_session(jane.id, opened[4].session_id).await.unwrap();
        auth.create_session(jane.id).await.unwrap();
        assert_eq!(guard(&auth, access(&opened[2])).await, "ok");
    }

    async fn the_list_of_sessions_comes_in_pages(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let mut opened = Vec::new();
        for _ in 0..7 {
            opened.insert(0, auth.create_session(jane.id).await.unwrap().session_id);
        }
        auth.create_session(user(&auth, "john@example.com").await.id).await.unwrap();
        auth.revoke_session(jane.id, opened[3]).await.unwrap();
        for active_only in [false, true] {
            let mut call = auth.list_sessions(jane.id).active_only(active_only).limit(2);
            let mut walked = Vec::new();
            loop {
                let page = call.await.unwrap();
                assert!(page.sessions.len() <= 2);
                walked.extend(page.sessions.iter().map(|session| session.id));
                let Some(next) = page.next_cursor else { break };
                call = auth.list_sessions(jane.id).active_only(active_only).limit(2).cursor(next);
            }
            let expected: Vec<_> = opened.iter().copied().filter(|id| !active_only || *id != opened[3]).collect();
            assert_eq!(walked, expected);
        }
        for limit in [0, 201, u32::MAX] {
            assert_eq!(code(&auth.list_sessions(jane.id).limit(limit).await), "validation_failed");
        }
        for cursor in ["", "x", "AAAA", "!", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(code(&auth.list_sessions(jane.id).cursor(cursor).await), "invalid_request");
        }
    }

    async fn a_user_with_very_many_sessions_is_deleted_in_slices(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        auth.create_session(jane.id).await.unwrap();
        let mut raw = Raw::open(&db).await;
        let (id, moment) = match db.engine() {
            Engine::Sqlite => ("randomblob(16)", "'2029-01-01T00:00:00+00:00'"),
            Engine::Postgres => ("gen_random_uuid()", "timestamptz '2029-01-01T00:00:00Z'"),
        };
        let hash = if db.engine() == Engine::Sqlite { "randomblob(32)" } else { "sha256(s.id::text::bytea)" };
        raw.execute(format!(
            "INSERT INTO authfort_sessions (id, user_id, created_at, last_seen_at, expires_at, final_expires_at)
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2600)
             SELECT {id}, u.id, {moment}, {moment}, {moment}, {moment} FROM n, authfort_users u"
        ))
        .await;
        raw.execute(format!(
            "INSERT INTO authfort_refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
             SELECT {hash}, s.id, s.user_id, {moment}, {moment} FROM authfort_sessions s WHERE s.expires_at = {moment}"
        ))
        .await;
        // A deletion that is refused takes nothing beforehand.
        let stale = auth.delete_user(jane.id).if_version(jane.version + 9).await;
        assert_eq!(code(&stale), "precondition_failed");
        assert_eq!(raw.count("SELECT count(*) FROM authfort_sessions").await, 2601);
        let receipt = auth.delete_user(jane.id).await.unwrap();
        assert_eq!((receipt.sessions, receipt.refresh_tokens, receipt.users), (2601, 2601, 1));
        assert_eq!(raw.count("SELECT count(*) FROM authfort_sessions").await, 0);
    }

    async fn what_changes_is_seen_by_guard_and_introspection_at_once_whatever_the_token_says(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, EMAIL).await;
        let signed_in = auth.login(EMAIL, PASSWORD).await.unwrap().signed_in().unwrap();
        let seen = async || {
            let principal = auth.authenticate(access(&signed_in)).await.unwrap();
            let Introspection::Active(active) = auth.introspect(access(&signed_in)).await.unwrap() else { panic!() };
            let facts = (principal.email.clone(), principal.name.clone(), principal.roles.clone());
            assert_eq!(facts, (active.email, active.name, active.roles));
            facts
        };
        assert_eq!(seen().await, (EMAIL.to_owned(), None, vec![]));
        auth.add_role(jane.id, "editor").immediate(false).await.unwrap();
        auth.add_role(jane.id, "author").immediate(false).await.unwrap();
        assert_eq!(seen().await.2, ["author", "editor"]);
        auth.update_user(jane.id).name("Jane").await.unwrap();
        assert_eq!(seen().await.1.as_deref(), Some("Jane"));
        auth.remove_role(jane.id, "editor").immediate(false).await.unwrap();
        assert_eq!(seen().await.2, ["author"]);
    }

    async fn a_session_is_opened_for_whom_the_application_knows(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user(EMAIL).await.unwrap();
        let signed_in = auth.create_session(jane.id).provider("github").await.unwrap();
        assert_eq!(signed_in.user.last_login_at, Some(clock.now()));
        assert_eq!(signed_in.user, auth.get_user(jane.id).await.unwrap());
        let facts = json!({"email": EMAIL, "provider": "github", "ip_address": null, "user_agent": null});
        assert_eq!(log(&auth, jane.id).await[1], ("login".to_owned(), facts.as_object().unwrap().clone()));
        auth.ban_user(jane.id).await.unwrap();
        assert_eq!(code(&auth.create_session(jane.id).await), "user_banned");
        auth.delete_user(jane.id).await.unwrap();
        assert_eq!(code(&auth.create_session(jane.id).await), "user_not_found");
    }
}
