//! The settings. All of them are validated before anything is opened or written.

use std::path::PathBuf;
use std::time::Duration;

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{AuthFort, Builder, Error, PasswordPolicy, WebhookOptions};
use authfort_axum::{AuthLayer, CookieOptions, RateLimits, TrustedProxies};
use url::Url;

use crate::flags::Flags;
use crate::listen::{Bounds, LEAST_HEAD_BYTES};
use crate::secrets;

/// The maximum session lifetime that the library accepts.
const LONGEST_SESSION: Duration = Duration::from_hours(10 * 366 * 24);

/// The maximum for `head_bytes`: each connection may use this much memory.
const MOST_HEAD_BYTES: usize = 1024 * 1024;
const MOST_CONNECTIONS: usize = 1_000_000;

pub struct Settings {
    pub flags: Flags,
    pub database_url: SecretString,
    replica_url: Option<SecretString>,
    listen_url: Option<SecretString>,
    pub admin_email: String,
    pub admin_password: Option<SecretString>,
    secret: Option<SecretString>,
    introspect_secret: Option<SecretString>,
    trusted_proxies: TrustedProxies,
}

impl Settings {
    /// Validates all settings and returns all errors, each with the variable to change.
    pub fn check(flags: Flags) -> Result<Self, Vec<String>> {
        let mut faults = Faults::default();
        let database_url = faults.take(database_url(&flags)).unwrap_or_default();
        let replica_url = faults.take(replica_url(&flags));
        let listen_url = faults.take(listen_url(&flags));
        let secret = faults.take(secrets::read("AUTHFORT_SECRET", flags.secret_file.as_deref()));
        let introspect_secret = secrets::read("AUTHFORT_INTROSPECT_SECRET", flags.introspect_secret_file.as_deref());
        let introspect_secret = faults.take(introspect_secret);
        let password = secrets::read("AUTHFORT_ADMIN_PASSWORD", flags.admin_password_file.as_deref());
        let admin_password = faults.take(password).flatten();
        if let Some(password) = &admin_password {
            faults.check("admin_password", policy().accepts(password));
        }
        let admin_email = faults.check("admin_email", authfort::check_email(&flags.admin_email)).unwrap_or_default();
        let networks = flags.trusted_proxies.iter().filter(|network| !network.is_empty());
        let trusted_proxies = faults.check("trusted_proxies", TrustedProxies::parse(networks)).unwrap_or_default();
        let settings = Self {
            flags,
            database_url,
            replica_url: replica_url.flatten(),
            listen_url: listen_url.flatten(),
            admin_email,
            admin_password,
            secret: secret.flatten(),
            introspect_secret: introspect_secret.flatten(),
            trusted_proxies,
        };
        faults.take(settings.check_bounds());
        faults.take(settings.check_addresses());
        faults.check("cookie_secure", settings.cookies().check());
        faults.check("", settings.builder().check());
        if faults.0.is_empty() { Ok(settings) } else { Err(faults.0) }
    }

    pub fn builder(&self) -> Builder {
        let flags = &self.flags;
        let refresh_ttl = Duration::from_secs(flags.refresh_ttl);
        let builder = AuthFort::builder()
            .issuer(flags.issuer.as_str())
            .access_ttl(Duration::from_secs(flags.access_ttl))
            .refresh_ttl(refresh_ttl)
            .refresh_grace(Duration::from_secs(flags.refresh_grace))
            // A session lasts at most three times as long as a refresh token, however often it is refreshed.
            .session_ttl(refresh_ttl.saturating_mul(3).min(LONGEST_SESSION))
            .webhooks(WebhookOptions::new().allow_private_targets(flags.webhooks_private.is_on()))
            .signup(flags.signup.is_on())
            .prepared_statements(flags.prepared_statements.is_on())
            .guard_staleness(Duration::from_secs(flags.guard_staleness))
            .password_policy(policy());
        let builder = match &self.replica_url {
            Some(url) => builder.replica_url(url.clone()).replica_lag(Duration::from_secs(flags.replica_lag)),
            None => builder,
        };
        let builder = match &self.listen_url {
            Some(url) => builder.listen_url(url.clone()),
            None => builder,
        };
        let builder = match flags.event_retention {
            Some(days) => builder.event_retention(Duration::from_secs(days.saturating_mul(86_400))),
            None => builder,
        };
        let builder = match flags.notifications {
            Some(switch) => builder.notifications(switch.is_on()),
            None => builder,
        };
        match &self.secret {
            Some(secret) => builder.secret(secret.clone()),
            None => builder,
        }
    }

    pub fn layer(&self, auth: &AuthFort) -> authfort::Result<AuthLayer> {
        let mut layer =
            AuthLayer::new(auth.clone()).cookies(self.cookies())?.trusted_proxies(self.trusted_proxies.clone());
        if !self.flags.rate_limit.is_on() {
            layer = layer.rate_limits(RateLimits::off());
        }
        if let Some(secret) = &self.introspect_secret {
            layer = layer.introspection_secret(secret.clone());
        }
        Ok(layer)
    }

    /// Returns the limits on connections.
    pub fn bounds(&self) -> Bounds {
        Bounds {
            head_timeout: Duration::from_secs(self.flags.head_timeout),
            head_bytes: self.flags.head_bytes,
            connections: self.flags.max_connections,
        }
    }

    /// Before anything is written: the system tells it only when both listen.
    fn check_addresses(&self) -> Result<(), String> {
        let Some(metrics) = self.flags.metrics_listen else { return Ok(()) };
        let listen = self.flags.listen;
        let all = metrics.ip().is_unspecified() || listen.ip().is_unspecified();
        let overlap = metrics.ip() == listen.ip() || all && metrics.is_ipv4() == listen.is_ipv4();
        if metrics.port() != 0 && metrics.port() == listen.port() && overlap {
            return Err(
                "AUTHFORT_METRICS_LISTEN: must be another address than AUTHFORT_LISTEN; choose another port".into()
            );
        }
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), String> {
        let flags = &self.flags;
        if !(1..=3600).contains(&flags.head_timeout) {
            return Err("AUTHFORT_HEAD_TIMEOUT: must be between one second and an hour".into());
        }
        if !(LEAST_HEAD_BYTES..=MOST_HEAD_BYTES).contains(&flags.head_bytes) {
            return Err(format!("AUTHFORT_HEAD_BYTES: must be between {LEAST_HEAD_BYTES} and {MOST_HEAD_BYTES}"));
        }
        if !(1..=MOST_CONNECTIONS).contains(&flags.max_connections) {
            return Err(format!("AUTHFORT_MAX_CONNECTIONS: must be between 1 and {MOST_CONNECTIONS}"));
        }
        Ok(())
    }

    fn cookies(&self) -> CookieOptions {
        let options = CookieOptions::default();
        if self.flags.cookie_secure.is_on() { options } else { options.insecure_allow_http() }
    }
}

fn policy() -> PasswordPolicy {
    PasswordPolicy::default()
}

fn database_url(flags: &Flags) -> Result<SecretString, String> {
    let is_flag = flags.exposed_urls.contains(&"database_url");
    let url = url("DATABASE_URL", "--database-url", is_flag, (&flags.database_url, &flags.database_url_file))?;
    let url = url.unwrap_or_else(|| "sqlite://authfort.db".into());
    let scheme = url.expose_secret().split(':').next();
    if matches!(scheme, Some("sqlite" | "postgres" | "postgresql")) {
        Ok(url)
    } else {
        // The URL is not repeated, because it may contain a password.
        Err("DATABASE_URL: must begin with sqlite: or postgres:".into())
    }
}

/// The library checks the URL itself.
fn replica_url(flags: &Flags) -> Result<Option<SecretString>, String> {
    let is_flag = flags.exposed_urls.contains(&"replica_url");
    url("AUTHFORT_REPLICA_URL", "--replica-url", is_flag, (&flags.replica_url, &flags.replica_url_file))
}

fn listen_url(flags: &Flags) -> Result<Option<SecretString>, String> {
    let is_flag = flags.exposed_urls.contains(&"listen_url");
    url("AUTHFORT_LISTEN_URL", "--listen-url", is_flag, (&flags.listen_url, &flags.listen_url_file))
}

/// Reads a URL from its flag or variable, or from its file.
fn url(
    variable: &str,
    flag: &str,
    is_flag: bool,
    given: (&Option<String>, &Option<PathBuf>),
) -> Result<Option<SecretString>, String> {
    match given {
        (Some(_), Some(_)) => Err(format!("{variable} and {variable}_FILE are both given; leave one of them out")),
        (Some(url), None) if is_flag && holds_password(url) => Err(format!(
            "{flag} holds a password, which everybody on this machine can then list; give it by the variable \
             {variable} or by {flag}-file"
        )),
        (Some(url), None) => Ok(Some(SecretString::from(url.as_str()))),
        (None, Some(path)) => Ok(Some(secrets::from_file(variable, path)?.expose_secret().trim().into())),
        (None, None) => Ok(None),
    }
}

fn holds_password(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password"))
}

/// Collects errors, in terms of the variables that the operator sets.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn take<T>(&mut self, outcome: Result<T, String>) -> Option<T> {
        outcome.map_err(|fault| self.0.push(fault)).ok()
    }

    fn check<T>(&mut self, field: &str, outcome: authfort::Result<T>) -> Option<T> {
        let said = |field: &str, message: &str| format!("AUTHFORT_{}: {message}", field.to_uppercase());
        outcome
            .map_err(|error| match error {
                Error::Config { field, message } => self.0.push(said(field, &message)),
                Error::Validation(fields) => {
                    self.0.extend(fields.iter().map(|fault| said(field, &fault.message)));
                }
                other => self.0.push(said(field, &other.to_string())),
            })
            .ok()
    }
}
