//! The kept totals: compared with a recount, and corrected.
//!
//! Lists and counts by any combination of banned, anonymized, verified and at most one role do not count users: triggers
//! of the database keep these totals, whichever program writes to the tables. They can become wrong only where triggers do
//! not run: `REPLACE` on SQLite, disabled triggers and a restore of data alone on PostgreSQL, and a transaction at
//! `REPEATABLE READ` or above that changes a user while another one gives that user a role.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use serde::Serialize;

use crate::core::Core;
use crate::db::Conn;
use crate::work::{Joinable, Operation, Verdict, Work, Write};
use crate::{AuthFort, Result, store};

impl AuthFort {
    /// Compares the kept totals with a recount of all users. It reads both tables once and blocks no writer.
    pub fn check_totals(&self) -> CheckTotals {
        CheckTotals(self.core().clone())
    }

    /// Corrects the kept totals and answers what was wrong. On PostgreSQL writers go on meanwhile. No event.
    pub fn repair_totals(&self) -> Write<RepairTotals> {
        Write::new(self.core(), RepairTotals)
    }
}

/// What a check of the kept totals found.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// auth.create_user("jane@example.com").role("editor").await?;
/// let check = auth.check_totals().await?;
/// assert!(check.is_consistent(), "{:?}", check.differences);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TotalsCheck {
    /// The totals that differ from a recount.
    pub differences: Vec<TotalDifference>,
    /// The number of role rows whose copy of their user's keys and state is out of date, or whose user is gone. The totals of a
    /// role and its lists follow the copy; a row without a user ends such a list early.
    pub stale_roles: i64,
}

impl TotalsCheck {
    /// Returns whether nothing differs.
    pub fn is_consistent(&self) -> bool {
        self.differences.is_empty() && self.stale_roles == 0
    }
}

/// A kept total that differs from a recount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TotalDifference {
    /// The role of the users; none for all users.
    pub role: Option<String>,
    /// Whether the users are anonymized.
    pub deleted: bool,
    /// Whether their addresses are verified.
    pub verified: bool,
    /// The day (UTC) on which their bans end, or `never`; none for all users, banned or not.
    pub ban_day: Option<String>,
    /// The number that is kept.
    pub kept: i64,
    /// The number that a recount gives.
    pub counted: i64,
}

/// Compares the kept totals with a recount; created by [`AuthFort::check_totals`](crate::AuthFort::check_totals).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct CheckTotals(Core);

/// Corrects the kept totals; created by [`AuthFort::repair_totals`](crate::AuthFort::repair_totals).
#[derive(Debug, Clone)]
pub struct RepairTotals;

async fn check(conn: &mut Conn<'_>) -> Result<TotalsCheck> {
    let some = |text: String| if text.is_empty() { None } else { Some(text) };
    let differences = store::users::totals::differences(conn).await?;
    let differences = differences.into_iter().map(|found| TotalDifference {
        role: some(found.role),
        deleted: found.deleted,
        verified: found.verified,
        ban_day: some(found.ban_day),
        kept: found.kept,
        counted: found.counted,
    });
    let stale_roles = store::users::totals::stale_roles(conn).await?;
    Ok(TotalsCheck { differences: differences.collect(), stale_roles })
}

impl IntoFuture for CheckTotals {
    type Output = Result<TotalsCheck>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut conn = self.0.db().read().await?;
            check(&mut conn.conn()).await
        })
    }
}

impl Joinable for RepairTotals {}

impl Operation for RepairTotals {
    type Output = TotalsCheck;

    async fn apply(&self, work: &mut Work<'_>) -> Result<Verdict<TotalsCheck>> {
        let found = check(&mut work.conn).await?;
        if found.stale_roles > 0 {
            store::users::totals::refresh_roles(&mut work.conn).await?;
        }
        if !found.is_consistent() {
            store::users::totals::correct(&mut work.conn).await?;
        }
        Ok(Verdict::Commit(found))
    }
}
