//! The locks that rules need, and the reads under them.

use super::Work;
use crate::model::user::User;
use crate::store::users::UserRow;
use crate::{Error, Result, UserId, store};

impl Work<'_> {
    /// Locks the user's row until the transaction ends, checks the version that the caller requires, and returns the
    /// row. An anonymized user is not found.
    pub(crate) async fn lock_user(&mut self, id: UserId) -> Result<UserRow> {
        self.lock_row(id).await?;
        let row = store::users::by_id(&mut self.conn, id).await?;
        at_version(row.filter(|row| row.deleted_at.is_none()), self.if_version)
    }

    /// As [`lock_user`](Self::lock_user), but also finds an anonymized user.
    pub(crate) async fn lock_any_user(&mut self, id: UserId) -> Result<UserRow> {
        self.lock_row(id).await?;
        at_version(store::users::by_id(&mut self.conn, id).await?, self.if_version)
    }

    /// Reads the user, including the changes of this transaction.
    pub(crate) async fn read_user(&mut self, id: UserId) -> Result<User> {
        store::users::read(&mut self.conn, id, self.now).await
    }

    /// Serializes changes to administrators until the commit.
    pub(crate) async fn lock_admins(&mut self) -> Result<()> {
        self.conn.lock_admins().await?;
        self.locked();
        Ok(())
    }

    /// Checks that `target`, whose row is locked, may stop being an administrator: another usable administrator must
    /// remain.
    pub(crate) async fn protect_admins(&mut self, target: &UserRow) -> Result<()> {
        let admin = self.core.config().admin_role.as_str();
        if !target.role_list().iter().any(|role| role == admin) {
            return Ok(());
        }
        self.lock_admins().await?;
        if target.is_banned(self.now) {
            return Ok(());
        }
        let admin = admin.to_owned();
        if store::roles::another_usable_holder(&mut self.conn, target.id, &admin, self.now).await? {
            Ok(())
        } else {
            Err(Error::LastAdmin)
        }
    }
}

/// Returns the user's row if it exists and is at the version that the caller requires.
pub(crate) fn at_version(row: Option<UserRow>, if_version: Option<i64>) -> Result<UserRow> {
    let row = row.ok_or(Error::UserNotFound)?;
    match if_version {
        Some(version) if version != row.version => Err(Error::PreconditionFailed),
        _ => Ok(row),
    }
}
