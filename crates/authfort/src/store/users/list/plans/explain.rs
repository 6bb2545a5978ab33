//! Twenty thousand users, and how the engines explain a statement about them.

use authfort_testkit::{Engine, TestDatabase};
use chrono::{DateTime, Utc};

use crate::db::Conn;
use crate::db::dynamic::{Arg, Statement, bound};
use crate::{Algorithm, AuthFort, Clock};

const USERS: i64 = 20_000;

/// Creates 20,000 users, a few of whom are banned, anonymized, verified, or editors.
pub(super) async fn filled(db: &TestDatabase, statistics: bool) -> AuthFort {
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
        // An index is as good as the pages that are known to be visible to all, which takes until nobody looks at the old ones:
        // the server's own statistics collector may.
        let hidden = "SELECT count(*) FROM pg_class WHERE relname IN ('authfort_users', 'authfort_user_roles') AND relallvisible < relpages";
        let mut tries = 0;
        loop {
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut **conn).await.unwrap();
            if sqlx::query_scalar::<_, i64>(hidden).fetch_one(&mut **conn).await.unwrap() == 0 {
                break;
            }
            tries += 1;
            assert!(tries < 300, "something keeps the server from seeing that the rows are visible to all");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
    auth
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_893_456_000, 0).unwrap()
}

fn postgres_type(arg: &Arg) -> &'static str {
    match arg {
        Arg::Uuid(_) | Arg::OptUuid(_) => "uuid",
        Arg::Text(_) | Arg::OptText(_) => "text",
        Arg::Bool(_) => "boolean",
        Arg::Int(_) => "bigint",
        Arg::Time(_) | Arg::OptTime(_) => "timestamptz",
        Arg::Day(_) => "date",
    }
}

/// The plans that a server may choose for a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plan {
    /// With the values in sight.
    Custom,
    /// PostgreSQL's, for all values; what a statement that stays prepared may get after five runs.
    Generic,
}

/// Returns the lines of the plan.
pub(super) async fn plan(auth: &AuthFort, mut statement: Statement, kind: Plan) -> Vec<String> {
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
pub(super) fn plans(db: &TestDatabase) -> Vec<Plan> {
    match db.engine() {
        Engine::Sqlite => vec![Plan::Custom],
        Engine::Postgres => vec![Plan::Custom, Plan::Generic],
    }
}

/// Returns the first line that reads a whole table, or all rows of an index in another order than that of the page.
pub(super) fn scan(plan: &[String]) -> Option<&String> {
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
pub(super) fn sort(plan: &[String]) -> Option<&String> {
    plan.iter().enumerate().find_map(|(at, line)| {
        let sorts = line.contains("USE TEMP B-TREE") || line.contains("Sort (") || line.ends_with("Sort");
        let last = at == 0 || !line.starts_with(' ');
        // Rows with the same address, of which there is one.
        let one = plan.get(at + 2).is_some_and(|next| next.contains("Presorted Key: ") && next.ends_with("email_key"));
        let sorts = sorts && !one;
        (sorts && !last).then_some(line)
    })
}

pub(super) fn uses(plan: &[String], index: &str) -> bool {
    // PostgreSQL writes `using x on`, SQLite `USING INDEX x (`, and both `x` at the end of a line.
    plan.iter().any(|line| line.split([' ', ':']).any(|word| word == index))
}

/// Returns the plan without two parts of PostgreSQL's plan for a search: those that read so many users in order that in a
/// table as small as this one, which has no more, it is as good to sort them.
pub(super) fn without_walks(plan: &[String]) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut inside = None;
    plan.iter()
        .filter(|line| {
            if inside.is_some_and(|outer| depth(line) <= outer) {
                inside = None;
            }
            if inside.is_none() && ["CTE far", "CTE t"].contains(&line.trim_start()) {
                inside = Some(depth(line));
            }
            inside.is_none()
        })
        .cloned()
        .collect()
}
