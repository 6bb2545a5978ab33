//! Whether a caller counts now. The guard asks when a request comes in, and every change once more under its locks: both by
//! the same function, so they cannot differ.

use chrono::{DateTime, Utc};

use crate::db::{Conn, ReadQuery};
use crate::model::principal::Principal;
use crate::model::standing::Bearer;
use crate::{Error, Result, store};

/// Reads the standing of a bearer, by one statement, and decides. The key of the token is asked for where it is named.
pub(crate) async fn confirm(
    conn: &mut Conn<'_>,
    bearer: &Bearer,
    kid: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Principal> {
    let standing = store::standing::read(conn, bearer, kid, now).await?.ok_or(Error::TokenUserNotFound)?;
    standing.check(bearer, now)
}

/// The same as the query of the guard, which may run again on another connection.
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
