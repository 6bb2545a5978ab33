//! Kept totals under many writers at once, failed transactions, killed processes and lost connections.

use std::process::{Command, Stdio};
use std::time::Duration;

use authfort::{AuthFort, DeletedFilter, UserId};
use authfort_testkit::{Engine, TestDatabase, both_engines, run};
use chrono::TimeDelta;
use futures_util::future::join_all;

use crate::raw::Raw;
use crate::support::{builder, clock, service};
use crate::tools::{Dice, Killed};

const WRITERS: u64 = 8;
const EACH: u64 = 125;

fn id(n: u64) -> UserId {
    UserId(uuid::Uuid::from_u128(u128::from(n)))
}

/// One of the users that all writers work on, as SQL.
fn someone(raw: &Raw, dice: &mut Dice) -> String {
    raw.literal(id(dice.roll(40)))
}

const ROLES: [&str; 3] = ["member", "editor", "author"];

/// One operation out of the many; it may fail, as calls of this kind may under load.
async fn operation(auth: &AuthFort, raw: &Raw, dice: &mut Dice, unique: u64) -> Result<(), String> {
    let user = id(dice.roll(40));
    let role = ROLES[usize::try_from(dice.roll(3)).unwrap()];
    let text = |error: authfort::Error| error.to_string();
    let soon = auth.get_user_count().await.map(|_| clock().now()).map_err(text)?
        + TimeDelta::hours(dice.roll(72).cast_signed() + 1);
    match dice.roll(14) {
        0 => auth.create_user(format!("new{unique}@example.com")).role(role).await.map(drop).map_err(text),
        1 => auth.add_role(user, role).await.map(drop).map_err(text),
        2 => auth.remove_role(user, role).await.map(drop).map_err(text),
        3 => auth.ban_user(user).await.map(drop).map_err(text),
        4 => auth.ban_user(user).expires_at(soon).await.map(drop).map_err(text),
        5 => auth.unban_user(user).await.map(drop).map_err(text),
        6 if unique.is_multiple_of(3) => auth.delete_user(user).anonymize().await.map(drop).map_err(text),
        6 => auth.delete_user(user).await.map(drop).map_err(text),
        choice => {
            let one = someone(raw, dice);
            let back = format!(
                "INSERT INTO authfort_users (id, email, email_key, search_key, created_at, updated_at, banned) VALUES
                 ({one}, 'again{unique}@example.com', 'again{unique}@example.com', '', '2029-01-01T00:00:00+00:00', '2029-01-01T00:00:00+00:00', {})
                 ON CONFLICT (id) DO UPDATE SET banned = NOT authfort_users.banned, email_verified = NOT authfort_users.email_verified, created_at = '2029-03-01T00:00:00+00:00'",
                dice.roll(2) == 0
            );
            let give = format!(
                "INSERT INTO authfort_user_roles (user_id, role, created_at)
                 SELECT id, '{role}', created_at FROM authfort_users WHERE id = {one} ON CONFLICT DO NOTHING"
            );
            let statements = match choice {
                7 => vec![back],
                8 => vec![give],
                9 => vec![back, give],
                10 => vec![
                    give,
                    format!(
                        "UPDATE authfort_users SET banned = TRUE, ban_expires_at = '2030-01-01T20:00:00+00:00' WHERE id = {one}"
                    ),
                ],
                11 => vec![format!("DELETE FROM authfort_users WHERE id = {one}"), back, give],
                12 => vec![format!(
                    "UPDATE authfort_user_roles SET role = 'author' WHERE user_id = {one} AND role = 'member'
                    AND NOT EXISTS (SELECT 1 FROM authfort_user_roles o WHERE o.user_id = {one} AND o.role = 'author')"
                )],
                _ => vec![format!("DELETE FROM authfort_user_roles WHERE user_id = {one}")],
            };
            let commit = dice.roll(3) > 0;
            let mut tx = raw.begin().await;
            for statement in statements {
                tx.execute(statement).await.map_err(|error| error.to_string())?;
            }
            if commit {
                tx.commit().await.map_err(|error| error.to_string())
            } else {
                tx.rollback().await;
                Ok(())
            }
        }
    }
}

async fn are_right(auth: &AuthFort, raw: &Raw) {
    let check = auth.check_totals().await.unwrap();
    assert!(check.is_consistent(), "{check:?}");
    let all = raw.number("SELECT count(*) FROM authfort_users").await;
    assert_eq!(auth.get_user_count().deleted(DeletedFilter::With).await.unwrap(), u64::try_from(all).unwrap());
    for role in ROLES {
        let holders = raw.number(format!("SELECT count(*) FROM authfort_user_roles WHERE role = '{role}'")).await;
        assert_eq!(
            auth.get_user_count().deleted(DeletedFilter::With).role(role).await.unwrap(),
            u64::try_from(holders).unwrap()
        );
    }
}

both_engines! {
    async fn after_a_thousand_operations_from_eight_connections_they_equal_a_recount(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, u32::try_from(WRITERS).unwrap()).await;
        let writers = (0..WRITERS).map(|writer| {
            let (auth, raw) = (auth.clone(), raw.clone());
            tokio::spawn(async move {
                let mut dice = Dice(writer + 1);
                let mut done = 0;
                for n in 0..EACH {
                    done += u32::from(operation(&auth, &raw, &mut dice, writer * EACH + n).await.is_ok());
                }
                done
            })
        });
        let done: u32 = join_all(writers).await.into_iter().map(Result::unwrap).sum();
        // The others met nobody, or each other.
        assert!(done > 400, "only {done} of a thousand did something");
        are_right(&auth, &raw).await;
        if let Raw::Postgres(_) = raw {
            let rows = raw.number("SELECT max(n) FROM (SELECT count(*) AS n FROM authfort_user_totals GROUP BY role, deleted, verified, ban_day) c").await;
            assert!(rows <= 4 * i64::try_from(WRITERS).unwrap(), "{rows} rows of one total");
        }
    }
}

/// A process of its own that writes until it is killed: this very program, told so by its environment.
const WRITER: &str = "AUTHFORT_TEST_TOTALS_WRITER";

async fn write_for_ever(url: &str) {
    let auth = builder(&clock()).connect(url).await.unwrap();
    let started = std::process::id();
    for n in 0u64.. {
        let email = format!("killed{started}-{n}@example.com");
        let user = auth.create_user(email).role("member").role("editor").await.unwrap();
        match n % 3 {
            0 => drop(auth.ban_user(user.id).await.unwrap()),
            1 => drop(auth.delete_user(user.id).await.unwrap()),
            _ => {}
        }
    }
}

#[test]
fn a_killed_process_leaves_them_right() {
    if let Ok(url) = std::env::var(WRITER) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        return runtime.block_on(write_for_ever(&url));
    }
    for engine in [Engine::Sqlite, Engine::Postgres] {
        run(engine, async |db| {
            let (auth, _) = service(&db).await;
            let raw = Raw::open(&db, 1).await;
            for round in 0..6 {
                let before = raw.number("SELECT count(*) FROM authfort_events").await;
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--exact", "totals_under_load::a_killed_process_leaves_them_right"]);
                let writer = command.env(WRITER, db.url()).stdout(Stdio::null()).spawn();
                let writer = Killed(writer.unwrap());
                let written = async {
                    while raw.number("SELECT count(*) FROM authfort_events").await < before + 10 {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                };
                tokio::time::timeout(Duration::from_mins(1), written).await.expect("it writes");
                tokio::time::sleep(Duration::from_micros(round * 700)).await;
                drop(writer);
                are_right(&auth, &raw).await;
            }
            auth.create_user("jane@example.com").role("member").await.unwrap();
            are_right(&auth, &raw).await;
        });
    }
}

#[test]
fn lost_connections_leave_them_right() {
    run(Engine::Postgres, async |db| {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 4).await;
        let killer = Raw::open(&db, 1).await;
        let writers: Vec<_> = (0..4u64)
            .map(|writer| {
                let auth = auth.clone();
                tokio::spawn(async move {
                    for n in 0..60 {
                        if let Ok(user) = auth.create_user(format!("w{writer}-{n}@example.com")).role("member").await {
                            let _ = auth.ban_user(user.id).await;
                        }
                    }
                })
            })
            .collect();
        while writers.iter().any(|writer| !writer.is_finished()) {
            killer
                .execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name = 'authfort' AND state <> 'idle' LIMIT 1",
                )
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        are_right(&auth, &raw).await;
    });
}

/// Two that create users, give roles and ban are open at the same time, and end in either order.
#[test]
fn writers_do_not_wait_for_each_other() {
    for (isolation, first) in
        [("READ COMMITTED", 0), ("READ COMMITTED", 1), ("REPEATABLE READ", 0), ("SERIALIZABLE", 1)]
    {
        run(Engine::Postgres, async |db| {
            let (auth, _) = service(&db).await;
            let raw = Raw::open(&db, 3).await;
            for n in 0..4 {
                auth.create_user(format!("before{n}@example.com")).role("member").await.unwrap();
            }
            let mut open = Vec::new();
            for n in 0..2 {
                let mut tx = raw.begin().await;
                let text = format!(
                    "SET TRANSACTION ISOLATION LEVEL {isolation}; SET LOCAL statement_timeout = '20s'; SELECT 1 FROM authfort_users"
                );
                tx.execute(text).await.unwrap();
                open.push((n, tx));
            }
            for step in 0..3 {
                for (n, tx) in &mut open {
                    let id = id(u64::try_from(*n * 10 + step).unwrap());
                    tx.execute(format!(
                        "INSERT INTO authfort_users (id, email, email_key, search_key, created_at, updated_at) VALUES ('{id}', '{id}', '{id}', '', now(), now());
                         INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES ('{id}', 'member', now());
                         UPDATE authfort_users SET banned = TRUE WHERE id = '{id}'"
                    ))
                    .await
                    .unwrap();
                }
            }
            let total = auth.get_user_count().await.unwrap();
            assert_eq!(total, 4, "what is not committed does not count");
            open.swap(0, first);
            for (_, tx) in open {
                // Two that are serialised may refuse one another; none waits.
                let _ = tx.commit().await;
            }
            are_right(&auth, &raw).await;
            if isolation != "SERIALIZABLE" {
                assert_eq!(auth.get_user_count().role("member").banned(true).await.unwrap(), 6);
            }
        });
    }
}

/// Who gives a role and who bans its user wait for each other, whoever comes first.
#[test]
fn a_role_that_is_given_while_its_user_is_banned_knows_of_the_ban() {
    run(Engine::Postgres, async |db| {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 3).await;
        for role_first in [true, false] {
            let jane = auth.create_user(format!("jane{role_first}@example.com")).await.unwrap().id;
            let give = format!(
                "INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES ('{jane}', 'member', now())"
            );
            let ban = format!("UPDATE authfort_users SET banned = TRUE WHERE id = '{jane}'");
            let (first, second) = if role_first { (give, ban) } else { (ban, give) };
            let mut open = raw.begin().await;
            open.execute(first).await.unwrap();
            let waiting = tokio::spawn({
                let raw = raw.clone();
                async move { raw.execute(second).await }
            });
            crate::tools::lock_waiters(&db, 1).await;
            open.commit().await.unwrap();
            waiting.await.unwrap().unwrap();
            are_right(&auth, &raw).await;
        }
        assert_eq!(auth.get_user_count().role("member").banned(true).await.unwrap(), 2);
    });
}

/// A role that may write to users need not be allowed to write to totals, and its search path does not matter.
#[test]
fn an_operator_without_rights_on_the_totals_keeps_them_right() {
    run(Engine::Postgres, async |db| {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let name = db.url().rsplit('/').next().unwrap().to_owned();
        raw.execute(format!(
            "CREATE ROLE \"{name}\"; GRANT SELECT, INSERT, UPDATE, DELETE ON authfort_users, authfort_user_roles TO \"{name}\";
             SET ROLE \"{name}\"; SET search_path = pg_catalog;
             CREATE TEMP TABLE authfort_user_totals (n int);
             INSERT INTO public.authfort_users (id, email, email_key, search_key, created_at, updated_at) VALUES ('{0}', 'a', 'a', '', now(), now());
             INSERT INTO public.authfort_user_roles (user_id, role, created_at) VALUES ('{0}', 'member', now());
             UPDATE public.authfort_users SET banned = TRUE;
             RESET ROLE; RESET search_path; DROP TABLE pg_temp.authfort_user_totals;",
            id(1)
        ))
        .await
        .unwrap();
        are_right(&auth, &raw).await;
        assert_eq!(auth.get_user_count().role("member").banned(true).await.unwrap(), 1);
        raw.execute(format!("DROP OWNED BY \"{name}\"; DROP ROLE \"{name}\"")).await.unwrap();
    });
}
