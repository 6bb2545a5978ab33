//! The query plans of this module's statements: both engines must use an index and its order, not read the whole table.

mod explain;

use authfort_testkit::{Engine, TestDatabase, both_engines};
use chrono::TimeDelta;
use uuid::Uuid;

use self::explain::{Plan, filled, now, plan, plans, scan, sort, uses, without_walks};
use super::*;
use crate::db::sql;
use crate::{AuthFort, SortBy, SortOrder};

/// No column is compared with a placeholder itself: see [`Statement::hide`].
fn check_hidden(statement: &str) {
    for bare in ["= $", "> $", "< $", "MATCH $", "IN ($", "LIMIT $", "OFFSET $"] {
        assert!(!statement.contains(bare), "{bare}\n{statement}");
    }
}

fn page(filter: UserFilter, sort_by: SortBy, sort_order: SortOrder, seek: Seek) -> PageRequest {
    PageRequest { filter, sort_by, sort_order, limit: 51, seek, total: Total::Exact }
}

/// Each filter, alone and in pairs, without search and several roles.
fn filters() -> Vec<UserFilter> {
    let far = now() - TimeDelta::days(39);
    let late = now() - TimeDelta::days(26);
    let parts: [(u8, UserFilter); 12] = [
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
        (5, UserFilter { signed_in: Some(false), ..UserFilter::default() }),
        (5, UserFilter { last_login_before: Some(far.date_naive()), ..UserFilter::default() }),
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
                both.signed_in = both.signed_in.or(two.signed_in);
                both.last_login_before = both.last_login_before.or(two.last_login_before);
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
/// the cursor on. If not `strict`, for PostgreSQL without statistics, it may sort what it takes for few.
async fn every_page_is_in_index_order(auth: &AuthFort, kind: Plan, strict: bool) {
    let mut statements = Vec::new();
    {
        let mut conn = auth.core().db().read().await.unwrap();
        let conn = conn.conn();
        for filter in filters() {
            for (by, order) in orders() {
                for seek in seeks(by) {
                    let total = if strict { Total::Exact } else { Total::None };
                    let page = PageRequest { total, ..page(filter.clone(), by, order, seek) };
                    statements.push((expected(&filter, by, order), page_statement(&conn, &page, now()), page));
                }
            }
        }
    }
    let mut faults = Vec::new();
    for (indexes, statement, page) in statements {
        let text = statement.text.clone();
        check_hidden(&text);
        let plan = plan(auth, statement, kind).await;
        let about = format!("{kind:?} {page:?}\n{text}\n{}", plan.join("\n"));
        // Without statistics PostgreSQL takes whichever index it meets first.
        if strict && !indexes.iter().any(|index| uses(&plan, index)) {
            faults.push(format!("none of {indexes:?} is used: {about}"));
        }
        let sorted = sort(&plan).filter(|_| strict);
        if let Some(line) = scan(&plan).or(sorted).filter(|line| strict || !line.contains("Bitmap")) {
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
        if strict && by_cursor && !begins {
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

/// The indexes of those who are few.
const FEW: [&str; 8] = [
    "authfort_users_banned",
    "authfort_users_banned_email",
    "authfort_users_banned_name_asc",
    "authfort_users_banned_name_desc",
    "authfort_users_deleted",
    "authfort_users_deleted_email",
    "authfort_users_deleted_name_asc",
    "authfort_users_deleted_name_desc",
];

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
            let walked = filter.created_after.is_some() || filter.created_before.is_some() || filter.asks_last_login();
            let index = match (walked, filter.roles.is_empty()) {
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
            ("777", "authfort_users_search"),
            ("example", "authfort_users_search"),
            (&id, "authfort_users_search"),
            (&id, if sqlite { "sqlite_autoindex_authfort_users_1" } else { "authfort_users_pkey" }),
            ("na", "authfort_users_name_desc"),
            ("u", if sqlite { "authfort_users_name_desc" } else { "authfort_users_email_id" }),
        ] {
            // The walk of a search is that of a page, of which the test above knows each filter; a thousand users of twenty
            // thousand are many, so that a planner may well sort those of a rare filter.
            let some = [
                UserFilter::default(),
                UserFilter { banned: Some(true), ..UserFilter::default() },
                UserFilter { roles: vec!["editor".into()], ..UserFilter::default() },
                UserFilter { roles: vec!["editor".into(), "member".into()], ..UserFilter::default() },
            ];
            for filter in some {
                let filter = UserFilter { query: Some(term.into()), ..filter };
                let few = filter.banned == Some(true) || filter.deleted == DeletedFilter::Only;
                // Those who are few may be found first.
                let mut index = vec![index];
                if few {
                    index.extend(FEW);
                }
                for (by, order) in orders() {
                    let page = PageRequest { total: Total::Capped, ..page(filter.clone(), by, order, Seek::Offset(0)) };
                    statements.push((format!("{page:?}"), page_statement(&conn, &page, now()), index.clone()));
                }
                // An exact total is planned with the term in sight, and a term that all have is no matter for an index.
                if kind == Plan::Custom && term != "example" && term.len() > 2 {
                    statements.push((
                        format!("count {filter:?}"),
                        count_statement(&conn, &filter, now()),
                        index.clone(),
                    ));
                }
            }
        }
    }
    for (what, statement, indexes) in statements {
        let text = statement.text.clone();
        check_hidden(&text);
        let plan = plan(auth, statement, kind).await;
        let about = format!("{kind:?} {what}\n{text}\n{}", plan.join("\n"));
        let kept = indexes == [KEPT]
            && plan.iter().any(|line| line.contains("SEARCH k USING PRIMARY KEY") || line.contains(KEPT));
        let bans = indexes != [KEPT] || !what.contains("banned: Some") || uses_bans(&plan);
        assert!(bans && kept || indexes.iter().any(|index| uses(&plan, index)), "none of {indexes:?} is used: {about}");
        let plan = if what.contains("query: Some") { without_walks(&plan) } else { plan };
        let reads = scan(&plan).filter(|line| !line.contains("Bitmap") && !line.contains("Hash"));
        assert_eq!(reads, None, "{about}");
    }
}

both_engines! {
    async fn defect_27_every_order_filter_and_search_has_an_index(db: TestDatabase) {
        let auth = filled(&db, false).await;
        for kind in plans(&db) {
            every_page_is_in_index_order(&auth, kind, db.engine() == Engine::Sqlite).await;
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
