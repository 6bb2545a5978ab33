//! Roles: names that a user holds, and how a role change affects access tokens that are already issued.
//!
//! Guard and introspection see a change at the next request. An access token carries the roles that its user had when
//! it was issued, for verifiers that do not query this service. By default a change revokes the user's access tokens:
//! guard and introspection refuse them from the commit on, and the next refresh returns a token with the new roles.
//! With `immediate(false)` the old tokens stay valid until they expire.

use std::collections::BTreeSet;
use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::core::Core;
use crate::events::{RoleAdded, RoleRemoved};
use crate::model::role::role_name;
use crate::model::user::User;
use crate::users::GetUser;
use crate::users::token_size;
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Adds a role and returns all roles of the user. Live access tokens are revoked unless `immediate(false)`. If the
    /// user already has the role, nothing changes. Event: `role_added`.
    ///
    /// | option | |
    /// |---|---|
    /// | `immediate(false)` | access tokens that are already issued stay valid until they expire |
    /// | `if_version(…)` | only at this version of the user |
    pub fn add_role(&self, id: UserId, role: impl Into<String>) -> Write<AddRole> {
        Write::new(self.core(), AddRole::new(id, role.into()))
    }

    /// Removes a role and returns the remaining ones; refused for the admin role of the last usable administrator. If
    /// the user does not have the role, nothing changes. Event: `role_removed`.
    ///
    /// | option | |
    /// |---|---|
    /// | `immediate(false)` | access tokens that are already issued stay valid until they expire |
    /// | `if_version(…)` | only at this version of the user |
    pub fn remove_role(&self, id: UserId, role: impl Into<String>) -> Write<RemoveRole> {
        Write::new(self.core(), RemoveRole::new(id, role.into()))
    }

    /// Returns whether a role of this name can be assigned: the name is well formed, and it is declared if [roles are
    /// declared](crate::Builder::roles).
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
        self.core().config().check_role("role", name).is_ok()
    }

    /// Returns whether the user is the last usable administrator: neither banned nor anonymized, with the admin role, and nobody
    /// else is. They can be neither banned nor deleted, and keep the role.
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`].
    pub async fn is_last_admin(&self, user: &User) -> Result<bool> {
        let role = self.admin_role();
        if !user.has_role(role) || user.banned {
            return Ok(false);
        }
        let mut conn = self.core().db().read().await?;
        Ok(!store::roles::another_usable_holder(&mut conn.conn(), user.id, role, self.now()).await?)
    }

    /// Returns the names of the roles that there are, sorted: the admin role, those that [are declared](crate::Builder::roles),
    /// and those that users have; of the last, the first 200. Reads one entry of an index for each, however many users have it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// auth.create_user("jane@example.com").role("editor").await?;
    /// assert_eq!(auth.list_role_names().await?, ["admin", "editor"]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`].
    pub async fn list_role_names(&self) -> Result<Vec<String>> {
        let mut conn = self.core().db().read().await?;
        let held = store::roles::names(&mut conn.conn(), 200).await?;
        let config = self.core().config();
        let declared = config.declared_roles.iter().flatten().cloned();
        let names: BTreeSet<String> = held.into_iter().chain(declared).chain([config.admin_role.clone()]).collect();
        Ok(names.into_iter().collect())
    }

    /// Returns the roles of a user, sorted.
    pub fn get_roles(&self, id: UserId) -> GetRoles {
        GetRoles { core: self.core().clone(), user: id }
    }

    /// Returns whether a user has a role.
    ///
    /// # Errors
    /// - [`Error::UserNotFound`](crate::Error::UserNotFound),
    ///   [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn has_role(&self, id: UserId, role: &str) -> Result<bool> {
        Ok(self.get_roles(id).await?.iter().any(|held| held == role))
    }
}

/// Adds a role; created by [`AuthFort::add_role`](crate::AuthFort::add_role).
#[derive(Clone)]
pub struct AddRole(RoleChange);

/// Removes a role; created by [`AuthFort::remove_role`](crate::AuthFort::remove_role).
#[derive(Clone)]
pub struct RemoveRole(RoleChange);

#[derive(Clone)]
struct RoleChange {
    user: UserId,
    role: String,
    immediate: bool,
}

impl AddRole {
    pub(crate) fn new(user: UserId, role: String) -> Self {
        Self(RoleChange { user, role, immediate: true })
    }
}

impl RemoveRole {
    pub(crate) fn new(user: UserId, role: String) -> Self {
        Self(RoleChange { user, role, immediate: true })
    }
}

impl Write<AddRole> {
    /// Sets whether live access tokens are revoked; they are unless set.
    pub fn immediate(mut self, on: bool) -> Self {
        self.op.0.immediate = on;
        self
    }
}

impl Write<RemoveRole> {
    /// Sets whether live access tokens are revoked; they are unless set.
    pub fn immediate(mut self, on: bool) -> Self {
        self.op.0.immediate = on;
        self
    }
}

impl RoleChange {
    async fn finish(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        if self.immediate {
            work.revoke_access_tokens(self.user).await?;
        }
        store::users::touch(&mut work.conn, self.user, work.now).await?;
        Ok(Verdict::Commit(work.read_user(self.user).await?.roles))
    }
}

impl Joinable for AddRole {}

impl Conditional for AddRole {}

impl Operation for AddRole {
    type Output = Vec<String>;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        before.core.config().check_role("role", &self.0.role).map_err(|fault| Error::Validation(vec![fault]))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        let change = &self.0;
        let row = work.lock_user(change.user).await?;
        if change.role == work.core.config().admin_role {
            work.lock_admins().await?;
        }
        let held = row.role_list();
        if held.contains(&change.role) {
            return Ok(Verdict::Commit(held));
        }
        let mut wanted = held;
        wanted.push(change.role.clone());
        token_size::check(work.core.config(), None, (&row.email, row.name.as_deref(), &wanted))?;
        if store::roles::add(&mut work.conn, change.user, &change.role, work.now).await? == 0 {
            return Ok(Verdict::Commit(row.role_list()));
        }
        work.append(RoleAdded::draft(change.user, change.role.clone()));
        change.finish(work).await
    }
}

impl Joinable for RemoveRole {}

impl Conditional for RemoveRole {}

impl Operation for RemoveRole {
    type Output = Vec<String>;

    async fn prepare(&mut self, _before: &mut Before<'_>) -> Result<()> {
        // A role that is no longer declared can still be removed.
        role_name("role", &self.0.role).map_err(|fault| Error::Validation(vec![fault]))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        let change = &self.0;
        let row = work.lock_user(change.user).await?;
        let held = row.role_list();
        if !held.contains(&change.role) {
            return Ok(Verdict::Commit(held));
        }
        if change.role == work.core.config().admin_role {
            work.protect_admins(&row).await?;
        }
        store::roles::remove(&mut work.conn, change.user, &change.role).await?;
        work.append(RoleRemoved::draft(change.user, change.role.clone()));
        change.finish(work).await
    }
}

/// Reads the roles of a user; created by [`AuthFort::get_roles`](crate::AuthFort::get_roles).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct GetRoles {
    pub(crate) core: Core,
    pub(crate) user: UserId,
}

impl IntoFuture for GetRoles {
    type Output = Result<Vec<String>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(GetUser::new(self.core, self.user).await?.roles) })
    }
}
