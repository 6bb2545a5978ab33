//! The medians of both engines as a plot, in SVG. The scale is logarithmic.

use std::fmt::Write as _;

use crate::report::{CaseReport, Report};

const LABELS: f64 = 290.0;
const WIDTH: f64 = 560.0;
const TOP: f64 = 44.0;
const ROW: f64 = 24.0;
const BAR: f64 = 8.0;
const COLORS: [&str; 2] = ["#b45309", "#1d4ed8"];

/// The ends of the scale, as powers of ten of a microsecond.
const FROM: f64 = 2.0;
const TO: f64 = 6.0;
const TICKS: [(f64, &str); 5] = [(2.0, "0.1 ms"), (3.0, "1 ms"), (4.0, "10 ms"), (5.0, "100 ms"), (6.0, "1 s")];

/// Returns the plot of what is asked over HTTP by one connection.
pub fn svg(report: &Report) -> String {
    let mut names: Vec<&str> = Vec::new();
    for case in report.engines.iter().flat_map(|engine| &engine.cases).filter(|case| is_shown(case)) {
        if !names.contains(&case.name.as_str()) {
            names.push(&case.name);
        }
    }
    let height = f64::from(u32::try_from(names.len()).unwrap_or(u32::MAX)).mul_add(ROW, TOP + 12.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\" \
         role=\"img\" aria-label=\"Median time of each request\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        LABELS + WIDTH + 70.0
    );
    for ((engine, color), x) in report.engines.iter().zip(COLORS).zip([0.0, 90.0]) {
        let _ = writeln!(
            text,
            "<rect x=\"{:.0}\" y=\"8\" width=\"10\" height=\"10\" fill=\"{color}\"/><text x=\"{:.0}\" y=\"17\">{}</text>",
            LABELS + x,
            LABELS + x + 15.0,
            engine.engine
        );
    }
    for (power, label) in TICKS {
        let x = LABELS + place(power);
        let _ = writeln!(
            text,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.0}\" stroke=\"#d1d5db\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#4b5563\">{label}</text>",
            height - 8.0,
            TOP - 6.0
        );
    }
    let mut y = TOP;
    for name in names {
        let _ =
            writeln!(text, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", LABELS - 8.0, y + 16.0);
        for ((engine, color), down) in report.engines.iter().zip(COLORS).zip([4.0, 4.0 + BAR]) {
            if let Some(case) = engine.cases.iter().find(|case| is_shown(case) && case.name == name) {
                let width = place(case.subject.median_us.max(1.0).log10()).max(1.0);
                let _ = writeln!(
                    text,
                    "<rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{color}\"/>",
                    y + down
                );
            }
        }
        y += ROW;
    }
    text.push_str("</svg>\n");
    text
}

fn is_shown(case: &CaseReport) -> bool {
    case.concurrency == 1 && !case.name.contains("SQL")
}

/// Where a power of ten lies on the scale.
fn place(power: f64) -> f64 {
    ((power - FROM) / (TO - FROM)).clamp(0.0, 1.0) * WIDTH
}
