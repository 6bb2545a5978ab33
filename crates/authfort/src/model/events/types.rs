//! The typed events, one struct each.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{Draft, Event, EventToken, TypedEvent, value};
use crate::model::delete::DeleteMode;
use crate::{EventId, SessionId, UserId};

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $type:literal for $user:ty $(, carrying $token:ident)? {
        $($(#[$fdoc:meta])* $field:ident: $ftype:ty),* $(,)?
    })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq)]
            #[non_exhaustive]
            pub struct $name {
                /// The event, for ever: the same however often it is delivered.
                pub id: EventId,
                /// When it happened.
                pub timestamp: DateTime<Utc>,
                /// Whom it concerns.
                pub user_id: $user,
                /// Who did it; none where nobody was signed in.
                pub actor_id: Option<UserId>,
                /// Under which request.
                pub request_id: Option<String>,
                $($(#[$fdoc])* pub $field: $ftype,)*
                $(
                    /// What to send. Only the hooks of the process that made it are handed it: the log does not hold it.
                    pub $token: Option<EventToken>,
                )?
            }

            impl $name {
                #[allow(clippy::needless_pass_by_value, reason = "facts are handed over")]
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

/// A subject that must be there, or may be.
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
        /// By what the user signs in: `email`, or an OAuth provider.
        provider: String,
    }
    /// Fields of a user changed.
    UserUpdated = "user_updated" for UserId {
        /// Which.
        fields: Vec<String>,
    }
    /// A user was deleted or anonymized.
    UserDeleted = "user_deleted" for UserId {
        /// The address that the user had.
        email: String,
        /// What became of the row.
        mode: DeleteMode,
    }
    /// A user was banned, or the ban changed.
    UserBanned = "user_banned" for UserId {
        /// Why.
        reason: Option<String>,
        /// Until when; without end where there is none.
        expires_at: Option<DateTime<Utc>>,
    }
    /// A ban was lifted.
    UserUnbanned = "user_unbanned" for UserId {}
    /// A role was given.
    RoleAdded = "role_added" for UserId {
        /// Which.
        role: String,
    }
    /// A role was taken.
    RoleRemoved = "role_removed" for UserId {
        /// Which.
        role: String,
    }
    /// A user signed in.
    Login = "login" for UserId {
        /// The address.
        email: String,
        /// By what: `email`, or an OAuth provider.
        provider: String,
        /// The client's address.
        ip_address: Option<String>,
        /// The client's description of itself.
        user_agent: Option<String>,
    }
    /// Somebody tried to sign in and was refused.
    LoginFailed = "login_failed" for Option<UserId> {
        /// The address that was tried; none where what was typed has not the shape of one.
        email: Option<String>,
        /// What was answered: `invalid_credentials`, or `user_banned` after the right password.
        reason: String,
        /// Why: `unknown_user`, `wrong_password`, `no_password`, `banned`.
        detail: String,
        /// The client's address.
        ip_address: Option<String>,
        /// The client's description of itself.
        user_agent: Option<String>,
    }
    /// A user signed out.
    Logout = "logout" for UserId {}
    /// A refresh token was exchanged.
    TokenRefreshed = "token_refreshed" for UserId {
        /// The client's address.
        ip_address: Option<String>,
        /// The client's description of itself.
        user_agent: Option<String>,
    }
    /// Sessions were ended, by a person or because a refresh token came back a second time.
    SessionRevoked = "session_revoked" for UserId {
        /// Which; none where more than one.
        session_id: Option<SessionId>,
        /// Whether all went.
        revoke_all: bool,
    }
    /// A password was replaced.
    PasswordChanged = "password_changed" for UserId {}
    /// A password was given where there was none.
    PasswordSet = "password_set" for UserId {}
    /// A password was replaced with a reset token.
    PasswordReset = "password_reset" for UserId {}
    /// A token for a password reset was made, to be sent to the address.
    PasswordResetRequested = "password_reset_requested" for UserId, carrying token {
        /// Where to.
        email: String,
    }
    /// An address turned verified.
    EmailVerified = "email_verified" for UserId {
        /// Which.
        email: String,
    }
    /// A token for email verification was made, to be sent to the address.
    EmailVerificationRequested = "email_verification_requested" for UserId, carrying token {
        /// Where to.
        email: String,
    }
    /// An account at a provider was linked.
    OauthLink = "oauth_link" for UserId {
        /// The user's address.
        email: String,
        /// Which provider.
        provider: String,
    }
    /// An account at a provider was unlinked.
    OauthUnlink = "oauth_unlink" for UserId {
        /// Which provider.
        provider: String,
    }
    /// A new key is published, and will sign; the first one, and one that cuts the others, signs at once.
    KeyRotated = "key_rotated" for Option<UserId> {
        /// The newest key before it.
        old_kid: Option<String>,
        /// The new key.
        new_kid: String,
    }
}
