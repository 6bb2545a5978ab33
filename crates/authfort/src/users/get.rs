//! One user, by id or by address.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use super::validate::key_to_find;
use super::{User, read};
use crate::{AuthFort, Error, Result, UserId, store};

/// Reads one user; made by [`AuthFort::get_user`](crate::AuthFort::get_user).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct GetUser(pub(crate) FindUser);

/// Looks for one user; made by [`AuthFort::find_user`](crate::AuthFort::find_user) and [`AuthFort::find_user_by_email`].
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct FindUser {
    auth: AuthFort,
    key: Key,
    deleted: bool,
}

#[derive(Debug, Clone)]
enum Key {
    Id(UserId),
    /// None for a text that no user can have: that is an answer, not an error.
    Email(Option<String>),
}

impl FindUser {
    pub(crate) fn by_id(auth: AuthFort, id: UserId) -> Self {
        Self { auth, key: Key::Id(id), deleted: false }
    }

    pub(crate) fn by_email(auth: AuthFort, email: &str) -> Self {
        Self { auth, key: Key::Email(key_to_find(email)), deleted: false }
    }

    /// Whether an anonymised user is found too; not unless set.
    pub fn deleted(mut self, on: bool) -> Self {
        self.deleted = on;
        self
    }

    async fn run(self) -> Result<Option<User>> {
        let now = self.auth.now();
        let mut conn = self.auth.db().read().await?;
        let mut conn = conn.conn();
        let found = match self.key {
            Key::Id(id) => match read(&mut conn, id, now).await {
                Ok(user) => Some(user),
                Err(Error::UserNotFound) => None,
                Err(error) => return Err(error),
            },
            Key::Email(None) => None,
            Key::Email(Some(key)) => match store::users::by_email_key(&mut conn, &key).await? {
                Some(row) => Some(User::from_row(row, now)?),
                None => None,
            },
        };
        Ok(found.filter(|user| self.deleted || !user.is_deleted))
    }
}

impl GetUser {
    /// Whether an anonymised user is found too; not unless set.
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
