//! Passwords: which ones are accepted, how they are stored, and how they are verified.
//!
//! - [`PasswordPolicy`] decides by length, as NIST SP 800-63B-4 requires: there are no rules about classes of
//!   characters, nothing is truncated, and spaces and emoji are allowed. Only U+0000 is refused.
//! - [`BreachGuard`] calls a hook of the application to check whether a password is known from a breach.
//! - [`PasswordHasher`] hashes and verifies passwords with Argon2id, off the async runtime, and no more at once than
//!   configured.
//!
//! Both setting and verifying apply NFKC first, so a password typed composed on one keyboard and decomposed on another
//! is the same password.
//!
//! A password is held in memory as a [`SecretString`](secrecy::SecretString), which is cleared when dropped; it is in
//! no error, no event and no log line.

mod breach;
mod hash;
mod memory;
mod policy;

pub use breach::{BreachCheck, BreachFuture, OnFailure};
pub use hash::Hashing;
pub use policy::PasswordPolicy;

pub(crate) use breach::BreachGuard;
pub(crate) use hash::{PasswordHasher, PasswordMatch};
pub(crate) use policy::NormalizedPassword;

use secrecy::SecretString;

use crate::{Error, FieldError, Result};

/// All operations on passwords, with the configured policy, cost and breach check.
#[derive(Debug)]
pub(crate) struct Passwords {
    policy: PasswordPolicy,
    hasher: PasswordHasher,
    breach: Option<BreachGuard>,
}

impl Passwords {
    pub(crate) fn new(policy: PasswordPolicy, hashing: &Hashing, breach: Option<BreachGuard>) -> Result<Self> {
        policy.validate()?;
        Ok(Self { policy, hasher: PasswordHasher::new(hashing)?, breach })
    }

    /// Checks a password against the policy, without the breach check and without hashing.
    pub(crate) fn check_shape(&self, field: &str, password: &SecretString) -> Result<(), FieldError> {
        match self.policy.check(field, password) {
            Err(Error::Validation(faults)) => faults.into_iter().next().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// Returns the hash to store for a new password, if policy and breach check accept it.
    pub(crate) async fn hash_new(&self, field: &str, password: &SecretString) -> Result<String> {
        let normalized = self.policy.check(field, password)?;
        if let Some(breach) = &self.breach {
            breach.check(field, &normalized).await?;
        }
        self.hasher.hash(&normalized).await
    }

    /// Returns a stronger hash of a password that was just verified, even if the current policy would refuse it.
    pub(crate) async fn rehash(&self, password: &SecretString) -> Result<String> {
        let normalized = NormalizedPassword::of(password).ok_or(Error::InvalidCredentials)?;
        self.hasher.hash(&normalized).await
    }

    pub(crate) async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<PasswordMatch> {
        self.hasher.verify(password, stored).await
    }
}

/// Generates a password of 128 random bits, for a person to type once: 22 characters of base64url.
///
/// ```
/// use authfort::secrecy::ExposeSecret;
/// assert_eq!(authfort::generate_password()?.expose_secret().len(), 22);
/// # Ok::<(), authfort::Error>(())
/// ```
///
/// # Errors
/// - [`Error::Internal`] if the random generator fails.
pub fn generate_password() -> Result<SecretString> {
    Ok(crate::crypto::base64url_encode(crate::crypto::random::<16>()?).into())
}

/// A password that policy and breach check accepted, hashed; created by
/// [`AuthFort::hash_password`](crate::AuthFort::hash_password). `Debug` does not show it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use authfort::{Algorithm, AuthFort};
/// # let pool = authfort::sqlx::SqlitePool::connect("sqlite::memory:").await?;
/// # let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
/// // The slow part runs first, and then the transaction.
/// let hash = auth.hash_password("correct horse battery").await?;
/// let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
/// auth.create_user("jane@example.com").password_hash(hash).in_tx(&mut tx).await?;
/// tx.commit().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HashedPassword(pub(crate) String);

impl std::fmt::Debug for HashedPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashedPassword")
    }
}
