//! `authfort_standing_changes`: whose standing was changed by which commit. The triggers of migrations 6 to 8 write it.

use std::time::Instant;

use crate::db::dynamic::{Statement, run};
use crate::db::position::Position;
use crate::db::{Conn, Db, ReadQuery, classify, row};
use crate::{Error, Result, UserId};

const LOG: &str = "authfort_standing_changes";
/// More changes than this are not told one by one.
const MOST: u16 = 1_000;
/// How many are deleted by one statement.
const SLICE: i64 = 5_000;

row! {
    struct ChangeRow {
        position: String,
        server: String,
        connection: String,
        seconds: i64,
        is_change: Option<bool>,
        user_id: Option<UserId>,
    }
}

/// What a reader has not seen before, and where it is then.
#[derive(Debug)]
pub(crate) struct Changes {
    pub position: Position,
    /// The server of this position, and the connection to it: see [`Conn::server`].
    pub server: String,
    pub connection: String,
    /// The time by the database's clock, in seconds.
    pub seconds: i64,
    /// A moment before the log was read.
    pub began: Instant,
    pub changed: Changed,
}

/// Whose standing was changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    Users(Vec<UserId>),
    /// All users, or too many to tell.
    Everybody,
}

/// Reads what was committed since a position; without one, only where a reader begins.
pub(crate) struct ChangesSince<'a>(pub Option<&'a Position>);

impl ReadQuery for ChangesSince<'_> {
    type Answer = Changes;

    async fn run(&self, conn: &mut Conn<'_>) -> Result<Changes> {
        let began = Instant::now();
        // One statement, and so one snapshot. The changes are on the right of the join, so that there is a row without any.
        let mut statement = Statement::new("SELECT s.*, c.is_change, c.user_id FROM (SELECT ");
        conn.push_position(&mut statement, LOG);
        let (server, connection) = conn.server();
        statement.push(" AS position, ").push(server).push(" AS server, ").push(connection).push(" AS connection, ");
        statement.push(conn.seconds()).push(" AS seconds) s LEFT JOIN ");
        statement.push("(SELECT TRUE AS is_change, n.user_id FROM (");
        match self.0 {
            Some(position) => {
                conn.push_unseen(&mut statement, (LOG, "user_id"), position, i64::from(MOST) + 1);
            }
            None => drop(statement.push("SELECT user_id FROM ").push(LOG).push(" WHERE FALSE")),
        }
        statement.push(") n) c ON TRUE");
        let rows: Vec<ChangeRow> =
            run!(conn, fetch_all, sqlx::query_as::<_, ChangeRow>, statement).map_err(classify)?;

        let logged = || rows.iter().filter(|row| row.is_change.is_some());
        let everybody = logged().count() > usize::from(MOST) || logged().any(|row| row.user_id.is_none());
        let users: Vec<UserId> = logged().filter_map(|row| row.user_id).collect();
        let found = logged().count();
        let first = rows.into_iter().next().ok_or_else(|| Error::internal("a join without its left side"))?;
        let ChangeRow { position, server, connection, seconds, .. } = first;
        let position = Position(position);
        // Somebody else has deleted rows. (PostgreSQL has a trigger for that.)
        let appended = self.0.and_then(|before| position.rows_since(before));
        let is_short = appended.is_some_and(|rows| usize::try_from(rows).is_ok_and(|rows| found < rows));
        let changed = if everybody || is_short { Changed::Everybody } else { Changed::Users(users) };
        Ok(Changes { position, server, connection, seconds, began, changed })
    }
}

/// Deletes what every reader has seen who is at this position or at a later one, in slices; returns how many.
pub(crate) async fn forget_seen(db: &Db, position: &Position) -> Result<u64> {
    let mut deleted = 0;
    loop {
        let mut tx = db.begin().await?;
        let mut conn = tx.conn();
        conn.say_has_read().await?;
        let mut statement = Statement::default();
        conn.push_delete_seen(&mut statement, LOG, position, SLICE);
        let slice = run!(&mut conn, execute, statement).map_err(classify)?;
        tx.commit().await?;
        deleted += slice;
        if slice < SLICE.unsigned_abs() {
            return Ok(deleted);
        }
    }
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase, both_engines, run};

    use super::*;
    use crate::db::sql;
    use crate::{Algorithm, AuthFort};

    async fn service(db: &TestDatabase) -> AuthFort {
        AuthFort::builder().algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap()
    }

    async fn since(auth: &AuthFort, position: Option<&Position>) -> Changes {
        auth.core().db().on_guard(&ChangesSince(position)).await.unwrap()
    }

    async fn logged(auth: &AuthFort) -> i64 {
        let mut reading = auth.core().db().read().await.unwrap();
        sql!(&mut reading.conn(), fetch_one, query_scalar, "SELECT count(*) FROM authfort_standing_changes").unwrap()
    }

    async fn write(conn: &mut Conn<'_>, number: i64) {
        let text = match conn {
            Conn::Sqlite(_) => {
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
                 INSERT INTO authfort_standing_changes (user_id) SELECT randomblob(16) FROM n"
            }
            Conn::Postgres(..) => {
                "INSERT INTO authfort_standing_changes (user_id) SELECT gen_random_uuid() FROM generate_series(1, $1)"
            }
        };
        sql!(conn, execute, text, number).unwrap();
    }

    /// Forgets so many changes, and returns the position at which all were seen. Other tests have transactions on the same
    /// server: while they are open, not everything that was committed before counts as seen.
    async fn forget(auth: &AuthFort, number: u64) -> Position {
        let mut forgotten = 0;
        loop {
            let position = since(auth, None).await.position;
            forgotten += forget_seen(auth.core().db(), &position).await.unwrap();
            assert!(forgotten <= number, "{forgotten}");
            if forgotten == number {
                return position;
            }
            tokio::task::yield_now().await;
        }
    }

    both_engines! {
        async fn a_reader_sees_each_change_once(db: TestDatabase) {
            let auth = service(&db).await;
            let mut last = since(&auth, None).await;
            assert_eq!(last.changed, Changed::Users(Vec::new()), "a reader begins now");
            let jane = auth.create_user("jane@example.com").role("editor").await.unwrap().id;
            let john = auth.create_user("john@example.com").await.unwrap().id;
            auth.ban_user(john).await.unwrap();
            last = since(&auth, Some(&last.position)).await;
            let Changed::Users(mut users) = last.changed else { panic!("{last:?}") };
            users.sort();
            users.dedup();
            assert_eq!(users, [jane, john]);
            last = since(&auth, Some(&last.position)).await;
            assert_eq!(last.changed, Changed::Users(Vec::new()));
            auth.rotate_keys().revoke_old_tokens().await.unwrap();
            last = since(&auth, Some(&last.position)).await;
            assert_eq!(last.changed, Changed::Everybody);
        }

        async fn too_many_changes_are_everybodys(db: TestDatabase) {
            let auth = service(&db).await;
            let last = since(&auth, None).await;
            for (number, all) in [(i64::from(MOST), false), (1, true)] {
                let mut tx = auth.core().db().begin().await.unwrap();
                write(&mut tx.conn(), number).await;
                tx.commit().await.unwrap();
                assert_eq!(since(&auth, Some(&last.position)).await.changed == Changed::Everybody, all);
            }
        }

        async fn who_deletes_changes_that_were_not_read_tells_everybody(db: TestDatabase) {
            let auth = service(&db).await;
            let jane = auth.create_user("jane@example.com").await.unwrap().id;
            let mut last = since(&auth, None).await;
            let ban = "UPDATE authfort_users SET banned = NOT banned";
            let delete = "DELETE FROM authfort_standing_changes";
            // In one transaction, and one after the other.
            for texts in [[ban, delete].as_slice(), &[ban], &[delete]] {
                let mut tx = auth.core().db().begin().await.unwrap();
                for text in texts {
                    sql!(&mut tx.conn(), execute, *text).unwrap();
                }
                tx.commit().await.unwrap();
                if texts != [ban] {
                    last = since(&auth, Some(&last.position)).await;
                    assert_eq!(last.changed, Changed::Everybody, "{texts:?}");
                }
            }
            auth.ban_user(jane).await.unwrap();
            last = since(&auth, Some(&last.position)).await;
            assert!(matches!(&last.changed, Changed::Users(users) if users.iter().all(|user| *user == jane)));
            // The library deletes what was read.
            forget(&auth, logged(&auth).await.unsigned_abs()).await;
            assert_eq!(since(&auth, Some(&last.position)).await.changed, Changed::Users(Vec::new()));
        }

        async fn only_what_every_reader_has_seen_is_forgotten(db: TestDatabase) {
            let auth = service(&db).await;
            let mut tx = auth.core().db().begin().await.unwrap();
            write(&mut tx.conn(), 3).await;
            tx.commit().await.unwrap();
            let seen = forget(&auth, 3).await;
            auth.create_user("jane@example.com").role("editor").await.unwrap();
            assert_eq!(forget_seen(auth.core().db(), &seen).await.unwrap(), 0);
            assert_eq!(logged(&auth).await, 1);
        }
    }

    #[test]
    fn a_row_that_names_no_user_stands_for_all() {
        run(Engine::Sqlite, async |db| {
            let auth = service(&db).await;
            let last = since(&auth, None).await;
            let mut tx = auth.core().db().begin().await.unwrap();
            let text = "INSERT INTO authfort_standing_changes (user_id) VALUES ('no id')";
            sql!(&mut tx.conn(), execute, text).unwrap();
            tx.commit().await.unwrap();
            assert_eq!(since(&auth, Some(&last.position)).await.changed, Changed::Everybody);
        });
    }

    #[test]
    fn tables_that_are_made_anew_are_another_server() {
        run(Engine::Postgres, async |db| {
            let auth = service(&db).await;
            let before = since(&auth, None).await.server;
            assert_eq!(since(&auth, None).await.server, before);
            let mut tx = auth.core().db().begin().await.unwrap();
            for text in [
                "ALTER TABLE authfort_standing_changes RENAME TO old",
                "CREATE TABLE authfort_standing_changes (LIKE old INCLUDING DEFAULTS)",
            ] {
                sql!(&mut tx.conn(), execute, text).unwrap();
            }
            tx.commit().await.unwrap();
            assert_ne!(since(&auth, None).await.server, before);
        });
    }

    #[test]
    fn a_transaction_that_was_open_is_seen_later_and_not_forgotten() {
        run(Engine::Postgres, async |db| {
            let auth = service(&db).await;
            let begin = since(&auth, None).await;
            let mut late = auth.core().db().begin().await.unwrap();
            write(&mut late.conn(), 2).await;
            let mut early = auth.core().db().begin().await.unwrap();
            write(&mut early.conn(), 3).await;
            early.commit().await.unwrap();
            let count = |changes: &Changes| match &changes.changed {
                Changed::Users(users) => users.len(),
                Changed::Everybody => usize::MAX,
            };
            let first = since(&auth, Some(&begin.position)).await;
            assert_eq!(count(&first), 3);
            let again = since(&auth, Some(&first.position)).await;
            assert_eq!(count(&again), 0);
            late.commit().await.unwrap();
            let last = since(&auth, Some(&again.position)).await;
            assert_eq!(count(&last), 2);
            assert_eq!(count(&since(&auth, Some(&last.position)).await), 0);
            // While it was open, no position could tell that its rows were seen.
            assert_eq!(forget_seen(auth.core().db(), &again.position).await.unwrap(), 0);
            forget(&auth, 5).await;
        });
    }
}
