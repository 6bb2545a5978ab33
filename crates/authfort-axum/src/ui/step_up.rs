//! Asks for the password again before a dangerous act.
//!
//! Who signed in within the last ten minutes is not asked. Anybody else enters the password with the act. That is a sign-in of
//! its own: it is counted against the limits, it is in the log, and it begins a new session in place of the old one, so that the
//! next act within ten minutes needs no password.

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, FieldError};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use chrono::TimeDelta;

use super::frame::Staff;
use super::params::Params;
use super::sign_in::log_in;
use crate::Rejection;
use crate::auth::{Visitor, cookies_of};

/// How long a sign-in counts.
const FRESH: TimeDelta = TimeDelta::minutes(10);

/// An administrator who is about to do something dangerous.
pub(super) struct StepUp {
    pub staff: Staff,
    visitor: Visitor,
    parts: Parts,
}

impl<S: Send + Sync> FromRequestParts<S> for StepUp {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Rejection> {
        let staff = Staff::from_request_parts(parts, state).await?;
        let visitor = Visitor::from_request_parts(parts, state).await?;
        Ok(Self { staff, visitor, parts: parts.clone() })
    }
}

impl Staff {
    /// Returns whether the password is asked for.
    pub(super) async fn needs_password(&self) -> Result<bool, Rejection> {
        let (auth, me) = (&self.admin.auth, &self.admin.user);
        // The newest come first, and a fresh one is new.
        let newest = auth.list_sessions(me.user_id).active_only(true).limit(200).await?.sessions;
        let own = newest.into_iter().find(|session| session.id == me.session_id);
        Ok(own.is_none_or(|session| auth.now() - session.created_at > FRESH))
    }
}

impl StepUp {
    /// Returns the service to act by, and the cookies of the session that it begins. It may read `your_password` of the form.
    ///
    /// # Errors
    /// - 422 without a password where one is needed, 401 with a wrong one, 429 after too many
    pub(super) async fn confirm(&self, form: &mut Params) -> Result<(AuthFort, HeaderMap), Rejection> {
        let me = &self.staff.admin.user;
        let password = form.take("your_password").map(SecretString::from);
        if !self.staff.needs_password().await? {
            return Ok((self.staff.admin.auth.clone(), HeaderMap::new()));
        }
        let Some(password) = password else {
            let fault =
                FieldError::new("your_password", "required", "is needed: you signed in more than ten minutes ago");
            return Err(Rejection::validation(vec![fault]));
        };
        let wrong = |refused: Rejection| match refused.code() {
            "invalid_credentials" => {
                Rejection::new(refused.status(), "invalid_credentials", "Your own password is wrong.")
            }
            _ => refused,
        };
        let signed_in = log_in(&self.visitor, &me.email, password).await.map_err(wrong)?;
        let caller = self.visitor.caller();
        let principal = caller.shared.auth.authenticate(signed_in.tokens.access_token.expose_secret()).await?;
        let auth = caller.act(&self.parts, Some(&principal), Some(caller.shared.auth.admin_role()));
        auth.revoke_session(me.user_id, me.session_id).await?;
        Ok((auth, cookies_of(caller, &signed_in)?))
    }
}
