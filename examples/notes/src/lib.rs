//! An application with a table and a state of its own beside the library's: people sign up and get their first note in
//! the same transaction, keep notes, share some of them, and lose them with their account.
//!
//! | file | holds |
//! |---|---|
//! | `lib.rs` | the application: what is mounted where, and the hooks |
//! | `routes.rs` | the handlers and their guards |
//! | `db.rs` | the table `notes`, on either engine |

mod db;
mod routes;

use authfort::events::{UserBanned, UserDeleted};
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
    // What a banned user has shared stays their own when the ban is over.
    let notes = db.clone();
    auth.on(move |event: UserBanned| {
        let notes = notes.clone();
        async move { report(notes.unshare_all(event.user_id).await) }
    });
    // A deleted user's notes go with the row. Who is anonymized keeps the row, and loses the notes here.
    let notes = db.clone();
    auth.on(move |event: UserDeleted| {
        let notes = notes.clone();
        async move { report(notes.delete_all(event.user_id).await) }
    });

    let layer = AuthLayer::new(auth);
    let app = Router::new()
        .route("/auth/signup", post(routes::sign_up))
        .route("/notes", get(routes::list).post(routes::write))
        .route("/notes/{id}", delete(routes::delete))
        .route("/shared", get(routes::shared))
        .route("/editorial/{id}", delete(routes::unshare))
        // Sign-up is the application's; all the rest of `/auth` is the library's.
        .nest("/auth", auth_router_without(&layer, ["/signup"]))
        .nest("/admin", admin_router(&layer))
        .layer(layer)
        .with_state(db);
    Ok(harden(app))
}

/// A hook has nobody to answer to.
fn report(outcome: authfort::sqlx::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the notes of a user could not be changed");
    }
}
