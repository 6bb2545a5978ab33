//! Notifications of PostgreSQL (`NOTIFY`), on a connection of their own. They are hints: one may come twice, late or never.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};

use super::{Connections, classify, postgres, sql};
use crate::Result;
use crate::metrics::Heard;

/// How long a server may take to connect or to pass a notification on, and is left alone if it does not.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct Notifications {
    pool: PgPool,
    is_heard: Heard,
}

impl Notifications {
    /// Connects when somebody listens.
    pub(super) fn open(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(PAUSE);
        Self { pool: pool.connect_lazy_with(options), is_heard: Heard::new() }
    }

    /// Calls back for each notification, and whenever one may have been missed, until the pool is closed. One
    /// is sent by the connections of the database, to see whether it is heard.
    pub(super) async fn listen(&self, channel: &str, database: &Connections, heard: impl Fn()) {
        let mut failing = false;
        let heard = |failing: &mut bool| {
            if std::mem::take(failing) {
                tracing::info!(channel, "notifications are heard again");
            }
            heard();
        };
        loop {
            let listening = self.try_listen(channel, database, || heard(&mut failing));
            // Else the pool would be closed only when a server has answered.
            let Ok(ended) = self.pool.close_event().do_until(listening).await else { return };
            self.is_heard.set(false);
            if let Err(error) = ended
                && !std::mem::replace(&mut failing, true)
            {
                tracing::warn!(%error, channel, "notifications are not heard; what they announce is noticed later");
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_listen(&self, channel: &str, database: &Connections, mut heard: impl FnMut()) -> Result<()> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(channel).await?;
        notify(database, channel).await?;
        if timeout(PAUSE, listener.recv()).await.is_err() {
            tracing::warn!(
                channel,
                "a notification that was sent is not heard: the URL to listen at leads to another database, or to a pooler \
                 that passes none on; what they announce is noticed later"
            );
        } else {
            self.is_heard.set(true);
        }
        loop {
            heard();
            // None if the connection was lost and another one has been made.
            if listener.try_recv().await?.is_some() {
                self.is_heard.set(true);
            }
        }
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

async fn notify(database: &Connections, channel: &str) -> Result<()> {
    let mut tx = postgres::begin(database).await?;
    sql!(&mut tx.conn(), execute, "SELECT pg_notify($1, '')", channel).map_err(classify)?;
    tx.commit().await
}
