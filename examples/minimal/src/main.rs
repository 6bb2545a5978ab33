//! The shortest application that guards a handler and mounts the admin router.

use std::{error::Error, net::SocketAddr};

use authfort::AuthFort;
use authfort_axum::{AuthLayer, RequireRole, admin_router, auth_router};
use axum::{Router, routing::get};

authfort_axum::roles! { Admin = "admin"; }

async fn guarded(admin: RequireRole<Admin>) -> String {
    format!("Welcome, {}", admin.email)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let layer = AuthLayer::new(AuthFort::connect("sqlite://minimal.db").await?);
    let app = Router::new()
        .route("/guarded", get(guarded))
        .nest("/auth", auth_router(&layer))
        .nest("/admin", admin_router(&layer))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
