//! The handlers. Their arguments define who may call them.

use authfort::secrecy::SecretString;
use authfort_axum::{Action, CurrentUser, Rejection, RequireRole, Visitor};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::Editor;
use crate::db::{Db, Note};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignUp {
    email: String,
    password: SecretString,
}

/// Creates the user and their first note in one transaction, and signs them in.
pub async fn sign_up(visitor: Visitor, State(db): State<Db>, Json(form): Json<SignUp>) -> Result<Response, Rejection> {
    let (asked, email) = (visitor.clone(), form.email.clone());
    // Checks the input, asks the limits and hashes the password, before the transaction and in this order.
    let sign_up = visitor
        .auth()
        .sign_up(form.email, form.password)
        .check_rate(move || asked.check(Action::SignUp, &email))
        .prepare()
        .await?;
    // In a task of its own: a client that hangs up does not stop it half way.
    let signed_in = tokio::spawn(async move {
        let mut tx = db.begin().await?;
        let signed_in = sign_up.in_tx(tx.conn()).await?;
        tx.add_note(signed_in.user.id, "Welcome! This is your first note.").await?;
        tx.commit().await?;
        Ok::<_, Rejection>(signed_in)
    })
    .await??;
    visitor.signed_in(StatusCode::CREATED, signed_in)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    text: String,
    #[serde(default)]
    shared: bool,
}

pub async fn write(
    user: CurrentUser,
    State(db): State<Db>,
    Json(note): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), Rejection> {
    if note.text.trim().is_empty() || note.text.contains('\0') {
        let message = "A note needs a text, without NUL characters.";
        return Err(Rejection::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_note", message));
    }
    Ok((StatusCode::CREATED, Json(db.add_note(user.user_id, &note.text, note.shared).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    #[serde(default)]
    after: i64,
}

/// Lists the caller's own notes.
pub async fn list(
    user: CurrentUser,
    State(db): State<Db>,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Note>>, Rejection> {
    Ok(Json(db.notes_of(user.user_id, paging.after).await?))
}

/// Lists the shared notes, which every client may read, signed in or not.
pub async fn shared(State(db): State<Db>, Query(paging): Query<Paging>) -> Result<Json<Vec<Note>>, Rejection> {
    Ok(Json(db.shared_notes(paging.after).await?))
}

/// Deletes a note of the caller's own. The note of another user is reported as not found.
pub async fn delete(user: CurrentUser, State(db): State<Db>, Path(id): Path<i64>) -> Result<StatusCode, Rejection> {
    if db.delete_note(id, user.user_id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Rejection::not_found()) }
}

/// Stops sharing a note; for editors.
pub async fn unshare(
    _: RequireRole<Editor>,
    State(db): State<Db>,
    Path(id): Path<i64>,
) -> Result<StatusCode, Rejection> {
    if db.unshare(id).await? { Ok(StatusCode::NO_CONTENT) } else { Err(Rejection::not_found()) }
}
