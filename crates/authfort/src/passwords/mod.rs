//! Passwords: which ones are accepted, how they are kept, how they are checked.
//!
//! - [`PasswordPolicy`] decides by length alone, as NIST SP 800-63B-4 asks: no rules about kinds of characters, nothing
//!   is cut off, nothing is refused for being a space or an emoji.
//! - [`BreachGuard`] asks a hook of the application whether a password is known to attackers.
//! - [`PasswordHasher`] keeps and checks them with Argon2id, off the async runtime and no more at once than configured.
//!
//! Both setting and checking apply NFKC first, so a password typed composed on one keyboard and decomposed on another
//! is the same password.
//!
//! A password lives in memory as a [`SecretString`](secrecy::SecretString) that is cleared when dropped; it is in no
//! error, no event and no log line.

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

/// Everything that is done with a password, by the configured policy, cost and breach check.
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

    /// Whether the policy accepts it, without asking anybody and without hashing.
    pub(crate) fn check_shape(&self, field: &str, password: &SecretString) -> Result<(), FieldError> {
        match self.policy.check(field, password) {
            Err(Error::Validation(faults)) => faults.into_iter().next().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// The hash to store for a new password, if policy and breach check accept it.
    pub(crate) async fn hash_new(&self, field: &str, password: &SecretString) -> Result<String> {
        let normalized = self.policy.check(field, password)?;
        if let Some(breach) = &self.breach {
            breach.check(field, &normalized).await?;
        }
        self.hasher.hash(&normalized).await
    }

    /// A stronger hash for a password that was just found right, whatever today's policy would say of it.
    pub(crate) async fn rehash(&self, password: &SecretString) -> Result<String> {
        let normalized = NormalizedPassword::of(password).ok_or(Error::InvalidCredentials)?;
        self.hasher.hash(&normalized).await
    }

    pub(crate) async fn verify(&self, password: &SecretString, stored: Option<&str>) -> Result<PasswordMatch> {
        self.hasher.verify(password, stored).await
    }
}

/// Draws a password of 128 random bits, for a person to type once: 22 characters of base64url.
///
/// ```
/// use authfort::secrecy::ExposeSecret;
/// assert_eq!(authfort::generate_password()?.expose_secret().len(), 22);
/// # Ok::<(), authfort::Error>(())
/// ```
///
/// # Errors
/// - [`Error::Internal`] when there is no randomness.
pub fn generate_password() -> Result<SecretString> {
    Ok(crate::crypto::base64url_encode(crate::crypto::random::<16>()?).into())
}

/// A password that policy and breach check accepted, hashed; made by [`AuthFort::hash_password`](crate::AuthFort::hash_password).
/// `Debug` does not show it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use authfort::{Algorithm, AuthFort};
/// # let pool = authfort::sqlx::SqlitePool::connect("sqlite::memory:").await?;
/// # let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).from_pool(pool.clone()).await?;
/// // The slow part first, and then the transaction.
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
