//! `POST /signup`

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
pub(crate) struct SignUp {
    email: String,
    #[schema(format = Password, min_length = 8, max_length = 1024)]
    password: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    avatar_url: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

/// Registers a user and signs them in.
#[utoipa::path(
    post, path = "/signup", tag = "auth", request_body = SignUp,
    responses(
        (status = 201, body = SignedInBody),
        (status = 403, description = "`signup_disabled`", body = ErrorBody),
        (status = 409, description = "`user_exists`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
        (status = 429, description = "`rate_limited`", body = ErrorBody),
    )
)]
pub(crate) async fn signup(
    visitor: Visitor,
    Query(()): Query<()>,
    Json(body): Json<SignUp>,
) -> Result<Response, Rejection> {
    let (asked, email) = (visitor.clone(), body.email.clone());
    let mut call =
        visitor.auth.sign_up(body.email, body.password).check_rate(move || asked.check(Action::SignUp, &email));
    if let Some(name) = body.name {
        call = call.name(name);
    }
    if let Some(url) = body.avatar_url {
        call = call.avatar_url(url);
    }
    if let Some(phone) = body.phone {
        call = call.phone(phone);
    }
    visitor.signed_in(StatusCode::CREATED, call.await?)
}
