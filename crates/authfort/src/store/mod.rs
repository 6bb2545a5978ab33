//! All the SQL, one file for each family of tables. There are no rules here: a function runs one statement.

pub(crate) mod accounts;
pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod roles;
pub(crate) mod sessions;
pub(crate) mod standing;
pub(crate) mod standing_changes;
pub(crate) mod subscriptions;
pub(crate) mod users;
pub(crate) mod verification;
#[cfg(feature = "webhooks")]
pub(crate) mod webhooks;

use crate::Result;
use crate::db::{Conn, ReadQuery, classify, sql};

/// Checks that the database answers.
pub(crate) struct Ping;

impl ReadQuery for Ping {
    type Answer = ();

    async fn run(&self, conn: &mut Conn<'_>) -> Result<()> {
        sql!(conn, execute, "SELECT 1").map_err(classify)?;
        Ok(())
    }
}
