//! Roles, and the rule that somebody can always administer.

use authfort::secrecy::ExposeSecret;
use authfort::{Actor, AuthFort, Error, EventId, UserId};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::TimeDelta;
use futures_util::future::{BoxFuture, join_all};
use serde_json::{Value, json};

use crate::raw::Raw;
use crate::support::{PASSWORD, admin, builder, clock, event_types, service, user};
use crate::users::faults;

/// What was written after a mark, oldest first, as type and data.
async fn events_after(auth: &AuthFort, mark: EventId) -> Vec<(String, Value)> {
    let page = auth.list_events().after(mark).order(authfort::SortOrder::Asc).limit(200).await.unwrap();
    page.events.into_iter().map(|event| (event.r#type, Value::Object(event.data))).collect()
}

async fn mark(auth: &AuthFort) -> EventId {
    auth.list_events().limit(1).await.unwrap().events[0].id
}

/// How many hold the admin role and can use it.
async fn usable_admins(auth: &AuthFort) -> u64 {
    auth.get_user_count().role("admin").banned(false).await.unwrap()
}

/// Takes the role from everybody else.
async fn only_admins(auth: &AuthFort, ids: &[UserId]) {
    for other in auth.list_users().role("admin").await.unwrap().users {
        if !ids.contains(&other.id) {
            auth.remove_role(other.id, "admin").await.unwrap();
        }
    }
}

/// Each way in which a user can stop being an administrator.
fn ways_out(auth: &AuthFort, id: UserId) -> [(&'static str, BoxFuture<'static, Result<(), Error>>); 5] {
    let demote = auth.remove_role(id, "admin");
    let ban = auth.ban_user(id);
    let short_ban = auth.ban_user(id).expires_at(auth.now() + TimeDelta::seconds(1));
    let anonymize = auth.delete_user(id).anonymize();
    let delete = auth.delete_user(id);
    [
        ("remove_role", Box::pin(async { demote.await.map(drop) })),
        ("ban", Box::pin(async { ban.await.map(drop) })),
        ("a short ban", Box::pin(async { short_ban.await.map(drop) })),
        ("anonymize", Box::pin(async { anonymize.await.map(drop) })),
        ("delete", Box::pin(async { delete.await.map(drop) })),
    ]
}

both_engines! {
    async fn the_names_of_roles_are_those_that_are_held_or_declared(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        assert_eq!(auth.list_role_names().await.unwrap(), ["admin"]);
        for (n, role) in ["editor", "zookeeper", "editor", "a"].into_iter().enumerate() {
            auth.create_user(format!("{n}@example.com")).role(role).await.unwrap();
        }
        assert_eq!(auth.list_role_names().await.unwrap(), ["a", "admin", "editor", "zookeeper"]);
        let declaring = builder(&clock()).roles(["editor", "viewer"]).connect(db.url()).await.unwrap();
        assert_eq!(declaring.list_role_names().await.unwrap(), ["a", "admin", "editor", "viewer", "zookeeper"]);
    }

    async fn roles_are_given_taken_and_read(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        assert_eq!(auth.get_roles(jane.id).await.unwrap(), Vec::<String>::new());
        let before = mark(&auth).await;
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(auth.add_role(jane.id, "writer").await.unwrap(), ["writer"]);
        assert_eq!(auth.add_role(jane.id, "editor").await.unwrap(), ["editor", "writer"]);
        assert!(auth.has_role(jane.id, "writer").await.unwrap());
        assert!(!auth.has_role(jane.id, "write").await.unwrap());
        let shown = auth.get_user(jane.id).await.unwrap();
        assert_eq!((shown.roles, shown.updated_at, shown.version), (vec!["editor".into(), "writer".into()], clock.now(), 3));
        assert_eq!(auth.remove_role(jane.id, "writer").await.unwrap(), ["editor"]);
        assert_eq!(auth.get_roles(jane.id).await.unwrap(), ["editor"]);
        assert_eq!(events_after(&auth, before).await, [
            ("role_added".into(), json!({"role": "writer"})),
            ("role_added".into(), json!({"role": "editor"})),
            ("role_removed".into(), json!({"role": "writer"})),
        ]);
    }

    async fn a_role_has_a_plain_name(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let long = "a".repeat(51);
        for name in ["", " ", "Admin", "ad\nmin", "a,b", "аdmin", "\u{202e}admin", "a\0", &long, &"a".repeat(10_000)] {
            for error in [
                auth.add_role(jane.id, name).await.unwrap_err(),
                auth.remove_role(jane.id, name).await.unwrap_err(),
            ] {
                assert_eq!(faults(&error), ["role invalid_role"], "{name:?}");
            }
            let error = auth.create_user("x@example.com").role("fine").role(name).await.unwrap_err();
            assert_eq!(faults(&error), ["roles invalid_role"], "{name:?}");
            assert!(!auth.has_role(jane.id, name).await.unwrap());
        }
        let mut many = auth.create_user("many@example.com");
        for n in 0..101 {
            many = many.role(format!("role{n}"));
        }
        assert_eq!(faults(&many.await.unwrap_err()), ["roles too_many_roles"]);
        assert_eq!(auth.add_role(jane.id, &long[..50]).await.unwrap(), [&long[..50]]);
        assert_eq!(event_types(&auth).await, ["key_rotated", "user_created", "role_added"]);
    }

    async fn only_declared_roles_can_be_given(db: TestDatabase) {
        let clock = clock();
        let free = builder(&clock).connect(db.url()).await.unwrap();
        let jane = free.create_user("jane@example.com").role("legacy").await.unwrap();
        let auth = builder(&clock).roles(["editor", "author"]).connect(db.url()).await.unwrap();
        let error = auth.add_role(jane.id, "edtior").await.unwrap_err();
        assert_eq!(faults(&error), ["role unknown_role"]);
        let error = auth.create_user("john@example.com").role("editor").role("legacy").await.unwrap_err();
        assert_eq!(faults(&error), ["roles unknown_role"]);
        assert_eq!(auth.add_role(jane.id, "editor").await.unwrap(), ["editor", "legacy"]);
        // The admin role belongs to every set; what was given before can be taken, and listed by.
        assert_eq!(auth.add_role(jane.id, "admin").await.unwrap(), ["admin", "editor", "legacy"]);
        assert_eq!(auth.get_user_count().role("legacy").await.unwrap(), 1);
        assert_eq!(auth.remove_role(jane.id, "legacy").await.unwrap(), ["admin", "editor"]);
    }

    async fn a_user_holds_as_many_roles_as_a_cookie_can_carry(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.create_user("jane@example.com").name("Jane").role("admin").await.unwrap();
        let name = |n: usize| format!("{:a<50}", format!("role-{n}-"));
        let mut given = 0;
        let refused = loop {
            match auth.add_role(jane.id, name(given)).await {
                Ok(_) => given += 1,
                Err(error) => break error,
            }
            assert!(given < 200);
        };
        assert_eq!(refused.code(), "validation_failed");
        assert!(refused.to_string().contains("access token"), "{refused}");
        assert!(given > 40, "{given}");
        // Everything goes on: what is held can be carried.
        let signed_in = auth.create_session(jane.id).await.unwrap();
        let token = signed_in.tokens.access_token.expose_secret();
        assert!((3_800..=4_096 - 160).contains(&token.len()), "{}", token.len());
        assert_eq!(auth.authenticate(token).await.unwrap().roles.len(), given + 1);
        assert!(auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.is_ok());
        // The same by another name, by a name, by an address, and at the creation.
        let faults = |error: Error| match error {
            Error::Validation(faults) => faults.into_iter().map(|fault| fault.code).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let longer = "J".repeat(200);
        assert_eq!(faults(auth.update_user(jane.id).name(&longer).await.unwrap_err()), ["too_many_roles"]);
        let address = format!("{}@example.com", "j".repeat(60));
        assert_eq!(faults(auth.update_user(jane.id).email(&address).await.unwrap_err()), ["too_many_roles"]);
        let mut call = auth.create_user("john@example.com");
        for n in 0..=given + 1 {
            call = call.role(name(n));
        }
        assert_eq!(faults(call.await.unwrap_err()), ["too_many_roles"]);
        // A shorter name is no harm, and a role less makes room.
        auth.update_user(jane.id).name("J").await.unwrap();
        auth.remove_role(jane.id, name(0)).await.unwrap();
        auth.add_role(jane.id, name(0)).await.unwrap();
    }

    async fn a_change_of_role_cuts_at_once_or_at_the_next_refresh(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let mut signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        for (step, immediate) in [true, false].into_iter().enumerate() {
            for add in [true, false] {
                let new = if add { vec!["editor".to_owned()] } else { vec![] };
                let answered = if add {
                    auth.add_role(jane.id, "editor").immediate(immediate).await.unwrap()
                } else {
                    auth.remove_role(jane.id, "editor").immediate(immediate).await.unwrap()
                };
                assert_eq!(answered, new);
                let access = signed_in.tokens.access_token.expose_secret();
                let principal = auth.authenticate(access).await;
                if immediate {
                    assert_eq!(principal.unwrap_err().code(), "token_version_mismatch", "step {step}");
                } else {
                    // It lives on, and the guard sees the roles as they are.
                    assert_eq!(principal.unwrap().roles, new, "step {step}");
                }
                // The session goes on, and the next access token has the new roles.
                signed_in = auth.refresh(signed_in.tokens.refresh_token.expose_secret()).await.unwrap();
                assert_eq!(signed_in.user.roles, new);
                let principal = auth.authenticate(signed_in.tokens.access_token.expose_secret()).await.unwrap();
                assert_eq!(principal.roles, new);
            }
        }
    }

    async fn defect_36_a_role_already_there_or_already_gone_changes_nothing(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let jane = auth.create_user("jane@example.com").password(PASSWORD).role("editor").await.unwrap();
        let signed_in = auth.login("jane@example.com", PASSWORD).await.unwrap().signed_in().unwrap();
        let before = (auth.get_user(jane.id).await.unwrap(), mark(&auth).await);
        clock.advance(TimeDelta::minutes(1));
        assert_eq!(auth.add_role(jane.id, "editor").await.unwrap(), ["editor"]);
        assert_eq!(auth.remove_role(jane.id, "author").await.unwrap(), ["editor"]);
        assert_eq!(auth.remove_role(jane.id, "admin").await.unwrap(), ["editor"]);
        assert_eq!(auth.get_user(jane.id).await.unwrap(), before.0);
        assert_eq!(events_after(&auth, before.1).await, []);
        assert!(auth.authenticate(signed_in.tokens.access_token.expose_secret()).await.is_ok());
    }

    async fn a_role_given_eight_times_at_once_is_one_row_and_one_event(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = user(&auth, "jane@example.com").await;
        let before = mark(&auth).await;
        for outcome in join_all((0..8).map(|_| tokio::spawn(auth.add_role(jane.id, "editor").into_future()))).await {
            assert_eq!(outcome.unwrap().unwrap(), ["editor"]);
        }
        assert_eq!(events_after(&auth, before).await, [("role_added".into(), json!({"role": "editor"}))]);
        let raw = Raw::open(&db, 1).await;
        assert_eq!(raw.number("SELECT count(*) FROM authfort_user_roles").await, 1);
        let before = mark(&auth).await;
        for outcome in join_all((0..8).map(|_| tokio::spawn(auth.remove_role(jane.id, "editor").into_future()))).await {
            assert_eq!(outcome.unwrap().unwrap(), Vec::<String>::new());
        }
        assert_eq!(events_after(&auth, before).await, [("role_removed".into(), json!({"role": "editor"}))]);
        for outcome in join_all((0..8).map(|_| tokio::spawn(auth.ban_user(jane.id).into_future()))).await {
            assert!(outcome.unwrap().unwrap().banned);
        }
        let bans = auth.list_events().r#type("user_banned").await.unwrap().events;
        assert_eq!(bans.len(), 1);
    }

    async fn defect_08_the_last_administrator_stays_by_every_path(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = admin(&auth, "root@example.com").await;
        // Those who hold the role and cannot use it do not count.
        let banned = admin(&auth, "banned@example.com").await;
        auth.ban_user(banned.id).await.unwrap();
        let gone = admin(&auth, "gone@example.com").await;
        auth.delete_user(gone.id).anonymize().await.unwrap();
        let resting = admin(&auth, "resting@example.com").await;
        auth.ban_user(resting.id).expires_at(auth.now() + TimeDelta::hours(1)).await.unwrap();
        auth.create_user("editor@example.com").role("editor").await.unwrap();

        let before = (auth.get_user(root.id).await.unwrap(), mark(&auth).await);
        for handle in [auth.clone(), auth.by(root.id), auth.by(Actor::user(root.id).require_role("admin"))] {
            for (way, call) in ways_out(&handle, root.id) {
                let error = call.await.unwrap_err();
                assert!(matches!(error, Error::LastAdmin), "{way}: {error:?}");
            }
        }
        assert_eq!(auth.get_user(root.id).await.unwrap(), before.0);
        assert_eq!(events_after(&auth, before.1).await, []);
        // An administrator who cannot act may go.
        auth.remove_role(banned.id, "admin").await.unwrap();
        auth.delete_user(banned.id).await.unwrap();
        // Other roles of the last one, and other changes, are free.
        auth.add_role(root.id, "editor").await.unwrap();
        auth.remove_role(root.id, "editor").await.unwrap();
        auth.update_user(root.id).email("new@example.com").await.unwrap();
        // As soon as there is another, the first may go.
        let second = admin(&auth, "second@example.com").await;
        auth.delete_user(root.id).await.unwrap();
        assert_eq!(auth.delete_user(second.id).await.unwrap_err().code(), "last_admin");
    }

    async fn defect_08_the_rule_holds_for_the_configured_role(db: TestDatabase) {
        let auth = builder(&clock()).admin_role("owner").connect(db.url()).await.unwrap();
        let owner = auth.create_user("owner@example.com").role("owner").await.unwrap();
        let plain = auth.create_user("admin@example.com").role("admin").await.unwrap();
        assert_eq!(auth.remove_role(owner.id, "owner").await.unwrap_err().code(), "last_admin");
        auth.remove_role(plain.id, "admin").await.unwrap();
        auth.delete_user(plain.id).await.unwrap();
    }

    async fn who_is_no_administrator_any_more_cannot_touch_one(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let root = admin(&auth, "root@example.com").await;
        let other = admin(&auth, "other@example.com").await;
        let jane = user(&auth, "jane@example.com").await;
        let as_other = auth.by(Actor::user(other.id).require_role("admin"));
        auth.remove_role(other.id, "admin").await.unwrap();
        let before = mark(&auth).await;
        let (ban, add, create) = (
            as_other.ban_user(root.id).await.unwrap_err(),
            as_other.add_role(jane.id, "admin").await.unwrap_err(),
            as_other.create_user("new@example.com").role("admin").await.unwrap_err(),
        );
        for error in [ban, add, create] {
            assert!(matches!(&error, Error::InsufficientRole { role } if role == "admin"), "{error:?}");
        }
        for (way, call) in ways_out(&as_other, root.id) {
            assert_eq!(call.await.unwrap_err().code(), "insufficient_role", "{way}");
        }
        assert_eq!(events_after(&auth, before).await, []);
        assert!(auth.find_user_by_email("new@example.com").await.unwrap().is_none());
    }

    /// Two administrators, and nobody asks at the door: the rule of the last one decides.
    async fn of_two_who_demote_each_other_exactly_one_succeeds(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let a = admin(&auth, "a@example.com").await.id;
        let b = admin(&auth, "b@example.com").await.id;
        for round in 0..200 {
            let (left, right) = tokio::join!(
                tokio::spawn(auth.by(a).remove_role(b, "admin").into_future()),
                tokio::spawn(auth.by(b).remove_role(a, "admin").into_future()),
            );
            let mut codes = [left, right].map(|outcome| outcome.unwrap().map_or_else(|error| error.code(), |_| "done"));
            codes.sort_unstable();
            assert_eq!(codes, ["done", "last_admin"], "round {round}");
            assert_eq!(usable_admins(&auth).await, 1, "round {round}");
            for id in [a, b] {
                auth.add_role(id, "admin").immediate(false).await.unwrap();
            }
        }
    }

    /// With a third, nobody is the last: that each must still be one decides.
    async fn of_three_the_one_who_was_demoted_first_cannot_demote_back(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let a = admin(&auth, "a@example.com").await.id;
        let b = admin(&auth, "b@example.com").await.id;
        admin(&auth, "c@example.com").await;
        let holding = |id| auth.by(Actor::user(id).require_role("admin"));
        for round in 0..200 {
            let (left, right) = tokio::join!(
                tokio::spawn(holding(a).remove_role(b, "admin").into_future()),
                tokio::spawn(holding(b).remove_role(a, "admin").into_future()),
            );
            let mut codes = [left, right].map(|outcome| outcome.unwrap().map_or_else(|error| error.code(), |_| "done"));
            codes.sort_unstable();
            assert_eq!(codes, ["done", "insufficient_role"], "round {round}");
            assert_eq!(usable_admins(&auth).await, 2, "round {round}");
            for id in [a, b] {
                auth.add_role(id, "admin").immediate(false).await.unwrap();
            }
        }
    }

    async fn every_pair_of_ways_to_remove_each_other_leaves_one_of_the_two(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let mut number = 0;
        for with_a_third in [false, true] {
            for (left, right) in (0..5).flat_map(|left| (0..5).map(move |right| (left, right))) {
                let mut ids = Vec::new();
                for _ in 0..2 + usize::from(with_a_third) {
                    number += 1;
                    ids.push(auth.create_user(format!("admin{number}@example.com")).role("admin").await.unwrap().id);
                }
                only_admins(&auth, &ids).await;
                let holding = |id| auth.by(Actor::user(id).require_role("admin"));
                let (way, one) = ways_out(&holding(ids[0]), ids[1]).into_iter().nth(left).unwrap();
                let (way_back, two) = ways_out(&holding(ids[1]), ids[0]).into_iter().nth(right).unwrap();
                let (one, two) = tokio::join!(tokio::spawn(one), tokio::spawn(two));
                let mut codes = [one, two].map(|outcome| outcome.unwrap().map_or_else(|error| error.code(), |()| "done"));
                codes.sort_unstable();
                assert_eq!(codes, ["done", "insufficient_role"], "{way} against {way_back}");
                assert_eq!(usable_admins(&auth).await, 1 + u64::from(with_a_third), "{way} against {way_back}");
            }
        }
    }

    /// Eight administrators remove each other in a ring, all at once: somebody is left, and nothing deadlocks.
    async fn a_ring_of_administrators_leaves_one(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for round in 0..5 {
            let mut ids = Vec::new();
            for n in 0..8 {
                let email = format!("admin{round}-{n}@example.com");
                    ids.push(auth.create_user(email).role("admin").await.unwrap().id);
            }
            only_admins(&auth, &ids).await;
            let calls = (0..8).map(|n| tokio::spawn(auth.delete_user(ids[(n + 1) % 8]).into_future()));
            let mut codes: Vec<_> = join_all(calls).await.into_iter()
                .map(|outcome| outcome.unwrap().map_or_else(|error| error.code(), |_| "done")).collect();
            codes.sort_unstable();
            assert_eq!(codes, [vec!["done"; 7], vec!["last_admin"]].concat(), "round {round}");
            assert_eq!(usable_admins(&auth).await, 1);
        }
    }
}
