//! How each engine finds users by a search term.

use super::{Db, Pool};
use crate::Result;

impl Db {
    /// Warns if the index of search terms is missing: on PostgreSQL, the role may not have been allowed to create its
    /// extension.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "SQLite always has the index"))]
    pub(crate) async fn check_search(&self) -> Result<()> {
        let indexed = match &self.read.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => super::postgres::has_search_index(&mut self.read().await?.conn()).await?,
        };
        if !indexed {
            tracing::warn!(
                "searching users reads the whole table: the index authfort_users_search is missing, which needs the \
                 extension pg_trgm"
            );
        }
        Ok(())
    }
}

/// How an index finds users: the tables, `u` among them, the SQL before and after the bound value, and that value.
#[derive(Debug)]
pub(crate) struct SearchSource {
    pub from: &'static str,
    pub before: &'static str,
    pub after: &'static str,
    pub value: String,
}

/// The number of characters that an index of trigrams needs.
const TRIGRAM: usize = 3;

/// Returns whether an index of trigrams can find this term.
pub(crate) fn has_trigram(term: &str) -> bool {
    term.chars().count() >= TRIGRAM
}
