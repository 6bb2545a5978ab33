//! The query plans of this module's statements: both engines must use an index and its order, not read the whole table.

use authfort_testkit::{TestDatabase, both_engines};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::db::dynamic::bound;
use crate::db::sql;
use crate::{Algorithm, AuthFort, Clock};

const USERS: i64 = 20_000;

/// Creates 20,000 users, a few of whom are banned, anonymized, verified, or editors.
async fn filled(db: &TestDatabase, statistics: bool) -> AuthFort {
    let builder = AuthFort::builder().algorithm(Algorithm::EdDsa).clock(Clock::fixed(now()));
    let auth = builder.connect(db.url()).await.unwrap();
    let mut tx = auth.core().db().begin().await.unwrap();
    match &mut tx.conn() {
        Conn::Sqlite(conn) => {
            let fill = format!(
                "INSERT INTO authfort_users (id, email, email_key, email_verified, name, name_key, search_key, banned, created_at,
                     updated_at, deleted_at)
                 WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {USERS})
                 SELECT randomblob(16), 'user' || n || '@example.com', 'user' || n || '@example.com', n % 500 = 0, iif(n % 7 = 0, NULL, 'Name ' || n % 100),
                     iif(n % 7 = 0, NULL, 'name ' || n % 100), 'user' || n || '@example.com' || char(10) || 'name ' || n % 100,
                     n % 400 = 1, strftime('%Y-%m-%dT%H:%M:%S+00:00', 1890000000 + n * 60, 'unixepoch'),
                     '2030-01-01T00:00:00+00:00', iif(n % 400 = 2, '2030-01-01T00:00:00+00:00', NULL) FROM n;
                 INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'member', created_at FROM authfort_users;
                 INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'editor', created_at FROM authfort_users WHERE seq % 400 = 3;"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut **conn).await.unwrap();
            if statistics {
                sqlx::raw_sql("ANALYZE").execute(&mut **conn).await.unwrap();
            }
        }
        Conn::Postgres(conn, _) => {
            let fill = format!(
                "INSERT INTO authfort_users (id, email, email_key, email_verified, name, name_key, search_key, banned, created_at,
                     updated_at, deleted_at)
                 SELECT gen_random_uuid(), 'user' || n || '@example.com', 'user' || n || '@example.com', n % 500 = 0,
                     CASE WHEN n % 7 > 0 THEN 'Name ' || n % 100 END, CASE WHEN n % 7 > 0 THEN 'name ' || n % 100 END,
                     'user' || n || '@example.com' || chr(10) || 'name ' || n % 100, n % 400 = 1,
                     timestamptz '2029-11-22T00:00:00Z' + n * interval '1 minute', '2030-01-01T00:00:00Z',
                     CASE WHEN n % 400 = 2 THEN timestamptz '2030-01-01T00:00:00Z' END FROM generate_series(1, {USERS}) n;
                 INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'member', created_at FROM authfort_users;
                 INSERT INTO authfort_user_roles (user_id, role, created_at) SELECT id, 'editor', created_at FROM authfort_users WHERE banned;"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(fill)).execute(&mut **conn).await.unwrap();
        }
    }
    tx.commit().await.unwrap();
    let mut conn = auth.core().db().read().await.unwrap();
    if let Conn::Postgres(conn, _) = &mut conn.conn() {
        // What autovacuum does eventually: statistics, and merging pending trigrams into their index.
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut **conn).await.unwrap();
    }
    drop(conn);
    auth
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_456_000, 0).unwrap()
}

/// Returns the lines of the plan; for a page, those of the limited part, without the roles of its users.
async fn plan(auth: &AuthFort, mut statement: Statement) -> Vec<String> {
    let mut conn = auth.core().db().read().await.unwrap();
    match &mut conn.conn() {
        Conn::Sqlite(conn) => {
            // EXPLAIN does not read: only a statement that reads notices that another connection changed the schema.
            sqlx::query("SELECT version FROM authfort_migrations").execute(&mut **conn).await.unwrap();
            statement.text.insert_str(0, "EXPLAIN QUERY PLAN ");
            let lines: Vec<(i64, i64, i64, String)> =
                bound!(sqlx::query_as, statement).fetch_all(&mut **conn).await.unwrap();
            let page = lines.iter().find(|line| line.3.ends_with("ROUTINE u") || line.3 == "MATERIALIZE u");
            let mut inside: Vec<i64> = page.map(|line| line.0).into_iter().collect();
            let whole = inside.is_empty();
            let mut kept = Vec::new();
            for (id, parent, _, text) in lines {
                if whole || inside.contains(&parent) {
                    inside.push(id);
                    kept.push(text);
                }
            }
            kept.retain(|text| !text.starts_with("SEARCH r USING PRIMARY KEY (user_id=?"));
            kept
        }
        Conn::Postgres(conn, _) => {
            statement.text.insert_str(0, "EXPLAIN (COSTS OFF) ");
            let lines: Vec<(String,)> = bound!(sqlx::query_as, statement).fetch_all(&mut **conn).await.unwrap();
            let lines: Vec<String> = lines.into_iter().map(|line| line.0).collect();
            let depth = |line: &str| line.len() - line.trim_start().len();
            let Some(limit) = lines.iter().position(|line| line.trim_start().trim_start_matches("->  ") == "Limit")
            else {
                return lines;
            };
            let inner = lines.iter().skip(limit + 1).take_while(|line| depth(line) > depth(&lines[limit]));
            inner.cloned().collect()
        }
    }
}

/// Returns whether the plan reads the whole table.
fn reads_all(plan: &[String]) -> bool {
    plan.iter().any(|line| {
        let line = line.trim_start().trim_start_matches("->  ");
        ["SCAN u", "SCAN b"].contains(&line)
            || line.starts_with("Seq Scan on authfort_users")
            || line.contains("Parallel Seq Scan")
    })
}

fn sorts(plan: &[String]) -> bool {
    plan.iter()
        .any(|line| line.contains("USE TEMP B-TREE") || line.contains("->  Sort") || line.contains("Incremental Sort"))
}

fn uses(plan: &[String], index: &str) -> bool {
    // PostgreSQL writes `using x on`, SQLite `USING INDEX x (`, and both `x` at the end of a line.
    plan.iter().any(|line| line.split([' ', ':']).any(|word| word == index))
}

fn page(filter: UserFilter, sort_by: SortBy, sort_order: SortOrder, seek: Seek) -> PageRequest {
    PageRequest { filter, sort_by, sort_order, limit: 51, seek, total: Total::None }
}

fn filters() -> Vec<(&'static str, UserFilter)> {
    let from = UserFilter::default;
    let far = now() - TimeDelta::days(39);
    vec![
        ("authfort_users_banned", UserFilter { banned: Some(true), ..from() }),
        ("authfort_users_deleted", UserFilter { deleted: DeletedFilter::Only, ..from() }),
        ("authfort_users_verified", UserFilter { email_verified: Some(true), ..from() }),
        ("authfort_users_created", UserFilter { created_before: Some(far), ..from() }),
        ("authfort_users_created", UserFilter { created_after: Some(now() - TimeDelta::days(26)), ..from() }),
        ("authfort_user_roles_role", UserFilter { roles: vec!["editor".into()], ..from() }),
        ("authfort_user_roles_role", UserFilter { roles: vec!["author".into(), "editor".into()], ..from() }),
    ]
}

/// The table of kept totals. It has so few rows here that PostgreSQL may read all of them.
const KEPT: &str = "authfort_user_totals";

async fn every_path_has_an_index(auth: &AuthFort) {
    let mut statements = Vec::new();
    {
        let mut conn = auth.core().db().read().await.unwrap();
        let conn = conn.conn();
        let sqlite = matches!(conn, Conn::Sqlite(_));
        for sort_by in [SortBy::CreatedAt, SortBy::Email, SortBy::Name] {
            for sort_order in [SortOrder::Asc, SortOrder::Desc] {
                let index = match (sort_by, sort_order) {
                    (SortBy::CreatedAt, _) => "authfort_users_created",
                    // The address is unique: SQLite knows that sorting by it needs no id.
                    (SortBy::Email, _) if sqlite => "sqlite_autoindex_authfort_users_2",
                    (SortBy::Email, _) => "authfort_users_email_id",
                    (SortBy::Name, SortOrder::Asc) => "authfort_users_name_asc",
                    (SortBy::Name, SortOrder::Desc) => "authfort_users_name_desc",
                };
                let keys = match sort_by {
                    SortBy::CreatedAt => vec![SortKey::Time(now() - TimeDelta::days(30)), SortKey::End],
                    SortBy::Email => vec![SortKey::Text("user5@example.com".into()), SortKey::End],
                    SortBy::Name => vec![SortKey::Text("name 50".into()), SortKey::Missing, SortKey::End],
                };
                let mut seeks = vec![Seek::Offset(0), Seek::Offset(100)];
                for (key, backward) in keys.into_iter().flat_map(|key| [(key.clone(), false), (key, true)]) {
                    seeks.push(Seek::Cursor(Cursor { backward, key, id: Uuid::from_u128(1 << 120) }));
                }
                for seek in seeks {
                    let by_cursor = matches!(&seek, Seek::Cursor(cursor) if cursor.key != SortKey::End);
                    let page = page(UserFilter::default(), sort_by, sort_order, seek);
                    statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), index, true, by_cursor));
                }
            }
        }
        for (index, filter) in filters() {
            let in_order = !index.contains("roles");
            let page = page(filter.clone(), SortBy::CreatedAt, SortOrder::Desc, Seek::Offset(0));
            statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), index, in_order, false));
            // A total that is kept is read from its own table.
            let index = if totals::is_kept(&filter) { KEPT } else { index };
            statements.push((format!("count {filter:?}"), count_statement(&conn, &filter, now()), index, true, false));
        }
        let id = Uuid::from_u128(1 << 120).to_string();
        for (term, index) in [
            ("user1234@", "authfort_users_search"),
            ("r1777", "authfort_users_search"),
            ("777", "authfort_users_search"),
            (&id, "authfort_users_search"),
            (&id, if sqlite { "sqlite_autoindex_authfort_users_1" } else { "authfort_users_pkey" }),
        ] {
            let filter = UserFilter { query: Some(term.into()), ..UserFilter::default() };
            let page = page(filter.clone(), SortBy::CreatedAt, SortOrder::Desc, Seek::Offset(0));
            statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), index, false, false));
            statements.push((format!("count {filter:?}"), count_statement(&conn, &filter, now()), index, true, false));
        }
    }
    for (what, statement, index, in_order, by_cursor) in statements {
        let text = statement.text.clone();
        let plan = plan(auth, statement).await;
        let about = format!("{what}\n{text}\n{}", plan.join("\n"));
        // SQLite with statistics may skip through the two values of `email_verified`, which is as good for a time
        // alone.
        let as_good = match index {
            "authfort_users_created" => uses(&plan, "authfort_users_verified"),
            "authfort_user_roles_role" => uses(&plan, "authfort_user_roles_created"),
            KEPT => plan.iter().any(|line| line.contains("SEARCH k USING PRIMARY KEY") || line.contains(KEPT)),
            _ => false,
        };
        assert!(uses(&plan, index) || as_good, "{index} is not used: {about}");
        assert!(!reads_all(&plan), "reads everything: {about}");
        assert!(!(in_order && sorts(&plan)), "sorts: {about}");
        // A cursor must seek to its position instead of reading the rows before it.
        let begins = plan.iter().any(|line| {
            line.starts_with("SEARCH u") && (line.contains("(?,?)") || line.contains("(email_key"))
                || line.contains("Index Cond: (ROW(")
        });
        assert!(!by_cursor || begins, "passes over rows: {about}");
    }
}

both_engines! {
    async fn defect_27_every_order_filter_and_search_has_an_index(db: TestDatabase) {
        let auth = filled(&db, false).await;
        every_path_has_an_index(&auth).await;
    }

    async fn defect_27_every_order_filter_and_search_has_an_index_also_with_statistics(db: TestDatabase) {
        let auth = filled(&db, true).await;
        every_path_has_an_index(&auth).await;
    }

    /// Checks what a plan without an index looks like, so that the test above can fail.
    async fn a_plan_without_an_index_is_told_from_one_with(db: TestDatabase) {
        let auth = filled(&db, true).await;
        let mut tx = auth.core().db().begin().await.unwrap();
        sql!(&mut tx.conn(), execute, "DROP INDEX authfort_users_name_asc").unwrap();
        sql!(&mut tx.conn(), execute, "DROP INDEX authfort_users_banned").unwrap();
        sql!(&mut tx.conn(), execute, "DROP INDEX authfort_users_ban_expires").unwrap();
        tx.commit().await.unwrap();
        let (by_name, banned) = {
            let mut conn = auth.core().db().read().await.unwrap();
            let page = page(UserFilter::default(), SortBy::Name, SortOrder::Asc, Seek::Offset(0));
            let banned = UserFilter { banned: Some(true), ..UserFilter::default() };
            (page_statement(&conn.conn(), &page, now()), count_statement(&conn.conn(), &banned, now()))
        };
        let by_name = plan(&auth, by_name).await;
        assert!(sorts(&by_name) && reads_all(&by_name) && !uses(&by_name, "authfort_users_name_asc"), "{by_name:#?}");
        let banned = plan(&auth, banned).await;
        assert!(reads_all(&banned) && !uses(&banned, "authfort_users_banned"), "{banned:#?}");
    }
}
