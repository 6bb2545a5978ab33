//! The figures as tables of Markdown.

use std::fmt::Write as _;

use crate::Outcome;
use crate::report::{CaseReport, Report};

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// A document with other text between its two marks.
pub fn replaced(document: &str, text: &str) -> Outcome<String> {
    let (before, rest) = document.split_once(BEGIN).ok_or("the document has no mark where the figures begin")?;
    let (_, after) = rest.split_once(END).ok_or("the document has no mark where the figures end")?;
    Ok(format!("{before}{BEGIN}\n\n{}\n{END}{after}", text.trim_end()))
}

pub fn tables(report: &Report) -> String {
    let mut text = String::new();
    let versions: Vec<String> = report.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let _ = writeln!(
        text,
        "{}, commit {}, {} users; {}; {}; {} s for each side of a case.",
        report.date,
        report.commit,
        grouped(report.users),
        report.machine,
        versions.join(", "),
        report.seconds_per_side
    );
    for engine in &report.engines {
        let _ = write!(text, "\n### {}\n\n", engine.engine);
        if let Some(settings) = &engine.settings {
            let _ = write!(text, "Settings beside the defaults: `{settings}`.\n\n");
        }
        text.push_str("| work | c | median | p99 | a second | CPU | compared with | bar | |\n|---|---|---|---|---|---|---|---|---|\n");
        for case in &engine.cases {
            text.push_str(&line(case));
        }
        if let Some(memory) = &engine.memory {
            let _ = writeln!(
                text,
                "| memory of the server after all of it | | {:.0} MB | | | | {:.0} MB at the start, {:.0} MB after reading, {:.0} MB at most | ≤ {} MB | {} |",
                memory.resident_mb,
                memory.start_mb,
                memory.read_mb,
                memory.peak_mb,
                memory.bar.limit,
                verdict(memory.bar.met)
            );
        }
        for failure in &engine.failures {
            let _ = write!(text, "\nFailed: {failure}\n");
        }
        for note in &engine.notes {
            let _ = write!(text, "\nNot measured: {note}\n");
        }
    }
    text
}

fn line(case: &CaseReport) -> String {
    let mut beside = Vec::new();
    for (name, figures) in [(&case.reference, &case.reference_figures), (&case.floor, &case.floor_figures)] {
        if let (Some(name), Some(figures)) = (name, figures) {
            beside.push(format!("{name}: {}, {}/s", time(figures.median_us), rate(figures.per_second)));
        }
    }
    let bars: Vec<String> = case
        .bars
        .iter()
        .map(|bar| {
            format!("{} {:.2} ({} {})", bar.what, bar.value, if bar.relation == "<=" { "≤" } else { "≥" }, bar.limit)
        })
        .collect();
    let met = if case.bars.is_empty() { "" } else { verdict(case.bars.iter().all(|bar| bar.met)) };
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {} | {met} |\n",
        case.name,
        case.concurrency,
        time(case.subject.median_us),
        time(case.subject.p99_us),
        rate(case.subject.per_second),
        case.subject.cpu_us.map(time).unwrap_or_default(),
        beside.join("; "),
        bars.join("; "),
    )
}

/// Two reports, case by case; what is only in one is left out.
pub fn comparison(first: &Report, second: &Report) -> String {
    let mut text = format!(
        "First: {}, commit {}, {} users. Second: {}, commit {}, {} users.\n",
        first.date,
        first.commit,
        grouped(first.users),
        second.date,
        second.commit,
        grouped(second.users)
    );
    for before in &first.engines {
        let Some(after) = second.engines.iter().find(|engine| engine.engine == before.engine) else { continue };
        let _ = write!(
            text,
            "\n### {}\n\n| work | c | first | second | second / first | bars, first | bars, second |\n|---|---|---|---|---|---|---|\n",
            before.engine
        );
        for old in &before.cases {
            let same = |case: &&CaseReport| case.name == old.name && case.concurrency == old.concurrency;
            let Some(new) = after.cases.iter().find(same) else { continue };
            let bars = |case: &CaseReport| {
                case.bars
                    .iter()
                    .map(|bar| format!("{:.2} {}", bar.value, verdict(bar.met)))
                    .collect::<Vec<_>>()
                    .join("; ")
            };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {:.2} | {} | {} |",
                old.name,
                old.concurrency,
                time(old.subject.median_us),
                time(new.subject.median_us),
                new.subject.median_us / old.subject.median_us,
                bars(old),
                bars(new)
            );
        }
    }
    text
}

fn rate(per_second: f64) -> String {
    if per_second < 10.0 { format!("{per_second:.2}") } else { format!("{per_second:.0}") }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**not met**" }
}

fn time(us: f64) -> String {
    match us {
        _ if us >= 100_000.0 => format!("{:.0} ms", us / 1e3),
        _ if us >= 1_000.0 => format!("{:.1} ms", us / 1e3),
        _ if us >= 100.0 => format!("{us:.0} µs"),
        _ => format!("{us:.1} µs"),
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
