//! `POST /introspect` (RFC 7662)

use authfort::Introspection;
use authfort::secrecy::ExposeSecret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Json as Answer;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::extract::{form, is_form};
use crate::layer::{Caller, bearer};
use crate::openapi::ErrorBody;
use crate::{Json, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introspect {
    token: String,
    /// Accepted and ignored: there is only one type of token.
    #[serde(default)]
    #[expect(dead_code, reason = "RFC 7662 lets a client send it")]
    token_type_hint: Option<String>,
}

/// A resource server that has presented the configured secret.
pub(crate) struct ResourceServer(Caller);

impl<S: Send + Sync> FromRequestParts<S> for ResourceServer {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let presented = bearer(&parts.headers).map_err(|_| Rejection::unauthorized())?;
        // An empty secret, as from an unset variable, is treated as no secret.
        let secret = caller.shared.introspection_secret.as_ref().filter(|secret| !secret.expose_secret().is_empty());
        match presented.zip(secret) {
            Some((presented, secret))
                if verify_slices_are_equal(presented.as_bytes(), secret.expose_secret().as_bytes()).is_ok() =>
            {
                Ok(Self(caller.clone()))
            }
            _ => Err(Rejection::unauthorized()),
        }
    }
}

/// The token, from a form as in RFC 7662 or from JSON.
pub(crate) struct Presented(Introspect);

impl<S: Send + Sync> FromRequest<S> for Presented {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        if !is_form(request.headers()) {
            return Json::from_request(request, state).await.map(|Json(body)| Self(body));
        }
        // Other parameters are ignored (RFC 6749, section 3.2): clients may send their credentials too, for servers
        // that require them.
        form(request, state).await?.take().map(Self)
    }
}

/// Returns whether an access token is valid, and its claims, by the same check as the guards of the routes.
#[utoipa::path(
    post, path = "/introspect", tag = "auth", security(("introspection" = [])),
    request_body(content(
        (Introspect = "application/x-www-form-urlencoded"),
        (Introspect = "application/json"),
    )),
    responses((status = 200, body = Introspection), (status = 401, description = "`unauthorized`", body = ErrorBody))
)]
pub(crate) async fn introspect(
    ResourceServer(caller): ResourceServer,
    Query(()): Query<()>,
    Presented(body): Presented,
) -> Result<Answer<Introspection>, Rejection> {
    Ok(Answer(caller.shared.auth.introspect(&body.token).await?))
}
