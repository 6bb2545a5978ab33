//! The query plans of this module's statements: both engines must use an index and its order, not read the whole table.

use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::*;
use crate::db::dynamic::{Arg, bound};
use crate::db::sql;
use crate::model::cursor::SortKey;
use crate::{Algorithm, AuthFort, Clock, SortBy, SortOrder};

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
    if statistics && let Conn::Postgres(conn, _) = &mut auth.core().db().read().await.unwrap().conn() {
        // What autovacuum does eventually: statistics, and merging pending trigrams into their index.
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut **conn).await.unwrap();
    }
    auth
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_456_000, 0).unwrap()
}

fn postgres_type(arg: &Arg) -> &'static str {
    match arg {
        Arg::Uuid(_) | Arg::OptUuid(_) => "uuid",
        Arg::Text(_) | Arg::OptText(_) => "text",
        Arg::Bool(_) => "boolean",
        Arg::Int(_) => "bigint",
        Arg::Time(_) | Arg::OptTime(_) => "timestamptz",
    }
}

/// The plans that a server may choose for a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Plan {
    /// With the values in sight.
    Custom,
    /// PostgreSQL's, for all values; what a statement that stays prepared may get after five runs.
    Generic,
}

/// Returns the lines of the plan.
async fn plan(auth: &AuthFort, mut statement: Statement, kind: Plan) -> Vec<String> {
    let mut conn = auth.core().db().read().await.unwrap();
    match &mut conn.conn() {
        Conn::Sqlite(conn) => {
            // EXPLAIN does not read: only a statement that reads notices that another connection changed the schema.
            sqlx::query("SELECT version FROM authfort_migrations").execute(&mut **conn).await.unwrap();
            statement.text.insert_str(0, "EXPLAIN QUERY PLAN ");
            let lines: Vec<(i64, i64, i64, String)> =
                bound!(sqlx::query_as, statement).fetch_all(&mut **conn).await.unwrap();
            let mut depths = std::collections::HashMap::from([(0, 0)]);
            let mut plan = Vec::new();
            for (id, parent, _, text) in lines {
                let depth = depths[&parent];
                depths.insert(id, depth + 1);
                plan.push(format!("{}{text}", "  ".repeat(depth)));
            }
            plan
        }
        Conn::Postgres(conn, _) => {
            let explained: Vec<(String,)> = if kind == Plan::Generic {
                let types: Vec<&str> = statement.args.iter().map(postgres_type).collect();
                let nulls = vec!["NULL"; types.len()].join(", ");
                let types = if types.is_empty() { String::new() } else { format!("({})", types.join(", ")) };
                let nulls = if nulls.is_empty() { String::new() } else { format!("({nulls})") };
                let prepare = format!(
                    "SET plan_cache_mode = force_generic_plan; PREPARE explained {types} AS {};",
                    statement.text
                );
                sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut **conn).await.unwrap();
                let explain = sqlx::AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE explained {nulls}"));
                let lines = sqlx::query_as(explain).persistent(false).fetch_all(&mut **conn).await.unwrap();
                sqlx::raw_sql("DEALLOCATE explained; RESET plan_cache_mode").execute(&mut **conn).await.unwrap();
                lines
            } else {
                statement.text.insert_str(0, "EXPLAIN (COSTS OFF) ");
                bound!(sqlx::query_as, statement).fetch_all(&mut **conn).await.unwrap()
            };
            explained.into_iter().map(|line| line.0).collect()
        }
    }
}

/// SQLite never looks at the values.
fn plans(db: &TestDatabase) -> Vec<Plan> {
    match db.engine() {
        Engine::Sqlite => vec![Plan::Custom],
        Engine::Postgres => vec![Plan::Custom, Plan::Generic],
    }
}

/// Returns the first line that reads a whole table, or all rows of an index in another order than that of the page.
fn scan(plan: &[String]) -> Option<&String> {
    plan.iter().enumerate().find_map(|(at, line)| {
        let text = line.trim_start().trim_start_matches("->  ");
        // The roles of one user, and the bans that end today.
        let of_one = plan.get(at + 1).is_some_and(|next| next.trim_start() == "Recheck Cond: (user_id = u.id)")
            || text == "Bitmap Heap Scan on authfort_users b";
        let scans = ["SCAN u", "SCAN r", "SCAN b"].contains(&text)
            || ["Seq Scan on authfort_user", "Parallel", "Bitmap Heap Scan on authfort_user", "Hash", "Merge"]
                .iter()
                .any(|begin| text.starts_with(begin) && !text.contains("authfort_user_totals"));
        (scans && !of_one).then_some(line)
    })
}

/// Returns the first line that sorts, but for the last step, which sorts the page itself.
fn sort(plan: &[String]) -> Option<&String> {
    plan.iter().enumerate().find_map(|(at, line)| {
        let sorts = line.contains("USE TEMP B-TREE") || line.contains("Sort (") || line.ends_with("Sort");
        let last = at == 0 || !line.starts_with(' ');
        // Rows with the same address, of which there is one.
        let one = plan.get(at + 2).is_some_and(|next| next.contains("Presorted Key: ") && next.ends_with("email_key"));
        let sorts = sorts && !one;
        (sorts && !last).then_some(line)
    })
}

fn uses(plan: &[String], index: &str) -> bool {
    // PostgreSQL writes `using x on`, SQLite `USING INDEX x (`, and both `x` at the end of a line.
    plan.iter().any(|line| line.split([' ', ':']).any(|word| word == index))
}

fn page(filter: UserFilter, sort_by: SortBy, sort_order: SortOrder, seek: Seek) -> PageRequest {
    PageRequest { filter, sort_by, sort_order, limit: 51, seek, total: Total::Exact }
}

/// Each filter, alone and in pairs, without search and several roles.
fn filters() -> Vec<UserFilter> {
    let far = now() - TimeDelta::days(39);
    let late = now() - TimeDelta::days(26);
    let parts: [(u8, UserFilter); 10] = [
        (0, UserFilter { banned: Some(true), ..UserFilter::default() }),
        (0, UserFilter { banned: Some(false), ..UserFilter::default() }),
        (1, UserFilter { deleted: DeletedFilter::Only, ..UserFilter::default() }),
        (1, UserFilter { deleted: DeletedFilter::With, ..UserFilter::default() }),
        (2, UserFilter { email_verified: Some(true), ..UserFilter::default() }),
        (2, UserFilter { email_verified: Some(false), ..UserFilter::default() }),
        (3, UserFilter { created_before: Some(far), ..UserFilter::default() }),
        (3, UserFilter { created_after: Some(late), ..UserFilter::default() }),
        (4, UserFilter { roles: vec!["editor".into()], ..UserFilter::default() }),
        (4, UserFilter { roles: vec!["member".into()], ..UserFilter::default() }),
    ];
    let mut filters = vec![UserFilter::default()];
    for (at, (kind, one)) in parts.iter().enumerate() {
        filters.push(one.clone());
        for (other, two) in &parts[at + 1..] {
            if kind != other {
                let mut both = one.clone();
                both.banned = both.banned.or(two.banned);
                both.email_verified = both.email_verified.or(two.email_verified);
                both.created_before = both.created_before.or(two.created_before);
                both.created_after = both.created_after.or(two.created_after);
                both.roles.extend(two.roles.clone());
                if two.deleted != DeletedFilter::Without {
                    both.deleted = two.deleted;
                }
                filters.push(both);
            }
        }
    }
    filters
}

fn orders() -> impl Iterator<Item = (SortBy, SortOrder)> {
    [SortBy::CreatedAt, SortBy::Email, SortBy::Name]
        .into_iter()
        .flat_map(|by| [SortOrder::Asc, SortOrder::Desc].map(|order| (by, order)))
}

fn seeks(sort_by: SortBy) -> Vec<Seek> {
    let keys = match sort_by {
        SortBy::CreatedAt => vec![SortKey::Time(now() - TimeDelta::days(30)), SortKey::End],
        SortBy::Email => vec![SortKey::Text("user5@example.com".into()), SortKey::End],
        SortBy::Name => vec![SortKey::Text("name 50".into()), SortKey::Missing, SortKey::End],
    };
    let mut seeks = vec![Seek::Offset(0), Seek::Offset(100), Seek::Offset(9_000)];
    for (key, backward) in keys.into_iter().flat_map(|key| [(key.clone(), false), (key, true)]) {
        seeks.push(Seek::Cursor(Cursor { backward, key, id: Uuid::from_u128(1 << 120) }));
    }
    seeks
}

/// The indexes that serve a filter and an order.
fn expected(filter: &UserFilter, by: SortBy, order: SortOrder) -> Vec<String> {
    let few = filter.banned == Some(true) || filter.deleted == DeletedFilter::Only;
    let key = match (by, order) {
        (SortBy::CreatedAt, _) => "created",
        (SortBy::Email, _) => "email",
        (SortBy::Name, SortOrder::Asc) => "name_asc",
        (SortBy::Name, SortOrder::Desc) => "name_desc",
    };
    if !filter.roles.is_empty() {
        let few = if few { "few_" } else { "" };
        return vec![format!("authfort_user_roles_{few}{key}")];
    }
    let mut indexes = Vec::new();
    for (wanted, name) in [(filter.banned == Some(true), "banned"), (filter.deleted == DeletedFilter::Only, "deleted")]
    {
        if wanted && by == SortBy::CreatedAt {
            indexes.push(format!("authfort_users_{name}"));
        } else if wanted {
            indexes.push(format!("authfort_users_{name}_{key}"));
        }
    }
    if filter.email_verified.is_some() && by == SortBy::CreatedAt && !few {
        indexes.push("authfort_users_verified".to_owned());
    }
    if !few {
        indexes.push(if key == "email" { "authfort_users_email_id".into() } else { format!("authfort_users_{key}") });
        // The address is unique: SQLite knows that sorting by it needs no id.
        let all = UserFilter { deleted: filter.deleted, ..UserFilter::default() };
        if key == "email" && *filter == all {
            indexes.push("sqlite_autoindex_authfort_users_2".to_owned());
        }
    }
    indexes
}

/// Pages, for each filter × order × direction: in the order of an index that passes over rows without reading them, from
/// the cursor on.
async fn every_page_is_in_index_order(auth: &AuthFort, kind: Plan, statistics: bool) {
    let mut statements = Vec::new();
    {
        let mut conn = auth.core().db().read().await.unwrap();
        let conn = conn.conn();
        for filter in filters() {
            for (by, order) in orders() {
                for seek in seeks(by) {
                    let total = if statistics { Total::Exact } else { Total::None };
                    let page = PageRequest { total, ..page(filter.clone(), by, order, seek) };
                    statements.push((expected(&filter, by, order), page_statement(&conn, &page, now()), page));
                }
            }
        }
    }
    let mut faults = Vec::new();
    for (indexes, statement, page) in statements {
        let text = statement.text.clone();
        let plan = plan(auth, statement, kind).await;
        let about = format!("{kind:?} {page:?}\n{text}\n{}", plan.join("\n"));
        // Without statistics PostgreSQL takes whichever index it meets first.
        if statistics && !indexes.iter().any(|index| uses(&plan, index)) {
            faults.push(format!("none of {indexes:?} is used: {about}"));
        }
        let sorted = sort(&plan).filter(|_| statistics);
        if let Some(line) = scan(&plan).or(sorted).filter(|line| statistics || !line.contains("Bitmap")) {
            faults.push(format!("{line}: {about}"));
        }
        // A cursor must seek to its position instead of reading the rows before it.
        let by_cursor = matches!(&page.seek, Seek::Cursor(cursor) if cursor.key != SortKey::End);
        let begins = plan.iter().any(|line| {
            let line = line.trim_start();
            (line.starts_with("SEARCH u") || line.starts_with("SEARCH r"))
                && (line.contains("(?,?)") || line.contains("(email_key"))
                || line.contains("Index Cond: ") && line.contains("ROW(")
        });
        if statistics && by_cursor && !begins {
            faults.push(format!("passes over rows: {about}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{} plans: {}",
        faults.len(),
        faults.iter().take(4).cloned().collect::<Vec<_>>().join("\n\n")
    );
}

/// The table of kept totals. It has so few rows here that PostgreSQL may read all of them.
const KEPT: &str = "authfort_user_totals";

/// Bans that end today are counted by an index of bans.
fn uses_bans(plan: &[String]) -> bool {
    plan.iter().any(|line| line.contains("authfort_users_ban"))
}

/// Counts, and what sorts in spite of all: several roles sort the first ones of each role, and a search its hits.
async fn every_other_path_has_an_index(auth: &AuthFort, kind: Plan) {
    let mut statements = Vec::new();
    {
        let mut conn = auth.core().db().read().await.unwrap();
        let conn = conn.conn();
        let sqlite = matches!(conn, Conn::Sqlite(_));
        for filter in filters() {
            let created = filter.created_after.is_some() || filter.created_before.is_some();
            let index = match (created, filter.roles.is_empty()) {
                (false, _) => vec![KEPT],
                (true, true) => vec![
                    "authfort_users_created",
                    "authfort_users_verified",
                    "authfort_users_banned",
                    "authfort_users_deleted",
                ],
                (true, false) => vec!["authfort_user_roles_created", "authfort_user_roles_few_created"],
            };
            statements.push((format!("count {filter:?}"), count_statement(&conn, &filter, now()), index));
        }
        let several = UserFilter { roles: vec!["author".into(), "editor".into()], ..UserFilter::default() };
        for (by, order) in orders() {
            let page = page(several.clone(), by, order, Seek::Offset(0));
            let index = match by {
                SortBy::CreatedAt => "authfort_user_roles_created",
                SortBy::Email => "authfort_user_roles_email",
                SortBy::Name if order == SortOrder::Asc => "authfort_user_roles_name_asc",
                SortBy::Name => "authfort_user_roles_name_desc",
            };
            statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), vec![index]));
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
            statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), vec![index]));
            statements.push((format!("count {filter:?}"), count_statement(&conn, &filter, now()), vec![index]));
        }
    }
    for (what, statement, indexes) in statements {
        let text = statement.text.clone();
        let plan = plan(auth, statement, kind).await;
        let about = format!("{kind:?} {what}\n{text}\n{}", plan.join("\n"));
        let kept = indexes == [KEPT]
            && plan.iter().any(|line| line.contains("SEARCH k USING PRIMARY KEY") || line.contains(KEPT));
        let bans = indexes != [KEPT] || !what.contains("banned: Some") || uses_bans(&plan);
        assert!(bans && kept || indexes.iter().any(|index| uses(&plan, index)), "none of {indexes:?} is used: {about}");
        let reads = scan(&plan).filter(|line| !line.contains("Bitmap") && !line.contains("Hash"));
        assert_eq!(reads, None, "{about}");
    }
}

both_engines! {
    async fn defect_27_every_order_filter_and_search_has_an_index(db: TestDatabase) {
        let auth = filled(&db, false).await;
        for kind in plans(&db) {
            every_page_is_in_index_order(&auth, kind, false).await;
            if db.engine() == Engine::Sqlite {
                every_other_path_has_an_index(&auth, kind).await;
            }
        }
    }

    async fn defect_27_every_order_filter_and_search_has_an_index_also_with_statistics(db: TestDatabase) {
        let auth = filled(&db, true).await;
        for kind in plans(&db) {
            every_page_is_in_index_order(&auth, kind, true).await;
            every_other_path_has_an_index(&auth, kind).await;
        }
    }

    /// Checks what a plan without an index looks like, so that the test above can fail.
    async fn a_plan_without_an_index_is_told_from_one_with(db: TestDatabase) {
        let auth = filled(&db, true).await;
        let mut tx = auth.core().db().begin().await.unwrap();
        sql!(&mut tx.conn(), execute, "DROP INDEX authfort_users_name_asc").unwrap();
        for index in ["banned", "banned_email", "banned_name_asc", "banned_name_desc"] {
            let drop = sqlx::AssertSqlSafe(format!("DROP INDEX authfort_users_{index}"));
            sql!(&mut tx.conn(), execute, drop).unwrap();
        }
        sql!(&mut tx.conn(), execute, "DROP INDEX authfort_users_ban_expires").unwrap();
        tx.commit().await.unwrap();
        let (by_name, banned) = {
            let mut conn = auth.core().db().read().await.unwrap();
            let page = page(UserFilter::default(), SortBy::Name, SortOrder::Asc, Seek::Offset(0));
            let banned = UserFilter { banned: Some(true), ..UserFilter::default() };
            (page_statement(&conn.conn(), &page, now()), count_statement(&conn.conn(), &banned, now()))
        };
        let by_name = plan(&auth, by_name, Plan::Custom).await;
        assert!(sort(&by_name).is_some() && scan(&by_name).is_some() && !uses(&by_name, "authfort_users_name_asc"), "{by_name:#?}");
        let banned = plan(&auth, banned, Plan::Custom).await;
        assert!(!uses_bans(&banned), "{banned:#?}");
    }
}
