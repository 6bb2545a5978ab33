//! What the README and the guides say is there, checked against what is there.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a folder whose names end so, by their paths from the root.
fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path, ending));
        } else if path.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// The first block of a language below a heading.
fn block(text: &str, heading: &str, language: &str) -> String {
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no ## {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap_or_else(|| panic!("no block: {heading}"));
    block.split("```").next().unwrap().to_owned()
}

/// What stands between two marks, each time.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).filter_map(|rest| rest.split(after).next()).collect()
}

#[test]
fn the_readme_shows_the_minimal_example_whole() {
    assert_eq!(block(&read("README.md"), "Embed it", "rust"), read("examples/minimal/src/main.rs"));
}

/// A block that is no documentation test is a quote of a file that is compiled.
#[test]
fn every_quote_in_the_guides_is_in_an_example() {
    let examples: Vec<String> = files("examples", ".rs").iter().map(|file| read(file)).collect();
    let mut quotes = 0;
    for guide in files("docs/guide", ".md") {
        for quote in between(&read(&guide), "```rust,ignore\n", "```") {
            quotes += 1;
            assert!(examples.iter().any(|example| example.contains(quote)), "{guide} quotes what is nowhere:\n{quote}");
        }
    }
    assert!(quotes > 0);
}

#[test]
fn the_readmes_two_commands_are_there() {
    let readme = read("README.md");
    assert_eq!(block(&readme, "Run it", "sh"), "cargo run -p example-server\n");
    assert!(read("examples/server/Cargo.toml").contains("\nname = \"example-server\"\n"));
    assert_eq!(block(&readme, "Test it", "sh"), "scripts/test\n");
    assert!(root().join("scripts/test").is_file());
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut documents = files("docs", ".md");
    documents.extend(["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned));
    for document in documents {
        let folder = root().join(&document).parent().unwrap().to_owned();
        for link in between(&read(&document), "](", ")") {
            let file = link.split('#').next().unwrap();
            if !link.contains("::") && !link.contains("//") && !file.is_empty() {
                assert!(folder.join(file).exists(), "{document}: {link}");
            }
        }
    }
}

#[test]
fn the_guide_lists_every_setting_of_the_example_server_with_its_default() {
    let guide = read("docs/guide/operating.md");
    let flags = read("examples/server/src/flags.rs");
    let mut variables = 0;
    for attribute in between(&flags, "#[arg(", ")]") {
        let Some(variable) = between(attribute, "env = \"", "\"").first().copied() else { continue };
        variables += 1;
        // What a file can hold is said of all of them at once.
        if variable.ends_with("_FILE") {
            assert!(guide.contains(&format!("`{variable}`")), "{variable} is not in the guide");
            continue;
        }
        let row = guide.lines().find(|line| line.starts_with(&format!("| `{variable}` |")));
        let row = row.unwrap_or_else(|| panic!("{variable} is not in the table"));
        let text = between(attribute, "default_value = \"", "\"").first().map(|text| (*text).to_owned());
        let number = between(attribute, "default_value_t = ", ")").first().map(|text| text.replace('_', ""));
        let default = text.or(number).map(|text| text.replace("Switch::", "").to_lowercase());
        if let Some(default) = default {
            assert!(row.contains(&format!("| `{default}` |")), "{variable}: the default is {default}");
        }
    }
    assert!(variables > 15, "{variables}");
}

#[test]
fn the_guide_lists_every_route() {
    let guide = read("docs/guide/http-reference.md");
    let mut routes = BTreeSet::new();
    for file in files("crates/authfort-axum/src", ".rs") {
        for attribute in between(&read(&file), "#[utoipa::path(", ")]") {
            let method = attribute.trim_start().split(',').next().unwrap().to_uppercase();
            let path = between(attribute, "path = \"", "\"");
            routes.insert(format!("`{method} {}`", path.first().unwrap()));
        }
    }
    assert!(routes.len() > 25, "{routes:?}");
    for route in routes {
        assert!(guide.contains(&route), "{route} is not in the HTTP reference");
    }
}

#[test]
fn the_guide_lists_every_code_that_a_client_can_see() {
    let guide = read("docs/guide/http-reference.md");
    let errors = read("crates/authfort/src/error.rs");
    let codes = between(&errors, "pub fn code(&self)", "\n    }\n").first().copied().unwrap();
    let rejections = read("crates/authfort-axum/src/rejection.rs");
    let listed = between(&rejections, "Self::new(StatusCode::", ")").into_iter().chain(between(codes, "=> ", ",\n"));
    let codes: BTreeSet<&str> = listed.flat_map(|text| between(text, "\"", "\"").into_iter().take(1)).collect();
    assert!(codes.len() > 30, "{codes:?}");
    for code in codes {
        // The first belong to the start of a program, the others to subscribers, which no route reaches.
        if !["config", "migration", "start", "subscription_not_found", "dead_letter_not_found"].contains(&code) {
            assert!(guide.contains(&format!("`{code}`")), "{code} is not in the HTTP reference");
        }
    }
}

#[test]
fn the_guide_lists_every_event() {
    let guide = read("docs/guide/events.md");
    let types = read("crates/authfort/src/model/events/types.rs");
    let events: Vec<&str> =
        between(&types, " = \"", "\" for ").into_iter().filter(|name| !name.contains('\n')).collect();
    assert!(events.len() > 20, "{events:?}");
    for event in events {
        assert!(guide.contains(&format!("`{event}`")), "{event} is not in the guide");
    }
}

#[test]
fn every_test_that_the_table_of_defects_names_is_there() {
    let guide = read("CONTRIBUTING.md");
    let (_, table) = guide.split_once("\n## What cannot happen here\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let sources: String = files("crates", ".rs").iter().map(|file| read(file)).collect();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        rows += 1;
        for name in between(row, "`", "`").into_iter().step_by(2).filter(|name| name.matches('_').count() > 2) {
            assert!(sources.contains(&format!("fn {name}(")), "{name} is no test");
        }
    }
    assert_eq!(rows, 44);
}
