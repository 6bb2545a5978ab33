//! Decides whether an access token is valid from its user's standing, without any I/O.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::claims::Claims;
use super::principal::Principal;
use crate::{Error, Result, SessionId, UserId};

/// Returns whether a ban is in force. A ban ends by itself when it expires.
pub(crate) fn ban_lasts(banned: bool, expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    banned && expires_at.is_none_or(|at| at > now)
}

/// The claims of an access token that the database has to confirm.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bearer {
    pub user_id: UserId,
    pub session_id: SessionId,
    pub token_version: i64,
    pub expires_at: DateTime<Utc>,
}

impl From<&Claims> for Bearer {
    fn from(claims: &Claims) -> Self {
        Self {
            user_id: UserId(claims.sub),
            session_id: SessionId(claims.sid),
            token_version: claims.ver,
            expires_at: DateTime::from_timestamp(claims.exp, 0).unwrap_or(DateTime::UNIX_EPOCH),
        }
    }
}

impl From<&Principal> for Bearer {
    fn from(principal: &Principal) -> Self {
        Self {
            user_id: principal.user_id,
            session_id: principal.session_id,
            token_version: principal.token_version,
            expires_at: principal.expires_at,
        }
    }
}

/// The current state of a user, a session and a key, on which an access token depends.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The bearer, with the address, name and roles of now.
    pub caller: Arc<Principal>,
    pub token_version: i64,
    pub banned: bool,
    pub ban_expires_at: Option<DateTime<Utc>>,
    /// Whether the user was anonymized.
    pub deleted: bool,
    /// When the session of the token expires; none if it is revoked, or not this user's.
    pub session_expires_at: Option<DateTime<Utc>>,
    /// Whether the key of the token exists; true if no key was named.
    pub key_known: bool,
    /// When that key stops verifying, if that is known already.
    pub key_expires_at: Option<DateTime<Utc>>,
}

impl Standing {
    pub(crate) fn session_lasts(&self, now: DateTime<Utc>) -> bool {
        self.session_expires_at.is_some_and(|at| at > now)
    }

    /// Decides whether the token of the bearer is valid, and returns the caller. Its signature, issuer and times are
    /// checked before.
    ///
    /// # Errors
    /// The first reason to refuse the token, in the order that clients need.
    pub(crate) fn check(&self, now: DateTime<Utc>) -> Result<&Arc<Principal>> {
        if self.deleted {
            return Err(Error::TokenUserNotFound);
        }
        if !self.key_known || self.key_expires_at.is_some_and(|at| at <= now) {
            return Err(Error::TokenInvalid);
        }
        if ban_lasts(self.banned, self.ban_expires_at, now) {
            return Err(Error::UserBanned);
        }
        if !self.session_lasts(now) {
            return Err(Error::SessionRevoked);
        }
        if self.token_version != self.caller.token_version {
            return Err(Error::TokenVersionMismatch);
        }
        Ok(&self.caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    fn standing() -> Standing {
        let caller = Principal {
            user_id: UserId::new(at(0)),
            session_id: SessionId::new(at(0)),
            email: "jane@example.com".into(),
            name: None,
            roles: vec!["editor".into()],
            expires_at: at(900),
            token_version: 3,
        };
        Standing {
            caller: Arc::new(caller),
            token_version: 3,
            banned: false,
            ban_expires_at: None,
            deleted: false,
            session_expires_at: Some(at(900)),
            key_known: true,
            key_expires_at: None,
        }
    }

    fn code(standing: &Standing) -> &'static str {
        standing.check(at(100)).map_or_else(|error| error.code(), |_| "ok")
    }

    #[test]
    fn each_reason_against_a_token_has_its_own_answer() {
        assert_eq!(code(&standing()), "ok");
        assert_eq!(code(&Standing { deleted: true, ..standing() }), "user_not_found");
        assert_eq!(code(&Standing { key_known: false, ..standing() }), "token_invalid");
        assert_eq!(code(&Standing { banned: true, ..standing() }), "user_banned");
        assert_eq!(code(&Standing { session_expires_at: None, ..standing() }), "session_revoked");
        assert_eq!(code(&Standing { token_version: 4, ..standing() }), "token_version_mismatch");
        assert_eq!(code(&Standing { token_version: 2, ..standing() }), "token_version_mismatch");
    }

    #[test]
    fn a_ban_holds_until_its_end_and_not_at_it() {
        let banned_until = |second| Standing { banned: true, ban_expires_at: Some(at(second)), ..standing() };
        assert_eq!(code(&banned_until(101)), "user_banned");
        assert_eq!(code(&banned_until(100)), "ok");
        assert_eq!(code(&Standing { ban_expires_at: Some(at(900)), ..standing() }), "ok");
    }

    #[test]
    fn a_session_and_a_key_hold_until_their_end_and_not_at_it() {
        let session_until = |second| Standing { session_expires_at: Some(at(second)), ..standing() };
        assert_eq!(code(&session_until(101)), "ok");
        assert_eq!(code(&session_until(100)), "session_revoked");
        let key_until = |second| Standing { key_expires_at: Some(at(second)), ..standing() };
        assert_eq!(code(&key_until(101)), "ok");
        assert_eq!(code(&key_until(100)), "token_invalid");
    }

    #[test]
    fn of_several_reasons_the_one_that_no_refresh_cures_is_told() {
        let all = || Standing { banned: true, session_expires_at: None, token_version: 9, ..standing() };
        assert_eq!(code(&all()), "user_banned");
        assert_eq!(code(&Standing { key_known: false, ..all() }), "token_invalid");
        assert_eq!(code(&Standing { deleted: true, key_known: false, ..all() }), "user_not_found");
    }
}
