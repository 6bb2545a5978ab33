//! `authfort_oauth_accounts`.

use chrono::{DateTime, Utc};

use crate::db::{Conn, Violation, blocked, classify, row, sql, violation};
use crate::{Error, Result, UserId};

row! {
    #[derive(Debug, Clone)]
    pub(crate) struct AccountRow {
        pub provider: String,
        pub provider_account_id: String,
        pub created_at: DateTime<Utc>,
    }
}

pub(crate) async fn of_user(conn: &mut Conn<'_>, user: UserId) -> Result<Vec<AccountRow>> {
    sql!(
        conn,
        fetch_all,
        query_as::<_, AccountRow>,
        "SELECT provider, provider_account_id, created_at FROM authfort_oauth_accounts WHERE user_id = $1
         ORDER BY provider",
        user
    )
    .map_err(classify)
}

pub(crate) async fn owner(conn: &mut Conn<'_>, provider: &str, account: &str) -> Result<Option<UserId>> {
    sql!(
        conn,
        fetch_optional,
        query_scalar::<_, UserId>,
        "SELECT user_id FROM authfort_oauth_accounts WHERE provider = $1 AND provider_account_id = $2",
        provider,
        account
    )
    .map_err(classify)
}

/// Returns the users who have this id at any provider; two at most. Each provider is a probe of the key, whatever a planner
/// thinks of the table.
pub(crate) async fn owners(conn: &mut Conn<'_>, account: &str) -> Result<Vec<UserId>> {
    sql!(
        conn,
        fetch_all,
        query_scalar::<_, UserId>,
        "WITH RECURSIVE providers (provider) AS (
             SELECT min(provider) FROM authfort_oauth_accounts
             UNION ALL
             SELECT (SELECT min(a.provider) FROM authfort_oauth_accounts a WHERE a.provider > p.provider)
             FROM providers p WHERE p.provider IS NOT NULL),
         owners (user_id) AS (
             SELECT (SELECT a.user_id FROM authfort_oauth_accounts a
                     WHERE a.provider = p.provider AND a.provider_account_id = $1)
             FROM providers p WHERE p.provider IS NOT NULL)
         SELECT DISTINCT user_id FROM owners WHERE user_id IS NOT NULL LIMIT 2",
        account
    )
    .map_err(classify)
}

pub(crate) async fn insert(
    conn: &mut Conn<'_>,
    user: UserId,
    provider: &str,
    account: &str,
    now: DateTime<Utc>,
) -> Result<()> {
    sql!(
        conn,
        execute,
        "INSERT INTO authfort_oauth_accounts (provider, provider_account_id, user_id, created_at)
         VALUES ($1, $2, $3, $4)",
        provider,
        account,
        user,
        now
    )
    .map_err(|error| match violation(&error) {
        Some(Violation::Unique(_)) => Error::AccountLinkedElsewhere,
        _ => classify(error),
    })?;
    Ok(())
}

pub(crate) async fn delete(conn: &mut Conn<'_>, user: UserId, provider: &str) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_oauth_accounts WHERE user_id = $1 AND provider = $2", user, provider)
        .map_err(classify)
}

pub(crate) async fn delete_all(conn: &mut Conn<'_>, user: UserId) -> Result<u64> {
    sql!(conn, execute, "DELETE FROM authfort_oauth_accounts WHERE user_id = $1", user).map_err(blocked)
}
