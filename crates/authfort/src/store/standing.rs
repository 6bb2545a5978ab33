//! The guard's query: user, roles, session and key in one statement.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::users::role_list;
use crate::Result;
use crate::db::{Conn, ReadQuery, classify, row, sql};
use crate::model::principal::Principal;
use crate::model::standing::{Bearer, Standing};

row! {
    struct StandingRow {
        email: String,
        name: Option<String>,
        roles: Option<String>,
        token_version: i64,
        banned: bool,
        ban_expires_at: Option<DateTime<Utc>>,
        deleted: bool,
        session_expires_at: Option<DateTime<Utc>>,
        key_known: bool,
        key_expires_at: Option<DateTime<Utc>>,
    }
}

/// Reads the standing of a bearer; none if the user does not exist. If no key is named, it counts as known.
pub(crate) async fn read(conn: &mut Conn<'_>, bearer: &Bearer, kid: Option<&str>) -> Result<Option<Standing>> {
    // The values are hidden from planners: see `Statement::hide`.
    let row = sql!(
        conn,
        fetch_optional,
        query_as::<_, StandingRow>,
        "SELECT u.email, u.name, u.token_version, u.banned, u.ban_expires_at, u.deleted_at IS NOT NULL AS deleted,
             (SELECT string_agg(r.role, ',') FROM authfort_user_roles r WHERE r.user_id = u.id) AS roles,
             (SELECT s.expires_at FROM authfort_sessions s
                 WHERE s.id = (SELECT $2) AND s.user_id = u.id AND s.revoked_at IS NULL) AS session_expires_at,
             $3 IS NULL OR EXISTS (SELECT 1 FROM authfort_signing_keys k WHERE k.kid = (SELECT $3)) AS key_known,
             (SELECT k.expires_at FROM authfort_signing_keys k WHERE k.kid = (SELECT $3)) AS key_expires_at
         FROM authfort_users u WHERE u.id = (SELECT $1)",
        bearer.user_id,
        bearer.session_id,
        kid
    )
    .map_err(classify)?;
    Ok(row.map(|row: StandingRow| Standing {
        caller: Arc::new(Principal {
            user_id: bearer.user_id,
            session_id: bearer.session_id,
            roles: role_list(row.roles.as_deref()),
            email: row.email,
            name: row.name,
            expires_at: bearer.expires_at,
            token_version: bearer.token_version,
        }),
        token_version: row.token_version,
        banned: row.banned,
        ban_expires_at: row.ban_expires_at,
        deleted: row.deleted,
        session_expires_at: row.session_expires_at,
        key_known: row.key_known,
        key_expires_at: row.key_expires_at,
    }))
}

/// [`read`] as the guard's query, which may run again on another connection.
pub(crate) struct Read<'a> {
    pub bearer: &'a Bearer,
    pub kid: &'a str,
}

impl ReadQuery for Read<'_> {
    type Answer = Option<Standing>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Option<Standing>> {
        read(conn, self.bearer, Some(self.kid)).await
    }
}
