//! Pages, searches, counts, and one user.

use serde_json::Value;

use super::{MANY, number, probe, requests, some_ids};
use crate::Outcome;
use crate::floor::Floor;
use crate::http::Request;
use crate::load::{Contestant, Jobs};
use crate::measure::{Bar, Bench, Case};
use crate::people::{BROAD_TERM, PLANTED};

const FIRST: &str = "first page";
const GET: &str = "get_user";

/// A page or a count, by its query, and the condition that a recount has for it.
struct Want {
    name: &'static str,
    queries: Vec<String>,
    /// SQL for SQLite and for PostgreSQL, over `authfort_users u`, beside "not anonymized".
    condition: (String, String),
    /// Whether the answer says the total.
    total: bool,
    bar: Option<f64>,
}

/// All cases that only read. What cannot be asked of this build is noted.
pub async fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool, notes: &mut Vec<String>) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    let first = page(bench, "", Some(bench.users)).await?;
    let first = requests(bench, vec![first]);
    let floor = |name, rows| {
        Ok::<_, crate::Fault>(Contestant::Sql(
            Floor::new(&bench.database, name, Some(rows))?,
            Jobs::cycle(vec![Vec::new()]),
        ))
    };
    if only(FIRST) {
        let rows = usize::try_from(bench.users.min(50))?;
        cases.push(
            Case::new(FIRST, 1, first.clone())
                .floor("best SQL", floor("first_page", rows)?)
                .bar(Bar::MedianToFloor(2.5)),
        );
        let case = Case::new(FIRST, MANY, first.clone()).floor("best SQL", floor("first_page", rows)?);
        cases.push(case.bar(Bar::RateToFloor(0.5)));
    }
    for (name, path, bar) in pages(bench, only).await? {
        let request = page(bench, &path, Some(bench.users)).await?;
        let case = Case::new(name, 1, requests(bench, vec![request])).reference(FIRST, &first);
        cases.push(case.bar(Bar::MedianToReference(bar)));
    }
    for want in wants(bench) {
        if !only(want.name) {
            continue;
        }
        let (sqlite, postgres) = &want.condition;
        let count =
            |condition: &str| format!("SELECT count(*) FROM authfort_users u WHERE deleted_at IS NULL AND {condition}");
        let total = u64::try_from(number(bench, &count(sqlite), &count(postgres)).await?)?;
        let mut found = Vec::new();
        for query in &want.queries {
            match page(bench, query, want.total.then_some(total)).await {
                Ok(request) => found.push(request),
                Err(error) if query.contains("total=capped") => notes.push(format!("{}: {error}", want.name)),
                Err(error) => return Err(error),
            }
        }
        if found.is_empty() {
            continue;
        }
        let mut case = Case::new(want.name, 1, requests(bench, found)).reference(FIRST, &first);
        if want.name == BROAD_EXACT {
            case = case.floor("its count", floor("count_broad", 1)?).bar(Bar::MedianToFloor(1.5));
        }
        cases.push(match want.bar {
            Some(bar) => case.bar(Bar::MedianToReference(bar)),
            None => case,
        });
    }
    users_and_counts(bench, only, &mut cases).await?;
    Ok(cases)
}

const BROAD_EXACT: &str = "search, a tenth of all, exact total";

/// The pages without a filter: at the end, in the middle, by offset and by cursor.
async fn pages(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<(&'static str, String, f64)>> {
    let mut pages = Vec::new();
    let end = bench.users.saturating_sub(100);
    let middle = bench.users / 2;
    if only("last page by cursor") {
        pages.push(("last page by cursor", after(bench, "", end).await?, 1.5));
    }
    if only("offset 90 %") {
        pages.push(("offset 90 %", format!("offset={}", end.min(bench.users / 10 * 9)), 30.0));
    }
    if only("offset 50 %") {
        pages.push(("offset 50 %", format!("offset={middle}"), 100.0));
    }
    for (sort, names) in [
        (
            "sort_by=email&sort_order=asc",
            ["by email, first page", "by email, middle by cursor", "by email, end by cursor"],
        ),
        ("sort_by=name&sort_order=asc", ["by name, first page", "by name, middle by cursor", "by name, end by cursor"]),
        (
            "sort_by=name&sort_order=desc",
            ["by name down, first page", "by name down, middle by cursor", "by name down, end by cursor"],
        ),
    ] {
        for (name, offset) in names.into_iter().zip([0, middle, end]) {
            if only(name) {
                let path = if offset == 0 { sort.to_owned() } else { after(bench, sort, offset).await? };
                pages.push((name, path, 1.5));
            }
        }
    }
    Ok(pages)
}

fn wants(bench: &Bench) -> Vec<Want> {
    let held = |role: &str| {
        let sql = format!("EXISTS (SELECT 1 FROM authfort_user_roles r WHERE r.user_id = u.id AND r.role = '{role}')");
        (sql.clone(), sql)
    };
    let now = bench.auth.now();
    let banned = format!("banned AND (ban_expires_at IS NULL OR ban_expires_at > '{}')", now.to_rfc3339());
    let banned = (banned.clone(), banned);
    let verified = |on: bool| {
        let condition = if on { "email_verified" } else { "NOT email_verified" };
        (condition.to_owned(), condition.to_owned())
    };
    let both = |one: &(String, String), other: &(String, String)| {
        (format!("{} AND {}", one.0, other.0), format!("{} AND {}", one.1, other.1))
    };
    let holds = |term: &str| (format!("instr(search_key, '{term}') > 0"), format!("strpos(search_key, '{term}') > 0"));
    let begins = |term: &str| {
        let (before, after) = (format!("char(10) || '{term}'"), format!("chr(10) || '{term}'"));
        (format!("instr(char(10) || search_key, {before}) > 0"), format!("strpos(chr(10) || search_key, {after}) > 0"))
    };
    let planted = |total: &str| {
        let term = |name: &str| format!("query={}{total}", encode(&name.to_lowercase()));
        PLANTED.iter().map(|name| term(name)).collect::<Vec<_>>()
    };
    let of = |term: &str, total: &str| vec![format!("query={}{total}", encode(term))];
    let by_email = |term: &str| of(term, "&total=capped&sort_by=email&sort_order=asc");
    let of_editors = |term: &str| of(term, "&total=capped&role=editor");
    let among = |term: &str| both(&held("editor"), &holds(term));
    let all = || ("TRUE".to_owned(), "TRUE".to_owned());
    let want = |name, queries, condition, total, bar| Want { name, queries, condition, total, bar };
    vec![
        want("role=admin", vec!["role=admin".into()], held("admin"), true, Some(1.5)),
        want("role=editor", vec!["role=editor".into()], held("editor"), true, Some(1.5)),
        want("role=member", vec!["role=member".into()], held("member"), true, Some(1.5)),
        want("banned=true", vec!["banned=true".into()], banned.clone(), true, Some(1.5)),
        want("verified by name", vec!["email_verified=true&sort_by=name".into()], verified(true), true, Some(1.5)),
        want(
            "not verified by name",
            vec!["email_verified=false&sort_by=name".into()],
            verified(false),
            true,
            Some(1.5),
        ),
        want("editor by email", vec!["role=editor&sort_by=email".into()], held("editor"), true, Some(1.5)),
        want("member by name", vec!["role=member&sort_by=name".into()], held("member"), true, Some(1.5)),
        want(
            "editor and banned",
            vec!["role=editor&banned=true".into()],
            both(&held("editor"), &banned),
            true,
            Some(4.0),
        ),
        want(
            "banned and not verified",
            vec!["banned=true&email_verified=false".into()],
            both(&banned, &verified(false)),
            true,
            Some(4.0),
        ),
        want("search, no hit", of("xqzwvk", "&total=capped"), holds("xqzwvk"), true, Some(4.0)),
        want("search, ten hits", planted("&total=capped"), holds(&PLANTED[0].to_lowercase()), true, Some(4.0)),
        want("search, ten hits, exact total", planted(""), holds(&PLANTED[0].to_lowercase()), true, Some(4.0)),
        want("search, a thousand hits", of("a smith", "&total=capped"), holds("a smith"), true, Some(12.0)),
        want("search, a tenth of all", of(BROAD_TERM, "&total=capped"), holds(BROAD_TERM), true, Some(12.0)),
        want("search, a tenth of all, total=none", of(BROAD_TERM, "&total=none"), all(), false, Some(12.0)),
        want(BROAD_EXACT, of(BROAD_TERM, ""), holds(BROAD_TERM), true, None),
        want("search, all", of("example", "&total=capped"), holds("example"), true, Some(4.0)),
        want("search by email, a thousand hits", by_email("a smith"), holds("a smith"), true, None),
        want("search by email, a tenth of all", by_email(BROAD_TERM), holds(BROAD_TERM), true, None),
        want("search among editors, a hundred hits", of_editors("schmidt"), among("schmidt"), true, None),
        want("search among editors, a tenth", of_editors(BROAD_TERM), among(BROAD_TERM), true, None),
        want("search, one letter, a tenth of all", of("a", "&total=capped"), begins("a"), true, None),
        want("search, one letter, no hit", of("þ", "&total=capped"), begins("þ"), true, None),
        want("search, two letters, some", of("zw", "&total=capped"), begins("zw"), true, None),
        want("search, two Chinese characters", of("王伟", "&total=capped"), begins("王伟"), true, None),
    ]
}

async fn users_and_counts(bench: &Bench, only: &dyn Fn(&str) -> bool, cases: &mut Vec<Case>) -> Outcome<()> {
    let ids = some_ids(&bench.database, 200).await?;
    let mut asked = Vec::new();
    for id in &ids {
        let (request, body) = probe(bench, &format!("/admin/users/{id}")).await?;
        if body.get("id").and_then(Value::as_str) != Some(id.to_string().as_str()) {
            return Err("another user than the one that was asked for".into());
        }
        asked.push(request);
    }
    let get = requests(bench, asked);
    let values: Vec<Vec<String>> = ids.iter().map(|id| vec![id.simple().to_string()]).collect();
    let floor = || {
        Ok::<_, crate::Fault>(Contestant::Sql(
            Floor::new(&bench.database, "get_user", Some(1))?,
            Jobs::cycle(values.clone()),
        ))
    };
    if only(GET) {
        cases.push(Case::new(GET, 1, get.clone()).floor("best SQL", floor()?).bar(Bar::MedianToFloor(3.0)));
        cases.push(Case::new(GET, MANY, get.clone()).floor("best SQL", floor()?));
    }
    for (name, query) in [
        ("count", ""),
        ("count role=admin", "?role=admin"),
        ("count role=editor", "?role=editor"),
        ("count banned=true", "?banned=true"),
        ("count email_verified=true", "?email_verified=true"),
    ] {
        if only(name) {
            let (request, body) = probe(bench, &format!("/admin/users/count{query}")).await?;
            if query.is_empty() && body.get("count").and_then(Value::as_u64) != Some(bench.users) {
                return Err(format!("the count is {body}, and a recount {}", bench.users).into());
            }
            cases.push(
                Case::new(name, 1, requests(bench, vec![request]))
                    .reference(GET, &get)
                    .bar(Bar::MedianToReference(1.0)),
            );
        }
    }
    Ok(())
}

/// A page, whose users and total must be as many as there are.
async fn page(bench: &Bench, query: &str, total: Option<u64>) -> Outcome<Request> {
    let (request, body) = probe(bench, &format!("/admin/users?{query}")).await?;
    let capped = |total: u64| if query.contains("total=capped") { total.min(1_000) } else { total };
    if let Some(total) = total.map(capped) {
        let said = body.get("total").and_then(Value::as_u64);
        if said != Some(total) {
            return Err(format!("{query}: the total is {said:?}, and a recount {total}").into());
        }
    }
    let users = u64::try_from(body.get("users").and_then(Value::as_array).map_or(0, Vec::len))?;
    // Full where there are as many: cursors and offsets stand further than a page before the end.
    if total.map_or(users == 0, |total| users != total.min(50)) {
        return Err(format!("{query}: {users} users on the page, of {total:?}").into());
    }
    Ok(request.begins(r#"{"users":["#))
}

/// The query of the page that follows an offset, by its cursor.
async fn after(bench: &Bench, sort: &str, offset: u64) -> Outcome<String> {
    let from = offset.saturating_sub(50);
    let (_, body) = probe(bench, &format!("/admin/users?{sort}&offset={from}&total=none")).await?;
    let cursor = body.get("next_cursor").and_then(Value::as_str).ok_or("no next page where one should be")?;
    Ok(format!("{sort}&cursor={cursor}"))
}

pub fn encode(term: &str) -> String {
    term.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
