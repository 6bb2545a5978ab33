//! `authfort_signing_keys`: a sequence of keys, each of which signs from its `signs_from` until that of the next one.

use chrono::{DateTime, Utc};

use crate::Result;
use crate::db::{Conn, ReadQuery, classify, row, sql};

row! {
    /// A key without its private half.
    #[derive(Clone)]
    pub(crate) struct KeyRow {
        pub kid: String,
        pub algorithm: String,
        pub public_jwk: String,
        /// Whether its private half is still there.
        pub can_sign: bool,
        pub created_at: DateTime<Utc>,
        pub signs_from: DateTime<Utc>,
        /// When it stops verifying; none for the last key of the sequence.
        pub expires_at: Option<DateTime<Utc>>,
    }
}

/// A new key.
#[derive(Clone)]
pub(crate) struct NewKey {
    pub kid: String,
    pub algorithm: &'static str,
    pub public_jwk: String,
    pub private_key: String,
    pub created_at: DateTime<Utc>,
}

/// Returns all keys, newest first.
pub(crate) async fn all(conn: &mut Conn<'_>) -> Result<Vec<KeyRow>> {
    sql!(
        conn,
        fetch_all,
        query_as::<_, KeyRow>,
        "SELECT kid, algorithm, public_jwk, private_key <> '' AS can_sign, created_at, signs_from, expires_at
         FROM authfort_signing_keys ORDER BY created_at DESC, signs_from DESC"
    )
    .map_err(classify)
}

/// [`all`] as a query that may run again on another connection.
pub(crate) struct All;

impl ReadQuery for All {
    type Answer = Vec<KeyRow>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Vec<KeyRow>> {
        all(conn).await
    }
}

/// Reads the private half of a key, as it is stored; none if it was deleted.
pub(crate) async fn private_key(conn: &mut Conn<'_>, kid: &str) -> Result<Option<String>> {
    sql!(
        conn,
        fetch_optional,
        query_scalar::<_, String>,
        "SELECT private_key FROM authfort_signing_keys WHERE kid = $1 AND private_key <> ''",
        kid
    )
    .map_err(classify)
}

/// Appends a key to the sequence: returns 1, or 0 if another node has appended one in the meantime.
pub(crate) async fn append(conn: &mut Conn<'_>, key: &NewKey, signs_from: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_signing_keys (kid, algorithm, public_jwk, private_key, created_at, signs_from)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        &key.kid,
        key.algorithm,
        &key.public_jwk,
        &key.private_key,
        key.created_at,
        signs_from
    )
    .map_err(classify)
}

/// Sets when the last key stops verifying, so that another can follow: returns 1, or 0 if the key is no longer last.
pub(crate) async fn retire(conn: &mut Conn<'_>, kid: &str, expires_at: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys SET expires_at = $2 WHERE kid = $1 AND expires_at IS NULL",
        kid,
        expires_at
    )
    .map_err(classify)
}

/// Invalidates all keys but the last one, and deletes their private halves.
pub(crate) async fn revoke_older(conn: &mut Conn<'_>, now: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys
         SET private_key = '', expires_at = CASE WHEN expires_at > $1 THEN $1 ELSE expires_at END
         WHERE expires_at IS NOT NULL",
        now
    )
    .map_err(classify)
}

/// Deletes the private halves of keys whose successors sign since this time or earlier.
pub(crate) async fn forget(conn: &mut Conn<'_>, since: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys SET private_key = ''
         WHERE private_key <> '' AND signs_from < (
             SELECT max(k.signs_from) FROM authfort_signing_keys k WHERE k.signs_from <= $1 AND k.private_key <> '')",
        since
    )
    .map_err(classify)
}

/// Replaces the stored form of a private half, if it is still the one that was read.
pub(crate) async fn replace_private_key(conn: &mut Conn<'_>, kid: &str, old: &str, new: &str) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_signing_keys SET private_key = $3 WHERE kid = $1 AND private_key = $2",
        kid,
        old,
        new
    )
    .map_err(classify)
}

row! {
    /// A private half that was stored unencrypted.
    pub(crate) struct InClear {
        pub kid: String,
        pub algorithm: String,
        pub private_key: String,
    }
}

/// Returns the keys whose private halves are not encrypted.
pub(crate) async fn in_clear(conn: &mut Conn<'_>) -> Result<Vec<InClear>> {
    sql!(
        conn,
        fetch_all,
        query_as::<_, InClear>,
        "SELECT kid, algorithm, private_key FROM authfort_signing_keys
         WHERE private_key <> '' AND private_key NOT LIKE 'v1.%' ORDER BY kid"
    )
    .map_err(classify)
}
