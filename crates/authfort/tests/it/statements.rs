//! The statements that a call sends to the database, from sqlx's own log of them.

use std::fmt;
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// Spans of this name record what happens below them.
const SPAN: &str = "statements";

#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<String>>>);

/// The record that the next span takes.
static NEXT: Mutex<Option<Record>> = Mutex::new(None);

/// A statement is its own summary if it is short, and a field of its own if not.
#[derive(Default)]
struct Text {
    summary: String,
    statement: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            "db.statement" => value.trim().clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

struct Statements;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Statements {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if attributes.metadata().name() == SPAN
            && let Some(span) = context.span(id)
            && let Some(record) = NEXT.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            span.extensions_mut().insert(record);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query"
            && let Some(span) = context.event_span(event)
            && let Some(record) = span.extensions().get::<Record>()
        {
            let mut text = Text::default();
            event.record(&mut text);
            let text = if text.statement.is_empty() { text.summary } else { text.statement };
            record.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        }
    }
}

/// Awaits a call and counts its statements.
pub async fn counted<T>(call: impl Future<Output = T>) -> (T, usize) {
    let (answer, statements) = recorded(call).await;
    (answer, statements.len())
}

/// Awaits a call and returns its statements.
pub async fn recorded<T>(call: impl Future<Output = T>) -> (T, Vec<String>) {
    static START: Once = Once::new();
    /// One at a time between handing a record over and its span taking it.
    static TURN: Mutex<()> = Mutex::new(());

    START.call_once(|| {
        let filter = EnvFilter::new("off,sqlx::query=debug,it::statements=info");
        tracing::subscriber::set_global_default(Registry::default().with(filter).with(Statements)).unwrap();
    });
    let record = Record::default();
    let span = {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.clone());
        tracing::info_span!("statements")
    };
    let answer = call.instrument(span).await;
    let statements = std::mem::take(&mut *record.0.lock().unwrap_or_else(PoisonError::into_inner));
    (answer, statements)
}
