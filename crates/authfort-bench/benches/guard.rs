//! What the guard costs inside the process, without sockets and without a database: `just bench-guard-steps`.
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use authfort::secrecy::ExposeSecret;
use authfort::{Algorithm, AuthFort};
use authfort_axum::{AuthLayer, RequireRole};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Json, Router};
use divan::Bencher;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::Service;

authfort_axum::roles! {
    Admin = "admin";
}

const GUARDED: &str = "/guarded";
const OPEN: &str = "/allowed";
/// Behind a layer of axum's that adds an extension to the request, as every guard by a layer has to.
const LAYERED: &str = "/layered";

struct Setup {
    auth: AuthFort,
    token: String,
    app: Router,
    /// Follows the log of changes.
    runtime: Runtime,
}

static RSA: LazyLock<Setup> = LazyLock::new(|| Setup::new(Algorithm::Rs256));
static ED: LazyLock<Setup> = LazyLock::new(|| Setup::new(Algorithm::EdDsa));

async fn guarded(_: RequireRole<Admin>) -> Json<Value> {
    Json(json!({ "ok": true }))
}

async fn open() -> Json<Value> {
    Json(json!({ "ok": true }))
}

impl Setup {
    fn new(algorithm: Algorithm) -> Self {
        let runtime = Runtime::new().unwrap();
        let (auth, token) = runtime.block_on(async {
            // The log is read now and then while the benchmark runs, but nothing waits for it.
            let auth = AuthFort::builder().algorithm(algorithm).guard_staleness(Duration::from_mins(1));
            let auth = auth.connect("sqlite::memory:").await.unwrap();
            let user = auth.create_user("admin@example.com").role("admin").await.unwrap();
            let session = auth.create_session(user.id).await.unwrap();
            (auth, session.tokens.access_token.expose_secret().to_owned())
        });
        let layer = AuthLayer::new(auth.clone());
        let layered = Router::new().route(LAYERED, get(open)).layer(Extension(Arc::new(())));
        let app = Router::new().route(GUARDED, get(guarded)).layer(layer).route(OPEN, get(open)).merge(layered);
        let setup = Self { auth, token, app, runtime };
        // A call that asks the database does not end at once.
        while setup.runtime.block_on(async { setup.auth.authenticate(&setup.token).now_or_never() }).is_none() {
            let answer = setup.runtime.block_on(setup.auth.authenticate(&setup.token));
            assert!(answer.is_ok());
        }
        setup
    }

    fn request(&self, path: &str) -> Request {
        Request::builder()
            .uri(path)
            .header("host", "example.com")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Body::empty())
            .unwrap()
    }

    fn answer(&self, request: Request) -> Response {
        self.app.clone().call(request).now_or_never().unwrap().unwrap()
    }
}

/// The check of a token that the guard remembers.
#[divan::bench(args = ["RS256", "EdDSA"], threads = [1, 2])]
fn authenticate(bencher: Bencher<'_, '_>, algorithm: &str) {
    let setup: &Setup = if algorithm == "RS256" { &RSA } else { &ED };
    bencher.bench(|| setup.auth.authenticate(&setup.token).now_or_never().unwrap().unwrap());
}

/// A request through the router, to a handler behind the guard, and to the same handler without it.
#[divan::bench(args = [GUARDED, LAYERED, OPEN])]
fn request(bencher: Bencher<'_, '_>, path: &str) {
    let setup: &Setup = &RSA;
    assert!(setup.answer(setup.request(path)).status().is_success());
    bencher.with_inputs(|| setup.request(path)).bench_values(|request| setup.answer(request));
}

fn main() {
    divan::main();
}
