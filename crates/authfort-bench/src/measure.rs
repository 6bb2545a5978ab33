//! A case: what is asked, what it is compared with, and the bar. The sides take turns in short slices, so that whatever
//! else the machine does meets them all alike.

use std::sync::Arc;
use std::time::Duration;

use authfort::AuthFort;

use crate::database::{Database, Engine};
use crate::http::Client;
use crate::load::{Contestant, Side};
use crate::report::{BarReport, CaseReport};
use crate::server::Server;
use crate::{Fault, Outcome};

/// How often the sides take turns, unless one turn takes long.
const ROUNDS: u32 = 5;

/// What every case needs.
pub struct Bench {
    pub database: Arc<Database>,
    /// The library, beside the server, for what is prepared.
    pub auth: AuthFort,
    pub server: Server,
    pub pair: Server,
    pub token: String,
    /// Users that are not anonymized.
    pub users: u64,
    /// How long each side of a case works.
    pub time: Duration,
}

impl Bench {
    pub fn engine(&self) -> Engine {
        self.database.engine()
    }

    pub async fn client(&self) -> Outcome<Client> {
        Client::connect(self.server.address).await
    }
}

/// A line of the table of bars.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// The median is at most so many milliseconds.
    Median(f64),
    /// The median is at most so many times the floor's.
    MedianToFloor(f64),
    /// The median is at most so many times the reference's.
    MedianToReference(f64),
    /// As many requests a second as this share of the floor's, at least.
    RateToFloor(f64),
}

pub struct Case {
    pub name: &'static str,
    pub concurrency: usize,
    pub subject: Contestant,
    /// Another request of the same server, by the name of its case.
    pub reference: Option<(&'static str, Contestant)>,
    pub floor: Option<(&'static str, Contestant)>,
    pub bars: Vec<Bar>,
    /// Most jobs of a worker in a slice, where each uses something up.
    pub most: usize,
    /// How often the sides take turns.
    pub rounds: u32,
    /// Whose processor time is the subject's.
    pub served: Served,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    Example,
    Pair,
    /// Nobody's: it is SQL.
    None,
}

impl Case {
    pub fn new(name: &'static str, concurrency: usize, subject: Contestant) -> Self {
        Self {
            name,
            concurrency,
            subject,
            reference: None,
            floor: None,
            bars: Vec::new(),
            most: usize::MAX,
            rounds: ROUNDS,
            served: Served::Example,
        }
    }

    pub fn reference(self, name: &'static str, reference: &Contestant) -> Self {
        Self { reference: Some((name, reference.clone())), ..self }
    }

    pub fn floor(self, name: &'static str, floor: Contestant) -> Self {
        Self { floor: Some((name, floor)), ..self }
    }

    pub fn bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    /// The figures, or the case's name and what went wrong.
    pub async fn run(self, bench: &Bench) -> Result<CaseReport, (String, Fault)> {
        let name = format!("{} c={}", self.name, self.concurrency);
        self.measured(bench).await.map_err(|error| (name, error))
    }

    async fn measured(self, bench: &Bench) -> Outcome<CaseReport> {
        let served = match self.served {
            Served::Example => Some(&bench.server),
            Served::Pair => Some(&bench.pair),
            Served::None => None,
        };
        let slice = bench.time / self.rounds;
        let mut subject = Side::of(&self.subject, self.concurrency).await?;
        let mut reference = match &self.reference {
            Some((_, contestant)) => Some(Side::of(contestant, self.concurrency).await?),
            None => None,
        };
        let mut floor = match &self.floor {
            Some((_, contestant)) => Some(Side::of(contestant, self.concurrency).await?),
            None => None,
        };
        subject.warm().await?;
        for side in reference.iter_mut().chain(&mut floor) {
            side.warm().await?;
        }
        for _ in 0..self.rounds {
            subject.slice(slice, self.most, served).await?;
            for side in reference.iter_mut().chain(&mut floor) {
                side.slice(slice, self.most, None).await?;
            }
        }
        let mut report = CaseReport {
            name: self.name.to_owned(),
            concurrency: self.concurrency,
            subject: subject.figures(),
            reference: self.reference.map(|(name, _)| name.to_owned()),
            reference_figures: reference.map(Side::figures),
            floor: self.floor.map(|(name, _)| name.to_owned()),
            floor_figures: floor.map(Side::figures),
            bars: Vec::new(),
        };
        report.bars = self.bars.iter().filter_map(|bar| bar.judge(&report)).collect();
        crate::say(&report.line());
        Ok(report)
    }
}

impl Bar {
    fn judge(self, report: &CaseReport) -> Option<BarReport> {
        let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::INFINITY };
        let subject = &report.subject;
        Some(match self {
            Self::Median(limit) => BarReport::at_most("median in ms", subject.median_us / 1e3, limit),
            Self::MedianToFloor(limit) => BarReport::at_most(
                "median / floor",
                ratio(subject.median_us, report.floor_figures.as_ref()?.median_us),
                limit,
            ),
            Self::MedianToReference(limit) => {
                let what = format!("median / {}", report.reference.as_deref().unwrap_or_default());
                BarReport::at_most(&what, ratio(subject.median_us, report.reference_figures.as_ref()?.median_us), limit)
            }
            Self::RateToFloor(limit) => BarReport::at_least(
                "requests a second / floor",
                ratio(subject.per_second, report.floor_figures.as_ref()?.per_second),
                limit,
            ),
        })
    }
}
