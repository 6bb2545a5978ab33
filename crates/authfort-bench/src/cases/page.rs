//! The admin page: what a browser waits for.

use super::lists::encode;
use super::{requests, some_ids};
use crate::Outcome;
use crate::http::Request;
use crate::measure::{Bar, Bench, Case};
use crate::people::BROAD_TERM;

/// How long the server may take for a page, in milliseconds.
const LIMIT: f64 = 100.0;

pub async fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<Case>> {
    let people = some_ids(&bench.database, 20).await?.into_iter().map(|id| format!("users/{id}")).collect();
    let mut cases = Vec::new();
    for (name, paths) in [
        ("page: users", vec!["users".to_owned()]),
        ("page: users by name, editors", vec!["users?role=editor&sort=name".into()]),
        ("page: banned users", vec!["users?status=banned".into()]),
        ("page: search, a thousand hits", vec!["users?query=a%20smith".into()]),
        ("page: search, a tenth of all", vec![format!("users?query={}", encode(BROAD_TERM))]),
        ("page: search by name, a tenth of all", vec![format!("users?query={}&sort=name", encode(BROAD_TERM))]),
        ("page: search, no hit", vec!["users?query=xqzwvk".into()]),
        ("page: search, one letter", vec!["users?query=a".into()]),
        ("page: one person", people),
        ("page: overview", vec!["overview".into()]),
        ("page: events", vec!["events".into()]),
    ] {
        if only(name) {
            let mut asked = Vec::new();
            for path in paths {
                asked.push(page(bench, &path).await?);
            }
            cases.push(Case::new(name, 1, requests(bench, asked)).bar(Bar::Median(LIMIT)));
        }
    }
    Ok(cases)
}

/// A page, which is asked once and read whole: from then on it must have the same length.
async fn page(bench: &Bench, path: &str) -> Outcome<Request> {
    let mut request = Request::get(&format!("/admin/ui/{path}"), &bench.token).begins("<!doctype html>");
    let mut client = bench.client().await?;
    let body = client.check(&request).await?;
    if !body.trim_ascii_end().ends_with(b"</html>") {
        return Err(format!("{path}: half a page").into());
    }
    request.length = Some(body.len());
    Ok(request)
}
