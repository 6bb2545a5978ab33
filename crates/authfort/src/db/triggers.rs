//! The triggers that keep totals, lists, the search index and the guard's log right, whichever program writes.

use std::collections::BTreeSet;

use super::migrate::MIGRATIONS;
use super::{Conn, Db, classify, sql};
use crate::Result;

/// What is off without its triggers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MissingTriggers(Vec<String>);

impl MissingTriggers {
    /// Whether changes may be missing from the log that the guard follows.
    pub(crate) fn concern_the_guard(&self) -> bool {
        self.0.iter().any(|name| name.contains("_standing"))
    }
}

impl Db {
    /// Warns of triggers that are missing or switched off: a restore may have ended before it switched them on again.
    pub(crate) async fn check_triggers(&self) -> Result<MissingTriggers> {
        let mut conn = self.read().await?;
        let mut conn = conn.conn();
        let missing = expected(&conn);
        let on: BTreeSet<String> = triggers(&mut conn).await?.into_iter().collect();
        let missing: Vec<String> = missing.difference(&on).cloned().collect();
        if !missing.is_empty() {
            tracing::warn!(
                triggers = missing.join(", "),
                "triggers are missing or switched off, so totals, lists, searches or the guard may miss changes: create them \
                 again from a copy of the schema, or switch them on (ALTER TABLE … ENABLE TRIGGER), and repair the totals"
            );
        }
        Ok(MissingTriggers(missing))
    }
}

/// Returns the triggers that the migrations leave behind, by their texts.
fn expected(conn: &Conn<'_>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for migration in MIGRATIONS {
        let text = match conn {
            #[cfg(feature = "sqlite")]
            Conn::Sqlite(_) => migration.sqlite,
            #[cfg(feature = "postgres")]
            Conn::Postgres(..) => migration.postgres,
        };
        for line in text.lines() {
            let mut words = line.split([' ', ';']);
            match [words.next(), words.next(), words.next()] {
                [Some("CREATE"), Some("TRIGGER"), Some(name)] => drop(names.insert(name.to_owned())),
                [Some("DROP"), Some("TRIGGER"), Some(name)] => drop(names.remove(name)),
                _ => {}
            }
        }
    }
    names
}

/// Returns the triggers that run.
async fn triggers(conn: &mut Conn<'_>) -> Result<Vec<String>> {
    let text = match conn {
        #[cfg(feature = "sqlite")]
        Conn::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'trigger'",
        #[cfg(feature = "postgres")]
        Conn::Postgres(..) => {
            "SELECT CAST(t.tgname AS text) FROM pg_trigger t
             WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgrelid IN (to_regclass('authfort_users'),
                 to_regclass('authfort_user_roles'), to_regclass('authfort_sessions'), to_regclass('authfort_signing_keys'),
                 to_regclass('authfort_standing_changes'))"
        }
    };
    sql!(conn, fetch_all, query_scalar::<_, String>, text).map_err(classify)
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase, both_engines};

    use super::*;
    use crate::{Algorithm, AuthFort};

    both_engines! {
        async fn a_trigger_that_is_missing_is_told(db: TestDatabase) {
            let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap();
            let db_of = auth.core().db();
            assert_eq!(db_of.check_triggers().await.unwrap(), MissingTriggers(Vec::new()));
            let off = match db.engine() {
                Engine::Sqlite => ["DROP TRIGGER authfort_users_deleted", "DROP TRIGGER authfort_users_standing_updated"],
                Engine::Postgres => [
                    "ALTER TABLE authfort_users DISABLE TRIGGER authfort_users_deleted",
                    "DROP TRIGGER authfort_users_standing_updated ON authfort_users",
                ],
            };
            for (text, guard) in off.into_iter().zip([false, true]) {
                let mut tx = db_of.begin().await.unwrap();
                sql!(&mut tx.conn(), execute, text).unwrap();
                tx.commit().await.unwrap();
                assert_eq!(db_of.check_triggers().await.unwrap().concern_the_guard(), guard);
            }
            let missing = ["authfort_users_deleted", "authfort_users_standing_updated"].map(str::to_owned);
            assert_eq!(db_of.check_triggers().await.unwrap(), MissingTriggers(missing.into()));
            assert!(auth.core().standings().is_some());
            let again = AuthFort::builder().algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap();
            assert!(again.core().standings().is_none(), "the guard asks the database each time");
        }
    }
}
