#![cfg_attr(docsrs, feature(doc_cfg))]
//! User management on SQLite and PostgreSQL: users, roles, sessions, tokens, and an event log of all changes.
//!
//! ```
//! use authfort::{AuthFort, SortBy, SortOrder};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
//! let auth = AuthFort::connect("sqlite::memory:").await?;
//! let jane = auth.create_user("jane@example.com").name("Jane").role("editor").await?;
//!
//! let page = auth.list_users().query("jan").sort_by(SortBy::Email).sort_order(SortOrder::Asc).limit(20).await?;
//! assert_eq!(page.users[0].roles, ["editor"]);
//! assert_eq!(auth.get_user_count().banned(true).await?, 0);
//!
//! let receipt = auth.delete_user(jane.id).await?;
//! assert_eq!(receipt.roles, 1);
//! # Ok(()) }
//! ```
//!
//! | what | where |
//! |---|---|
//! | the service: every call starts here | [`AuthFort`] |
//! | options | [`Builder`] |
//! | joining the application's own transaction | [`Write::in_tx`] |
//! | errors | [`Error`] |
//! | events, and reacting to them | [`events`] |
//! | guards and routers for axum | the crate `authfort-axum` |
//!
//! # Features
//! - `sqlite` (default): embedded SQLite, compiled in.
//! - `postgres`: PostgreSQL 14 or later.
//! - `webhooks`: sends events to other services, signed (`AuthFort::create_webhook`).

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("authfort needs a database: turn on the feature `sqlite` or `postgres`");

mod access;
mod accounts;
mod authfort;
mod builder;
mod clock;
mod config;
mod core;
mod crypto;
mod db;
mod delivery;
mod error;
mod event_log;
mod event_stream;
mod guard;
mod hooks;
mod id;
mod introspection;
mod keys;
mod metrics;
mod model;
#[cfg(feature = "openapi")]
mod openapi;
mod passwords;
mod revocation;
mod roles;
mod sessions;
mod standings;
mod store;
mod subscriptions;
mod tail;
mod tokens;
mod users;
#[cfg(feature = "webhooks")]
mod webhook_client;
#[cfg(feature = "webhooks")]
mod webhooks;
mod work;

pub use accounts::{LinkAccount, ListAccounts, OauthAccount, UnlinkAccount};
pub use authfort::AuthFort;
pub use builder::Builder;
pub use clock::Clock;
#[cfg(feature = "sqlite")]
pub use db::open_sqlite;
pub use db::{Conn, Pool};
pub use error::{Error, FieldError, Result};
pub use event_log::{EventPage, ListEvents};
pub use event_stream::{EventStream, FollowEvents};
pub use hooks::HookHandle;
pub use id::{EventId, SessionId, UserId, WebhookId};
pub use introspection::{ActiveToken, Introspection};
pub use keys::{KeyInfo, RotateKeys};
pub use model::actor::Actor;
pub use model::delete::DeleteMode;
pub use model::events::{self, Event};
pub use model::filter::{DeletedFilter, SortBy, SortOrder, Total, UserFilter};
#[doc(hidden)]
pub use model::json::{JsonFault, read_json};
pub use model::principal::Principal;
pub use model::role::is_role_name;
pub use model::user::User;
pub use model::validate::{check_email, email_key, normalize_email};
pub use passwords::{BreachCheck, BreachFuture, HashedPassword, Hashing, OnFailure, PasswordPolicy, generate_password};
pub use roles::{AddRole, GetRoles, RemoveRole};
pub use sessions::{
    CreateSession, EndSession, ListSessions, Login, LoginOutcome, Refresh, RevokeSession, RevokeSessions, Session,
    SessionCount, SessionPage, SignUp, SignedIn, Tokens,
};
pub use subscriptions::{
    DeadLetter, DeadLetterPage, DeadLetterPolicy, DeleteSubscription, DropDeadLetter, ListDeadLetters,
    ReplayDeadLetter, ReplayDeadLetters, Start, Subscribe, Subscription, SubscriptionStatus,
};
pub use tokens::{Algorithm, JWKS_MAX_AGE};
pub use users::{
    BanUser, ChangePassword, CheckTotals, CountUsers, CreateUser, DeletePreview, DeleteReceipt, DeleteUser, FindUser,
    GetUser, IssuedToken, ListUsers, RepairTotals, RequestToken, ResetPassword, SetPassword, TotalDifference,
    TotalsCheck, UnbanUser, UpdateUser, UserPage, VerifyEmail,
};
#[cfg(feature = "webhooks")]
pub use webhook_client::WebhookOptions;
#[cfg(feature = "webhooks")]
pub use webhooks::{
    CreateWebhook, DeleteWebhook, DeliveryStatus, ListWebhookDeliveries, NewWebhook, RedeliverWebhook,
    RotateWebhookSecret, UpdateWebhook, Webhook, WebhookAttempt, WebhookDelivery, WebhookDeliveryPage,
};
pub use work::{Conditional, Joinable, Operation, Write};

/// The version of `secrecy` whose types hold passwords and tokens.
pub use secrecy;
/// The version of `sqlx` whose pools and transactions this crate accepts.
pub use sqlx;
