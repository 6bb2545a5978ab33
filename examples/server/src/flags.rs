//! The command-line flags and environment variables. [`Settings`](crate::settings::Settings) validates them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

/// Explains why no flag takes a secret; shown at the end of `--help`.
const SECRETS: &str = "\
Secrets are read from the environment or from files, never from flags: every user of a machine can list those.
  AUTHFORT_ADMIN_PASSWORD    the first administrator's password; generated and printed once unless given
  AUTHFORT_SECRET            encrypts the private signing keys in the database; at least 32 bytes
  AUTHFORT_INTROSPECT_SECRET what a resource server presents to ask for introspection; introspection is off unless given
An empty variable counts as none.";

/// Users, roles and sessions over HTTP, on SQLite or PostgreSQL.
///
/// At the first start it creates an administrator and prints the address and a generated password.
#[derive(Parser)]
#[expect(clippy::doc_markdown, reason = "the texts are printed as they are")]
#[command(version, after_help = SECRETS)]
pub struct Flags {
    /// sqlite://FILE or postgres://USER@HOST/DATABASE; pass a URL with a password by the variable or the file
    /// [default: sqlite://authfort.db]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true, value_parser = trimmed::<String>)]
    pub database_url: Option<String>,

    /// A file with the database's URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub database_url_file: Option<PathBuf>,

    /// A streaming replica that answers lists and counts; pass a URL with a password by the variable or the file
    #[arg(long, env = "AUTHFORT_REPLICA_URL", value_name = "URL", hide_env_values = true,
        value_parser = trimmed::<String>)]
    pub replica_url: Option<String>,

    /// A file with the replica's URL
    #[arg(long, env = "AUTHFORT_REPLICA_URL_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub replica_url_file: Option<PathBuf>,

    /// How far the replica may be behind, in seconds
    #[arg(long, env = "AUTHFORT_REPLICA_LAG", value_name = "SECONDS", default_value = "1",
        value_parser = trimmed::<u64>)]
    pub replica_lag: u64,

    /// Where to listen to PostgreSQL's notifications, if DATABASE_URL leads to a pooler; pass a URL with a password by the
    /// variable or the file
    #[arg(long, env = "AUTHFORT_LISTEN_URL", value_name = "URL", hide_env_values = true,
        value_parser = trimmed::<String>)]
    pub listen_url: Option<String>,

    /// A file with that URL
    #[arg(long, env = "AUTHFORT_LISTEN_URL_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub listen_url_file: Option<PathBuf>,

    /// How late the guard may learn of a change by another node, in whole seconds up to 60; with 0 it asks the database each time
    #[arg(long, env = "AUTHFORT_GUARD_STALENESS", value_name = "SECONDS", default_value = "1",
        value_parser = trimmed::<u64>)]
    pub guard_staleness: u64,

    /// The address to listen on
    #[arg(long, env = "AUTHFORT_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:3000",
        value_parser = trimmed::<SocketAddr>)]
    pub listen: SocketAddr,

    /// The address at which Prometheus finds metrics, under /metrics; none unless given. Do not open it to clients
    #[arg(long, env = "AUTHFORT_METRICS_LISTEN", value_name = "ADDRESS", value_parser = trimmed::<SocketAddr>)]
    pub metrics_listen: Option<SocketAddr>,

    /// The first administrator's address
    #[arg(long, env = "AUTHFORT_ADMIN_EMAIL", value_name = "EMAIL", default_value = "admin@example.com",
        value_parser = trimmed::<String>)]
    pub admin_email: String,

    /// A file with the first administrator's password
    #[arg(long, env = "AUTHFORT_ADMIN_PASSWORD_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub admin_password_file: Option<PathBuf>,

    /// A file with the secret that encrypts the private signing keys
    #[arg(long, env = "AUTHFORT_SECRET_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub secret_file: Option<PathBuf>,

    /// The `iss` of access tokens
    #[arg(long, env = "AUTHFORT_ISSUER", default_value = "authfort", value_parser = trimmed::<String>)]
    pub issuer: String,

    /// Lifetime of an access token, in seconds
    #[arg(long, env = "AUTHFORT_ACCESS_TTL", value_name = "SECONDS", default_value = "900",
        value_parser = trimmed::<u64>)]
    pub access_ttl: u64,

    /// Lifetime of a refresh token, in seconds
    #[arg(long, env = "AUTHFORT_REFRESH_TTL", value_name = "SECONDS", default_value = "2592000",
        value_parser = trimmed::<u64>)]
    pub refresh_ttl: u64,

    /// How long a refresh token is still accepted after it was exchanged, in seconds; with 0, a second use ends the
    /// session
    #[arg(long, env = "AUTHFORT_REFRESH_GRACE", value_name = "SECONDS", default_value = "10",
        value_parser = trimmed::<u64>)]
    pub refresh_grace: u64,

    /// Whether statements stay prepared on PostgreSQL; off behind a pooler of transactions that does not keep them
    #[arg(long, env = "AUTHFORT_PREPARED_STATEMENTS", value_name = "on|off", default_value = "on",
        value_parser = trimmed::<Switch>)]
    pub prepared_statements: Switch,

    /// Whether the server listens to PostgreSQL's notifications of changes; unless given, off without prepared statements, and
    /// on otherwise
    #[arg(long, env = "AUTHFORT_NOTIFICATIONS", value_name = "on|off", value_parser = trimmed::<Switch>)]
    pub notifications: Option<Switch>,

    /// Whether users may register themselves
    #[arg(long, env = "AUTHFORT_SIGNUP", value_name = "on|off", default_value = "on", value_parser = trimmed::<Switch>)]
    pub signup: Switch,

    /// Whether sign-up, login, refresh and mail requests are rate limited
    #[arg(long, env = "AUTHFORT_RATE_LIMIT", value_name = "on|off", default_value = "on",
        value_parser = trimmed::<Switch>)]
    pub rate_limit: Switch,

    /// Whether cookies are Secure and have the prefix __Host-; off only without HTTPS
    #[arg(long, env = "AUTHFORT_COOKIE_SECURE", value_name = "on|off", default_value = "on",
        value_parser = trimmed::<Switch>)]
    pub cookie_secure: Switch,

    /// A file with the secret that a resource server presents for introspection
    #[arg(long, env = "AUTHFORT_INTROSPECT_SECRET_FILE", value_name = "FILE", value_parser = trimmed::<PathBuf>)]
    pub introspect_secret_file: Option<PathBuf>,

    /// Networks of the proxies that are trusted to report the client's address, such as 10.0.0.0/8,::1
    #[arg(long, env = "AUTHFORT_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',',
        value_parser = trimmed::<String>)]
    pub trusted_proxies: Vec<String>,

    /// After how many days events are deleted from the log, if all subscriptions are done with them; never unless given
    #[arg(long, env = "AUTHFORT_EVENT_RETENTION", value_name = "DAYS", value_parser = trimmed::<u64>)]
    pub event_retention: Option<u64>,

    /// Whether webhooks may lead to private addresses and need no TLS; off unless every administrator may reach the server's network
    #[arg(long, env = "AUTHFORT_WEBHOOKS_PRIVATE", value_name = "on|off", default_value = "off",
        value_parser = trimmed::<Switch>)]
    pub webhooks_private: Switch,

    /// Timeout for receiving the head of a request, in seconds; also for an idle connection and for a client that reads
    /// nothing
    #[arg(long, env = "AUTHFORT_HEAD_TIMEOUT", value_name = "SECONDS", default_value = "15",
        value_parser = trimmed::<u64>)]
    pub head_timeout: u64,

    /// Maximum size of the head of a request, in bytes; at least 8192
    #[arg(long, env = "AUTHFORT_HEAD_BYTES", value_name = "BYTES", default_value = "16384",
        value_parser = trimmed::<usize>)]
    pub head_bytes: usize,

    /// Maximum number of connections served at once, lowered if `ulimit -n` does not allow as many. Others wait
    #[arg(long, env = "AUTHFORT_MAX_CONNECTIONS", value_name = "N", default_value = "1024",
        value_parser = trimmed::<usize>)]
    pub max_connections: usize,

    /// Adds demo users until there are N users
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub demo: u32,

    /// Writes logs as JSON
    #[arg(long)]
    pub log_json: bool,

    /// The URLs that were given on the command line, where every user of the machine can read them.
    #[arg(skip)]
    pub exposed_urls: Vec<&'static str>,
}

impl Flags {
    /// Reads the command line and the environment. If that fails, prints a message and exits.
    pub fn read() -> Self {
        match Self::of(&command().get_matches()) {
            Ok(flags) => flags,
            Err(error) => error.exit(),
        }
    }

    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::from_arg_matches(matches)?;
        let is_flag = |url: &&str| matches.value_source(url) == Some(ValueSource::CommandLine);
        flags.exposed_urls = ["database_url", "replica_url", "listen_url"].into_iter().filter(is_flag).collect();
        Ok(flags)
    }
}

/// Returns the command. An empty variable is treated as absent, because orchestrators pass unset variables that way.
fn command() -> Command {
    Flags::command().mut_args(|arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        let empty = value.is_some_and(|value| value.as_encoded_bytes().trim_ascii().is_empty());
        if empty { arg.env(Resettable::Reset) } else { arg }
    })
}

/// Trims a value, since lists and files may add whitespace.
fn trimmed<T: FromStr>(text: &str) -> Result<T, T::Err> {
    text.trim().parse()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    On,
    Off,
}

impl Switch {
    pub fn is_on(self) -> bool {
        self == Self::On
    }
}

impl FromStr for Switch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("write on or off"),
        }
    }
}
