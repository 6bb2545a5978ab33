//! Mounts the routes.

use authfort::AuthFort;
use authfort_axum::{
    AdminPage, AnyOf, AuthLayer, CurrentUser, Rejection, RequireRole, admin_page, admin_router, auth_router, harden,
    jwks_router,
};
use axum::extract::State;
use axum::response::Redirect;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

authfort_axum::roles! {
    Admin = "admin";
    Editor = "editor";
}

pub fn app(layer: AuthLayer) -> Router {
    let router = Router::new()
        .route("/", get(page))
        .route("/admin/", get(page))
        .route("/profile", get(profile))
        .route("/guarded", get(guarded))
        .route("/editorial", get(editorial))
        .route("/healthz", get(healthz).with_state(layer.auth().clone()))
        .nest("/auth", auth_router(&layer))
        .nest("/admin", admin_router(&layer).merge(admin_page(&layer, AdminPage::new())))
        .merge(jwks_router(&layer));
    harden(router).layer(layer)
}

/// Leads a browser to the admin page.
async fn page() -> Redirect {
    Redirect::to("/admin/ui/users")
}

/// Open to every signed-in user.
async fn profile(user: CurrentUser) -> Json<Value> {
    Json(json!({ "id": user.user_id, "email": user.email, "name": user.name, "roles": user.roles }))
}

/// Open to administrators.
async fn guarded(_: RequireRole<Admin>) -> Json<Value> {
    Json(json!({ "ok": true }))
}

/// Open to administrators and editors.
async fn editorial(user: RequireRole<AnyOf<(Admin, Editor)>>) -> Json<Value> {
    Json(json!({ "ok": true, "roles": user.roles }))
}

/// For the load balancer: checks whether the database responds.
async fn healthz(State(auth): State<AuthFort>) -> Result<Json<Value>, Rejection> {
    auth.ping().await?;
    Ok(Json(json!({ "status": "ok" })))
}
