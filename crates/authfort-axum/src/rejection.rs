//! The one answer to a request that is refused, and the one place where an [`authfort::Error`] becomes a status.
//!
//! Every refusal, whether it comes from an extractor, a guard, a rate limit or an operation, has the same shape:
//! `{"error": "<code>", "message": "<one sentence>"}`, with `"fields"` for input that is well formed and not
//! acceptable.
//!
//! What it guarantees:
//!
//! - The code is stable; the message is for a person and may change.
//! - A fault of ours is 500 `internal` and says nothing more. The chain of causes goes to the log, on one line.
//! - 401 tells a client by `WWW-Authenticate: Bearer` (RFC 6750) when a bearer token would help, and only then: a wrong
//!   password or a spent refresh token is not cured by one.
//! - 429 and 503 carry `Retry-After` in whole seconds, at least one.
//! - No answer may be stored by a cache.
//! - However much was wrong, an answer is a few kilobytes: it names [`FieldError::LIMIT`] faults.

use std::{borrow::Cow, fmt, time::Duration};

use authfort::{Error, FieldError};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A refused request: the status, the code, the sentence, and what hangs on them.
///
/// It is made from an [`authfort::Error`] by `?`, or by one of its constructors. A handler of the application can
/// return it too, and then answers in the same shape as the routers of this crate.
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

/// What `WWW-Authenticate` says (RFC 6750, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Challenge {
    /// No token came: the scheme alone.
    Bearer,
    /// A token came and does not count.
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
    /// A refusal of the application's own, in the same shape: a status, a stable code, a sentence for a person that
    /// repeats nothing secret.
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

    /// 400 `invalid_request`: what came cannot be read. The message must not repeat a value, which may be a password.
    pub fn invalid_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// 422 `validation_failed`: what came can be read and is not acceptable, field by field. The first [`FieldError::LIMIT`] are named.
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

    /// 401 `token_missing`: no access token came, in neither place.
    pub fn token_missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token_missing", "An access token is needed.").challenge(Challenge::Bearer)
    }

    /// 401 `refresh_token_missing`: no refresh token came, in neither the body nor the cookie.
    pub fn refresh_token_missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "refresh_token_missing", "A refresh token is needed.")
    }

    /// 401 `unauthorized`: the secret of the introspection endpoint is missing or wrong.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "This endpoint needs its secret as a bearer token.")
            .challenge(Challenge::Bearer)
    }

    /// 403 `insufficient_role`: the caller is known and lacks the role.
    pub fn insufficient_role(role: impl Into<String>) -> Self {
        Self::from(Error::InsufficientRole { role: role.into() })
    }

    /// 403 `cross_site_request`: a request that carries a cookie came from another site's page.
    pub fn cross_site() -> Self {
        Self::new(StatusCode::FORBIDDEN, "cross_site_request", "This request came from another site.")
    }

    /// 404 `not_found`: nothing lives at this path.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
    }

    /// 405 `method_not_allowed`: the path exists, not for this method.
    pub fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path does not answer to this method.")
    }

    /// 409 `cannot_act_on_self`: nobody bans, deletes or demotes themself.
    pub fn cannot_act_on_self() -> Self {
        Self::new(StatusCode::CONFLICT, "cannot_act_on_self", "You cannot do this to yourself.")
    }

    /// 413 `payload_too_large`: the body is longer than this route takes.
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

    /// 500 `internal`, which says nothing about the fault. Whoever makes one has logged the fault before.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred.")
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The stable code, the body's `error`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The fields that are not acceptable; empty unless the code is `validation_failed`.
    pub fn fields(&self) -> &[FieldError] {
        &self.fields
    }
}

/// An error of the application's own statements: 503 where the database is away or locked, else 500, with the cause in
/// the log alone.
impl From<authfort::sqlx::Error> for Rejection {
    fn from(error: authfort::sqlx::Error) -> Self {
        Error::from(error).into()
    }
}

/// A task of the handler's own that panicked or was cancelled: 500, with the cause in the log alone.
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

            Error::UserNotFound | Error::SessionNotFound | Error::AccountNotFound | Error::KeyNotFound => {
                Self::of(StatusCode::NOT_FOUND, &error)
            }

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

            // Config and Migration belong to start-up; one that turns up in a request is a fault of ours like any
            // other. A variant that is newer than this file lands here as well: unknown is never a client's mistake.
            _ => {
                tracing::error!(error = %Chain(&error), code = error.code(), "a request failed with an internal error");
                Self::internal()
            }
        }
    }
}

/// An error and its causes on one line: control characters are escaped, so that a cause that quotes input cannot forge
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

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let body = Body { error: self.code, message: &self.message, fields: &self.fields };
        let mut response = (self.status, axum::Json(body)).into_response();
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

/// Rounded up, because a client that comes back a moment too early is refused again.
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
