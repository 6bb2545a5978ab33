//! An application with a table and a state of its own beside the library's: people sign up and get their first note in
//! the same transaction, keep notes, share some of them, and lose them with their account.
//!
//! | file | holds |
//! |---|---|
//! | `lib.rs` | the application: what is mounted where, and the hook |
//! | `routes.rs` | the handlers and their guards |
//! | `db.rs` | the table `notes`, on either engine |

mod db;
mod routes;

use authfort::events::UserBanned;
use authfort::{AuthFort, Result};
use authfort_axum::{AuthLayer, admin_router, auth_router_without, harden};
use axum::Router;
use axum::routing::{delete, get, post};

pub use db::Db;

authfort_axum::roles! {
    /// Who looks after what is shared.
    pub Editor = "editor";
}

/// The application on this database, whose tables are made where they are not there.
///
/// # Errors
/// Those of the database.
pub async fn app(db: Db, auth: AuthFort) -> Result<Router> {
    db.create_table().await?;
    // What a banned user has shared is nobody's to read any longer.
    let notes = db.clone();
    auth.on(move |event: UserBanned| {
        let notes = notes.clone();
        async move {
            if let Err(error) = notes.unshare_all(event.user_id).await {
                tracing::error!(%error, user = %event.user_id, "the notes of a banned user are still shared");
            }
        }
    });

    let layer = AuthLayer::new(auth);
    let routes = Router::new()
        .route("/auth/signup", post(routes::sign_up))
        .route("/notes", get(routes::list).post(routes::write))
        .route("/notes/{id}", delete(routes::delete))
        .route("/shared", get(routes::shared))
        .route("/editorial/{id}", delete(routes::unshare))
        .with_state(db);
    // Sign-up is the application's; all the rest of `/auth` is the library's.
    Ok(harden(routes)
        .nest("/auth", auth_router_without(&layer, ["/signup"]))
        .nest("/admin", admin_router(&layer))
        .layer(layer))
}
