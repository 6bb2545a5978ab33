//! `authfort_sessions` and `authfort_refresh_tokens`.

use chrono::{DateTime, Utc};

use crate::db::dynamic::{Statement, run};
use crate::db::{Conn, blocked, classify, row, sql};
use crate::{Result, SessionId, UserId};

row! {
    #[derive(Debug, Clone)]
    pub(crate) struct SessionRow {
        pub id: SessionId,
        pub user_id: UserId,
        pub user_agent: Option<String>,
        pub ip_address: Option<String>,
        pub created_at: DateTime<Utc>,
        pub last_seen_at: DateTime<Utc>,
        pub expires_at: DateTime<Utc>,
        pub final_expires_at: DateTime<Utc>,
        pub revoked_at: Option<DateTime<Utc>>,
    }
}

impl SessionRow {
    pub(crate) fn is_active(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

macro_rules! select {
    ($condition:literal) => {
        concat!(
            "SELECT id, user_id, user_agent, ip_address, created_at, last_seen_at, expires_at, final_expires_at, ",
            "revoked_at FROM authfort_sessions WHERE ",
            $condition
        )
    };
}

pub(crate) async fn insert(conn: &mut Conn<'_>, session: &SessionRow) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_sessions (id, user_id, user_agent, ip_address, created_at, last_seen_at, expires_at,
             final_expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        session.id,
        session.user_id,
        &session.user_agent,
        &session.ip_address,
        session.created_at,
        session.last_seen_at,
        session.expires_at,
        session.final_expires_at
    )
    .map_err(classify)?;
    Ok(())
}

/// Selects sessions: of one user or of all, before one of them, not before another, live at a time.
pub(crate) struct Listed {
    pub user: Option<UserId>,
    pub before: Option<SessionId>,
    pub down_to: Option<SessionId>,
    pub live_at: Option<DateTime<Utc>>,
}

/// Returns sessions, newest first.
pub(crate) async fn list(conn: &mut Conn<'_>, listed: &Listed, limit: i64) -> Result<Vec<SessionRow>> {
    let mut statement = Statement::new(select!("TRUE"));
    if let Some(user) = listed.user {
        statement.push(" AND user_id = ").hide(user);
    }
    if let Some(before) = listed.before {
        statement.push(" AND id < ").hide(before.0);
    }
    if let Some(last) = listed.down_to {
        statement.push(" AND id >= ").hide(last.0);
    }
    if let Some(now) = listed.live_at {
        statement.push(" AND revoked_at IS NULL AND expires_at > ").hide(now);
    }
    statement.push(" ORDER BY id DESC LIMIT ").number(limit);
    run!(conn, fetch_all, sqlx::query_as::<_, SessionRow>, statement).map_err(classify)
}

/// Returns the session that is the n-th, counted backward from one of them or from the newest.
pub(crate) async fn nth_before(conn: &mut Conn<'_>, before: Option<SessionId>, n: i64) -> Result<Option<SessionId>> {
    let mut statement = Statement::new("SELECT id FROM authfort_sessions");
    if let Some(before) = before {
        statement.push(" WHERE id < ").hide(before.0);
    }
    statement.push(" ORDER BY id DESC LIMIT 1 OFFSET ").hide(n - 1);
    run!(conn, fetch_optional, sqlx::query_scalar::<_, SessionId>, statement).map_err(classify)
}

pub(crate) async fn owner(conn: &mut Conn<'_>, id: SessionId) -> Result<Option<UserId>> {
    sql!(conn, fetch_optional, query_scalar::<_, UserId>, "SELECT user_id FROM authfort_sessions WHERE id = $1", id)
        .map_err(classify)
}

/// Counts the live ones among the newest sessions of all users, and how many of the newest there are.
pub(crate) async fn count_live(conn: &mut Conn<'_>, now: DateTime<Utc>, newest: i64) -> Result<(i64, i64)> {
    let mut statement = Statement::new("SELECT count(CASE WHEN s.revoked_at IS NULL AND s.expires_at > ");
    statement.hide(now);
    statement.push(
        " THEN 1 END), count(*)
         FROM (SELECT revoked_at, expires_at FROM authfort_sessions ORDER BY id DESC LIMIT ",
    );
    statement.number(newest).push(") s");
    run!(conn, fetch_one, sqlx::query_as::<_, (i64, i64)>, statement).map_err(classify)
}

/// Returns the user's live sessions beyond the `most` newest; at most 100 of them.
pub(crate) async fn beyond(conn: &mut Conn<'_>, user: UserId, most: i64, now: DateTime<Utc>) -> Result<Vec<SessionId>> {
    sql!(
        conn,
        fetch_all,
        query_scalar::<_, SessionId>,
        "SELECT id FROM authfort_sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2
         ORDER BY id DESC LIMIT 100 OFFSET $3",
        user,
        now,
        most
    )
    .map_err(classify)
}

/// Deletes the refresh tokens of a session that were used before a time.
pub(crate) async fn drop_spent(conn: &mut Conn<'_>, session: SessionId, before: DateTime<Utc>) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_refresh_tokens WHERE session_id = $1 AND used_at < $2", session, before)
        .map_err(classify)
}

/// Returns whether the user has more than `number` sessions, or refresh tokens.
pub(crate) async fn has_many(conn: &mut Conn<'_>, user: UserId, number: i64) -> Result<bool> {
    sql!(
        conn,
        fetch_one,
        query_scalar::<_, bool>,
        "SELECT EXISTS (SELECT 1 FROM authfort_sessions WHERE user_id = $1 LIMIT 1 OFFSET $2)
             OR EXISTS (SELECT 1 FROM authfort_refresh_tokens WHERE user_id = $1 LIMIT 1 OFFSET $2)",
        user,
        number
    )
    .map_err(classify)
}

/// Deletes some of the user's refresh tokens that are no longer usable: used, or of a session that has ended.
pub(crate) async fn delete_dead_tokens(
    conn: &mut Conn<'_>,
    user: UserId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64> {
    sql!(
        conn,
        execute,
        "DELETE FROM authfort_refresh_tokens WHERE token_hash IN (
             SELECT t.token_hash FROM authfort_refresh_tokens t JOIN authfort_sessions s ON s.id = t.session_id
             WHERE t.user_id = $1 AND (t.used_at IS NOT NULL OR s.revoked_at IS NOT NULL OR s.expires_at <= $2)
             LIMIT $3)",
        user,
        now,
        limit
    )
    .map_err(blocked)
}

/// Deletes some of the user's sessions that have ended and have no token left.
pub(crate) async fn delete_dead_sessions(
    conn: &mut Conn<'_>,
    user: UserId,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64> {
    sql!(
        conn,
        execute,
        "DELETE FROM authfort_sessions WHERE id IN (
             SELECT s.id FROM authfort_sessions s
             WHERE s.user_id = $1 AND (s.revoked_at IS NOT NULL OR s.expires_at <= $2)
               AND NOT EXISTS (SELECT 1 FROM authfort_refresh_tokens t WHERE t.session_id = s.id)
             LIMIT $3)",
        user,
        now,
        limit
    )
    .map_err(blocked)
}

/// Locks the session until the transaction ends, and returns it. Where the engine has row locks, this takes two
/// statements, so that the row is read after the lock was acquired.
pub(crate) async fn lock(conn: &mut Conn<'_>, id: SessionId) -> Result<Option<SessionRow>> {
    if conn.has_row_locks() {
        sql!(conn, execute, "SELECT 1 FROM authfort_sessions WHERE id = $1 FOR UPDATE", id).map_err(classify)?;
    }
    sql!(conn, fetch_optional, query_as::<_, SessionRow>, select!("id = $1"), id).map_err(classify)
}

pub(crate) async fn seen(
    conn: &mut Conn<'_>,
    id: SessionId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_sessions SET last_seen_at = $2, expires_at = $3 WHERE id = $1",
        id,
        now,
        expires_at
    )
    .map_err(classify)?;
    Ok(())
}

pub(crate) async fn revoke(conn: &mut Conn<'_>, id: SessionId, now: DateTime<Utc>) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2",
        id,
        now
    )
    .map_err(classify)
}

/// Ends the user's live sessions, all or all but one.
pub(crate) async fn revoke_all(
    conn: &mut Conn<'_>,
    user: UserId,
    except: Option<SessionId>,
    now: DateTime<Utc>,
) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_sessions SET revoked_at = $3
         WHERE user_id = $1 AND ($2 IS NULL OR id <> $2) AND revoked_at IS NULL AND expires_at > $3",
        user,
        except,
        now
    )
    .map_err(classify)
}

pub(crate) async fn delete_all(conn: &mut Conn<'_>, user: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_sessions WHERE user_id = $1", user).map_err(blocked)
}

row! {
    #[derive(Debug, Clone)]
    pub(crate) struct RefreshTokenRow {
        pub session_id: SessionId,
        pub user_id: UserId,
        pub expires_at: DateTime<Utc>,
        pub used_at: Option<DateTime<Utc>>,
        pub child_salt: Option<Vec<u8>>,
    }
}

pub(crate) async fn refresh_token(conn: &mut Conn<'_>, hash: &[u8; 32]) -> Result<Option<RefreshTokenRow>> {
    sql!(
        conn,
        fetch_optional,
        query_as::<_, RefreshTokenRow>,
        "SELECT session_id, user_id, expires_at, used_at, child_salt FROM authfort_refresh_tokens WHERE token_hash = $1",
        hash.as_slice()
    )
    .map_err(classify)
}

/// Reads a refresh token, if its session is live.
pub(crate) async fn live_refresh_token(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<Option<RefreshTokenRow>> {
    sql!(
        conn,
        fetch_optional,
        query_as::<_, RefreshTokenRow>,
        "SELECT t.session_id, t.user_id, t.expires_at, t.used_at, t.child_salt
         FROM authfort_refresh_tokens t JOIN authfort_sessions s ON s.id = t.session_id
         WHERE t.token_hash = $1 AND s.revoked_at IS NULL AND s.expires_at > $2",
        hash.as_slice(),
        now
    )
    .map_err(classify)
}

pub(crate) async fn insert_refresh_token(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    session: SessionId,
    user: UserId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_refresh_tokens (token_hash, session_id, user_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5)",
        hash.as_slice(),
        session,
        user,
        now,
        expires_at
    )
    .map_err(classify)?;
    Ok(())
}

/// Marks the token as used: returns 1 for the first caller, 0 for every later one.
pub(crate) async fn use_refresh_token(
    conn: &mut Conn<'_>,
    hash: &[u8; 32],
    child_salt: &[u8; 32],
    now: DateTime<Utc>,
) -> Result<u64> {
    sql!(
        conn,
        execute,
        "UPDATE authfort_refresh_tokens SET used_at = $2, child_salt = $3 WHERE token_hash = $1 AND used_at IS NULL",
        hash.as_slice(),
        now,
        child_salt.as_slice()
    )
    .map_err(classify)
}

pub(crate) async fn delete_refresh_tokens(conn: &mut Conn<'_>, user: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_refresh_tokens WHERE user_id = $1", user).map_err(blocked)
}
