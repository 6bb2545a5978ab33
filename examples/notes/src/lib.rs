//! An application with its own table and state: users sign up and get their first note in the same transaction, write
//! notes, share some of them, and lose them when their account is deleted.
//!
//! | file | contents |
//! |---|---|
//! | `lib.rs` | the application: its routes and hooks |
//! | `routes.rs` | the handlers and their guards |
//! | `panel.rs` | the notes of a user, on their page for administrators |
//! | `db.rs` | the table `notes`, on either engine |

mod db;
mod panel;
mod routes;

use authfort::events::{UserBanned, UserDeleted};
use authfort::{AuthFort, Result};
use authfort_axum::{AdminPage, AuthLayer, CookieOptions, admin_page, admin_router, auth_router_without, harden};
use axum::Router;
use axum::routing::{delete, get, post};

pub use db::Db;

authfort_axum::roles! {
    /// May unshare notes of other users.
    pub Editor = "editor";
}

/// Builds the application on this database, and creates its table if it does not exist.
///
/// # Errors
/// The errors of the database.
pub async fn app(db: Db, auth: AuthFort) -> Result<Router> {
    db.create_table().await?;
    // A banned user's notes are no longer shared; they stay the user's own after the ban.
    let notes = db.clone();
    auth.on(move |event: UserBanned| {
        let notes = notes.clone();
        async move { report(notes.unshare_all(event.user_id).await) }
    });
    // A deleted user's notes are deleted with the row. An anonymized user keeps the row, so the notes are deleted here.
    let notes = db.clone();
    auth.on(move |event: UserDeleted| {
        let notes = notes.clone();
        async move { report(notes.delete_all(event.user_id).await) }
    });

    // Administrators use the admin page, which shows the notes of each user. This example serves plain HTTP on its own machine;
    // with HTTPS, leave `insecure_allow_http` out.
    let layer = AuthLayer::new(auth).cookies(CookieOptions::default().insecure_allow_http())?;
    let page = AdminPage::new()
        .title("Notes")
        .style(":root { --accent: light-dark(#8a3ffc, #be95ff); }")
        .panel(panel::Notes(db.clone()));
    let app = Router::new()
        .route("/auth/signup", post(routes::sign_up))
        .route("/notes", get(routes::list).post(routes::write))
        .route("/notes/{id}", delete(routes::delete))
        .route("/shared", get(routes::shared))
        .route("/editorial/{id}", delete(routes::unshare))
        // The application handles sign-up; the library handles the other routes of `/auth`.
        .nest("/auth", auth_router_without(&layer, ["/signup"]))
        .nest("/admin", admin_router(&layer).merge(admin_page(&layer, page)))
        .layer(layer)
        .with_state(db);
    Ok(harden(app))
}

/// Logs an error, because a hook has no caller to return it to.
fn report(outcome: authfort::sqlx::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the notes of a user could not be changed");
    }
}
