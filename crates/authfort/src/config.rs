//! The checked configuration.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::model::role::role_name;
use crate::model::validate::Checked;
use crate::passwords::{BreachCheck, BreachGuard, Hashing, OnFailure, PasswordPolicy, Passwords};
use crate::tokens::{Algorithm, Rules};
#[cfg(feature = "webhooks")]
use crate::webhook_client::WebhookOptions;
use crate::{Clock, FieldError, Result};

pub(crate) struct Config {
    pub issuer: String,
    pub audience: Option<String>,
    pub algorithm: Algorithm,
    pub secret: Option<SecretString>,
    pub access_ttl: Duration,
    pub refresh_ttl: Duration,
    pub session_ttl: Duration,
    pub refresh_grace: Duration,
    pub max_sessions: u32,
    pub leeway: Duration,
    pub signup: bool,
    pub admin_role: String,
    pub declared_roles: Option<BTreeSet<String>>,
    pub metadata_max_bytes: usize,
    pub password_policy: PasswordPolicy,
    pub hashing: Hashing,
    pub breach_check: Option<Arc<dyn BreachCheck>>,
    pub breach_failure: OnFailure,
    pub breach_timeout: Duration,
    pub guard_staleness: Duration,
    pub guard_tokens: usize,
    pub email_verification_ttl: Duration,
    pub password_reset_ttl: Duration,
    pub event_retention: Option<Duration>,
    pub clock: Clock,
    #[cfg(feature = "webhooks")]
    pub webhooks: WebhookOptions,
}

impl Config {
    /// Checks that a role can be assigned: its name is well formed, and it is declared if roles are declared.
    pub(crate) fn check_role(&self, field: &str, name: &str) -> Checked<()> {
        role_name(field, name)?;
        match &self.declared_roles {
            Some(declared) if !declared.contains(name) && name != self.admin_role => {
                let mut list: Vec<_> = declared.iter().map(String::as_str).chain([self.admin_role.as_str()]).collect();
                list.sort_unstable();
                list.dedup();
                Err(FieldError::new(field, "unknown_role", format!("must be one of: {}", list.join(", "))))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn passwords(&self) -> Result<Passwords> {
        let guard = |check| BreachGuard::new(check, self.breach_timeout, self.breach_failure);
        Passwords::new(self.password_policy.clone(), &self.hashing, self.breach_check.clone().map(guard))
    }

    pub(crate) fn rules(&self) -> Result<Rules> {
        Rules::new(self.issuer.as_str(), self.audience.clone(), self.leeway)
    }
}
