//! Accounts at OAuth providers, as data: the application runs the OAuth protocol and passes the result.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::core::Core;
use crate::events::{OauthLink, OauthUnlink};
use crate::model::user::User;
use crate::model::validate;
use crate::store::accounts::AccountRow;
use crate::users::{GetUser, prove_email};
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Links an account at a provider and replaces another linked account of that provider. Event: `oauth_link`.
    ///
    /// | option | |
    /// |---|---|
    /// | `verified_email(…)` | the address that the provider has verified; it then counts as verified |
    /// | `if_version(…)` | only at this version of the user |
    pub fn link_account(
        &self,
        id: UserId,
        provider: impl Into<String>,
        provider_account_id: impl Into<String>,
    ) -> Write<LinkAccount> {
        let op = LinkAccount {
            user: id,
            provider: provider.into(),
            account: provider_account_id.into(),
            verified_email: None,
        };
        Write::new(self.core(), op)
    }

    /// Unlinks the account at a provider; refused if it is the only way to sign in. Event: `oauth_unlink`.
    ///
    /// | option | |
    /// |---|---|
    /// | `if_version(…)` | only at this version of the user |
    pub fn unlink_account(&self, id: UserId, provider: impl Into<String>) -> Write<UnlinkAccount> {
        Write::new(self.core(), UnlinkAccount { user: id, provider: provider.into() })
    }

    /// Lists the accounts of a user, by provider.
    pub fn list_accounts(&self, id: UserId) -> ListAccounts {
        ListAccounts { core: self.core().clone(), user: id }
    }
}

/// An account at a provider.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// let id = auth.create_user("jane@example.com").await?.id;
/// auth.link_account(id, "github", "583231").await?;
/// assert_eq!(auth.find_user_by_account("github", "583231").await?.unwrap().id, id);
/// let error = auth.unlink_account(id, "github").await.unwrap_err();
/// assert_eq!(error.code(), "last_credential");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct OauthAccount {
    /// The provider, such as `github`.
    pub provider: String,
    /// The user's id at the provider.
    pub provider_account_id: String,
    /// When the account was linked.
    pub created_at: DateTime<Utc>,
}

impl From<AccountRow> for OauthAccount {
    fn from(row: AccountRow) -> Self {
        Self { provider: row.provider, provider_account_id: row.provider_account_id, created_at: row.created_at }
    }
}

/// Links an account; created by [`AuthFort::link_account`](crate::AuthFort::link_account).
#[derive(Clone)]
pub struct LinkAccount {
    pub(crate) user: UserId,
    pub(crate) provider: String,
    pub(crate) account: String,
    pub(crate) verified_email: Option<String>,
}

impl Write<LinkAccount> {
    /// States that the provider has verified this address as the account owner's. If it is the user's address and not
    /// yet verified, it becomes verified. Unless the caller ([`AuthFort::by`]) is in a session of this user, all
    /// sessions, the password and other accounts are then removed, because another person may have registered the
    /// address.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// // A thief registers an address that is not theirs.
    /// let id = auth.sign_up("jane@example.com", "the thief's password").await?.user.id;
    /// // Its owner signs in with a provider.
    /// auth.link_account(id, "google", "104857").verified_email("jane@example.com").await?;
    /// assert!(auth.get_user(id).await?.email_verified);
    /// let error = auth.login("jane@example.com", "the thief's password").await.unwrap_err();
    /// assert_eq!(error.code(), "invalid_credentials");
    /// # Ok(()) }
    /// ```
    pub fn verified_email(mut self, email: impl Into<String>) -> Self {
        self.op.verified_email = Some(email.into());
        self
    }
}

/// Unlinks an account; created by [`AuthFort::unlink_account`](crate::AuthFort::unlink_account).
#[derive(Clone)]
pub struct UnlinkAccount {
    pub(crate) user: UserId,
    pub(crate) provider: String,
}

impl Joinable for LinkAccount {}

impl Conditional for LinkAccount {}

impl Operation for LinkAccount {
    type Output = OauthAccount;

    async fn prepare(&mut self, _before: &mut Before<'_>) -> Result<()> {
        let mut faults = validate::Faults::default();
        faults.take(validate::provider(&self.provider));
        faults.take(validate::provider_account_id(&self.account));
        faults.finish()
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<OauthAccount>> {
        let row = work.lock_user(self.user).await?;
        let owner = store::accounts::owner(&mut work.conn, &self.provider, &self.account).await?;
        if owner.is_some_and(|owner| owner != self.user) {
            return Err(Error::AccountLinkedElsewhere);
        }
        let vouched = self.verified_email.as_deref().and_then(validate::key_to_find);
        if vouched.is_some_and(|key| Some(key) == validate::key_to_find(&row.email)) {
            prove_email(work, &row).await?;
        }
        let linked = store::accounts::of_user(&mut work.conn, self.user).await?;
        match linked.into_iter().find(|account| account.provider == self.provider) {
            Some(same) if same.provider_account_id == self.account => return Ok(Verdict::Commit(same.into())),
            // One account per provider: the new one replaces the old one.
            Some(_) => {
                store::accounts::delete(&mut work.conn, self.user, &self.provider).await?;
                work.append(OauthUnlink::draft(self.user, self.provider.clone()));
            }
            None => {}
        }
        store::accounts::insert(&mut work.conn, self.user, &self.provider, &self.account, work.now).await?;
        work.append(OauthLink::draft(self.user, row.email, self.provider.clone()));
        Ok(Verdict::Commit(OauthAccount {
            provider: self.provider.clone(),
            provider_account_id: self.account.clone(),
            created_at: work.now,
        }))
    }
}

impl Joinable for UnlinkAccount {}

impl Conditional for UnlinkAccount {}

impl Operation for UnlinkAccount {
    type Output = ();

    async fn prepare(&mut self, _before: &mut Before<'_>) -> Result<()> {
        validate::provider(&self.provider).map(|_| ()).map_err(|fault| Error::Validation(vec![fault]))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<()>> {
        let row = work.lock_user(self.user).await?;
        let linked = store::accounts::of_user(&mut work.conn, self.user).await?;
        if !linked.iter().any(|account| account.provider == self.provider) {
            return Err(Error::AccountNotFound);
        }
        if linked.len() == 1 && !row.has_password {
            return Err(Error::LastCredential);
        }
        store::accounts::delete(&mut work.conn, self.user, &self.provider).await?;
        work.append(OauthUnlink::draft(self.user, self.provider.clone()));
        Ok(Verdict::Commit(()))
    }
}

/// Lists the accounts of a user, by provider; created by [`AuthFort::list_accounts`](crate::AuthFort::list_accounts).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListAccounts {
    pub(crate) core: Core,
    pub(crate) user: UserId,
}

impl IntoFuture for ListAccounts {
    type Output = Result<Vec<OauthAccount>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            GetUser::new(self.core.clone(), self.user).await?;
            let mut conn = self.core.db().read().await?;
            let rows = store::accounts::of_user(&mut conn.conn(), self.user).await?;
            Ok(rows.into_iter().map(Into::into).collect())
        })
    }
}

impl AuthFort {
    /// Finds the user of an account at a provider. The account id must match the linked one byte for byte.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`].
    pub async fn find_user_by_account(&self, provider: &str, account: &str) -> Result<Option<User>> {
        if provider.contains('\0') || account.contains('\0') {
            return Ok(None);
        }
        let mut conn = self.core().db().read().await?;
        let owner = store::accounts::owner(&mut conn.conn(), provider, account).await?;
        // Released first, because the pool may have only one connection.
        drop(conn);
        match owner {
            Some(id) => self.find_user(id).await,
            None => Ok(None),
        }
    }
}
