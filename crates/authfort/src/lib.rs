#![cfg_attr(docsrs, feature(doc_cfg))]
//! User management on SQLite and PostgreSQL: users, roles, sessions, tokens, and the events of their changes.
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
//! | the service: every call begins here | [`AuthFort`] |
//! | options | [`Builder`] |
//! | joining the application's own transaction | [`Write::in_tx`] |
//! | what can go wrong | [`Error`] |
//! | what happened, and reacting to it | [`events`] |
//! | guards and routers for axum | the crate `authfort-axum` |
//!
//! # Features
//! - `sqlite` (default): embedded SQLite, compiled in.
//! - `postgres`: PostgreSQL 14 or later.

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("authfort needs a database: turn on the feature `sqlite` or `postgres`");

mod accounts;
mod authfort;
mod clock;
mod config;
mod context;
mod crypto;
mod db;
mod error;
pub mod events;
mod id;
#[cfg(feature = "openapi")]
mod openapi;
mod passwords;
mod principal;
mod roles;
mod sessions;
mod store;
mod tokens;
mod users;
mod verification;
mod work;

pub use accounts::{LinkAccount, ListAccounts, OauthAccount, UnlinkAccount};
pub use authfort::AuthFort;
pub use clock::Clock;
pub use config::Builder;
pub use context::Actor;
#[cfg(feature = "sqlite")]
pub use db::open_sqlite;
pub use db::{Conn, Pool};
pub use error::{Error, FieldError, Result};
pub use events::{DeleteMode, Event, EventPage, ListEvents};
pub use id::{EventId, SessionId, UserId};
pub use passwords::{
    BreachCheck, BreachFuture, ChangePassword, HashedPassword, Hashing, OnFailure, PasswordPolicy, SetPassword,
    generate_password,
};
pub use principal::{ActiveToken, Introspection, Principal};
pub use roles::{AddRole, GetRoles, RemoveRole};
pub use sessions::{
    CreateSession, EndSession, ListSessions, Login, Refresh, RevokeSession, RevokeSessions, Session, SessionPage,
    SignUp, SignedIn, Tokens,
};
pub use tokens::{Algorithm, JWKS_MAX_AGE, KeyInfo, RotateKeys};
pub use users::{
    BanUser, CountUsers, CreateUser, DeleteReceipt, DeleteUser, DeletedFilter, FindUser, GetUser, ListUsers, SortBy,
    SortOrder, Total, UnbanUser, UpdateUser, User, UserFilter, UserPage, check_email, email_key, normalise_email,
};
pub use verification::{IssuedToken, RequestToken, ResetPassword, VerifyEmail};
pub use work::{Conditional, Joinable, Operation, Write};

/// The version of `secrecy` that passwords and tokens are held in.
pub use secrecy;
/// The version of `sqlx` whose pools and transactions can be handed in.
pub use sqlx;
