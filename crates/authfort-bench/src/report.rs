//! The figures as data.

use serde::{Deserialize, Serialize};

use crate::server::Memory;

#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    pub date: String,
    pub commit: String,
    pub machine: String,
    pub versions: Vec<(String, String)>,
    pub users: u64,
    pub seconds_per_side: f64,
    pub engines: Vec<EngineReport>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EngineReport {
    pub engine: String,
    /// What the server was given beside its defaults.
    pub settings: Option<String>,
    pub cases: Vec<CaseReport>,
    /// The example server's memory before and after all cases.
    pub memory: Option<Memories>,
    /// What could not be measured, and why.
    pub notes: Vec<String>,
    /// Cases that were answered wrongly, or not at all.
    #[serde(default)]
    pub failures: Vec<String>,
}

impl EngineReport {
    /// A case that fails does not keep the others from being measured.
    pub fn take(&mut self, found: &Result<CaseReport, (String, crate::Fault)>) {
        match found {
            Ok(report) => self.cases.push(report.clone()),
            Err((name, error)) => {
                crate::say(&format!("{name}: FAILED: {error}"));
                self.failures.push(format!("{name}: {error}"));
            }
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    pub name: String,
    pub concurrency: usize,
    pub subject: Figures,
    pub reference: Option<String>,
    pub reference_figures: Option<Figures>,
    pub floor: Option<String>,
    pub floor_figures: Option<Figures>,
    pub bars: Vec<BarReport>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Figures {
    pub count: usize,
    pub median_us: f64,
    pub p99_us: f64,
    pub per_second: f64,
    /// Of the server, user and system.
    pub cpu_us: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BarReport {
    pub what: String,
    pub value: f64,
    /// `<=` or `>=`.
    pub relation: String,
    pub limit: f64,
    pub met: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Memories {
    pub start_mb: f64,
    /// Before the cases that change something, and that hash passwords.
    pub read_mb: f64,
    pub resident_mb: f64,
    pub peak_mb: f64,
    pub bar: BarReport,
}

impl BarReport {
    pub fn at_most(what: &str, value: f64, limit: f64) -> Self {
        Self { what: what.to_owned(), value, relation: "<=".into(), limit, met: value <= limit }
    }

    pub fn at_least(what: &str, value: f64, limit: f64) -> Self {
        Self { what: what.to_owned(), value, relation: ">=".into(), limit, met: value >= limit }
    }

    pub fn line(&self) -> String {
        let relation = if self.relation == "<=" { "≤" } else { "≥" };
        let verdict = if self.met { "met" } else { "NOT MET" };
        format!("{} {:.2} ({relation} {}) {verdict}", self.what, self.value, self.limit)
    }
}

impl Memories {
    pub fn of(start: Memory, read: Memory, end: Memory) -> Self {
        Self {
            start_mb: start.resident_mb,
            read_mb: read.resident_mb,
            resident_mb: end.resident_mb,
            peak_mb: end.peak_mb,
            bar: BarReport::at_most("resident MB", end.resident_mb, 60.0),
        }
    }

    pub fn line(&self) -> String {
        format!(
            "memory: {:.0} MB at the start, {:.0} MB after reading, {:.0} MB now, {:.0} MB at most",
            self.start_mb, self.read_mb, self.resident_mb, self.peak_mb
        )
    }
}

impl CaseReport {
    /// For whoever watches.
    pub fn line(&self) -> String {
        let show = |figures: &Figures| {
            format!("{:.0} µs, p99 {:.0}, {:.0}/s", figures.median_us, figures.p99_us, figures.per_second)
        };
        let mut line = format!("{} c={}: {}", self.name, self.concurrency, show(&self.subject));
        if let Some(cpu) = self.subject.cpu_us {
            line.extend([", cpu ", &format!("{cpu:.0}"), " µs"]);
        }
        for (name, figures) in [(&self.reference, &self.reference_figures), (&self.floor, &self.floor_figures)] {
            if let (Some(name), Some(figures)) = (name, figures) {
                line.extend([" | ", name, ": ", &show(figures)]);
            }
        }
        for bar in &self.bars {
            line.extend([" | ", &bar.line()]);
        }
        line
    }
}
