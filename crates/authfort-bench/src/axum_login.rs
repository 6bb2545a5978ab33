//! The handler of the pair behind another guard: that of axum-login, with its sessions and users in memory.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum_login::{
    AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, AuthzBackend, UserId, permission_required,
};
use tower_sessions::{MemoryStore, SessionManagerLayer};

use crate::pair::open;

/// As long as the paths of the pair.
pub const PATH: &str = "/members";
/// Answers the value of a session's cookie.
pub const LOGIN: &str = "/login";

#[derive(Debug, Clone)]
struct User {
    id: i64,
    hash: Arc<[u8]>,
}

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.id
    }

    fn session_auth_hash(&self) -> &[u8] {
        &self.hash
    }
}

/// One user, an administrator.
#[derive(Debug, Clone)]
struct Backend(User);

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = ();
    type Error = Infallible;

    async fn authenticate(&self, (): ()) -> Result<Option<User>, Infallible> {
        Ok(Some(self.0.clone()))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok((*id == self.0.id).then(|| self.0.clone()))
    }
}

impl AuthzBackend for Backend {
    type Permission = &'static str;

    async fn get_user_permissions(&self, _: &User) -> Result<HashSet<&'static str>, Infallible> {
        Ok(HashSet::from(["admin"]))
    }
}

async fn login(mut session: AuthSession<Backend>) -> Result<String, StatusCode> {
    let failed = |_| StatusCode::INTERNAL_SERVER_ERROR;
    let user = session.backend.0.clone();
    session.login(&user).await.map_err(failed)?;
    session.session.save().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(session.session.id().map_or_else(String::new, |id| id.to_string()))
}

pub fn app() -> Router {
    let backend = Backend(User { id: 1, hash: Arc::from(*b"the hash of a password") });
    let sessions = SessionManagerLayer::new(MemoryStore::default()).with_secure(false);
    Router::new()
        .route(PATH, get(open))
        .route_layer(permission_required!(Backend, "admin"))
        .route(LOGIN, post(login))
        .layer(AuthManagerLayerBuilder::new(backend, sessions).build())
}
