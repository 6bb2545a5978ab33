//! Errors as data: every variant has a stable [`code`](Error::code) and carries facts, not sentences.
//!
//! The `Display` form is the sentence for a person. It never contains a secret or SQL, and contains a path only in
//! [`Error::Start`]; the sources behind [`Error::Database`] and [`Error::Internal`] are for the log only.

use std::time::Duration;

/// The result of every operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed. It changed nothing, unless the variant says otherwise.
///
/// ```
/// use authfort::Error;
/// assert_eq!(Error::UserNotFound.code(), "user_not_found");
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No user has this id, or the user was anonymized.
    #[error("No user has this id.")]
    UserNotFound,
    /// Another user has this email address.
    #[error("A user with this email address exists already.")]
    UserExists,
    /// The user has no session with this id.
    #[error("No such session.")]
    SessionNotFound,
    /// The user has no account at this provider.
    #[error("No such account.")]
    AccountNotFound,
    /// No signing key has this id.
    #[error("No such key.")]
    KeyNotFound,
    /// The change would leave no usable administrator.
    #[error("This is the last usable administrator.")]
    LastAdmin,
    /// The provider account belongs to another user.
    #[error("This account is linked to another user, or the user has another account at this provider.")]
    AccountLinkedElsewhere,
    /// The account is the user's only way to sign in.
    #[error("This is the user's only way to sign in.")]
    LastCredential,
    /// A row of the application refers to the user and prevents the deletion.
    #[error("Rows of {} refer to this user.", table.as_deref().unwrap_or("another table"))]
    BlockedByReference {
        /// The table that refers to the user, where the database engine names it.
        table: Option<String>,
    },
    /// The row changed since it was read (`If-Match`).
    #[error("The user was changed in the meantime; read it again.")]
    PreconditionFailed,
    /// The input is well formed but not acceptable: at most [`FieldError::LIMIT`] faults, each once.
    #[error("{}", summary(.0))]
    Validation(Vec<FieldError>),
    /// This library did not create the cursor, or the cursor belongs to another list.
    #[error("The cursor does not belong to this list; start again without it.")]
    InvalidCursor,
    /// Email and password do not match. The error is the same for every reason.
    #[error("Email or password is wrong.")]
    InvalidCredentials,
    /// There is no subscription of this name.
    #[error("There is no such subscription.")]
    SubscriptionNotFound,
    /// The subscription has no dead letter with this event.
    #[error("There is no such dead letter.")]
    DeadLetterNotFound,
    /// There is no webhook with this id.
    #[error("There is no such webhook.")]
    WebhookNotFound,
    /// The log has no event with this id.
    #[error("There is no such event.")]
    EventNotFound,
    /// The user is banned.
    #[error("This user is banned.")]
    UserBanned,
    /// The user, or the actor, lacks the role.
    #[error("This needs the role {role}.")]
    InsufficientRole {
        /// The role that is missing.
        role: String,
    },
    /// Sign-up is disabled.
    #[error("Sign-up is switched off.")]
    SignupDisabled,
    /// The access token is not valid: malformed, forged, or signed by a key that is no longer valid.
    #[error("The access token is not valid.")]
    TokenInvalid,
    /// The access token has expired.
    #[error("The access token has expired.")]
    TokenExpired,
    /// The user's standing changed since the access token was issued.
    #[error("The access token is out of date.")]
    TokenVersionMismatch,
    /// The session of the access token was ended.
    #[error("The session was ended.")]
    SessionRevoked,
    /// The user of the access token no longer exists.
    #[error("The user of this token is gone.")]
    TokenUserNotFound,
    /// The refresh token is unknown, expired, or its session was ended.
    #[error("The refresh token is not valid.")]
    RefreshTokenInvalid,
    /// A refresh token that was already exchanged was used again. Its whole session was ended, and that is committed.
    #[error("The refresh token was used before; the session was ended.")]
    RefreshTokenReused,
    /// The single-use token is unknown, expired or already used.
    #[error("The token is not valid.")]
    VerificationTokenInvalid,
    /// More attempts than allowed.
    #[error("Too many attempts.")]
    RateLimited {
        /// When the next attempt can succeed.
        retry_after: Duration,
    },
    /// More work at once than is allowed: the queue of passwords to be hashed is full, or too many streams of events are open.
    #[error("Too much work at once.")]
    Overloaded,
    /// The database cannot be reached, is full, or stayed locked.
    #[error("The database is not available.")]
    DatabaseUnavailable(#[source] sqlx::Error),
    /// An option has an invalid value.
    #[error("{field}: {message}")]
    Config {
        /// The option.
        field: &'static str,
        /// What to change.
        message: String,
    },
    /// This version cannot work with the database schema.
    #[error("{0}")]
    Migration(String),
    /// The library could not start on this database. Only [`connect`](crate::Builder::connect) and
    /// [`from_pool`](crate::Builder::from_pool) return it. Its texts are for the operator: they name host, role,
    /// database or file, and no password.
    #[error("{cause} {remedy}")]
    Start {
        /// What is wrong.
        cause: String,
        /// What to do about it.
        remedy: &'static str,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
    /// A database error that no input should cause.
    #[error("An internal error occurred.")]
    Database(#[source] sqlx::Error),
    /// An error that no input should cause.
    #[error("An internal error occurred.")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One field of the input and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldError {
    /// The field as the caller named it.
    pub field: String,
    /// The stable code of the fault.
    pub code: &'static str,
    /// What to change.
    pub message: String,
}

impl FieldError {
    /// The most faults that one error names.
    pub const LIMIT: usize = 16;

    /// Creates a fault from the field, its code, and what to change.
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), code, message: message.into() }
    }
}

/// How many faults the `Display` form names; the data holds all of them.
const SUMMARY_FAULTS: usize = 3;

fn summary(fields: &[FieldError]) -> String {
    let mut list: Vec<String> =
        fields.iter().take(SUMMARY_FAULTS).map(|f| format!("{}: {}", f.field, f.message)).collect();
    if let Some(rest) = fields.len().checked_sub(SUMMARY_FAULTS).filter(|rest| *rest > 0) {
        list.push(format!("and {rest} more"));
    }
    format!("Invalid input: {}.", list.join("; "))
}

/// A task that panicked or was cancelled, such as one in which a handler runs its own transaction, is an internal
/// error.
///
/// ```
/// # async fn example(pool: authfort::sqlx::SqlitePool, auth: authfort::AuthFort) -> authfort::Result<()> {
/// tokio::spawn(async move {
///     let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
///     auth.create_user("jane@example.com").in_tx(&mut tx).await?;
///     tx.commit().await?;
///     Ok::<_, authfort::Error>(())
/// })
/// .await?
/// # }
/// ```
impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::internal(error)
    }
}

impl Error {
    /// Returns the stable code of this error; the HTTP interface uses the same codes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UserNotFound | Self::TokenUserNotFound => "user_not_found",
            Self::UserExists => "user_exists",
            Self::SessionNotFound => "session_not_found",
            Self::AccountNotFound => "account_not_found",
            Self::KeyNotFound => "not_found",
            Self::SubscriptionNotFound => "subscription_not_found",
            Self::DeadLetterNotFound => "dead_letter_not_found",
            Self::WebhookNotFound => "webhook_not_found",
            Self::EventNotFound => "event_not_found",
            Self::LastAdmin => "last_admin",
            Self::AccountLinkedElsewhere => "account_linked_elsewhere",
            Self::LastCredential => "last_credential",
            Self::BlockedByReference { .. } => "blocked_by_reference",
            Self::PreconditionFailed => "precondition_failed",
            Self::Validation(_) | Self::VerificationTokenInvalid => "validation_failed",
            Self::InvalidCursor => "invalid_request",
            Self::InvalidCredentials => "invalid_credentials",
            Self::UserBanned => "user_banned",
            Self::InsufficientRole { .. } => "insufficient_role",
            Self::SignupDisabled => "signup_disabled",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::TokenVersionMismatch => "token_version_mismatch",
            Self::SessionRevoked => "session_revoked",
            Self::RefreshTokenInvalid => "refresh_token_invalid",
            Self::RefreshTokenReused => "refresh_token_reused",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::DatabaseUnavailable(_) => "database_unavailable",
            Self::Config { .. } => "config",
            Self::Migration(_) => "migration",
            Self::Start { .. } => "start",
            Self::Database(_) | Self::Internal(_) => "internal",
        }
    }

    /// Creates a validation error for one field.
    pub fn invalid(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self::Validation(vec![FieldError::new(field, code, message)])
    }

    pub(crate) fn config(field: &'static str, message: impl Into<String>) -> Self {
        Self::Config { field, message: message.into() }
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }
}
