//! The handle.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::accounts::{LinkAccount, ListAccounts, UnlinkAccount};
use crate::config::{Builder, Config};
use crate::context::Actor;
use crate::db::{Db, Pool};
use crate::events::{Hooks, ListEvents, TypedEvent};
use crate::passwords::{ChangePassword, HashedPassword, Passwords, SetPassword};
use crate::roles::{AddRole, GetRoles, RemoveRole, checked_role};
use crate::sessions::{CreateSession, EndSession, ListSessions, Login, Refresh, RevokeSession, RevokeSessions, SignUp};
use crate::tokens::{KeyInfo, Keyring, RotateKeys, Rules, SealKeys, Vault};
use crate::users::validate::key_to_find;
use crate::users::{
    BanUser, CountUsers, CreateUser, DeleteUser, FindUser, GetUser, ListUsers, UnbanUser, UnblockEmail, UpdateUser,
};
use crate::verification::{RequestToken, ResetPassword, VerifyEmail};
use crate::work::Write;
use crate::{Result, SessionId, UserId, store};

/// The user-management service: a handle on a database, cheap to clone.
///
/// Every call is a small builder that does its work when it is awaited. A call that changes something can also join the
/// application's own transaction, by [`Write::in_tx`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// use authfort::AuthFort;
/// let auth = AuthFort::connect("sqlite::memory:").await?;
/// auth.create_user("jane@example.com").name("Jane").role("editor").await?;
/// let page = auth.list_users().query("JAN").banned(false).role("editor").await?;
/// assert_eq!(page.total, Some(1));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct AuthFort {
    inner: Arc<Inner>,
    actor: Arc<Actor>,
}

struct Inner {
    db: Db,
    config: Config,
    hooks: Hooks,
    passwords: Passwords,
    keyring: Arc<Keyring>,
    rules: Rules,
}

impl fmt::Debug for AuthFort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFort").field("issuer", &self.inner.config.issuer).finish_non_exhaustive()
    }
}

impl AuthFort {
    /// Opens a database with the default options: `sqlite://app.db`, `sqlite::memory:` or `postgres://user@host/database`.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect(url: impl AsRef<str>) -> Result<Self> {
        Builder::default().connect(url).await
    }

    /// Uses a pool of the application's, with the default options.
    ///
    /// # Errors
    /// As [`Builder::from_pool`].
    pub async fn from_pool(pool: impl Into<Pool>) -> Result<Self> {
        Builder::default().from_pool(pool).await
    }

    /// Begins with options.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) async fn start(db: Db, config: Config, migrate: bool) -> Result<Self> {
        // What the options say is checked before anything is written.
        let passwords = Passwords::new(&config)?;
        let rules = Rules::new(config.issuer.as_str(), config.audience.clone(), config.leeway)?;
        let keyring = Arc::new(Keyring::new(db.clone(), Vault::new(config.secret.as_ref())?));
        let now = config.clock.now();
        if migrate {
            db.migrate(now).await?;
        } else {
            db.check_schema().await?;
        }
        let hooks = Hooks::new(tokio::runtime::Handle::current());
        let inner = Inner { db, config, hooks, passwords, keyring, rules };
        let auth = Self { inner: Arc::new(inner), actor: Arc::default() };
        if !auth.keyring().vault().is_sealed() {
            tracing::warn!("no secret is configured: private signing keys lie in the database in clear");
        }
        auth.ensure_key(now).await?;
        Ok(auth)
    }

    async fn ensure_key(&self, now: DateTime<Utc>) -> Result<()> {
        let keyring = self.keyring();
        keyring.reload(now).await?;
        // Before anything is written: the secret must be the right one.
        keyring.check(now).await?;
        if keyring.newest_algorithm() != Some(self.config().algorithm) {
            Write::new(self, RotateKeys::if_needed()).await?;
        }
        // A start that changes nothing writes nothing.
        let in_clear = store::keys::in_clear(&mut self.db().read().await?.conn()).await?;
        if keyring.vault().is_sealed() && !in_clear.is_empty() {
            Write::new(self, SealKeys).await?;
        }
        Ok(())
    }

    pub(crate) fn db(&self) -> &Db {
        &self.inner.db
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.inner.hooks
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.inner.keyring
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The present, by the configured clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.inner.config.clock.now()
    }

    /// The role that administers.
    pub fn admin_role(&self) -> &str {
        &self.inner.config.admin_role
    }

    /// How long an access token is good.
    pub fn access_ttl(&self) -> std::time::Duration {
        self.inner.config.access_ttl
    }

    /// Whether two handles are of one service.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The same service on behalf of somebody: every event that a call writes names them.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let admin = auth.create_user("admin@example.com").role("admin").await?.id;
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// let user = auth.by(admin).ban_user(id).reason("spam").await?;
    /// assert_eq!(user.banned_by, Some(admin));
    /// # Ok(()) }
    /// ```
    #[must_use = "the handle that it was called on stays as it is"]
    pub fn by(&self, actor: impl Into<Actor>) -> Self {
        Self { inner: Arc::clone(&self.inner), actor: Arc::new(actor.into()) }
    }

    /// Runs a hook after each event of a type: after the commit, apart from the call, in a task of its own. A hook that
    /// is slow or panics harms nobody. Hooks live in this process and are lost with it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// use authfort::events::UserDeleted;
    /// let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    /// auth.on(move |e: UserDeleted| {
    ///     let sender = sender.clone();
    ///     async move { sender.send((e.user_id, e.email)).unwrap() }
    /// });
    /// let id = auth.create_user("jane@example.com").await?.id;
    /// auth.delete_user(id).await?;
    /// assert_eq!(receiver.recv().await, Some((id, "jane@example.com".to_owned())));
    /// # Ok(()) }
    /// ```
    pub fn on<E, F, Fut>(&self, hook: F)
    where
        E: TypedEvent,
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks().on(hook);
    }

    /// Asks the database for a sign of life, on a connection like those of lists; answers within `acquire_timeout`.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn ping(&self) -> Result<()> {
        self.db().on_read(&store::Ping).await
    }

    /// Closes the connections, once running calls are done. Calls after that fail.
    pub async fn close(&self) {
        self.db().close().await;
    }
}

/// Users.
impl AuthFort {
    /// Lists users: filters, order, pages. See [`ListUsers`].
    pub fn list_users(&self) -> ListUsers {
        ListUsers::new(self.clone())
    }

    /// Counts users, by the filters of [`list_users`](Self::list_users).
    pub fn get_user_count(&self) -> CountUsers {
        CountUsers::new(self.clone())
    }

    /// One user, with roles; [`Error::UserNotFound`](crate::Error::UserNotFound) where there is none.
    pub fn get_user(&self, id: UserId) -> GetUser {
        GetUser(self.find_user(id))
    }

    /// One user, or none.
    pub fn find_user(&self, id: UserId) -> FindUser {
        FindUser::by_id(self.clone(), id)
    }

    /// The user with this address in any spelling, or none. What is verified, and where mail goes, is the user's
    /// [`email`](crate::User::email): somebody who controls another spelling of the domain need not control that one.
    pub fn find_user_by_email(&self, email: impl AsRef<str>) -> FindUser {
        FindUser::by_email(self.clone(), email.as_ref())
    }

    /// Creates a user, with or without a password. It opens no session. Events: `user_created`, `role_added` for each
    /// role, `email_verified` where so.
    pub fn create_user(&self, email: impl Into<String>) -> Write<CreateUser> {
        Write::new(self, CreateUser { email: email.into(), ..CreateUser::default() })
    }

    /// Changes what is named; nothing, and no event, where all is so already. Event: `user_updated`.
    pub fn update_user(&self, id: UserId) -> Write<UpdateUser> {
        Write::new(self, UpdateUser::new(id))
    }

    /// Bans a user and ends their sessions; refused for the last administrator. Banning a banned user with other
    /// reasons changes the ban. Event: `user_banned`.
    pub fn ban_user(&self, id: UserId) -> Write<BanUser> {
        Write::new(self, BanUser { id, reason: None, expires_at: None })
    }

    /// Lifts a ban. Event: `user_unbanned`; none where there was no ban.
    pub fn unban_user(&self, id: UserId) -> Write<UnbanUser> {
        Write::new(self, UnbanUser(id))
    }

    /// Deletes a user and all that hangs on it, or anonymises; refused for the last administrator. The address is free
    /// again unless [`block_email`](Write::<DeleteUser>::block_email) is set. Event: `user_deleted`.
    pub fn delete_user(&self, id: UserId) -> Write<DeleteUser> {
        Write::new(self, DeleteUser::new(id))
    }

    /// Lets an address register again that a deletion blocked; says whether it was blocked.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn unblock_email(&self, email: impl AsRef<str>) -> Result<bool> {
        match key_to_find(email.as_ref()) {
            Some(key) => Write::new(self, UnblockEmail(key)).await,
            None => Ok(false),
        }
    }
}

/// Roles.
impl AuthFort {
    /// Gives a role and answers all the user's roles. Live access tokens are cut unless `immediate(false)`. A role held
    /// already changes nothing. Event: `role_added`.
    pub fn add_role(&self, id: UserId, role: impl Into<String>) -> Write<AddRole> {
        Write::new(self, AddRole::new(id, role.into()))
    }

    /// Takes a role and answers those that are left; refused for the admin role of the last administrator. A role not
    /// held changes nothing. Event: `role_removed`.
    pub fn remove_role(&self, id: UserId, role: impl Into<String>) -> Write<RemoveRole> {
        Write::new(self, RemoveRole::new(id, role.into()))
    }

    /// Whether a role of this name can be given: it is well formed, and declared where
    /// [roles are declared](crate::Builder::roles).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # use authfort::{Algorithm, AuthFort};
    /// let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).roles(["editor"]).connect("sqlite::memory:").await?;
    /// assert!(auth.is_role("editor") && auth.is_role("admin"));
    /// assert!(!auth.is_role("auditor") && !auth.is_role("Editor"));
    /// # Ok(()) }
    /// ```
    pub fn is_role(&self, name: &str) -> bool {
        checked_role(self, "role", name).is_ok()
    }

    /// The roles of a user, sorted.
    pub fn get_roles(&self, id: UserId) -> GetRoles {
        GetRoles { auth: self.clone(), user: id }
    }

    /// Whether a user has a role.
    ///
    /// # Errors
    /// - [`Error::UserNotFound`](crate::Error::UserNotFound), [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn has_role(&self, id: UserId, role: &str) -> Result<bool> {
        Ok(self.get_roles(id).await?.iter().any(|held| held == role))
    }
}

/// Passwords, sessions, tokens.
impl AuthFort {
    /// Signs in by password. One answer and one time for a wrong password and an unknown address; a banned user is told
    /// so ([`Error::UserBanned`](crate::Error::UserBanned)) in the same time, once the password was right.
    /// Events: `login`, `login_failed`.
    pub fn login(&self, email: impl AsRef<str>, password: impl Into<SecretString>) -> Write<Login> {
        Write::new(self, Login::new(email.as_ref(), password.into()))
    }

    /// Creates a user and signs them in, where sign-up is on. Events: `user_created`, `login`.
    pub fn sign_up(&self, email: impl Into<String>, password: impl Into<SecretString>) -> Write<SignUp> {
        Write::new(self, SignUp::new(email.into(), password.into()))
    }

    /// Opens a session for a user whom the application recognised by itself. Event: `login`.
    pub fn create_session(&self, id: UserId) -> Write<CreateSession> {
        Write::new(self, CreateSession::new(id))
    }

    /// Exchanges a refresh token for the next pair. Event: `token_refreshed`; `session_revoked` for one that was
    /// exchanged before.
    pub fn refresh(&self, refresh_token: impl AsRef<str>) -> Write<Refresh> {
        Write::new(self, Refresh::new(refresh_token.as_ref()))
    }

    /// Ends the session of a refresh token, or of an access token that has not expired, whatever became of its user;
    /// says whether there was one. Event: `logout`.
    pub fn logout(&self, token: impl AsRef<str>) -> Write<EndSession> {
        Write::new(self, EndSession::new(token.as_ref()))
    }

    /// The sessions of a user, newest first. See [`ListSessions`].
    pub fn list_sessions(&self, id: UserId) -> ListSessions {
        ListSessions::new(self.clone(), id)
    }

    /// Ends one session of a user; answers 1, or 0 where it had ended. Event: `session_revoked`.
    pub fn revoke_session(&self, id: UserId, session: SessionId) -> Write<RevokeSession> {
        Write::new(self, RevokeSession { user: id, session })
    }

    /// Ends all sessions of a user, or all but one; answers how many. Event: `session_revoked`.
    pub fn revoke_sessions(&self, id: UserId) -> Write<RevokeSessions> {
        Write::new(self, RevokeSessions { user: id, except: None })
    }

    /// Sets a password without asking for the current one; ends all sessions. Event: `password_set` where there was
    /// none, else `password_changed`.
    pub fn set_password(&self, id: UserId, password: impl Into<SecretString>) -> Write<SetPassword> {
        Write::new(self, SetPassword::new(id, password.into()))
    }

    /// Changes a password for who knows the current one; ends all sessions, or all but one. Event: `password_changed`.
    pub fn change_password(
        &self,
        id: UserId,
        current: impl Into<SecretString>,
        new: impl Into<SecretString>,
    ) -> Write<ChangePassword> {
        Write::new(self, ChangePassword::new(id, current.into(), new.into()))
    }

    /// Checks a new password by policy and breach check and hashes it, for
    /// [`create_user`](Self::create_user)`(…).password_hash(…)` inside a transaction.
    ///
    /// # Errors
    /// - [`Error::Validation`](crate::Error::Validation) for a password that is not accepted.
    /// - [`Error::Overloaded`](crate::Error::Overloaded) when as many wait as may wait.
    pub async fn hash_password(&self, password: impl Into<SecretString>) -> Result<HashedPassword> {
        self.passwords().hash_new("password", &password.into()).await.map(HashedPassword)
    }

    /// Makes a token that proves an address, to be sent there; none where nobody has the address or it is verified
    /// already. Answers after a tenth of a second at the least, known or not. Event: `email_verification_requested`.
    pub fn request_email_verification(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self, RequestToken::email_verification(email.as_ref()))
    }

    /// Redeems a token for email verification. Event: `email_verified`.
    pub fn verify_email(&self, token: impl Into<SecretString>) -> Write<VerifyEmail> {
        Write::new(self, VerifyEmail::new(token.into().expose_secret()))
    }

    /// Makes a token for a password reset, to be sent to the address; none where nobody has it. Answers after a tenth of
    /// a second at the least, known or not. Event: `password_reset_requested`.
    pub fn request_password_reset(&self, email: impl AsRef<str>) -> Write<RequestToken> {
        Write::new(self, RequestToken::password_reset(email.as_ref()))
    }

    /// Redeems a token for a password reset; ends all sessions. Event: `password_reset`.
    pub fn reset_password(
        &self,
        token: impl Into<SecretString>,
        password: impl Into<SecretString>,
    ) -> Write<ResetPassword> {
        Write::new(self, ResetPassword::new(token.into().expose_secret(), password.into()))
    }
}

/// Accounts at OAuth providers, signing keys, the log.
impl AuthFort {
    /// Links an account at a provider; takes the place of another account there. Event: `oauth_link`.
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
        Write::new(self, op)
    }

    /// Unlinks the account at a provider; refused where it is the only way in. Event: `oauth_unlink`.
    pub fn unlink_account(&self, id: UserId, provider: impl Into<String>) -> Write<UnlinkAccount> {
        Write::new(self, UnlinkAccount { user: id, provider: provider.into() })
    }

    /// The accounts of a user, by provider.
    pub fn list_accounts(&self, id: UserId) -> ListAccounts {
        ListAccounts { auth: self.clone(), user: id }
    }

    /// The signing keys, newest first, without their secrets.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>> {
        let mut conn = self.db().read().await?;
        let rows = store::keys::all(&mut conn.conn()).await?;
        Ok(KeyInfo::all(&rows, self.now()))
    }

    /// Makes a new key and publishes it; it signs once every copy of the [JWKS](Self::jwks) without it has run out: after
    /// [`JWKS_MAX_AGE`](crate::JWKS_MAX_AGE), half a minute by which nodes may differ, and the leeway. The old one signs until then and
    /// verifies for as long as its tokens live. While a new key waits, that one is answered. Event: `key_rotated`; none
    /// where one waits.
    pub fn rotate_keys(&self) -> Write<RotateKeys> {
        Write::new(self, RotateKeys::default())
    }

    /// The public keys, as RFC 7517 has them, to be kept for at most [`JWKS_MAX_AGE`](crate::JWKS_MAX_AGE). They are
    /// read again when they are five seconds old; while the database is away, those last read are answered.
    pub async fn jwks(&self) -> Value {
        self.keyring().jwks(self.now()).await
    }

    /// Reads the log. See [`ListEvents`].
    pub fn list_events(&self) -> ListEvents {
        ListEvents::new(self.clone())
    }
}
