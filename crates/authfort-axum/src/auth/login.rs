//! `POST /login`

use authfort::LoginOutcome;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use super::answer::SignedInBody;
use super::visitor::Visitor;
use crate::openapi::ErrorBody;
use crate::{Action, Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    email: String,
    #[schema(format = Password)]
    password: String,
}

/// Signs in with a password. A wrong password and an unknown address get the same response.
#[utoipa::path(
    post, path = "/login", tag = "auth", request_body = Login,
    responses(
        (status = 200, body = SignedInBody),
        (status = 401, description = "`invalid_credentials`", body = ErrorBody),
        (status = 403, description = "`user_banned`, after the right password", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
        (status = 503, description = "`overloaded`, `database_unavailable`", body = ErrorBody),
    )
)]
pub(crate) async fn login(
    visitor: Visitor,
    Query(()): Query<()>,
    Json(body): Json<Login>,
) -> Result<Response, Rejection> {
    visitor.check(Action::Login, &body.email)?;
    match visitor.auth.login(body.email, body.password).await? {
        LoginOutcome::SignedIn(user) => visitor.signed_in(StatusCode::OK, user),
        other => {
            tracing::error!(outcome = ?other, "this router does not know this outcome of a login");
            Err(Rejection::internal())
        }
    }
}
