//! Authorizes a caller against the current state of the database. The guard does this for each request, and every
//! change does it again under its locks. Both call [`Standing::check`](crate::model::standing::Standing::check), so they
//! cannot differ.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::db::Conn;
use crate::model::principal::Principal;
use crate::model::standing::Bearer;
use crate::{Error, Result, store};

/// Reads the standing of a bearer with one statement and checks it. The token's key is not checked.
pub(crate) async fn confirm(conn: &mut Conn<'_>, bearer: &Bearer, now: DateTime<Utc>) -> Result<Arc<Principal>> {
    store::standing::read(conn, bearer, None).await?.ok_or(Error::TokenUserNotFound)?.check(now).cloned()
}
