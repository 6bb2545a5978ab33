//! Finding a user by whatever names them.

use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::model::user::User;
use crate::{AuthFort, Result, SessionId, UserId, store};

impl AuthFort {
    /// Finds the user whom a text names exactly, or none: by the user's id, the id of one of their sessions, their address in any
    /// spelling, or their id at an OAuth provider, in this order. An anonymized user is found by id. If the text is the id of
    /// two users at different providers, it names none.
    ///
    /// It is for people who look a user up by what a log line or a ticket says. Reads at most four rows by their keys.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
    /// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
    /// let jane = auth.create_user("jane@example.com").await?;
    /// auth.link_account(jane.id, "github", "583231").await?;
    /// let session = auth.create_session(jane.id).await?.session_id;
    /// for text in [jane.id.to_string(), session.to_string(), "Jane@Example.com".into(), "583231".into()] {
    ///     assert_eq!(auth.lookup_user(&text).await?.map(|user| user.id), Some(jane.id));
    /// }
    /// assert!(auth.lookup_user("jane").await?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::DatabaseUnavailable`](crate::Error::DatabaseUnavailable).
    pub async fn lookup_user(&self, text: &str) -> Result<Option<User>> {
        let text = text.trim();
        if text.is_empty() || text.contains('\0') {
            return Ok(None);
        }
        if let Ok(id) = text.parse::<Hyphenated>().map(Hyphenated::into_uuid) {
            if let Some(user) = self.find_user(UserId(id)).deleted(true).await? {
                return Ok(Some(user));
            }
            if let Some(user) = self.owner_of_session(id).await? {
                return self.find_user(user).await;
            }
        }
        if text.contains('@')
            && let Some(user) = self.find_user_by_email(text).await?
        {
            return Ok(Some(user));
        }
        let mut conn = self.core().db().read().await?;
        let owners = store::accounts::owners(&mut conn.conn(), text).await?;
        // Released first, because the pool may have only one connection.
        drop(conn);
        match owners.as_slice() {
            [owner] => self.find_user(*owner).await,
            _ => Ok(None),
        }
    }

    async fn owner_of_session(&self, id: Uuid) -> Result<Option<UserId>> {
        let mut conn = self.core().db().read().await?;
        store::sessions::owner(&mut conn.conn(), SessionId(id)).await
    }
}
