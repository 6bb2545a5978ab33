//! The typed events, one struct each.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Draft, Event, EventToken, TypedEvent, value};
use crate::model::delete::DeleteMode;
use crate::{EventId, SessionId, UserId, WebhookId};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type:literal for $user:ty $(, carrying $token:ident)? {
        $($(#[$fdoc:meta])* $field:ident: $ftype:ty),* $(,)?
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq)]
            #[non_exhaustive]
            pub struct $name {
                /// The id of the event: the same however often it is delivered.
                pub id: EventId,
                /// When it happened.
                pub timestamp: DateTime<Utc>,
                /// The user that the event concerns.
                pub user_id: $user,
                /// Who did it; none if the caller was not signed in.
                pub actor_id: Option<UserId>,
                /// The id of the request.
                pub request_id: Option<String>,
                $($(#[$fdoc])* pub $field: $ftype,)*
                $(
                    /// The token to send. Only hooks of the process that created it receive it: the log does not hold
                    /// it.
                    pub $token: Option<EventToken>,
                )?
            }

            impl $name {
                #[allow(clippy::needless_pass_by_value, reason = "facts are handed over")]
                #[allow(dead_code, reason = "without webhooks, nobody writes their events")]
                pub(crate) fn draft(user_id: impl Into<Option<UserId>>, $($field: $ftype),*) -> Draft {
                    #[allow(unused_mut, reason = "some types have no facts")]
                    let mut data = Map::new();
                    $(data.insert(stringify!($field).into(), value($field));)*
                    Draft { r#type: $type, user_id: user_id.into(), data, token: None }
                }
            }

            impl TypedEvent for $name {
                const TYPE: &'static str = $type;

                fn from_event(event: &Event) -> Option<Self> {
                    if event.r#type != $type {
                        return None;
                    }
                    Some(Self {
                        id: event.id,
                        timestamp: event.timestamp,
                        user_id: FromSubject::from_subject(event.user_id)?,
                        actor_id: event.actor_id,
                        request_id: event.request_id.clone(),
                        $($field: serde_json::from_value(event.data.get(stringify!($field)).cloned().unwrap_or(Value::Null)).ok()?,)*
                        $($token: event.token.clone(),)?
                    })
                }
            }
        )*

        /// Every type that the log can hold.
        pub const EVENT_TYPES: &[&str] = &[$($type),*];
    };
}

/// A subject that is required, or optional.
trait FromSubject: Sized {
    fn from_subject(user_id: Option<UserId>) -> Option<Self>;
}
impl FromSubject for UserId {
    fn from_subject(user_id: Option<UserId>) -> Option<Self> {
        user_id
    }
}
impl FromSubject for Option<UserId> {
    fn from_subject(user_id: Option<UserId>) -> Option<Self> {
        Some(user_id)
    }
}

events! {
    /// A user was created.
    UserCreated = "user_created" for UserId {
        /// The address.
        email: String,
        /// The name.
        name: Option<String>,
        /// How the user signs in: `email`, or an OAuth provider.
        provider: String,
    }
    /// Fields of a user changed.
    UserUpdated = "user_updated" for UserId {
        /// The names of the changed fields.
        fields: Vec<String>,
    }
    /// A user was deleted or anonymized.
    UserDeleted = "user_deleted" for UserId {
        /// The address that the user had.
        email: String,
        /// What happened to the row.
        mode: DeleteMode,
    }
    /// A user was banned, or the ban changed.
    UserBanned = "user_banned" for UserId {
        /// The reason.
        reason: Option<String>,
        /// When the ban expires; none for a ban without end.
        expires_at: Option<DateTime<Utc>>,
    }
    /// A ban was lifted.
    UserUnbanned = "user_unbanned" for UserId {}
    /// A role was added.
    RoleAdded = "role_added" for UserId {
        /// The role.
        role: String,
    }
    /// A role was removed.
    RoleRemoved = "role_removed" for UserId {
        /// The role.
        role: String,
    }
    /// A user signed in.
    Login = "login" for UserId {
        /// The address.
        email: String,
        /// How the user signed in: `email`, or an OAuth provider.
        provider: String,
        /// The client's address.
        ip_address: Option<String>,
        /// The client's user agent.
        user_agent: Option<String>,
    }
    /// A sign-in was refused.
    LoginFailed = "login_failed" for Option<UserId> {
        /// The address that was tried; none if the input does not have the form of an address.
        email: Option<String>,
        /// The error that was returned: `invalid_credentials`, or `user_banned` after the right password.
        reason: String,
        /// The cause: `unknown_user`, `wrong_password`, `no_password`, `banned`.
        detail: String,
        /// The client's address.
        ip_address: Option<String>,
        /// The client's user agent.
        user_agent: Option<String>,
    }
    /// A user signed out.
    Logout = "logout" for UserId {}
    /// A refresh token was exchanged.
    TokenRefreshed = "token_refreshed" for UserId {
        /// The client's address.
        ip_address: Option<String>,
        /// The client's user agent.
        user_agent: Option<String>,
    }
    /// Sessions were ended, by a call or because a refresh token was reused.
    SessionRevoked = "session_revoked" for UserId {
        /// The session; none if several were ended.
        session_id: Option<SessionId>,
        /// Whether all sessions were ended.
        revoke_all: bool,
    }
    /// A password was replaced.
    PasswordChanged = "password_changed" for UserId {}
    /// A password was set where there was none.
    PasswordSet = "password_set" for UserId {}
    /// A password was replaced with a reset token.
    PasswordReset = "password_reset" for UserId {}
    /// A token for a password reset was created, to be sent to the address.
    PasswordResetRequested = "password_reset_requested" for UserId, carrying token {
        /// The address to send to.
        email: String,
    }
    /// An address was verified.
    EmailVerified = "email_verified" for UserId {
        /// The address.
        email: String,
    }
    /// A token for email verification was created, to be sent to the address.
    EmailVerificationRequested = "email_verification_requested" for UserId, carrying token {
        /// The address to send to.
        email: String,
    }
    /// An account at a provider was linked.
    OauthLink = "oauth_link" for UserId {
        /// The user's address.
        email: String,
        /// The provider.
        provider: String,
    }
    /// An account at a provider was unlinked.
    OauthUnlink = "oauth_unlink" for UserId {
        /// The provider.
        provider: String,
    }
    /// A new key was published and will sign; the first key, and one that revokes the others, signs at once.
    KeyRotated = "key_rotated" for Option<UserId> {
        /// The newest key before it.
        old_kid: Option<String>,
        /// The new key.
        new_kid: String,
    }
    /// Old events were deleted from the log.
    EventsPurged = "events_purged" for Option<UserId> {
        /// Those before this time.
        before: DateTime<Utc>,
    }
    /// A webhook was created.
    WebhookCreated = "webhook_created" for Option<UserId> {
        /// The webhook.
        webhook_id: WebhookId,
        /// Scheme, host and port of its URL. The rest may be a secret.
        origin: String,
    }
    /// Something of a webhook changed.
    WebhookUpdated = "webhook_updated" for Option<UserId> {
        /// The webhook.
        webhook_id: WebhookId,
        /// Scheme, host and port of its URL.
        origin: String,
        /// What changed: `url`, `description`, `types`, `enabled`, `secret`.
        fields: Vec<String>,
    }
    /// A webhook was switched off because of its receiver.
    WebhookDisabled = "webhook_disabled" for Option<UserId> {
        /// The webhook.
        webhook_id: WebhookId,
        /// Scheme, host and port of its URL.
        origin: String,
        /// `gone` if the receiver answered 410, `failing` if everything failed for days.
        reason: String,
    }
    /// A webhook was deleted.
    WebhookDeleted = "webhook_deleted" for Option<UserId> {
        /// The webhook.
        webhook_id: WebhookId,
        /// Scheme, host and port of its URL.
        origin: String,
    }
}
