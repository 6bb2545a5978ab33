//! Counts the statements that a call sends to the database, from sqlx's own log of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::span::{Attributes, Id};
use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Spans of this name count what happens below them.
const SPAN: &str = "statements";

#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

/// The counter that the next span takes.
static NEXT: Mutex<Option<Counter>> = Mutex::new(None);

struct Statements;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == SPAN
            && let Some(span) = context.span(id)
            && let Some(counter) = NEXT.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            span.extensions_mut().insert(counter);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query"
            && let Some(span) = context.event_span(event)
            && let Some(counter) = span.extensions().get::<Counter>()
        {
            counter.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Awaits a call and counts its statements.
pub async fn counted<T>(call: impl Future<Output = T>) -> (T, usize) {
    static START: Once = Once::new();
    /// One at a time between handing a counter over and its span taking it.
    static TURN: Mutex<()> = Mutex::new(());

    START.call_once(|| {
        let filter = EnvFilter::new("off,sqlx::query=debug,it::statements=info");
        tracing::subscriber::set_global_default(Registry::default().with(filter).with(Statements)).unwrap();
    });
    let counter = Counter::default();
    let span = {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = Some(counter.clone());
        tracing::info_span!("statements")
    };
    let answer = call.instrument(span).await;
    (answer, counter.0.load(Ordering::SeqCst))
}
