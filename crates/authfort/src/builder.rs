//! The options, all checked before the database is touched, and the start of the service.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::config::Config;
use crate::core::{Core, Services};
use crate::crypto::Sealer;
use crate::db::{Db, Pool, PoolOptions, diagnosis};
use crate::delivery::Delivery;
use crate::hooks::Hooks;
use crate::keys::{RotateKeys, SealKeys};
use crate::metrics::{self, GuardChecks};
use crate::model::role::role_name;
use crate::passwords::{BreachCheck, BreachGuard, Hashing, OnFailure, PasswordPolicy};
use crate::standings::Standings;
use crate::tail::Tail;
use crate::tokens::{Algorithm, Keyring, Vault};
#[cfg(feature = "webhooks")]
use crate::webhook_client::{WebhookClient, WebhookOptions};
use crate::work::Write;
use crate::{AuthFort, Clock, Error, Result, store};

impl AuthFort {
    /// Opens a database with the default options: `sqlite://app.db`, `sqlite::memory:` or
    /// `postgres://user@host/database`.
    ///
    /// # Errors
    /// As [`Builder::connect`].
    pub async fn connect(url: impl AsRef<str>) -> Result<Self> {
        Builder::default().connect(url).await
    }

    /// Uses a pool of the application, with the default options.
    ///
    /// # Errors
    /// As [`Builder::from_pool`].
    pub async fn from_pool(pool: impl Into<Pool>) -> Result<Self> {
        Builder::default().from_pool(pool).await
    }

    /// Returns a builder with the default options.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// Sets options, then opens a database with [`connect`](Builder::connect) or [`from_pool`](Builder::from_pool).
///
/// Every option is checked before the database is touched; [`Error::Config`] names the invalid one.
///
/// ```
/// use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// let auth = authfort::AuthFort::builder()
///     .issuer("https://example.com")
///     .algorithm(authfort::Algorithm::EdDsa)
///     .access_ttl(Duration::from_secs(300))
///     .connect("sqlite::memory:")
///     .await?;
///
/// let error = authfort::AuthFort::builder().access_ttl(Duration::ZERO).connect("sqlite::memory:").await.unwrap_err();
/// assert!(error.to_string().starts_with("access_ttl"));
/// # Ok(()) }
/// ```
#[must_use = "a builder does nothing until it is connected"]
pub struct Builder {
    config: Config,
    pool: PoolOptions,
    migrate: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            config: Config {
                issuer: "authfort".into(),
                audience: None,
                algorithm: Algorithm::default(),
                secret: None,
                access_ttl: Duration::from_mins(15),
                refresh_ttl: Duration::from_hours(30 * 24),
                session_ttl: Duration::from_hours(90 * 24),
                refresh_grace: Duration::from_secs(10),
                max_sessions: 100,
                leeway: Duration::ZERO,
                signup: true,
                admin_role: "admin".into(),
                declared_roles: None,
                metadata_max_bytes: 16 * 1024,
                password_policy: PasswordPolicy::default(),
                hashing: Hashing::default(),
                breach_check: None,
                breach_failure: OnFailure::default(),
                breach_timeout: BreachGuard::DEFAULT_TIMEOUT,
                guard_staleness: Duration::from_secs(1),
                guard_tokens: 100_000,
                email_verification_ttl: Duration::from_hours(24),
                password_reset_ttl: Duration::from_hours(1),
                event_retention: None,
                clock: Clock::system(),
                #[cfg(feature = "webhooks")]
                webhooks: WebhookOptions::default(),
            },
            pool: PoolOptions::default(),
            migrate: true,
        }
    }
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty),* $(,)?) => {
        $($(#[$doc])* pub fn $name(mut self, $name: $type) -> Self {
            self.config.$name = $name;
            self
        })*
    };
}

impl Builder {
    options! {
        /// Sets the signature algorithm of access tokens; RS256 unless set. If the newest key uses another algorithm,
        /// the keys are rotated at the start; the old key keeps signing for the first minutes (see
        /// [`rotate_keys`](crate::AuthFort::rotate_keys)).
        algorithm: Algorithm,
        /// Sets how long an access token is valid; 15 minutes unless set, at least one second.
        access_ttl: Duration,
        /// Sets how long a refresh token is valid; 30 days unless set. Each refresh starts this period again.
        refresh_ttl: Duration,
        /// Sets how long a session lasts, however often it is refreshed; 90 days unless set.
        session_ttl: Duration,
        /// Sets how long a refresh token that was just exchanged can be used again and returns the same successor; 10
        /// seconds unless set, at most 60. With zero, every second use counts as theft. (RFC 9700, section 4.14)
        refresh_grace: Duration,
        /// Sets the most live sessions of one user; 100 unless set. A sign-in beyond that ends the oldest session.
        max_sessions: u32,
        /// Sets the clock difference that is tolerated in a token's times; none unless set, at most 30 seconds.
        leeway: Duration,
        /// Sets whether users may sign up by themselves; on unless set.
        signup: bool,
        /// Sets the largest size of a user's metadata as JSON, in bytes; 16 KiB unless set.
        metadata_max_bytes: usize,
        /// Sets the password policy; at least 8 characters and at most 1,024 bytes unless set.
        password_policy: PasswordPolicy,
        /// Sets the cost of password hashing and how many hashes run at once.
        hashing: Hashing,
        /// Sets what happens if the breach check fails or times out: the password is accepted (the default) or refused.
        breach_failure: OnFailure,
        /// Sets how long the breach check may take; 2 seconds unless set.
        breach_timeout: Duration,
        /// Sets how long the guard may not know of a change of somebody's standing that another process made, or plain SQL,
        /// or a transaction of the application; 1 second unless set, between 10 milliseconds and a minute. Such a change is a
        /// ban, a deletion, an ended session, a new password, address or name, a role given or taken, a retired key. Changes
        /// that this service makes and commits itself are known at once.
        ///
        /// The guard remembers the callers of the last requests, and follows a log of these changes in the database. While it
        /// is not sure that it has read the log within this time, it asks the database for each request, and refuses
        /// the request if the database does not answer. With zero, it remembers nothing and always asks.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
        /// let auth = authfort::AuthFort::builder()
        /// #   .algorithm(authfort::Algorithm::EdDsa)
        ///     .guard_staleness(Duration::from_millis(200))
        ///     .connect("sqlite::memory:")
        ///     .await?;
        /// # Ok(()) }
        /// ```
        guard_staleness: Duration,
        /// Sets how many access tokens the guard remembers at most; 100,000 unless set, of about 0.7 kB each, so 70 MB, and at
        /// most ten million. It forgets those that were not used for longest.
        guard_tokens: usize,
        /// Sets how long a token for email verification is valid; one day unless set.
        email_verification_ttl: Duration,
        /// Sets how long a token for a password reset is valid; one hour unless set.
        password_reset_ttl: Duration,
        /// Sets the clock; the system clock unless set.
        clock: Clock,
    }

    /// Sets the `iss` of access tokens; `authfort` unless set.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.config.issuer = issuer.into();
        self
    }

    /// Sets the `aud` of access tokens; none unless set. If set, tokens without it are refused.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.config.audience = Some(audience.into());
        self
    }

    /// Encrypts the private signing keys in the database (AES-256-GCM, with a key derived by HKDF-SHA256). Without a
    /// secret they are stored in plain text and a warning is logged: anyone who reads the database can then sign
    /// tokens.
    pub fn secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.config.secret = Some(secret.into());
        self
    }

    /// Deletes events that are older than this from the log, every hour, as [`purge_events`](AuthFort::purge_events) does; they
    /// are kept for good unless set. At least an hour.
    pub fn event_retention(mut self, time: Duration) -> Self {
        self.config.event_retention = Some(time);
        self
    }

    /// Sets the admin role; `admin` unless set. The last usable administrator cannot lose it.
    pub fn admin_role(mut self, role: impl Into<String>) -> Self {
        self.config.admin_role = role.into();
        self
    }

    /// Refuses every role outside this set (the admin role is always allowed). Without it, every valid name is a role.
    pub fn roles<I: IntoIterator<Item = S>, S: Into<String>>(mut self, roles: I) -> Self {
        self.config.declared_roles = Some(roles.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the application's check for whether a new password is known from a breach.
    pub fn breach_check(mut self, check: impl BreachCheck) -> Self {
        self.config.breach_check = Some(Arc::new(check));
        self
    }

    /// Sets how [webhooks](AuthFort::create_webhook) are sent.
    #[cfg(feature = "webhooks")]
    pub fn webhooks(mut self, options: WebhookOptions) -> Self {
        self.config.webhooks = options;
        self
    }

    /// Sets the most connections of the pool; 10 unless set. The guard's connections are not included. Not with
    /// [`from_pool`](Self::from_pool).
    pub fn max_connections(mut self, max: u32) -> Self {
        self.pool.max_connections = Some(max);
        self
    }

    /// Sets the most connections that are reserved for the guard, so that it does not wait behind lists; 2 unless set,
    /// at least one. The guard runs a short query for each caller that it does not know, and to read the log of changes. Not with [`from_pool`](Self::from_pool), nor with
    /// `sqlite::memory:`: there the guard shares the connections with all other calls.
    pub fn guard_connections(mut self, max: u32) -> Self {
        self.pool.guard_connections = Some(max);
        self
    }

    /// Sets how long a call waits for a connection before it fails with [`Error::DatabaseUnavailable`]; 5 seconds
    /// unless set. The guard and [`AuthFort::ping`] return within it, statement included. On SQLite it also limits the
    /// wait for the lock of another process. Not with [`from_pool`](Self::from_pool), where the pool's own timeout
    /// applies.
    pub fn acquire_timeout(mut self, timeout: Duration) -> Self {
        self.pool.acquire_timeout = Some(timeout);
        self
    }

    /// Sets whether statements stay prepared on their connections; on unless set. Switch it off behind a pooler that
    /// gives each transaction another server session and does not support prepared statements, such as `PgBouncer`
    /// before 1.21 with `pool_mode = transaction`. Every statement is then parsed each time, and every read runs in a
    /// transaction. SQLite ignores it. It applies to a pool of [`from_pool`](Self::from_pool) too.
    pub fn prepared_statements(mut self, on: bool) -> Self {
        self.pool.prepared_statements = Some(on);
        self
    }

    /// Sets the URL of a streaming replica of the database, which then answers [`list_users`](AuthFort::list_users),
    /// [`get_user_count`](AuthFort::get_user_count) and [`list_events`](AuthFort::list_events); none unless set. All other
    /// calls, and every check, use the primary. Only for PostgreSQL.
    ///
    /// A list has every change that was committed [`replica_lag`](Self::replica_lag) before the call, and every change that
    /// this service committed itself before the call, apart from the events of sign-ins, refreshes and sign-outs. If the
    /// replica is behind, away or broken, the primary answers. A replica that failed is tried again after five seconds; the
    /// log has a warning with the cause. The start goes on without a replica that it cannot reach.
    ///
    /// The replica has a pool of its own, of at most [`max_connections`](Self::max_connections), or 10 with
    /// [`from_pool`](Self::from_pool).
    ///
    /// ```no_run
    /// # async fn example() -> authfort::Result<()> {
    /// let auth = authfort::AuthFort::builder()
    ///     .replica_url("postgres://app@replica.internal/app")
    ///     .connect("postgres://app@primary.internal/app")
    ///     .await?;
    /// # Ok(()) }
    /// ```
    pub fn replica_url(mut self, url: impl Into<SecretString>) -> Self {
        self.pool.replica = Some(url.into());
        self
    }

    /// Sets how far the replica of [`replica_url`](Self::replica_url) may be behind; 1 second unless set, at most an hour.
    /// With zero, a list has all that was committed before the call, which costs a short query of the primary.
    pub fn replica_lag(mut self, lag: Duration) -> Self {
        self.pool.replica_lag = Some(lag);
        self
    }

    /// Sets whether the service listens to notifications of PostgreSQL (`LISTEN`), on one connection of its own; on unless set,
    /// and off with [`prepared_statements(false)`](Self::prepared_statements), unless there is a
    /// [`listen_url`](Self::listen_url). With them, a change by another node is known within milliseconds; without them,
    /// or if one is lost, within [`guard_staleness`](Self::guard_staleness).
    pub fn notifications(mut self, on: bool) -> Self {
        self.pool.notifications = Some(on);
        self
    }

    /// Sets the URL at which the service listens to [notifications](Self::notifications); that of the database unless set.
    /// Behind a pooler in transaction mode it must lead to the server itself, since a pooler passes no notification on. Only
    /// for PostgreSQL.
    pub fn listen_url(mut self, url: impl Into<SecretString>) -> Self {
        self.pool.listen = Some(url.into());
        self
    }

    /// Sets whether missing migrations run at the start; on unless set. If off, an incomplete schema is refused.
    pub fn migrate(mut self, on: bool) -> Self {
        self.migrate = on;
        self
    }

    /// Opens the database, migrates its schema, and makes sure that a signing key exists.
    ///
    /// # Errors
    /// - [`Error::Config`] names the invalid option.
    /// - [`Error::Migration`] if the schema is newer than this build, or incomplete while migrations are off.
    /// - [`Error::Start`] if the database cannot be reached, opened or used, with cause and remedy.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<AuthFort> {
        self.check()?;
        let db = match Db::connect(url.as_ref(), &self.pool).await {
            Ok(db) => db,
            Err(error) => return Err(diagnosis::of_url(url.as_ref(), self.pool.acquire_timeout(), error).await),
        };
        self.start(db).await
    }

    /// Does the same as [`connect`](Self::connect) on the application's own pool.
    ///
    /// # Errors
    /// As [`connect`](Self::connect). [`Error::Config`] also for each option that configures a pool, and on SQLite if
    /// the pool has foreign keys switched off.
    pub async fn from_pool(self, pool: impl Into<Pool>) -> Result<AuthFort> {
        self.check()?;
        self.pool.check_unset()?;
        let db = Db::of_pool(pool.into(), self.pool.prepared_statements());
        match db.check_pool().await {
            Ok(()) => self.start(db).await,
            Err(error) => Err(db.explain(error).await),
        }
    }

    async fn start(self, db: Db) -> Result<AuthFort> {
        // On the heap: futures that hold this one stay small.
        match Box::pin(start(db.clone(), self.config, &self.pool, self.migrate)).await {
            Err(error) => Err(db.explain(error).await),
            Ok(core) => Ok(AuthFort::new(core)),
        }
    }

    /// Checks the options without a database. [`connect`](Self::connect) and [`from_pool`](Self::from_pool) do this
    /// themselves, before they touch the database.
    ///
    /// ```
    /// let error = authfort::AuthFort::builder().secret("too short").check().unwrap_err();
    /// assert!(error.to_string().starts_with("secret"));
    /// ```
    ///
    /// # Errors
    /// - [`Error::Config`] names the invalid option.
    pub fn check(&self) -> Result<()> {
        let c = &self.config;
        let second = Duration::from_secs(1);
        let decade = Duration::from_hours(10 * 366 * 24);
        for (field, value) in [
            ("access_ttl", c.access_ttl),
            ("refresh_ttl", c.refresh_ttl),
            ("session_ttl", c.session_ttl),
            ("email_verification_ttl", c.email_verification_ttl),
            ("password_reset_ttl", c.password_reset_ttl),
        ] {
            if value < second || value > decade {
                return Err(Error::config(field, "must be between one second and ten years"));
            }
        }
        if c.session_ttl < c.refresh_ttl {
            return Err(Error::config("session_ttl", "must be at least refresh_ttl"));
        }
        if c.refresh_grace > Duration::from_mins(1) {
            return Err(Error::config("refresh_grace", "must be at most 60 seconds"));
        }
        if c.max_sessions == 0 || c.max_sessions > 10_000 {
            return Err(Error::config("max_sessions", "must be between 1 and 10,000"));
        }
        if c.leeway > Duration::from_secs(30) {
            return Err(Error::config("leeway", "must be at most 30 seconds"));
        }
        if !c.guard_staleness.is_zero()
            && !(Duration::from_millis(10)..=Duration::from_mins(1)).contains(&c.guard_staleness)
        {
            return Err(Error::config("guard_staleness", "must be zero, or between 10 milliseconds and a minute"));
        }
        if !(1..=10_000_000).contains(&c.guard_tokens) {
            return Err(Error::config("guard_tokens", "must be between 1 and 10,000,000"));
        }
        if c.event_retention.is_some_and(|retention| retention < second * 3_600 || retention > decade * 10) {
            return Err(Error::config("event_retention", "must be between an hour and a hundred years"));
        }
        if c.issuer.is_empty() || c.issuer.len() > 512 {
            return Err(Error::config("issuer", "must have 1 to 512 bytes"));
        }
        if c.audience.as_ref().is_some_and(|a| a.is_empty() || a.len() > 512) {
            return Err(Error::config("audience", "must have 1 to 512 bytes"));
        }
        if c.metadata_max_bytes < 2 || c.metadata_max_bytes > 1024 * 1024 {
            return Err(Error::config("metadata_max_bytes", "must be between 2 bytes and 1 MiB"));
        }
        if c.breach_timeout.is_zero() {
            return Err(Error::config("breach_timeout", "must be longer than nothing"));
        }
        if role_name("admin_role", &c.admin_role).is_err() {
            return Err(Error::config("admin_role", "must match ^[a-z][a-z0-9_-]{0,49}$"));
        }
        for role in c.declared_roles.iter().flatten() {
            if role_name("roles", role).is_err() {
                return Err(Error::config("roles", "must each match ^[a-z][a-z0-9_-]{0,49}$"));
            }
        }
        #[cfg(feature = "webhooks")]
        c.webhooks.check()?;
        self.pool.check()?;
        c.passwords()?;
        c.rules()?;
        c.secret.as_ref().map(Sealer::new).transpose()?;
        Ok(())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("issuer", &self.config.issuer)
            .field("algorithm", &self.config.algorithm)
            .field("secret", &self.config.secret.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// Migrates the schema and makes sure that a key exists. Everything that depends on the options alone is checked before
/// anything is written.
async fn start(db: Db, config: Config, pool: &PoolOptions, migrate: bool) -> Result<Core> {
    metrics::describe();
    let db = db.with_servers(pool).await?;
    let passwords = config.passwords()?;
    let rules = config.rules()?;
    let keyring = Arc::new(Keyring::new(db.clone(), Vault::new(config.secret.as_ref())?));
    let now = config.clock.now();
    if migrate {
        db.migrate(now).await?;
    } else {
        db.check_schema().await?;
    }
    db.check_search().await?;
    // Without the triggers of the log, nothing that is remembered would be certain.
    let follows = !db.check_triggers().await?.concern_the_guard();
    let staleness = if follows { config.guard_staleness } else { Duration::ZERO };
    let (standings, mut tasks) = Standings::start(&db, staleness, config.guard_tokens);
    let tail = Tail::start(&db, &mut tasks).await?;
    let runtime = tokio::runtime::Handle::current();
    let delivery = Delivery::new(db.clone(), Arc::clone(&tail), config.clock.clone(), runtime.clone());
    let hooks = Hooks::new(Arc::clone(&tail), runtime);
    let guard_checks = GuardChecks::new();
    #[cfg(feature = "webhooks")]
    let webhook_client = Arc::new(WebhookClient::new(config.webhooks.clone()));
    let core = Core::new(Services {
        db,
        config,
        tail,
        hooks,
        delivery,
        passwords,
        keyring,
        rules,
        standings,
        guard_checks,
        #[cfg(feature = "webhooks")]
        webhook_client,
        tasks,
    });
    if !core.keyring().vault().is_sealed() {
        tracing::warn!("no secret is configured: private signing keys are stored in the database in plain text");
    }
    ensure_key(&core, now).await?;
    if let Some(retention) = core.config().event_retention {
        core.delivery().spawn(crate::event_log::keep_for(core.downgrade(), retention));
    }
    #[cfg(feature = "webhooks")]
    if core.config().webhooks.send {
        core.delivery().spawn(crate::webhooks::run(core.downgrade()));
    }
    Ok(core)
}

async fn ensure_key(core: &Core, now: DateTime<Utc>) -> Result<()> {
    let keyring = core.keyring();
    keyring.reload(now).await?;
    // Checked before anything is written: the secret must be the right one.
    keyring.check(now).await?;
    if keyring.newest_algorithm() != Some(core.config().algorithm) {
        Write::new(core, RotateKeys::if_needed()).await?;
    }
    // A start that changes nothing writes nothing.
    let in_clear = store::keys::in_clear(&mut core.db().read().await?.conn()).await?;
    if keyring.vault().is_sealed() && !in_clear.is_empty() {
        Write::new(core, SealKeys).await?;
    }
    #[cfg(feature = "webhooks")]
    if keyring.vault().is_sealed() {
        crate::webhooks::seal(core).await?;
    }
    Ok(())
}
