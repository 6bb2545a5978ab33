//! One handler, mounted three times: behind the guard, without any, and behind that of axum-login. What the guard costs is the
//! difference.

use std::net::SocketAddr;

use authfort::AuthFort;
use authfort_axum::{AuthLayer, RequireRole};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::{Outcome, axum_login};

authfort_axum::roles! {
    Admin = "admin";
}

/// Paths of one length, so that both requests have as many bytes.
pub const GUARDED: &str = "/guarded";
pub const OPEN: &str = "/allowed";

async fn guarded(_: RequireRole<Admin>) -> Json<Value> {
    Json(json!({ "ok": true }))
}

pub async fn open() -> Json<Value> {
    Json(json!({ "ok": true }))
}

pub async fn serve(url: &str, listen: SocketAddr) -> Outcome<()> {
    let auth = AuthFort::builder().migrate(false).connect(url).await?;
    let app = Router::new().route(GUARDED, get(guarded)).layer(AuthLayer::new(auth)).route(OPEN, get(open));
    let app = app.merge(axum_login::app());
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
