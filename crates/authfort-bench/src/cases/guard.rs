//! What the guard costs a request: one handler with it and without, in one process.

use super::{MANY, requests};
use crate::database::Engine;
use crate::http::Request;
use crate::load::{Contestant, Jobs};
use crate::measure::{Bar, Bench, Case, Served};
use crate::pair::{GUARDED, OPEN};

pub fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Vec<Case> {
    let ask = |path: &str| {
        let mut request = Request::get(path, &bench.token).begins(r#"{"ok":true}"#);
        request.length = Some(11);
        request
    };
    let of_pair = |path: &str| Contestant::Http(bench.pair.address, Jobs::cycle(vec![[ask(path)].into()]));
    let mut cases = Vec::new();
    if only("guarded request") {
        for concurrency in [1, MANY] {
            let case =
                Case::new("guarded request", concurrency, of_pair(GUARDED)).floor("without the guard", of_pair(OPEN));
            let case = Case { served: Served::Pair, ..case };
            cases.push(if concurrency == 1 || bench.engine() == Engine::Sqlite {
                case
            } else {
                case.bar(Bar::RateToFloor(0.92))
            });
        }
    }
    if only("guarded request, example server") {
        cases.push(Case::new("guarded request, example server", MANY, requests(bench, vec![ask("/guarded")])));
    }
    cases
}
