//! Reading one user, by id or by address.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use crate::core::Core;
use crate::model::user::User;
use crate::model::validate::key_to_find;
use crate::{AuthFort, Error, Result, UserId, store};

impl AuthFort {
    /// Reads one user, with roles; [`Error::UserNotFound`](crate::Error::UserNotFound) if there is none.
    ///
    /// | option | |
    /// |---|---|
    /// | `deleted(true)` | also finds an anonymized user |
    pub fn get_user(&self, id: UserId) -> GetUser {
        GetUser::new(self.core().clone(), id)
    }

    /// Finds one user by id, or none.
    pub fn find_user(&self, id: UserId) -> FindUser {
        FindUser::by_id(self.core().clone(), id)
    }

    /// Finds the user with this address in any spelling, or none. Send mail only to the user's
    /// [`email`](crate::User::email), which is the one that was verified: the owner of another spelling of the domain
    /// may be another person.
    pub fn find_user_by_email(&self, email: impl AsRef<str>) -> FindUser {
        FindUser::by_email(self.core().clone(), email.as_ref())
    }
}

/// Reads one user; created by [`AuthFort::get_user`](crate::AuthFort::get_user).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct GetUser(pub(crate) FindUser);

/// Finds one user; created by [`AuthFort::find_user`](crate::AuthFort::find_user) and [`AuthFort::find_user_by_email`].
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct FindUser {
    core: Core,
    key: By,
    deleted: bool,
}

#[derive(Debug, Clone)]
enum By {
    Id(UserId),
    /// None for a text that cannot be a user's address: the result is then no user, and not an error.
    Email(Option<String>),
}

impl GetUser {
    pub(crate) fn new(core: Core, id: UserId) -> Self {
        Self(FindUser::by_id(core, id))
    }
}

impl FindUser {
    pub(crate) fn by_id(core: Core, id: UserId) -> Self {
        Self { core, key: By::Id(id), deleted: false }
    }

    pub(crate) fn by_email(core: Core, email: &str) -> Self {
        Self { core, key: By::Email(key_to_find(email)), deleted: false }
    }

    /// Sets whether anonymized users are found too; not unless set.
    pub fn deleted(mut self, on: bool) -> Self {
        self.deleted = on;
        self
    }

    async fn run(self) -> Result<Option<User>> {
        let now = self.core.now();
        let mut conn = self.core.db().read().await?;
        let mut conn = conn.conn();
        let found = match self.key {
            By::Id(id) => match store::users::read(&mut conn, id, now).await {
                Ok(user) => Some(user),
                Err(Error::UserNotFound) => None,
                Err(error) => return Err(error),
            },
            By::Email(None) => None,
            By::Email(Some(key)) => match store::users::by_email_key(&mut conn, &key).await? {
                Some(row) => Some(row.into_user(now)?),
                None => None,
            },
        };
        Ok(found.filter(|user| self.deleted || !user.is_deleted))
    }
}

impl GetUser {
    /// Sets whether anonymized users are found too; not unless set.
    pub fn deleted(self, on: bool) -> Self {
        Self(self.0.deleted(on))
    }
}

impl IntoFuture for FindUser {
    type Output = Result<Option<User>>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl IntoFuture for GetUser {
    type Output = Result<User>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.0.run().await?.ok_or(Error::UserNotFound) })
    }
}
