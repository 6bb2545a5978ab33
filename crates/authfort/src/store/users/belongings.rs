//! What hangs on a user, in numbers.

use crate::db::{Conn, ReadQuery, classify, row, sql};
use crate::{Result, UserId};

row! {
    #[derive(Debug)]
    pub(crate) struct Belongings {
        pub roles: i64,
        pub refresh_tokens: i64,
        pub sessions: i64,
        pub oauth_accounts: i64,
        pub verification_tokens: i64,
    }
}

/// Counts what hangs on a user; none if there is no such user.
pub(crate) struct CountBelongings(pub UserId);

impl ReadQuery for CountBelongings {
    type Answer = Option<Belongings>;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Self::Answer> {
        sql!(
            conn,
            fetch_optional,
            query_as::<_, Belongings>,
            "SELECT (SELECT count(*) FROM authfort_user_roles WHERE user_id = u.id) AS roles,
                 (SELECT count(*) FROM authfort_refresh_tokens WHERE user_id = u.id) AS refresh_tokens,
                 (SELECT count(*) FROM authfort_sessions WHERE user_id = u.id) AS sessions,
                 (SELECT count(*) FROM authfort_oauth_accounts WHERE user_id = u.id) AS oauth_accounts,
                 (SELECT count(*) FROM authfort_verification_tokens WHERE user_id = u.id) AS verification_tokens
             FROM authfort_users u WHERE u.id = $1",
            self.0
        )
        .map_err(classify)
    }
}
