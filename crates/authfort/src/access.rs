//! Authorizes a caller against the current state of the database. The guard does this for each request, and every
//! change does it again under its locks. Both call the same function, so they cannot differ.

use chrono::{DateTime, Utc};

use crate::db::{Conn, ReadQuery};
use crate::model::principal::Principal;
use crate::model::standing::Bearer;
use crate::{Error, Result, store};

/// Reads the standing of a bearer with one statement and checks it. The token's key is checked only if `kid` is given.
pub(crate) async fn confirm(
    conn: &mut Conn<'_>,
    bearer: &Bearer,
    kid: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Principal> {
    let standing = store::standing::read(conn, bearer, kid, now).await?.ok_or(Error::TokenUserNotFound)?;
    standing.check(bearer, now)
}

/// [`confirm`] as the guard's query, which may run again on another connection.
pub(crate) struct Confirm<'a> {
    pub bearer: Bearer,
    pub kid: &'a str,
    pub now: DateTime<Utc>,
}

impl ReadQuery for Confirm<'_> {
    type Answer = Principal;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Principal> {
        confirm(conn, &self.bearer, Some(self.kid), self.now).await
    }
}
