//! Events. Every change appends its events to the log in its own transaction; hooks run after the commit.
//!
//! - An event and its change are in one transaction: neither is stored without the other.
//! - A call that changes nothing writes no event.
//! - An event names the actor and the request, and holds no secret: no password, token or hash. A token that has to be
//!   sent to a user is passed to the hooks of this process beside the event ([`EventToken`]).
//!
//! | event | when | data |
//! |---|---|---|
//! | [`UserCreated`] | a user was created, by sign-up or otherwise | `email, name, provider` |
//! | [`UserUpdated`] | fields changed | `fields` |
//! | [`UserDeleted`] | the user was deleted or anonymized; the event outlives the user | `email, mode` |
//! | [`UserBanned`], [`UserUnbanned`] | a ban was set or changed, lifted | `reason, expires_at` |
//! | [`RoleAdded`], [`RoleRemoved`] | | `role` |
//! | [`Login`], [`LoginFailed`], [`Logout`] | | `email, provider, ip_address, user_agent` |
//! | [`TokenRefreshed`] | a refresh token was exchanged | `ip_address, user_agent` |
//! | [`SessionRevoked`] | one session, or all, were ended | `session_id, revoke_all` |
//! | [`PasswordChanged`], [`PasswordSet`], [`PasswordReset`] | replaced, set where there was none, replaced by token | |
//! | [`PasswordResetRequested`], [`EmailVerificationRequested`], [`EmailVerified`] | | `email` |
//! | [`OauthLink`], [`OauthUnlink`] | | `email, provider` |
//! | [`KeyRotated`] | | `old_kid, new_kid` |
//! | [`EventsPurged`] | old events were deleted from the log | `before` |
//! | [`WebhookCreated`], [`WebhookDeleted`] | | `webhook_id, origin` |
//! | [`WebhookUpdated`] | | `webhook_id, origin, fields` |
//! | [`WebhookDisabled`] | switched off because of its receiver | `webhook_id, origin, reason` |

mod types;

use std::fmt;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value};

pub use types::*;

use super::filter::SortOrder;
use crate::crypto::constant_time_eq;
use crate::{Error, EventId, Result, UserId};

/// One entry of the log, as it is stored.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// auth.create_user("jane@example.com").await?;
/// let page = auth.list_events().await?;
/// assert_eq!(page.events[0].r#type, "user_created");
/// assert_eq!(page.events[0].data["email"], "jane@example.com");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Event {
    /// The id of the event. It never changes.
    pub id: EventId,
    /// What happened, such as `user_deleted`.
    #[cfg_attr(feature = "openapi", schema(schema_with = type_schema))]
    pub r#type: String,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    /// The user that the event concerns; none if it concerns no user.
    pub user_id: Option<UserId>,
    /// Who did it; none if the caller was not signed in.
    pub actor_id: Option<UserId>,
    /// The id of the request.
    pub request_id: Option<String>,
    /// The data of this type of event.
    #[cfg_attr(feature = "openapi", schema(value_type = std::collections::HashMap<String, Value>))]
    pub data: Map<String, Value>,
    /// A secret for the hooks of this process; never stored.
    #[serde(skip)]
    pub(crate) token: Option<EventToken>,
}

/// A single-use token that an event passes to the hooks of the process that created it. It is in no log: `Debug`, JSON
/// and the stored event do not contain it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// use authfort::events::PasswordResetRequested;
/// use authfort::secrecy::ExposeSecret;
/// # let (sender, mut mails) = tokio::sync::mpsc::unbounded_channel();
/// auth.on(move |e: PasswordResetRequested| {
///     let sender = sender.clone();
///     async move {
///         let Some(token) = e.token else { return };
///         // Send the mail.
///         sender.send((e.email, token.expose_secret().to_owned())).unwrap();
///     }
/// });
/// auth.create_user("jane@example.com").await?;
/// auth.request_password_reset("jane@example.com").await?;
/// let (to, token) = mails.recv().await.unwrap();
/// auth.reset_password(token, "a new password").await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct EventToken(SecretString);

impl EventToken {
    pub(crate) fn new(token: SecretString) -> Self {
        Self(token)
    }
}

impl ExposeSecret<str> for EventToken {
    fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for EventToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventToken")
    }
}

impl PartialEq for EventToken {
    fn eq(&self, other: &Self) -> bool {
        constant_time_eq(self.expose_secret().as_bytes(), other.expose_secret().as_bytes())
    }
}

/// Selects entries of the log.
#[derive(Debug, Clone)]
pub(crate) struct EventQuery {
    pub user_id: Option<UserId>,
    pub types: Vec<String>,
    pub after: Option<EventId>,
    pub before: Option<EventId>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    pub order: SortOrder,
    pub limit: i64,
}

/// Checks the names of types that somebody asks for, and leaves each once, which keeps statements small.
pub(crate) fn check_types(field: &str, types: &mut Vec<String>) -> Result<()> {
    if !types.iter().all(|name| EVENT_TYPES.contains(&name.as_str())) {
        let message = format!("must be one of: {}", EVENT_TYPES.join(", "));
        return Err(Error::invalid(field, "not_allowed", message));
    }
    types.sort_unstable();
    types.dedup();
    Ok(())
}

/// The schema of an event type's name, for other documents.
#[cfg(feature = "openapi")]
#[doc(hidden)]
pub fn type_schema() -> utoipa::openapi::schema::Object {
    crate::openapi::one_of(EVENT_TYPES)
}

/// An event that is still to be written: the writer adds id, time, actor and request.
#[derive(Debug)]
pub(crate) struct Draft {
    pub r#type: &'static str,
    pub user_id: Option<UserId>,
    pub data: Map<String, Value>,
    pub token: Option<EventToken>,
}

impl Draft {
    pub(crate) fn carrying(mut self, token: SecretString) -> Self {
        self.token = Some(EventToken::new(token));
        self
    }
}

/// An event that hooks can be registered for.
pub trait TypedEvent: Sized + Send + 'static {
    /// The event type's name in the log.
    const TYPE: &'static str;
    /// Reads the typed form; `None` if the entry is of another type.
    fn from_event(event: &Event) -> Option<Self>;
}

pub(crate) fn value(fact: impl Serialize) -> Value {
    serde_json::to_value(fact).unwrap_or(Value::Null)
}
