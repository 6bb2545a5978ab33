//! The shortest application that guards a handler and mounts the admin router.

use std::io::{Write, stdout};
use std::{error::Error, net::SocketAddr};

use authfort::{AuthFort, generate_password, secrecy::ExposeSecret};
use authfort_axum::{AuthLayer, RequireRole, admin_router, auth_router};
use axum::{Router, routing::get};

authfort_axum::roles! { Admin = "admin"; }

async fn guarded(admin: RequireRole<Admin>) -> String {
    format!("Welcome, {}", admin.email)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let auth = AuthFort::connect("sqlite://minimal.db").await?;
    // At the first start: an administrator, whose password is shown once.
    if auth.get_user_count().role(auth.admin_role()).await? == 0 {
        let password = generate_password()?;
        auth.create_user("admin@example.com").role(auth.admin_role()).password(password.clone()).await?;
        writeln!(stdout(), "admin@example.com has the password {}", password.expose_secret())?;
    }
    let layer = AuthLayer::new(auth);
    let app = Router::new()
        .route("/guarded", get(guarded))
        .nest("/auth", auth_router(&layer))
        .nest("/admin", admin_router(&layer))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
    Ok(())
}
