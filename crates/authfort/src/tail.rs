//! Follows the log of events in the order of commits.
//!
//! Each event has a position. Positions become visible in their order, so whoever has seen one has seen all before it: a reader
//! keeps one number. On SQLite a position is given when the event is written, since there is one writer at a time. On
//! PostgreSQL, transactions commit in another order than they write, so events get their positions after the commit, by
//! whoever follows the log ([`store::events::place`]), one at a time.
//!
//! Nothing is read while nobody [follows](Tail::follow). A commit of this process ends the wait for news; what others commit is
//! found within [`PAUSE`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::db::{Db, silent};
use crate::store::events::{Committed, End, LastUntil, Logged, PositionOf, Selection, place};
use crate::{Error, EventId, Result};

/// How long nobody looks whether another process has committed something, or a transaction of the application.
pub(crate) const PAUSE: Duration = Duration::from_millis(250);
/// The first pause after a change in a transaction of the application, which may be committed soon; the next ones are longer.
const SHORT: Duration = Duration::from_millis(5);
/// How many events get their positions in one transaction.
const PLACED: i64 = 1_000;
/// How many events are read at a time, out of how many.
pub(crate) const BATCH: usize = 100;
const WINDOW: i64 = 10_000;
/// How many streams of events may be open.
const STREAMS: usize = 256;

/// Returns whether an error says that the service was closed.
pub(crate) fn is_closed(error: &Error) -> bool {
    matches!(error, Error::DatabaseUnavailable(sqlx::Error::PoolClosed))
}

pub(crate) struct Tail {
    db: Db,
    /// This process, in the log.
    node: Uuid,
    /// The last position when the log was last read.
    last: watch::Sender<i64>,
    looking: Mutex<()>,
    /// Ends the wait for news.
    wake: Notify,
    /// Says that a transaction of the application may be committed soon.
    joined: Notify,
    /// Permits for streams of events.
    streams: Arc<Semaphore>,
    /// Ends those that are open.
    end_streams: watch::Sender<()>,
}

impl Tail {
    /// Begins to follow the log, from its present end, until the tasks are dropped or the pool is closed.
    pub(crate) async fn start(db: &Db, tasks: &mut JoinSet<()>) -> Result<Arc<Self>> {
        let (last, _) = watch::channel(db.on_read(&End).await?.0);
        let node = Uuid::from_bytes(crate::crypto::random::<16>()?);
        let tail = Arc::new(Self {
            db: db.clone(),
            node,
            last,
            looking: Mutex::default(),
            wake: Notify::new(),
            joined: Notify::new(),
            streams: Arc::new(Semaphore::new(STREAMS)),
            end_streams: watch::Sender::new(()),
        });
        tasks.spawn(Arc::clone(&tail).run());
        Ok(tail)
    }

    pub(crate) fn node(&self) -> Uuid {
        self.node
    }

    /// Says that this process has committed events.
    pub(crate) fn committed(&self) {
        self.wake.notify_one();
    }

    /// Says that events were written in a transaction of the application.
    pub(crate) fn joined(&self) {
        self.joined.notify_one();
    }

    /// Returns a reader of what comes after a position, or after what is known of the log; and the log is followed as long as
    /// there is any reader.
    pub(crate) fn follow(&self, after: Option<i64>, selection: Selection) -> Follower {
        let last = self.last.subscribe();
        self.wake.notify_one();
        let position = after.unwrap_or_else(|| *last.borrow());
        Follower { last, position, selection }
    }

    /// Returns the last event until a position; none if there is none.
    pub(crate) async fn last_until(&self, position: i64) -> Result<Option<EventId>> {
        self.db.on_read(&LastUntil(position)).await
    }

    /// Returns the position of an event; none if there is no such event.
    pub(crate) async fn position_of(&self, id: EventId) -> Result<Option<i64>> {
        self.look().await?;
        match self.db.on_read(&PositionOf(id)).await? {
            None => Ok(None),
            Some(None) => Err(Error::Overloaded),
            Some(position) => Ok(position),
        }
    }

    /// Returns the position of what was committed last.
    pub(crate) async fn end(&self) -> Result<i64> {
        self.look().await?;
        Ok(*self.last.borrow())
    }

    /// Counts a stream of events as open until the permit is dropped. The receiver says that it has to end.
    pub(crate) fn open_stream(&self) -> Result<(OwnedSemaphorePermit, watch::Receiver<()>)> {
        let permit = Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Error::Overloaded)?;
        Ok((permit, self.end_streams.subscribe()))
    }

    pub(crate) fn end_streams(&self) {
        self.end_streams.send_replace(());
    }

    async fn run(self: Arc<Self>) {
        let mut pause = PAUSE;
        let mut failing = false;
        loop {
            if self.last.receiver_count() == 0 {
                self.wake.notified().await;
                continue;
            }
            match self.look().await {
                Ok(()) if std::mem::take(&mut failing) => tracing::info!("the log of events is read again"),
                Ok(()) => {}
                Err(error) if is_closed(&error) => return,
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(?error, "the log of events cannot be read; whoever follows it waits");
                    }
                    sleep(PAUSE).await;
                }
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.joined.notified() => pause = SHORT,
                () = sleep(pause) => pause = (pause * 2).min(PAUSE),
            }
        }
    }

    /// Gives committed events their positions, and tells the followers of them.
    async fn look(&self) -> Result<()> {
        // One at a time: else an answer that comes late would take `last` back. And whoever waits here holds no connection.
        let _alone = self.looking.lock().await;
        let mut goes_on = true;
        loop {
            let (last, waits) = self.db.on_read(&End).await?;
            self.last.send_if_modified(|known| std::mem::replace(known, last) != last);
            if !(waits && goes_on) {
                return Ok(());
            }
            // Fewer are all that were committed when the placing began. What it placed, or somebody else, is read after it.
            let placed = timeout(self.db.patience(), place(&self.db, PLACED)).await;
            goes_on = placed.map_err(|_| silent("no answer within acquire_timeout"))?? == PLACED;
        }
    }
}

/// Reads the log from a position on.
pub(crate) struct Follower {
    last: watch::Receiver<i64>,
    position: i64,
    selection: Selection,
}

impl Follower {
    /// Returns up to where the log was read.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Waits for news and reads some of the log, in the order of commits; perhaps there is nothing that was selected. After an
    /// error, or if the future is dropped, the next call reads the same again.
    pub(crate) async fn next(&mut self, tail: &Tail) -> Result<Vec<Logged>> {
        // The sender lives as long as the tail.
        let last =
            self.last.wait_for(|last| *last != self.position).await.map(|last| *last).map_err(Error::internal)?;
        if last < self.position {
            tracing::warn!(
                last,
                seen = self.position,
                "the log of events went back; whoever follows it goes on from its end"
            );
            self.position = last;
            return Ok(Vec::new());
        }
        // In parts, so that each reading takes a moment, however much is passed over.
        let up_to = last.min(self.position.saturating_add(WINDOW));
        let query = Committed { after: self.position, up_to, selection: &self.selection, limit: BATCH };
        let found = tail.db.on_read(&query).await?;
        let is_full = found.len() == BATCH;
        self.position = found.last().filter(|_| is_full).map_or(up_to, |event| event.position);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use authfort_testkit::{Engine, TestDatabase, both_engines, run};
    use futures_util::future::join_all;

    use super::*;
    use crate::db::sql;
    use crate::{Algorithm, AuthFort};

    async fn service(db: &TestDatabase) -> AuthFort {
        AuthFort::builder().algorithm(Algorithm::EdDsa).connect(db.url()).await.unwrap()
    }

    /// The log in the order of positions: each with its type and user.
    async fn placed(auth: &AuthFort) -> Vec<(i64, String, Option<Uuid>)> {
        auth.core().tail().look().await.unwrap();
        let mut conn = auth.core().db().read().await.unwrap();
        let text = "SELECT position, type, user_id FROM authfort_events ORDER BY position";
        sql!(&mut conn.conn(), fetch_all, query_as::<_, (i64, String, Option<Uuid>)>, text).unwrap()
    }

    both_engines! {
        async fn positions_have_no_gap_whoever_gives_them(db: TestDatabase) {
            let nodes = [service(&db).await, service(&db).await];
            let writers = (0..20).map(|n| {
                let auth = nodes[n % 2].clone();
                async move {
                    let id = auth.create_user(format!("user{n}@example.com")).role("a").role("b").await.unwrap().id;
                    auth.core().tail().look().await.unwrap();
                    auth.ban_user(id).await.unwrap();
                    auth.core().tail().look().await.unwrap();
                }
            });
            join_all(writers).await;
            let log = placed(&nodes[0]).await;
            assert_eq!(log.iter().map(|(position, ..)| *position).collect::<Vec<_>>(), (1..=81).collect::<Vec<_>>());
            for n in 0..20 {
                let user = nodes[0].find_user_by_email(format!("user{n}@example.com")).await.unwrap().unwrap().id.0;
                let of_user: Vec<_> = log.iter().filter(|event| event.2 == Some(user)).map(|event| event.1.as_str()).collect();
                assert_eq!(of_user, ["user_created", "role_added", "role_added", "user_banned"]);
            }
        }

        async fn a_position_is_never_used_again(db: TestDatabase) {
            let auth = service(&db).await;
            auth.create_user("jane@example.com").await.unwrap();
            assert_eq!(placed(&auth).await.len(), 2);
            let mut tx = auth.core().db().begin().await.unwrap();
            sql!(&mut tx.conn(), execute, "DELETE FROM authfort_events").unwrap();
            tx.commit().await.unwrap();
            auth.create_user("john@example.com").await.unwrap();
            assert_eq!(placed(&auth).await.iter().map(|(position, ..)| *position).collect::<Vec<_>>(), [3]);
            // Another process begins after it.
            assert_eq!(*service(&db).await.core().tail().last.borrow(), 3);
        }
    }

    #[test]
    fn whoever_commits_late_comes_later_and_is_not_missed() {
        run(Engine::Postgres, async |db| {
            let auth = service(&db).await;
            let jane = auth.create_user("jane@example.com").await.unwrap().id;
            let pool = sqlx::PgPool::connect(db.url()).await.unwrap();
            // The first one has the lowest number, and the lowest transaction, and commits last.
            let mut late = pool.begin().await.unwrap();
            sqlx::query("CREATE TABLE orders (id bigint)").execute(&mut *late).await.unwrap();
            auth.create_user("late@example.com").in_tx(&mut late).await.unwrap();
            let mut early = pool.begin().await.unwrap();
            auth.ban_user(jane).in_tx(&mut early).await.unwrap();
            early.commit().await.unwrap();
            let types = |log: Vec<(i64, String, Option<Uuid>)>| {
                log.into_iter().map(|(position, name, _)| (position, name)).collect::<Vec<_>>()
            };
            let begin = [(1, "key_rotated".to_owned()), (2, "user_created".to_owned())];
            let mut expected = begin.to_vec();
            expected.push((3, "user_banned".to_owned()));
            assert_eq!(types(placed(&auth).await), expected);
            // A user's changes are in the order of their locks, whatever their transactions' ids.
            auth.unban_user(jane).in_tx(&mut late).await.unwrap();
            late.commit().await.unwrap();
            expected.push((4, "user_created".to_owned()));
            expected.push((5, "user_unbanned".to_owned()));
            assert_eq!(types(placed(&auth).await), expected);
        });
    }
}
