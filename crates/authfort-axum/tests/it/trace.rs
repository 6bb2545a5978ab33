//! What the program says about itself: statements counted for one request, and everything that is logged.

use std::collections::HashMap;
use std::future::Future;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::filter::{dynamic_filter_fn, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// Statements by the span that they ran in: tests run side by side, and SQLite works on threads of its own.
static STATEMENTS: Mutex<Option<HashMap<u64, Vec<String>>>> = Mutex::new(None);

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static CAPTURES: AtomicUsize = AtomicUsize::new(0);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Listens from now on; once for the whole process.
pub fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let count = Count.with_filter(filter_fn(|meta| meta.target() == "sqlx::query" || meta.name() == "counted"));
        let log = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_span_events(FmtSpan::NEW)
            .with_writer(|| Log)
            .with_filter(dynamic_filter_fn(|_, _| CAPTURES.load(Ordering::Relaxed) > 0));
        tracing_subscriber::registry().with(count).with(log).init();
    });
}

struct Count;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else { return };
        let mut text = String::new();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            if field.name() == "summary" {
                text = format!("{value:?}");
            }
        });
        for span in scope {
            if let Some(statements) = lock(&STATEMENTS).get_or_insert_default().get_mut(&span.id().into_u64()) {
                statements.push(text.clone());
            }
        }
    }
}

/// Runs something, and says which statements it sent to the database, apart from those that set up a new connection.
pub async fn statements<T>(work: impl Future<Output = T>) -> (T, Vec<String>) {
    let span = tracing::error_span!("counted");
    let id = span.id().unwrap().into_u64();
    lock(&STATEMENTS).get_or_insert_default().insert(id, Vec::new());
    let output = work.instrument(span).await;
    let mut sent = lock(&STATEMENTS).get_or_insert_default().remove(&id).unwrap();
    // A pool opens another connection whenever the one before is not back yet.
    sent.retain(|text| !["PRAGMA", "SET jit", "set_config("].iter().any(|setting| text.contains(setting)));
    (output, sent)
}

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&LOG).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Everything that is logged at any level while this lives, also by tests that run at the same time.
pub struct Capture(usize);

impl Capture {
    pub fn start() -> Self {
        install();
        let log = lock(&LOG);
        CAPTURES.fetch_add(1, Ordering::Relaxed);
        Self(log.len())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&LOG)[self.0..]).into_owned()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let mut log = lock(&LOG);
        if CAPTURES.fetch_sub(1, Ordering::Relaxed) == 1 {
            *log = Vec::new();
        }
    }
}
