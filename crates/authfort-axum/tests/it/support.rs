//! An application around a fresh database, with a clock that stands still and cheap hashing.

use std::fmt::Display;
use std::net::SocketAddr;

use authfort::secrecy::ExposeSecret;
use authfort::{Algorithm, AuthFort, Builder, Clock, Hashing, SignedIn, SortOrder, User, UserId};
use authfort_axum::{
    AnyOf, AuthLayer, CookieOptions, CurrentUser, RateLimits, RequireRole, admin_router, auth_router, jwks_router,
    testing,
};
use authfort_testkit::{Engine, TestDatabase};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, Response, header};
use axum::routing::get;
use chrono::{TimeZone, Utc};
use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};
use tower::ServiceExt;

authfort_axum::roles! { pub Admin = "admin"; pub Editor = "editor"; }

pub const PASSWORD: &str = "correct horse battery";
pub const NOW: &str = "2030-01-01T12:00:00Z";
pub const PEER: &str = "192.0.2.1";
pub const UNKNOWN_ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

/// The service, what is mounted on it, and the time.
pub struct App {
    pub auth: AuthFort,
    pub clock: Clock,
    pub layer: AuthLayer,
    pub router: Router,
}

impl App {
    /// Without limits and cookies.
    pub async fn new(db: &TestDatabase) -> Self {
        Self::with(db, |builder| builder, |layer| layer).await
    }

    pub async fn with_cookies(db: &TestDatabase) -> Self {
        Self::with(db, |builder| builder, |layer| layer.cookies(CookieOptions::default()).unwrap()).await
    }

    pub async fn with(
        db: &TestDatabase,
        options: impl FnOnce(Builder) -> Builder,
        http: impl FnOnce(AuthLayer) -> AuthLayer,
    ) -> Self {
        crate::trace::install();
        let clock = Clock::fixed(Utc.with_ymd_and_hms(2030, 1, 1, 12, 0, 0).unwrap());
        let builder = AuthFort::builder()
            .algorithm(Algorithm::EdDsa)
            .hashing(Hashing::insecure_fast_for_tests())
            .clock(clock.clone());
        let auth = options(builder).connect(db.url()).await.unwrap();
        let layer = http(AuthLayer::new(auth.clone()).rate_limits(RateLimits::off()));
        let router = Router::new()
            .nest("/auth", auth_router(&layer))
            .nest("/admin", admin_router(&layer))
            .merge(jwks_router(&layer))
            .route("/profile", get(async |user: CurrentUser| user.email.clone()))
            .route("/guarded", get(async |_: RequireRole<Admin>| "guarded"))
            .route("/editorial", get(async |_: RequireRole<AnyOf<(Admin, Editor)>>| "editorial"))
            .layer(layer.clone());
        Self { auth, clock, layer, router }
    }

    pub fn call(&self, method: &str, path: &str) -> Call {
        call(&self.router, method, path)
    }

    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// An administrator who is signed in.
    pub async fn admin(&self) -> Caller {
        Caller::from(testing::signed_in(&self.auth, ["admin"]).await.unwrap())
    }

    /// Somebody who is signed in and has no role.
    pub async fn nobody(&self) -> Caller {
        Caller::from(testing::signed_in(&self.auth, [""; 0]).await.unwrap())
    }

    pub async fn user(&self, email: &str) -> User {
        self.auth.create_user(email).password(PASSWORD).await.unwrap()
    }

    /// Signs in by password, through the route.
    pub async fn login(&self, email: &str) -> Value {
        let answer = self.post("/auth/login").json(&json!({"email": email, "password": PASSWORD})).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// The events after the first `skip`, oldest first: type, data, and whom they name.
    pub async fn events(&self, skip: usize) -> Vec<Value> {
        let page = self.auth.list_events().order(SortOrder::Asc).limit(200).await.unwrap();
        let shown = |event: authfort::Event| json!([event.r#type, event.user_id, event.actor_id, event.data]);
        page.events.into_iter().skip(skip).map(shown).collect()
    }

    pub async fn event_count(&self) -> usize {
        self.events(0).await.len()
    }

    pub async fn event_types(&self, skip: usize) -> Vec<String> {
        self.events(skip).await.iter().map(|event| event[0].as_str().unwrap().to_owned()).collect()
    }

    /// Serves over a real socket until the runtime ends.
    pub async fn serve(&self) -> SocketAddr {
        serve(self.router.clone()).await
    }
}

pub async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

/// Somebody who is signed in.
pub struct Caller {
    pub id: UserId,
    pub email: String,
    pub session: String,
    pub token: String,
    pub refresh: String,
}

impl From<SignedIn> for Caller {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            id: signed_in.user.id,
            email: signed_in.user.email,
            session: signed_in.session_id.to_string(),
            token: signed_in.tokens.access_token.expose_secret().to_owned(),
            refresh: signed_in.tokens.refresh_token.expose_secret().to_owned(),
        }
    }
}

/// A request on its way.
#[must_use]
pub struct Call {
    router: Router,
    request: Request<Body>,
}

pub fn call(router: &Router, method: &str, path: &str) -> Call {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(PEER.parse().unwrap(), 40_000)));
    Call { router: router.clone(), request }
}

impl Call {
    pub fn from(mut self, address: &str) -> Self {
        self.request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address.parse().unwrap(), 40_000)));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn by(self, caller: &Caller) -> Self {
        self.bearer(&caller.token)
    }

    /// Adds a header; called again, once more.
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.request.headers_mut().append(name, value.as_ref().try_into().unwrap());
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    pub fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub async fn response(self) -> Response<Body> {
        self.router.oneshot(self.request).await.unwrap()
    }

    /// Sends it and reads the whole answer; of a stream, nothing.
    pub async fn send(self) -> Answer {
        let (parts, body) = self.response().await.into_parts();
        let is_stream = parts.headers.get("content-type").is_some_and(|value| value == "text/event-stream");
        let body = if is_stream { Bytes::new() } else { to_bytes(body, 10_000_000).await.unwrap() };
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{} is no JSON", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Status and code, once the shape of a refusal is checked.
    #[track_caller]
    pub fn refusal(&self) -> (u16, String) {
        let body = self.json();
        let members: Vec<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(members == ["error", "message"] || members == ["error", "fields", "message"], "{body}");
        assert!(body["message"].as_str().is_some_and(|message| message.ends_with('.')), "{body}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{body}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{body}");
        (self.status, body["error"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) {
        assert_eq!(self.refusal(), (status, code.to_owned()), "{}", self.text);
    }

    /// That it was granted, and its whole body.
    #[track_caller]
    pub fn is(&self, status: u16, body: &Value) {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert_eq!(self.header("cache-control"), Some("no-store"));
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"));
        assert!(self.header("x-request-id").is_some());
        assert_eq!(self.json(), *body);
    }

    #[track_caller]
    pub fn is_empty(&self, status: u16) {
        assert_eq!((self.status, self.text.as_str()), (status, ""));
        assert_eq!(self.header("cache-control"), Some("no-store"));
    }

    /// The cookies it sets, as they were sent.
    pub fn cookies(&self) -> Vec<&str> {
        self.all(header::SET_COOKIE.as_str())
    }
}

/// A user as the contract has it, just created and nothing said but the address; `changes` are put over it.
pub fn user_json(id: impl Display, email: &str, changes: Value) -> Value {
    let plain = json!({
        "id": id.to_string(), "email": email, "email_verified": false, "name": null, "avatar_url": null,
        "phone": null, "banned": false, "ban_reason": null, "ban_expires_at": null, "roles": [], "metadata": {},
        "created_at": NOW, "updated_at": NOW, "last_login_at": null, "is_deleted": false, "deleted_at": null,
    });
    over(plain, changes)
}

/// The members of `changes` in place of those of `base`.
pub fn over(mut base: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("an object") };
    let members: &mut Map<String, Value> = base.as_object_mut().unwrap();
    members.extend(changes);
    base
}

/// The database behind the application's back.
pub enum Raw {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Raw {
    pub async fn open(db: &TestDatabase) -> Self {
        match db.engine() {
            Engine::Sqlite => Self::Sqlite(SqlitePool::connect(db.url()).await.unwrap()),
            Engine::Postgres => Self::Postgres(PgPool::connect(db.url()).await.unwrap()),
        }
    }

    pub async fn execute(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(pool) => drop(sqlx::raw_sql(statement).execute(pool).await.unwrap()),
            Self::Postgres(pool) => drop(sqlx::raw_sql(statement).execute(pool).await.unwrap()),
        }
    }

    async fn lines(&self, statement: String) -> Vec<String> {
        let statement = AssertSqlSafe(statement);
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(statement).fetch_all(pool).await.unwrap(),
            Self::Postgres(pool) => sqlx::query_scalar(statement).fetch_all(pool).await.unwrap(),
        }
    }

    /// Every row of everything that hangs on users, as text.
    pub async fn dump(&self) -> Vec<String> {
        let mut dump = Vec::new();
        for table in ["users", "user_roles", "sessions", "oauth_accounts", "signing_keys", "verification_tokens"] {
            let text = match self {
                Self::Sqlite(_) => {
                    let columns = format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('authfort_{table}')");
                    self.lines(columns).await.join(" || ',' || ")
                }
                Self::Postgres(_) => "row_to_json(t)::text".to_owned(),
            };
            let rows = self.lines(format!("SELECT {text} AS line FROM authfort_{table} t ORDER BY line")).await;
            dump.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
        }
        dump
    }

    /// One number.
    pub async fn number(&self, statement: &str) -> i64 {
        let statement = AssertSqlSafe(statement.to_owned());
        match self {
            Self::Sqlite(pool) => sqlx::query_scalar(statement).fetch_one(pool).await.unwrap(),
            Self::Postgres(pool) => sqlx::query_scalar(statement).fetch_one(pool).await.unwrap(),
        }
    }
}

/// A transaction that holds the rows of all users, and on SQLite the whole file.
pub enum Blocker {
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Raw {
    pub async fn block(&self) -> Blocker {
        match self {
            Self::Sqlite(pool) => Blocker::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await.unwrap()),
            Self::Postgres(pool) => {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("SELECT 1 FROM authfort_users FOR UPDATE").execute(&mut *tx).await.unwrap();
                Blocker::Postgres(tx)
            }
        }
    }
}

impl Blocker {
    pub async fn release(self) {
        match self {
            Self::Sqlite(tx) => tx.rollback().await.unwrap(),
            Self::Postgres(tx) => tx.rollback().await.unwrap(),
        }
    }
}
