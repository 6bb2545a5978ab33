//! Creating a user. This opens no session; sign-up creates a user and then opens one.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::token_size;
use crate::core::Core;
use crate::events::{EmailVerified, RoleAdded, UserCreated};
use crate::model::user::User;
use crate::model::validate::{self, Keys};
use crate::passwords::HashedPassword;
use crate::store::users::NewUser;
use crate::work::{Before, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, FieldError, Result, UserId, store};

impl AuthFort {
    /// Creates a user, with or without a password. It opens no session. Events: `user_created`, `role_added` for each
    /// role, `email_verified` if the address is verified.
    ///
    /// | option | |
    /// |---|---|
    /// | `password(…)` | the password; without one the user cannot sign in by password until one is set |
    /// | `password_hash(…)` | instead, a password that [`hash_password`](Self::hash_password) hashed before |
    /// | `name(…)` | the name |
    /// | `avatar_url(…)` | a picture, by an `http` or `https` URL |
    /// | `phone(…)` | the phone number |
    /// | `email_verified(true)` | the address is known to be the user's |
    /// | `role(…)` | a role; may be called again |
    /// | `metadata(…)` | the application's data about the user |
    /// | `provider(…)` | how the user will sign in, for the event; `email` unless set |
    pub fn create_user(&self, email: impl Into<String>) -> Write<CreateUser> {
        Write::new(self.core(), CreateUser { email: email.into(), ..CreateUser::default() })
    }
}

/// The most roles that a user can be created with; each takes a statement and an event.
const MAX_ROLES: usize = 100;

/// Creates a user; created by [`AuthFort::create_user`](crate::AuthFort::create_user).
#[derive(Clone, Default)]
pub struct CreateUser {
    pub(crate) email: String,
    pub(crate) password: Option<SecretString>,
    pub(crate) name: Option<String>,
    pub(crate) avatar_url: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) email_verified: bool,
    pub(crate) roles: Vec<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) provider: Option<String>,
    pub(crate) password_hash: Option<String>,
}

/// The options that creating a user and signing up share.
macro_rules! profile_options {
    ($operation:ident $(. $user:ident)?) => {
        impl Write<$operation> {
            /// Sets the name.
            pub fn name(mut self, name: impl Into<String>) -> Self {
                self.op$(.$user)?.name = Some(name.into());
                self
            }

            /// Sets the picture, at an `http` or `https` URL.
            pub fn avatar_url(mut self, url: impl Into<String>) -> Self {
                self.op$(.$user)?.avatar_url = Some(url.into());
                self
            }

            /// Sets the phone number.
            pub fn phone(mut self, phone: impl Into<String>) -> Self {
                self.op$(.$user)?.phone = Some(phone.into());
                self
            }
        }
    };
}
pub(crate) use profile_options;

profile_options!(CreateUser);

impl Write<CreateUser> {
    /// Sets the password. Without one the user cannot sign in by password until one is set.
    pub fn password(mut self, password: impl Into<SecretString>) -> Self {
        self.op.password = Some(password.into());
        self
    }

    /// Sets a password that was hashed before: inside the application's transaction, hashing would hold its locks for
    /// that long.
    pub fn password_hash(mut self, hash: HashedPassword) -> Self {
        self.op.password_hash = Some(hash.0);
        self
    }

    /// Sets whether the address is known to be the user's.
    pub fn email_verified(mut self, verified: bool) -> Self {
        self.op.email_verified = verified;
        self
    }

    /// Adds a role; may be called again.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.op.roles.push(role.into());
        self
    }

    /// Sets the application's data about the user.
    pub fn metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.op.metadata = metadata;
        self
    }

    /// Sets how the user will sign in, for the event; `email` unless set.
    pub fn provider(mut self, provider: impl Into<String>) -> Self {
        self.op.provider = Some(provider.into());
        self
    }
}

impl CreateUser {
    /// Normalizes and validates the fields; returns all faults at once.
    pub(crate) fn check(&mut self, core: &Core) -> Result<()> {
        let mut faults = validate::Faults::default();
        if let Some(email) = faults.take(validate::email("email", &self.email)) {
            self.email = email;
        }
        if let Some(password) = &self.password {
            faults.take(core.passwords().check_shape("password", password));
        }
        self.name = self.name.take().and_then(|v| faults.take(validate::name(&v)));
        self.avatar_url = self.avatar_url.take().and_then(|v| faults.take(validate::avatar_url(&v)));
        self.phone = self.phone.take().and_then(|v| faults.take(validate::phone(&v)));
        if let Some(provider) = &self.provider {
            faults.take(validate::provider(provider));
        }
        if self.roles.len() > MAX_ROLES {
            faults.take::<()>(Err(FieldError::new("roles", "too_many_roles", format!("must be at most {MAX_ROLES}"))));
        }
        for role in self.roles.iter().take(MAX_ROLES) {
            faults.take(core.config().check_role("roles", role));
        }
        faults.take(validate::metadata(&self.metadata, core.config().metadata_max_bytes));
        faults.finish()?;
        self.roles.sort();
        self.roles.dedup();
        Ok(())
    }

    /// Hashes the password, the slow part, once all other fields are valid.
    pub(crate) async fn hash(&mut self, core: &Core) -> Result<()> {
        if let Some(password) = &self.password {
            self.password_hash = Some(core.passwords().hash_new("password", password).await?);
        }
        Ok(())
    }
}

impl Joinable for CreateUser {}

impl Operation for CreateUser {
    type Output = User;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let core = before.core;
        self.check(core)?;
        self.hash(core).await
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<User>> {
        let id = insert_user(work, self, None).await?;
        Ok(Verdict::Commit(work.read_user(id).await?))
    }
}

/// Inserts the validated user and its roles, and appends its events.
pub(crate) async fn insert_user(
    work: &mut Work<'_>,
    new: &CreateUser,
    last_login_at: Option<DateTime<Utc>>,
) -> Result<UserId> {
    let keys = Keys::of(&new.email, new.name.as_deref());
    token_size::check(work.core.config(), None, (&new.email, new.name.as_deref(), &new.roles))?;
    if new.roles.iter().any(|role| *role == work.core.config().admin_role) {
        work.lock_admins().await?;
    }
    let id = UserId::new(work.now);
    let row = NewUser {
        id,
        email: &new.email,
        email_verified: new.email_verified,
        name: new.name.as_deref(),
        keys: &keys,
        avatar_url: new.avatar_url.as_deref(),
        phone: new.phone.as_deref(),
        password_hash: new.password_hash.as_deref(),
        metadata: &serde_json::to_string(&new.metadata).map_err(Error::internal)?,
        created_at: work.now,
        last_login_at,
    };
    store::users::insert(&mut work.conn, row).await?;
    // Checked after the insert, which waits for a deletion of the same address that may have blocked it.
    if store::users::email_is_blocked(&mut work.conn, &keys.email).await? {
        return Err(Error::invalid("email", "email_blocked", "may not be used again"));
    }
    let provider = new.provider.clone().unwrap_or_else(|| "email".to_owned());
    work.append(UserCreated::draft(id, new.email.clone(), new.name.clone(), provider));
    for role in &new.roles {
        store::roles::add(&mut work.conn, id, role, work.now).await?;
        work.append(RoleAdded::draft(id, role.clone()));
    }
    if new.email_verified {
        work.append(EmailVerified::draft(id, new.email.clone()));
    }
    Ok(id)
}
