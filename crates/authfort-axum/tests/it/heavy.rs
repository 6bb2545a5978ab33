//! Tests that measure the whole process run one at a time.

use tokio::sync::{Mutex, MutexGuard};

static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until no other test that measures runs.
pub async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}
