//! `POST /introspect` (RFC 7662)

use authfort::Introspection;
use authfort::secrecy::ExposeSecret;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::Json as Answer;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::layer::{Caller, bearer};
use crate::openapi::ErrorBody;
use crate::{Json, Params, Query, Rejection};

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Introspect {
    token: String,
    /// Accepted and not looked at: there is one type.
    #[serde(default)]
    #[expect(dead_code, reason = "RFC 7662 lets a client send it")]
    token_type_hint: Option<String>,
}

/// A resource server that presents the configured secret.
pub(crate) struct ResourceServer(Caller);

impl<S: Send + Sync> FromRequestParts<S> for ResourceServer {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let caller = Caller::of(parts)?;
        let presented = bearer(&parts.headers).map_err(|_| Rejection::unauthorized())?;
        // An empty secret, as an unset variable gives one, would be no secret at all.
        let secret = caller.shared.introspection_secret.as_ref().filter(|secret| !secret.expose_secret().is_empty());
        match presented.zip(secret) {
            Some((presented, secret))
                if verify_slices_are_equal(presented.as_bytes(), secret.expose_secret().as_bytes()).is_ok() =>
            {
                Ok(Self(caller))
            }
            _ => Err(Rejection::unauthorized()),
        }
    }
}

/// The token, from a form as RFC 7662 has it or from JSON.
pub(crate) struct Presented(String);

impl<S: Send + Sync> FromRequest<S> for Presented {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let Json(body) = Json::<Introspect>::from_request(request, state).await?;
            return Ok(Self(body.token));
        }
        let body = crate::extract::buffer(request, state).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Rejection::invalid_request("The body is not UTF-8."))?;
        let mut params = Params::parse(text)?;
        let token = params.one("token")?;
        params.one("token_type_hint")?;
        // Others are ignored (RFC 6749, section 3.2): clients send their credentials along, for servers that want them so.
        let missing = || authfort::FieldError::new("token", "required", "must be given");
        token.map(Self).ok_or_else(|| Rejection::validation(vec![missing()]))
    }
}

/// Says what an access token is worth, by the very check of the guard.
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
    Presented(token): Presented,
) -> Result<Answer<Introspection>, Rejection> {
    Ok(Answer(caller.shared.auth.introspect(&token).await?))
}
