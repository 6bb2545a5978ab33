//! Notifications of PostgreSQL (`NOTIFY`), on a connection of their own. They are hints: one may come twice, late or never.

use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::sleep;

/// How long a server that could not be listened to is left alone.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub(crate) struct Notifications(PgPool);

impl Notifications {
    /// Connects when somebody listens.
    pub(super) fn open(options: PgConnectOptions) -> Self {
        let pool = PgPoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None);
        Self(pool.connect_lazy_with(options))
    }

    /// Calls back for each notification, and whenever one may have been missed, until the pool is closed.
    pub(super) async fn listen(&self, channel: &str, heard: impl Fn()) {
        let mut failing = false;
        let heard = |failing: &mut bool| {
            if std::mem::take(failing) {
                tracing::info!(channel, "notifications are heard again");
            }
            heard();
        };
        while let Err(error) = self.try_listen(channel, || heard(&mut failing)).await {
            if matches!(error, sqlx::Error::PoolClosed) {
                return;
            }
            if !std::mem::replace(&mut failing, true) {
                tracing::warn!(%error, channel, "notifications are not heard; what they announce is noticed later");
            }
            sleep(PAUSE).await;
        }
    }

    async fn try_listen(&self, channel: &str, mut heard: impl FnMut()) -> sqlx::Result<()> {
        let mut listener = PgListener::connect_with(&self.0).await?;
        listener.listen(channel).await?;
        loop {
            heard();
            // None if the connection was lost and another one has been made.
            listener.try_recv().await?;
        }
    }

    pub(super) async fn close(&self) {
        self.0.close().await;
    }
}
