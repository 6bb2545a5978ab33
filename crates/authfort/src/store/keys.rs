//! `authfort_signing_keys`.

use chrono::{DateTime, Utc};

use crate::Result;
use crate::db::{Conn, fault, row, sql};

row! {
    #[derive(Clone)]
    pub(crate) struct KeyRow {
        pub kid: String,
        pub algorithm: String,
        pub public_jwk: String,
        pub private_key: String,
        pub current: bool,
        pub created_at: DateTime<Utc>,
        pub expires_at: Option<DateTime<Utc>>,
    }
}

/// Newest first.
pub(crate) async fn all(conn: &mut Conn<'_>) -> Result<Vec<KeyRow>> {
    sql!(
        conn,
        fetch_all,
        query_as::<_, KeyRow>,
        "SELECT kid, algorithm, public_jwk, private_key, current, created_at, expires_at FROM authfort_signing_keys
         ORDER BY created_at DESC, kid"
    )
    .map_err(fault)
}

/// 1, or 0 where another node has made a current key in the meantime.
pub(crate) async fn insert_current(conn: &mut Conn<'_>, key: &KeyRow) -> Result<u64> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_signing_keys (kid, algorithm, public_jwk, private_key, current, created_at)
         VALUES ($1, $2, $3, $4, TRUE, $5) ON CONFLICT DO NOTHING",
        &key.kid,
        &key.algorithm,
        &key.public_jwk,
        &key.private_key,
        key.created_at
    )
    .map_err(fault)
}

/// Ends the signing of the current key and forgets its private half: 1, or 0 where it is not the current key any more.
pub(crate) async fn retire(conn: &mut Conn<'_>, kid: &str, expires_at: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys SET current = FALSE, private_key = '', expires_at = $2 WHERE kid = $1 AND current",
        kid,
        expires_at
    )
    .map_err(fault)
}

/// Stores the private half in another form, where it is still in the one that was read.
pub(crate) async fn replace_private_key(conn: &mut Conn<'_>, kid: &str, old: &str, new: &str) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys SET private_key = $3 WHERE kid = $1 AND private_key = $2",
        kid,
        old,
        new
    )
    .map_err(fault)
}

/// Ends the overlap of all keys that do not sign any more.
pub(crate) async fn expire_retired(conn: &mut Conn<'_>, now: DateTime<Utc>) -> Result<u64> {
    sql!(conn, execute, "UPDATE authfort_signing_keys SET expires_at = $1 WHERE NOT current AND expires_at > $1", now)
        .map_err(fault)
}
