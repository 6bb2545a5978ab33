//! Kept totals: what they count, for whoever writes.

use std::fmt::Write as _;

use authfort::{AuthFort, DeletedFilter, Total, UserFilter};
use authfort_testkit::{TestDatabase, both_engines};
use chrono::{TimeDelta, TimeZone, Utc};

use crate::list::{self, matches};
use crate::raw::Raw;
use crate::support::{builder, clock, service};

/// Every combination that is kept.
fn combinations() -> Vec<UserFilter> {
    list::combinations(&[&[], &["member"], &["editor"], &["nobody"]])
}

/// Every total is what the users themselves say, and the check agrees.
pub async fn are_right(auth: &AuthFort, about: &str) {
    let check = auth.check_totals().await.unwrap();
    assert!(check.is_consistent(), "{about}: {check:?}");
    let all = auth.list_users().deleted(DeletedFilter::With).limit(200).await.unwrap();
    assert_eq!(all.next_cursor, None, "more users than are looked at");
    for filter in combinations() {
        let expected = all.users.iter().filter(|user| matches(user, &filter)).count().try_into().unwrap();
        assert_eq!(auth.get_user_count().filter(filter.clone()).await.unwrap(), expected, "{about}: {filter:?}");
        let page = auth.list_users().filter(filter.clone()).limit(1).await.unwrap();
        assert_eq!(page.total, Some(expected), "{about}: {filter:?}");
    }
}

/// Columns and values of a user of the operator's.
fn insert(raw: &Raw, n: u128, more: &[(&str, &str)]) -> String {
    let id = raw.literal(authfort::UserId(uuid::Uuid::from_u128(n)));
    let (mut columns, mut values) = (String::new(), String::new());
    for (column, value) in more {
        write!(columns, ", {column}").unwrap();
        write!(values, ", {value}").unwrap();
    }
    format!(
        "INSERT INTO authfort_users (id, email, email_key, search_key, created_at, updated_at{columns})
         VALUES ({id}, 'user{n}@example.com', 'user{n}@example.com', '', '2029-01-01T00:00:00+00:00', '2029-01-01T00:00:00+00:00'{values})"
    )
}

fn give(raw: &Raw, n: u128, role: &str) -> String {
    let id = raw.literal(authfort::UserId(uuid::Uuid::from_u128(n)));
    format!(
        "INSERT INTO authfort_user_roles (user_id, role, created_at) VALUES ({id}, '{role}', '2029-01-01T00:00:00+00:00')"
    )
}

both_engines! {
    async fn a_role_without_a_name_cannot_be_given_by_plain_sql(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let jane = auth.create_user("jane@example.com").role("member").await.unwrap().id;
        let raw = Raw::open(&db, 1).await;
        // The totals of all users stand under the empty role: its holders would count as users.
        for sql in [give(&raw, jane.0.as_u128(), ""), "UPDATE authfort_user_roles SET role = ''".to_owned()] {
            assert!(raw.execute(sql.as_str()).await.is_err(), "{sql}");
        }
        are_right(&auth, "as it was").await;
    }

    async fn every_combination_of_banned_deleted_verified_and_role_is_what_the_users_say(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        are_right(&auth, "empty").await;
        let day = TimeDelta::days(1);
        for n in 0..36 {
            let mut call = auth.create_user(format!("user{n}@example.com")).email_verified(n % 4 == 0);
            if n % 2 == 0 {
                call = call.role("member");
            }
            if n % 3 == 0 {
                call = call.role("editor");
            }
            let id = call.await.unwrap().id;
            match n % 6 {
                0 | 1 => drop(auth.ban_user(id).await.unwrap()),
                2 => drop(auth.ban_user(id).expires_at(clock.now() + day * (n / 6)  + TimeDelta::hours(1)).await.unwrap()),
                3 => drop(auth.delete_user(id).anonymize().await.unwrap()),
                _ => {}
            }
        }
        are_right(&auth, "filled").await;
        // Who is anonymized is neither banned nor has roles; unless by somebody else's hand.
        let raw = Raw::open(&db, 1).await;
        raw.execute("UPDATE authfort_users SET deleted_at = created_at WHERE banned AND email < 'user2'").await.unwrap();
        are_right(&auth, "anonymized while banned, with roles").await;
        for hour in 0..60 {
            clock.advance(TimeDelta::hours(3));
            are_right(&auth, &format!("{hour} times three hours later")).await;
        }
        for user in auth.list_users().role("member").banned(true).await.unwrap().users {
            auth.unban_user(user.id).await.unwrap();
            auth.remove_role(user.id, "member").await.unwrap();
            auth.add_role(user.id, "editor").await.unwrap();
        }
        are_right(&auth, "unbanned").await;
        for user in auth.list_users().role("editor").await.unwrap().users {
            auth.delete_user(user.id).await.unwrap();
        }
        are_right(&auth, "deleted").await;
    }

    async fn a_ban_that_has_run_out_counts_as_none_from_that_very_moment(db: TestDatabase) {
        let (auth, clock) = service(&db).await;
        let noon = clock.now();
        let ends = [
            noon + TimeDelta::microseconds(1),
            noon + TimeDelta::hours(1),
            Utc.with_ymd_and_hms(2030, 1, 1, 23, 59, 59).unwrap() + TimeDelta::microseconds(999_999),
            Utc.with_ymd_and_hms(2030, 1, 2, 0, 0, 0).unwrap(),
            Utc.with_ymd_and_hms(2030, 1, 2, 0, 0, 0).unwrap() + TimeDelta::microseconds(1),
            Utc.with_ymd_and_hms(2030, 1, 3, 12, 0, 0).unwrap(),
        ];
        for (n, end) in ends.iter().enumerate() {
            let id = auth.create_user(format!("user{n}@example.com")).role("member").await.unwrap().id;
            auth.ban_user(id).expires_at(*end).await.unwrap();
        }
        let mut left: u64 = ends.len().try_into().unwrap();
        for end in ends {
            for (step, gone) in [(TimeDelta::microseconds(-1), 0), (TimeDelta::microseconds(1), 1)] {
                let until = if gone == 0 { end + step } else { end };
                clock.advance(until - clock.now());
                left -= gone;
                for call in [auth.get_user_count(), auth.get_user_count().role("member")] {
                    assert_eq!(call.clone().banned(true).await.unwrap(), left, "{until}");
                    assert_eq!(call.banned(false).await.unwrap(), 6 - left, "{until}");
                }
            }
            are_right(&auth, &end.to_string()).await;
        }
    }

    async fn the_sql_of_an_operator_keeps_them_right(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let id = |n: u128| raw.literal(authfort::UserId(uuid::Uuid::from_u128(n)));
        let mut steps = vec![
            insert(&raw, 1, &[]),
            insert(&raw, 2, &[("banned", "TRUE")]),
            insert(&raw, 3, &[("banned", "TRUE"), ("ban_expires_at", "'2030-01-01T18:00:00+00:00'")]),
            insert(&raw, 4, &[("banned", "TRUE"), ("ban_expires_at", "'2030-05-01T00:00:00+00:00'")]),
            insert(&raw, 5, &[("deleted_at", "'2029-06-01T00:00:00+00:00'"), ("banned", "TRUE")]),
            insert(&raw, 6, &[("ban_expires_at", "'2035-01-01T00:00:00+00:00'")]),
        ];
        steps.extend((1..=6).map(|n| give(&raw, n, "member")));
        steps.extend((3..=5).map(|n| give(&raw, n, "editor")));
        steps.push(format!("{} ON CONFLICT DO NOTHING", give(&raw, 3, "editor")));
        steps.push(format!("{} ON CONFLICT (user_id, role) DO UPDATE SET role = 'author'", give(&raw, 3, "editor")));
        steps.push(format!("UPDATE authfort_user_roles SET user_id = {} WHERE user_id = {} AND role = 'author'", id(1), id(3)));
        for step in [
            "UPDATE authfort_user_roles SET role = 'editor' WHERE role = 'author'",
            "UPDATE authfort_users SET banned = NOT banned",
            "UPDATE authfort_users SET email_verified = NOT email_verified WHERE banned",
            "UPDATE authfort_users SET ban_expires_at = '2030-01-02T00:00:00+00:00' WHERE banned",
            "UPDATE authfort_users SET ban_expires_at = NULL",
            "UPDATE authfort_users SET deleted_at = created_at WHERE deleted_at IS NULL AND banned",
            "UPDATE authfort_users SET deleted_at = NULL, created_at = '2029-02-02T00:00:00+00:00'",
            "UPDATE authfort_users SET updated_at = created_at, banned_by = NULL",
            "UPDATE authfort_users SET name = 'Jane', name_key = 'jane' WHERE banned",
            "UPDATE authfort_users SET email_key = 'new.' || email_key, name_key = NULL",
            "UPDATE authfort_users SET name_key = ''",
            "DELETE FROM authfort_user_roles WHERE role = 'editor'",
            "DELETE FROM authfort_users WHERE banned",
        ] {
            steps.push(step.to_owned());
        }
        for n in 10..14 {
            steps.push(format!("BEGIN; {}; {}; {}; COMMIT", insert(&raw, n, &[("banned", "TRUE")]), give(&raw, n, "member"), give(&raw, n, "editor")));
        }
        steps.push(format!("BEGIN; {}; DELETE FROM authfort_users; ROLLBACK", insert(&raw, 20, &[("banned", "TRUE")])));
        steps.push(format!("BEGIN; {}; SAVEPOINT a; DELETE FROM authfort_users; ROLLBACK TO a; {}; COMMIT", insert(&raw, 21, &[]), give(&raw, 21, "member")));
        match &raw {
            // Many at once; a user and roles in one statement, in both orders; the tables emptied.
            Raw::Postgres(_) => {
                steps.push(
                    "WITH users AS (INSERT INTO authfort_users (id, email, email_key, search_key, banned, created_at, updated_at)
                         SELECT gen_random_uuid(), 'many' || n, 'many' || n, '', n % 3 = 0, '2028-01-01Z', '2028-01-01Z'
                         FROM generate_series(1, 100) n RETURNING id)
                     INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'member', now() FROM users".to_owned(),
                );
                let user = insert(&raw, 30, &[("banned", "TRUE"), ("deleted_at", "'2029-01-01T00:00:00Z'")]);
                steps.push(format!("WITH late AS ({user}) {}", give(&raw, 30, "editor")));
                steps.push("INSERT INTO authfort_users (id, email, email_key, search_key, banned, ban_expires_at, created_at, updated_at)
                    SELECT gen_random_uuid(), 'odd' || row_number() OVER (), 'odd' || row_number() OVER (), '', TRUE, t, 'epoch', 'epoch'
                    FROM unnest('{2030-01-01 13:00:00+00, 0044-03-15 00:00:00, 2029-12-31 23:30:00-11}'::timestamptz[]) t".to_owned());
                steps.push("TRUNCATE authfort_user_roles".to_owned());
                steps.push("TRUNCATE authfort_users CASCADE".to_owned());
            }
            Raw::Sqlite(_) => {
                steps.push(
                    "INSERT OR IGNORE INTO authfort_users (id, email, email_key, search_key, banned, created_at, updated_at)
                     WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
                     SELECT randomblob(16), 'many' || n, 'many' || n, '', n % 3 = 0, '2028-01-01T00:00:00+00:00', '2028-01-01T00:00:00+00:00' FROM n".to_owned(),
                );
                for _ in 0..2 {
                    steps.push("INSERT OR IGNORE INTO authfort_user_roles (user_id, role, created_at)
                        SELECT id, 'member', created_at FROM authfort_users".to_owned());
                }
                // The roles first.
                steps.push(format!(
                    "BEGIN; PRAGMA defer_foreign_keys = ON; {}; {}; COMMIT",
                    give(&raw, 30, "editor"), insert(&raw, 30, &[("banned", "TRUE"), ("deleted_at", "'2029-01-01T00:00:00+00:00'")]),
                ));
                // As SQLite's own functions write times.
                steps.push("UPDATE authfort_users SET created_at = '2028-01-01T00:00:00+00:00'".to_owned());
                steps.push("UPDATE authfort_users SET banned = TRUE, ban_expires_at = strftime('%Y-%m-%dT%H:%M:%f+00:00', '2030-01-02') WHERE email > 'many5'".to_owned());
                steps.push("DELETE FROM authfort_user_roles".to_owned());
                steps.push("DELETE FROM authfort_users".to_owned());
            }
        }
        for step in steps {
            raw.execute(step.as_str()).await.unwrap_or_else(|error| panic!("{step}: {error}"));
            let check = auth.check_totals().await.unwrap();
            assert!(check.is_consistent(), "{step}: {check:?}");
            if !step.contains("odd") {
                are_right_by_the_text(&auth, &raw, &step).await;
            }
        }
        assert_eq!(auth.get_user_count().deleted(DeletedFilter::With).await.unwrap(), 0);
        assert_eq!(raw.number("SELECT count(*) FROM authfort_user_totals WHERE n <> 0").await, 0);
    }

    async fn a_database_with_users_from_before_has_its_totals_after_the_migration(db: TestDatabase) {
        let raw = Raw::open(&db, 1).await;
        raw.migrate_to(3).await;
        for n in 1..=40 {
            let more: &[(&str, &str)] = match n % 5 {
                0 => &[("banned", "TRUE")],
                1 => &[("banned", "TRUE"), ("ban_expires_at", "'2030-01-01T18:00:00+00:00'")],
                2 => &[("banned", "TRUE"), ("ban_expires_at", "'2030-02-01T18:00:00+00:00'")],
                3 => &[("deleted_at", "'2029-06-01T00:00:00+00:00'")],
                _ => &[],
            };
            raw.execute(insert(&raw, n, more)).await.unwrap();
            raw.execute(give(&raw, n, if n % 2 == 0 { "member" } else { "editor" })).await.unwrap();
        }
        let auth = builder(&clock()).connect(db.url()).await.unwrap();
        are_right(&auth, "migrated").await;
        assert_eq!(auth.get_user_count().role("member").banned(true).await.unwrap(), 12);
        auth.create_user("new@example.com").role("member").await.unwrap();
        are_right(&auth, "and used").await;
    }

    async fn a_check_finds_what_is_wrong_and_a_repair_puts_it_right(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        for n in 0..5 {
            auth.create_user(format!("user{n}@example.com")).role("member").await.unwrap();
        }
        assert!(auth.repair_totals().await.unwrap().is_consistent());
        let raw = Raw::open(&db, 1).await;
        raw.execute("UPDATE authfort_user_totals SET n = n + 2 WHERE role = 'member'").await.unwrap();
        raw.execute("DELETE FROM authfort_user_totals WHERE role = ''").await.unwrap();
        raw.execute("INSERT INTO authfort_user_totals (role, deleted, verified, ban_day, n) VALUES ('ghost', TRUE, TRUE, 'never', 1)").await.unwrap();
        raw.execute("UPDATE authfort_user_roles SET user_created_at = '2001-01-01T00:00:00+00:00'").await.unwrap();
        let found = auth.check_totals().await.unwrap();
        let lines: Vec<_> = found.differences.iter()
            .map(|d| (d.role.as_deref(), d.deleted, d.verified, d.ban_day.as_deref(), d.kept, d.counted)).collect();
        assert_eq!(lines, [(None, false, false, None, 0, 5), (Some("ghost"), true, true, Some("never"), 1, 0), (Some("member"), false, false, None, 7, 5)]);
        assert_eq!((found.stale_roles, found.is_consistent()), (5, false));
        assert_eq!(auth.get_user_count().await.unwrap(), 0, "kept, not counted");
        assert_eq!(auth.repair_totals().await.unwrap(), found);
        are_right(&auth, "repaired").await;
        assert!(auth.repair_totals().await.unwrap().is_consistent());
    }

    async fn a_capped_total_counts_to_a_thousand_and_says_so(db: TestDatabase) {
        let (auth, _) = service(&db).await;
        let raw = Raw::open(&db, 1).await;
        let mut tx = raw.begin().await;
        for n in 0..1_000 {
            let call = auth.create_user(format!("user{n}@example.com")).email_verified(n < 999);
            call.role("member").in_tx(tx.conn()).await.unwrap();
        }
        tx.commit().await.unwrap();
        let capped = || auth.list_users().total(Total::Capped).limit(1);
        let totals = async |call: authfort::ListUsers| {
            let page = call.await.unwrap();
            (page.total, page.total_is_capped)
        };
        // By what is kept, and by counting.
        let (kept, counted) = (|| capped().role("member"), || capped().query("user"));
        assert_eq!(totals(kept()).await, (Some(1_000), Some(false)));
        assert_eq!(totals(counted()).await, (Some(1_000), Some(false)));
        assert_eq!(totals(capped().email_verified(true)).await, (Some(999), Some(false)));
        assert_eq!(totals(capped().query("nobody at all")).await, (Some(0), Some(false)));
        auth.create_user("user-more@example.com").role("member").await.unwrap();
        assert_eq!(totals(kept()).await, (Some(1_000), Some(true)));
        assert_eq!(totals(counted()).await, (Some(1_000), Some(true)));
        assert_eq!(totals(auth.list_users()).await, (Some(1_001), None));
        assert_eq!(totals(auth.list_users().total(Total::None)).await, (None, None));
        are_right_by_the_text(&auth, &raw, "a thousand in one transaction").await;
    }
}

/// The totals that are kept, asked of the tables.
async fn are_right_by_the_text(auth: &AuthFort, raw: &Raw, about: &str) {
    let now = "'2030-01-01T12:00:00+00:00'";
    for filter in combinations() {
        let mut sql = "SELECT count(*) FROM authfort_users u WHERE ".to_owned();
        sql += match filter.deleted {
            DeletedFilter::Without => "u.deleted_at IS NULL",
            DeletedFilter::With => "TRUE",
            DeletedFilter::Only => "u.deleted_at IS NOT NULL",
        };
        if let Some(banned) = filter.banned {
            let not = if banned { "" } else { "NOT" };
            write!(sql, " AND {not} (u.banned AND (u.ban_expires_at IS NULL OR u.ban_expires_at > {now}))").unwrap();
        }
        if let Some(verified) = filter.email_verified {
            write!(sql, " AND u.email_verified = {verified}").unwrap();
        }
        for role in &filter.roles {
            write!(
                sql,
                " AND EXISTS (SELECT 1 FROM authfort_user_roles r WHERE r.user_id = u.id AND r.role = '{role}')"
            )
            .unwrap();
        }
        assert_eq!(
            auth.get_user_count().filter(filter.clone()).await.unwrap(),
            u64::try_from(raw.number(sql).await).unwrap(),
            "{about}: {filter:?}"
        );
    }
}
