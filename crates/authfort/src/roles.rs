//! Roles: names that a user holds, and what a change of them does to live access tokens.
//!
//! Guard and introspection see a change at the next request. An access token carries the roles that its user had when it
//! was issued, for those who verify it without asking. A change is immediate for them as well unless told otherwise:
//! the user's access tokens are refused from the commit on, and the next refresh brings the new roles. With
//! `immediate(false)` they live on, at most for their time to live.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::events::{RoleAdded, RoleRemoved};
use crate::tokens::size;
use crate::users::validate::Checked;
use crate::work::{Before, Conditional, Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, FieldError, Result, UserId, store};

const ROLE_BYTES: usize = 50;

/// A role's name: `^[a-z][a-z0-9_-]{0,49}$`.
pub(crate) fn role_name(field: &str, name: &str) -> Checked<()> {
    let shaped = name.len() <= ROLE_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if shaped { Ok(()) } else { Err(FieldError::new(field, "invalid_role", "must match ^[a-z][a-z0-9_-]{0,49}$")) }
}

/// A role that may be given: well formed, and one of the declared where roles are declared.
pub(crate) fn checked_role(auth: &AuthFort, field: &str, name: &str) -> Checked<()> {
    role_name(field, name)?;
    match &auth.config().declared_roles {
        Some(declared) if !declared.contains(name) && name != auth.config().admin_role => {
            let list: Vec<_> = declared.iter().map(String::as_str).collect();
            Err(FieldError::new(field, "unknown_role", format!("must be one of {}", list.join(", "))))
        }
        _ => Ok(()),
    }
}

/// Gives a role; made by [`AuthFort::add_role`](crate::AuthFort::add_role).
///
/// Its options are methods of `Write<AddRole>`: see [`Write`](crate::Write).
#[derive(Clone)]
pub struct AddRole(RoleChange);

/// Takes a role; made by [`AuthFort::remove_role`](crate::AuthFort::remove_role).
///
/// Its options are methods of `Write<RemoveRole>`: see [`Write`](crate::Write).
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
    /// Whether live access tokens are cut; they are unless set.
    pub fn immediate(mut self, on: bool) -> Self {
        self.op.0.immediate = on;
        self
    }
}

impl Write<RemoveRole> {
    /// Whether live access tokens are cut; they are unless set.
    pub fn immediate(mut self, on: bool) -> Self {
        self.op.0.immediate = on;
        self
    }
}

impl RoleChange {
    async fn finish(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        if self.immediate {
            store::users::bump_token_version(&mut work.conn, self.user).await?;
        }
        store::users::touch(&mut work.conn, self.user, work.now).await?;
        Ok(Verdict::Done(work.read_user(self.user).await?.roles))
    }
}

impl Joinable for AddRole {}

impl Conditional for AddRole {}

impl Operation for AddRole {
    type Output = Vec<String>;

    async fn prepare(&mut self, before: &mut Before<'_>) -> Result<()> {
        let auth = before.auth;
        checked_role(auth, "role", &self.0.role).map_err(|fault| crate::Error::Validation(vec![fault]))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        let change = &self.0;
        let row = work.lock_user(change.user).await?;
        if change.role == work.auth.config().admin_role {
            work.lock_admins().await?;
        }
        let held = row.role_list();
        if held.contains(&change.role) {
            return Ok(Verdict::Done(held));
        }
        let mut wanted = held;
        wanted.push(change.role.clone());
        size::check(work.auth.config(), None, (&row.email, row.name.as_deref(), &wanted))?;
        if store::roles::add(&mut work.conn, change.user, &change.role, work.now).await? == 0 {
            return Ok(Verdict::Done(row.role_list()));
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
        // A role that is not declared any more can still be taken away.
        role_name("role", &self.0.role).map_err(|fault| crate::Error::Validation(vec![fault]))
    }

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<Vec<String>>> {
        let change = &self.0;
        let row = work.lock_user(change.user).await?;
        let held = row.role_list();
        if !held.contains(&change.role) {
            return Ok(Verdict::Done(held));
        }
        if change.role == work.auth.config().admin_role {
            work.protect_admins(&row).await?;
        }
        store::roles::remove(&mut work.conn, change.user, &change.role).await?;
        work.append(RoleRemoved::draft(change.user, change.role.clone()));
        change.finish(work).await
    }
}

/// Reads the roles of a user; made by [`AuthFort::get_roles`](crate::AuthFort::get_roles).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct GetRoles {
    pub(crate) auth: AuthFort,
    pub(crate) user: UserId,
}

impl IntoFuture for GetRoles {
    type Output = Result<Vec<String>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.auth.get_user(self.user).await?.roles) })
    }
}

#[cfg(test)]
mod tests {
    use super::role_name;

    #[test]
    fn row_34_a_role_name_is_short_and_plain() {
        for name in ["admin", "a", "content-editor", "level_2", &"a".repeat(50)] {
            assert!(role_name("role", name).is_ok(), "{name}");
        }
        for name in [
            "",
            " ",
            "Admin",
            "2fast",
            "ad min",
            "ad\nmin",
            "a,b",
            "аdmin",
            "\u{202e}admin",
            &"a".repeat(51),
            &"a".repeat(10_000),
        ] {
            assert!(role_name("role", name).is_err(), "{name:?}");
        }
    }
}
