//! The whole harness with a few hundred users and no time to measure: that every case still runs and is still answered
//! rightly. Nothing here says how fast anything is.
#![cfg(test)]

use std::path::Path;
use std::process::Command;

use authfort_testkit::{Engine, TestDatabase, both_engines};
use serde_json::Value;

const HARNESS: &str = env!("CARGO_BIN_EXE_authfort-bench");

/// The server that is measured lies beside the harness, of the same profile.
fn build_server() {
    let directory = Path::new(HARNESS).parent().unwrap();
    let profile = directory.file_name().unwrap().to_str().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "-p", "example-server", "--profile"]);
    build.arg(if profile == "debug" { "dev" } else { profile });
    build.arg("--target-dir").arg(directory.parent().unwrap());
    assert!(build.status().unwrap().success());
}

both_engines! {
    async fn every_case_runs_and_is_answered_rightly(db: TestDatabase) {
        build_server();
        let place = std::env::temp_dir().join(format!("authfort-bench-smoke-{}-{}", db.engine(), std::process::id()));
        let out = place.join("figures.json");
        let mut run = Command::new(HARNESS);
        run.args(["run", "--users", "400", "--seconds", "0.02", "--data"]).arg(&place);
        run.arg("--out").arg(&out);
        match db.engine() {
            Engine::Sqlite => run.args(["--engine", "sqlite"]),
            Engine::Postgres => run.args(["--engine", "postgres", "--postgres-url", db.url()]),
        };
        let output = run.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let report: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
        let engine = &report["engines"][0];
        let names: Vec<&str> = engine["cases"].as_array().unwrap().iter().map(|case| case["name"].as_str().unwrap()).collect();
        for name in ["guarded request", "first page", "offset 90 %", "role=editor", "search, ten hits", "count", "delete", "refresh", "SQL: insert", "SQL: login",
            "bulk SQL: ban", "bulk SQL: delete",
        ] {
            assert!(names.contains(&name), "{name} is not among {names:?}");
        }
        for case in engine["cases"].as_array().unwrap() {
            assert!(case["subject"]["median_us"].as_f64().unwrap() > 0.0, "{case}");
        }
        assert_eq!(engine["failures"].as_array().unwrap().len(), 0, "{}", engine["failures"]);

        let both = Command::new(HARNESS).arg("compare").args([&out, &out]).output().unwrap();
        let text = String::from_utf8(both.stdout).unwrap();
        assert!(text.contains("| first page | 1 |"), "{text}");

        let document = place.join("document.md");
        std::fs::write(&document, "before\n<!-- figures: begin -->\nold\n<!-- figures: end -->\nafter\n").unwrap();
        let written = Command::new(HARNESS).arg("document").args([&out, &document]).status().unwrap();
        assert!(written.success());
        let text = std::fs::read_to_string(&document).unwrap();
        assert!(text.starts_with("before\n") && text.ends_with("\nafter\n") && !text.contains("old"), "{text}");
        let plot = std::fs::read_to_string(place.join("images/performance.svg")).unwrap();
        assert!(plot.contains(">first page</text>") && plot.ends_with("</svg>\n"), "{plot}");
        std::fs::remove_dir_all(&place).unwrap();
    }
}
