//! The response to a refused request, and the mapping from [`authfort::Error`] to a status.
//!
//! Every refusal, whether it comes from an extractor, a guard, a rate limit or an operation, has the same shape:
//! `{"error": "<code>", "message": "<one sentence>"}`, with `"fields"` for input that is well formed but invalid.
//!
//! Guarantees:
//!
//! - The code is stable; the message is for people and may change.
//! - An internal error is 500 `internal` without details. The chain of causes goes to the log, on one line.
//! - A 401 has `WWW-Authenticate: Bearer` (RFC 6750) only if a bearer token would help: it does not help against a
//!   wrong password or a used refresh token.
//! - 429 and 503 have `Retry-After` in whole seconds, at least one.
//! - No refusal may be stored by a cache.
//! - A refusal is limited to a few kilobytes: it names at most [`FieldError::LIMIT`] invalid fields.

use std::{borrow::Cow, fmt, time::Duration};

use authfort::{Error, FieldError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A refused request: the status, the code, the message, the invalid fields and the response headers.
///
/// Converts from an [`authfort::Error`] with `?`, or is created by one of its constructors. A handler of the
/// application can return it to respond in the same shape as the routers of this crate.
///
/// ```
/// use authfort_axum::Rejection;
/// use axum::http::StatusCode;
///
/// let rejection = Rejection::from(authfort::Error::UserNotFound);
/// assert_eq!(rejection.status(), StatusCode::NOT_FOUND);
/// assert_eq!(rejection.code(), "user_not_found");
///
/// async fn handler() -> Result<String, Rejection> {
///     Err(authfort::Error::UserBanned)?
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Rejection {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    fields: Vec<FieldError>,
    retry_after: Option<Duration>,
    challenge: Option<Challenge>,
}

/// The value of `WWW-Authenticate` (RFC 6750, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    /// The request has no token: the scheme alone.
    Bearer,
    /// The request has an invalid token.
    InvalidToken,
}

impl Challenge {
    const fn header(self) -> HeaderValue {
        match self {
            Self::Bearer => HeaderValue::from_static("Bearer"),
            Self::InvalidToken => HeaderValue::from_static("Bearer error=\"invalid_token\""),
        }
    }
}

impl Rejection {
    /// Creates a refusal of the application's own from a status, a stable code, and a sentence for people that contains
    /// no secret.
    ///
    /// ```
    /// use authfort_axum::Rejection;
    /// use axum::http::StatusCode;
    /// let rejection = Rejection::new(StatusCode::CONFLICT, "workspace_full", "This workspace has no free seat.");
    /// assert_eq!(rejection.code(), "workspace_full");
    /// ```
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, message: message.into(), fields: Vec::new(), retry_after: None, challenge: None }
    }

    fn of(status: StatusCode, error: &Error) -> Self {
        Self::new(status, error.code(), error.to_string())
    }

    fn challenge(mut self, challenge: Challenge) -> Self {
        self.challenge = Some(challenge);
        self
    }

    fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// 400 `invalid_request`: the input cannot be parsed. The message must not repeat a value, which may be a password.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 422 `validation_failed`: the input can be parsed, and these fields are invalid. The response names the first
    /// [`FieldError::LIMIT`] of them.
    ///
    /// ```
    /// use authfort::FieldError;
    /// use authfort_axum::Rejection;
    /// let rejection = Rejection::validation(vec![FieldError::new("limit", "out_of_range", "must be between 1 and 200")]);
    /// assert_eq!(rejection.status(), 422);
    /// assert_eq!(rejection.fields().len(), 1);
    /// ```
    pub fn validation(fields: Vec<FieldError>) -> Self {
        Self::from(Error::Validation(fields))
    }

    /// 401 `token_missing`: the request has no access token, neither as a bearer token nor in a cookie.
    pub fn token_missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token_missing", "An access token is needed.").challenge(Challenge::Bearer)
    }

    /// 401 `refresh_token_missing`: the request has no refresh token, neither in the body nor in a cookie.
    pub fn refresh_token_missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "refresh_token_missing", "A refresh token is needed.")
    }

    /// 401 `unauthorized`: the secret of the introspection endpoint is missing or wrong.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "This endpoint needs its secret as a bearer token.")
            .challenge(Challenge::Bearer)
    }

    /// 403 `insufficient_role`: the caller is authenticated and lacks the role.
    pub fn insufficient_role(role: impl Into<String>) -> Self {
        Self::from(Error::InsufficientRole { role: role.into() })
    }

    /// 403 `cross_site_request`: a request came from a page of another site, in cookie mode.
    pub fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site_request", "This request came from another site.")
    }

    /// 404 `not_found`: there is no route at this path.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// 405 `method_not_allowed`: the path exists, but not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not answer to this method.")
    }

    /// 409 `cannot_act_on_self`: administrators cannot ban, delete or demote themselves.
    pub fn cannot_act_on_self() -> Self {
        Self::new(StatusCode::CONFLICT, "cannot_act_on_self", "You cannot do this to yourself.")
    }

    /// 413 `payload_too_large`: the body is longer than this route accepts.
    pub fn payload_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large.")
    }

    /// 415 `unsupported_media_type`: the body is not declared as JSON.
    pub fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be sent as Content-Type: application/json.",
        )
    }

    /// 500 `internal`, without details. The caller of this function has logged the error before.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred.")
    }

    /// Returns whether the caller is not signed in, or not any more.
    #[cfg(feature = "ui")]
    pub(crate) fn asks_for_a_token(&self) -> bool {
        self.challenge.is_some()
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the stable code, which is `error` in the body.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the message for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the invalid fields; empty unless the code is `validation_failed`.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }
}

/// Converts an error of the application's own statements: 503 if the database is unavailable or locked, otherwise 500.
/// The cause goes only to the log.
impl From<authfort::sqlx::Error> for Rejection {
    fn from(error: authfort::sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

/// Converts the failure of a task of the handler that panicked or was cancelled: 500. The cause goes only to the log.
impl From<tokio::task::JoinError> for Rejection {
    fn from(error: tokio::task::JoinError) -> Self {
        Error::from(error).into()
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCursor => Self::of(StatusCode::BAD_REQUEST, &error),

            Error::TokenInvalid
            | Error::TokenExpired
            | Error::TokenVersionMismatch
            | Error::SessionRevoked
            | Error::TokenUserNotFound => Self::of(StatusCode::UNAUTHORIZED, &error).challenge(Challenge::InvalidToken),
            Error::InvalidCredentials | Error::RefreshTokenInvalid | Error::RefreshTokenReused => {
                Self::of(StatusCode::UNAUTHORIZED, &error)
            }

            Error::UserBanned | Error::InsufficientRole { .. } | Error::SignupDisabled => {
                Self::of(StatusCode::FORBIDDEN, &error)
            }

            Error::UserNotFound
            | Error::SessionNotFound
            | Error::AccountNotFound
            | Error::KeyNotFound
            | Error::SubscriptionNotFound
            | Error::DeadLetterNotFound
            | Error::WebhookNotFound
            | Error::EventNotFound => Self::of(StatusCode::NOT_FOUND, &error),

            Error::UserExists
            | Error::LastAdmin
            | Error::AccountLinkedElsewhere
            | Error::LastCredential
            | Error::BlockedByReference { .. } => Self::of(StatusCode::CONFLICT, &error),

            Error::PreconditionFailed => Self::of(StatusCode::PRECONDITION_FAILED, &error),

            Error::Validation(_) => {
                let mut rejection = Self::of(StatusCode::UNPROCESSABLE_ENTITY, &error);
                if let Error::Validation(mut fields) = error {
                    fields.truncate(FieldError::LIMIT);
                    rejection.fields = fields;
                }
                rejection
            }
            Error::VerificationTokenInvalid => {
                let mut rejection = Self::of(StatusCode::UNPROCESSABLE_ENTITY, &error);
                rejection.fields = vec![FieldError::new("token", "invalid", "is unknown, expired or used")];
                rejection
            }

            Error::RateLimited { retry_after } => {
                Self::of(StatusCode::TOO_MANY_REQUESTS, &error).retry_after(retry_after)
            }

            Error::Overloaded => Self::of(StatusCode::SERVICE_UNAVAILABLE, &error).retry_after(Duration::from_secs(1)),
            Error::DatabaseUnavailable(_) => {
                tracing::warn!(error = %Chain(&error), "the database is not available");
                Self::of(StatusCode::SERVICE_UNAVAILABLE, &error).retry_after(Duration::from_secs(1))
            }

            // Config and Migration errors belong to the start; in a request they are internal errors. So is a variant
            // that was added after this code was written: an unknown error is never blamed on the client.
            _ => {
                tracing::error!(error = %Chain(&error), code = error.code(), "a request failed with an internal error");
                Self::internal()
            }
        }
    }
}

/// An error and its causes on one line. Control characters are escaped, so that a cause that quotes input cannot forge
/// a log line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut next = Some(self.0);
        let mut first = true;
        while let Some(error) = next {
            if !first {
                f.write_str(": ")?;
            }
            first = false;
            for c in error.to_string().chars() {
                if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
            }
            next = error.source();
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [FieldError],
}

/// The metric that counts refusals.
const REFUSALS: &str = "authfort_http_refusals_total";

/// Tells the recorder of the crate `metrics` what the counter means.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(REFUSALS, "Refused requests, by the code of the refusal");
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        metrics::counter!(REFUSALS, "code" => self.code).increment(1);
        let body = Body { error: self.code, message: &self.message, fields: &self.fields };
        let mut response = (self.status, axum::Json(body)).into_response();
        // For the page, which says the same in HTML.
        #[cfg(feature = "ui")]
        response.extensions_mut().insert(self.clone());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge.header());
        }
        if let Some(wait) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        response
    }
}

/// Rounds up, because a client that retries a moment too early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests;
