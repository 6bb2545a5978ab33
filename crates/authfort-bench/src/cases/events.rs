//! What the log costs a change, how fast a subscriber reads it, and what one that is too slow costs the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use authfort::{DeadLetterPolicy, Start};
use sqlx::AssertSqlSafe;

use super::some_ids;
use super::writes::{bans, limited, sql, two_events};
use crate::Outcome;
use crate::database::{Engine, Link};
use crate::load::Side;
use crate::measure::{Bar, Bench, Case, Served};
use crate::people::Dice;
use crate::report::{BarReport, CaseReport, Figures};
use crate::server;

const PRICE: &str = "SQL: ban and unban, with the log";
const DRAIN: &str = "subscriber: events of the log";
const SLOW: &str = "ban and unban beside a slow subscriber";
const EACH_SECOND: usize = 3000;
/// How many events the subscriber reads that is timed, and of how many users; fewer where there are fewer users.
const EVENTS: usize = 50_000;
const USERS: usize = 5_000;
/// For how many times the time of a side the slow one is left behind: a minute, by default.
const LONG: u32 = 30;
/// How often the sides with and without the slow one take turns.
const ROUNDS: u32 = 6;

pub async fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<Case>> {
    if !only(PRICE) {
        return Ok(Vec::new());
    }
    let mut dice = Dice(u64::try_from(bench.auth.now().timestamp_micros())?);
    let many = usize::try_from(bench.time.as_millis())? * EACH_SECOND / 1000 + 10;
    let ids = some_ids(&bench.database, 400).await?;
    let subject = sql(bench, "ban", two_events(&ids, many, &mut dice))?;
    let floor = sql(bench, "ban_unlogged", two_events(&ids, many, &mut dice))?;
    let case = Case::new(PRICE, 1, subject).floor("without the log", floor).bar(Bar::MedianToFloor(1.25));
    Ok(vec![limited(Case { served: Served::None, ..case }, many)])
}

/// What is no comparison of two sides that take turns.
pub async fn others(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Vec<Result<CaseReport, (String, crate::Fault)>> {
    let mut reports = Vec::new();
    if only(DRAIN) {
        reports.push(drain(bench).await.map_err(|error| (DRAIN.to_owned(), error)));
    }
    if only(SLOW) {
        reports.push(slow(bench).await.map_err(|error| (SLOW.to_owned(), error)));
    }
    for report in reports.iter().flatten() {
        crate::say(&report.line());
    }
    reports
}

/// Events that one subscriber receives a second, with a handler that does nothing; with the time that giving positions takes.
async fn drain(bench: &Bench) -> Outcome<CaseReport> {
    let before = bench.auth.list_events().limit(1).await?.events.first().map(|event| event.id).ok_or("an empty log")?;
    let some = format!("(SELECT id FROM authfort_users ORDER BY id LIMIT {USERS}) u");
    let times = EVENTS / USERS;
    let events = match bench.database.link().await? {
        Link::Sqlite(mut conn) => {
            let text = format!(
                "INSERT INTO authfort_events (id, type, timestamp, user_id, data)
                 WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {times})
                 SELECT randomblob(16), 'user_updated', '2030-01-01T00:00:00+00:00', u.id, '{{\"fields\":[\"name\"]}}' FROM n, {some}"
            );
            sqlx::query(AssertSqlSafe(text)).execute(&mut conn).await?.rows_affected()
        }
        Link::Postgres(mut conn) => {
            let text = format!(
                "INSERT INTO authfort_events (id, type, timestamp, user_id, data)
                 SELECT gen_random_uuid(), 'user_updated', now(), u.id, '{{\"fields\":[\"name\"]}}' FROM generate_series(1, {times}) n, {some}"
            );
            sqlx::query(AssertSqlSafe(text)).execute(&mut conn).await?.rows_affected()
        }
    };
    let events = usize::try_from(events)?;
    let received = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&received);
    let name = "bench.drain";
    let begun = Instant::now();
    let call = bench.auth.subscribe(name, move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok::<(), String>(()) }
    });
    let subscription = call.start(Start::After(before)).await?;
    while received.load(Ordering::Relaxed) < events {
        if begun.elapsed() > Duration::from_mins(2) {
            return Err(format!("{} of {events} events in two minutes", received.load(Ordering::Relaxed)).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    subscription.stop().await;
    bench.auth.delete_subscription(name).await?;
    forget(bench).await?;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let per_second = events as f64 / seconds;
    let subject = Figures { count: events, median_us: 1e6 / per_second, p99_us: 0.0, per_second, cpu_us: None };
    let bars = match bench.engine() {
        Engine::Sqlite => Vec::new(),
        Engine::Postgres => vec![BarReport::at_least("events a second", per_second, 5_000.0)],
    };
    Ok(report(DRAIN, subject, None, bars))
}

/// Deletes the events that were only made to be read.
async fn forget(bench: &Bench) -> Outcome<()> {
    let text = "DELETE FROM authfort_events WHERE type = 'user_updated' AND node IS NULL";
    match bench.database.link().await? {
        Link::Sqlite(mut conn) => sqlx::raw_sql(text).execute(&mut conn).await.map(|_| ())?,
        Link::Postgres(mut conn) => sqlx::raw_sql(text).execute(&mut conn).await.map(|_| ())?,
    }
    Ok(())
}

/// Changes while a subscriber takes much longer than they do for each of their events, beside the same changes without it.
async fn slow(bench: &Bench) -> Outcome<CaseReport> {
    let contestant = bans(bench, &some_ids(&bench.database, 200).await?);
    let (mut with, mut without) = (Side::of(&contestant, 1).await?, Side::of(&contestant, 1).await?);
    with.warm().await?;
    without.warm().await?;
    let name = "bench.slow";
    let slice = bench.time * LONG / ROUNDS / 2;
    let mut memory = Vec::new();
    for _ in 0..ROUNDS {
        let call = bench.auth.subscribe(name, |_| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok::<(), String>(())
        });
        let subscription = call.concurrency(1).dead_letters(DeadLetterPolicy::Pass).await?;
        with.slice(slice, usize::MAX, Some(&bench.server)).await?;
        memory.push(server::memory_of("self")?.resident_mb);
        subscription.stop().await;
        without.slice(slice, usize::MAX, Some(&bench.server)).await?;
    }
    let lag = bench.auth.list_subscriptions().await?.iter().find(|one| one.name == name).map_or(0, |one| one.lag);
    bench.auth.delete_subscription(name).await?;
    let (with, without) = (with.figures(), without.figures());
    let (Some(first), Some(last)) = (memory.first(), memory.last()) else { return Err("no round".into()) };
    let bars = vec![
        BarReport::at_most("median / without", with.median_us / without.median_us, 1.10),
        BarReport::at_most("MB more after it was left behind", last - first, 8.0),
    ];
    crate::say(&format!("{SLOW}: it was left {lag} events behind; MB: {memory:.0?}"));
    Ok(report(SLOW, with, Some(("without it", without)), bars))
}

fn report(name: &str, subject: Figures, floor: Option<(&str, Figures)>, bars: Vec<BarReport>) -> CaseReport {
    CaseReport {
        name: name.to_owned(),
        concurrency: 1,
        subject,
        reference: None,
        reference_figures: None,
        floor: floor.map(|(name, _)| name.to_owned()),
        floor_figures: floor.map(|(_, figures)| figures),
        bars,
    }
}
