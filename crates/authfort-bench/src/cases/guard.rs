//! What the guard costs a request: one handler with it and without, in one process.

use super::{MANY, requests};
use crate::http::{Client, Request};
use crate::load::{Contestant, Jobs};
use crate::measure::{Bar, Bench, Case, Served};
use crate::pair::{GUARDED, OPEN};
use crate::{Outcome, axum_login};

pub async fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<Case>> {
    let expected = |request: Request| Request { length: Some(11), ..request.begins(r#"{"ok":true}"#) };
    let ask = |path: &str| expected(Request::get(path, &bench.token));
    let of_pair = |path: &str| Contestant::Http(bench.pair.address, Jobs::cycle(vec![[ask(path)].into()]));
    let mut cases = Vec::new();
    if only("guarded request") {
        let mut client = Client::connect(bench.pair.address).await?;
        let login = Request::new("POST", axum_login::LOGIN, None, None).begins("");
        let cookie = format!("id={}", String::from_utf8_lossy(client.check(&login).await?));
        let with_cookie = expected(Request::with_cookie(axum_login::PATH, &cookie));
        let axum_login = Contestant::Http(bench.pair.address, Jobs::cycle(vec![[with_cookie].into()]));
        for concurrency in [1, MANY] {
            let case = Case::new("guarded request", concurrency, of_pair(GUARDED))
                .floor("without the guard", of_pair(OPEN))
                .reference("axum-login, in memory", &axum_login);
            let case = Case { served: Served::Pair, ..case };
            cases.push(if concurrency == 1 { case } else { case.bar(Bar::RateToFloor(0.92)) });
        }
    }
    if only("guarded request, example server") {
        cases.push(Case::new("guarded request, example server", MANY, requests(bench, vec![ask("/guarded")])));
    }
    Ok(cases)
}
