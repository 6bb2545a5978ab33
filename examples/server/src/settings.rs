//! The settings: a flag each, or an environment variable.

use std::net::SocketAddr;
use std::time::Duration;

use authfort::AuthFort;
use authfort_axum::{AuthLayer, CookieOptions, RateLimits, TrustedProxies};
use clap::{Parser, ValueEnum};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}

impl Switch {
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

/// Users, roles and sessions over HTTP, on SQLite or PostgreSQL.
///
/// At the first start it creates an administrator and prints the address and a one-time password.
#[derive(Parser)]
#[expect(clippy::doc_markdown, reason = "the texts are printed as they are")]
#[command(version)]
pub struct Settings {
    /// sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE
    #[arg(long, env = "DATABASE_URL", default_value = "sqlite://authfort.db", hide_env_values = true)]
    pub database_url: String,

    /// Where to listen
    #[arg(long, env = "AUTHFORT_LISTEN", default_value = "127.0.0.1:3000")]
    pub listen: SocketAddr,

    /// The first administrator's address
    #[arg(long, env = "AUTHFORT_ADMIN_EMAIL", default_value = "admin@example.com")]
    pub admin_email: String,

    /// The first administrator's password; drawn and printed once unless given
    #[arg(long, env = "AUTHFORT_ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Option<String>,

    /// Encrypts the private signing keys in the database; at least 32 bytes
    #[arg(long, env = "AUTHFORT_SECRET", hide_env_values = true)]
    pub secret: Option<String>,

    /// The `iss` of access tokens
    #[arg(long, env = "AUTHFORT_ISSUER", default_value = "authfort")]
    pub issuer: String,

    /// How long an access token is good, in seconds
    #[arg(long, env = "AUTHFORT_ACCESS_TTL", default_value_t = 900)]
    pub access_ttl: u64,

    /// How long a refresh token is good, in seconds
    #[arg(long, env = "AUTHFORT_REFRESH_TTL", default_value_t = 2_592_000)]
    pub refresh_ttl: u64,

    /// Whether people may register themselves
    #[arg(long, env = "AUTHFORT_SIGNUP", value_enum, default_value_t = Switch::On)]
    pub signup: Switch,

    /// Whether sign-up, login and refresh are limited
    #[arg(long, env = "AUTHFORT_RATE_LIMIT", value_enum, default_value_t = Switch::On)]
    pub rate_limit: Switch,

    /// Whether cookies are Secure and have the prefix __Host-; off only where there is no HTTPS
    #[arg(long, env = "AUTHFORT_COOKIE_SECURE", value_enum, default_value_t = Switch::On)]
    pub cookie_secure: Switch,

    /// What a resource server presents to ask for introspection; nobody may unless given
    #[arg(long, env = "AUTHFORT_INTROSPECT_SECRET", hide_env_values = true)]
    pub introspect_secret: Option<String>,

    /// Networks of the proxies that are believed about the client's address, such as 10.0.0.0/8,::1
    #[arg(long, env = "AUTHFORT_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<String>,

    /// Fills in N users to look at
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub demo: u32,

    /// Writes logs as JSON
    #[arg(long)]
    pub log_json: bool,
}

impl Settings {
    pub fn access_ttl(&self) -> Duration {
        Duration::from_secs(self.access_ttl)
    }

    pub fn refresh_ttl(&self) -> Duration {
        Duration::from_secs(self.refresh_ttl)
    }

    /// A session lasts three refresh tokens, however often it is refreshed.
    pub fn session_ttl(&self) -> Duration {
        self.refresh_ttl().saturating_mul(3)
    }

    pub fn layer(&self, auth: &AuthFort) -> authfort::Result<AuthLayer> {
        let mut cookies = CookieOptions::default();
        if !self.cookie_secure.is_on() {
            cookies = cookies.insecure_allow_http();
        }
        let mut layer = AuthLayer::new(auth.clone())
            .cookies(cookies)?
            .trusted_proxies(TrustedProxies::parse(&self.trusted_proxies)?);
        if !self.rate_limit.is_on() {
            layer = layer.rate_limits(RateLimits::off());
        }
        if let Some(secret) = &self.introspect_secret {
            layer = layer.introspection_secret(secret.as_str());
        }
        Ok(layer)
    }
}
