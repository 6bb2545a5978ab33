//! The house: imports run downwards, there is no circle, and access is taken away in one place.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of the core from the ground up, with their modules. `docs/architecture.md` draws them.
const LAYERS: [(&str, &[&str]); 10] = [
    ("base", &["clock", "crypto", "error", "id", "metrics", "openapi"]),
    ("model", &["model"]),
    ("db", &["db"]),
    ("store", &["store"]),
    ("services", &["config", "delivery", "hooks", "passwords", "standings", "tail", "tokens", "webhook_client"]),
    ("core", &["core"]),
    ("handle", &["authfort"]),
    ("write path", &["access", "revocation", "work"]),
    (
        "operations",
        &[
            "accounts",
            "event_log",
            "event_stream",
            "guard",
            "introspection",
            "keys",
            "roles",
            "sessions",
            "subscriptions",
            "users",
            "webhooks",
        ],
    ),
    ("start", &["builder"]),
];

/// Statements that end somebody's access. Only `revocation` calls them.
const REVOKING: [&str; 8] = [
    "users::bump_token_version",
    "users::ban",
    "users::delete",
    "users::anonymize",
    "sessions::revoke",
    "sessions::revoke_all",
    "sessions::delete_all",
    "keys::revoke_older",
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../authfort/src").canonicalize().unwrap()
}

/// Every file below a folder, with its path from `src` and its code: no comments, no tests.
fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
            continue;
        }
        let name = path.strip_prefix(sources()).unwrap().display().to_string();
        let tests = name.ends_with("tests.rs") || name.ends_with("plans.rs") || name.contains("/plans/");
        if name == "lib.rs" || tests {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        found.push((name, code));
    }
}

fn code() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(&sources(), &mut found);
    assert!(found.len() > 60, "{}", found.len());
    found
}

/// The first part of a path: `users/list.rs` and `users.rs` are of `users`.
fn module(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

fn lib() -> String {
    fs::read_to_string(sources().join("lib.rs")).unwrap()
}

/// The modules that `lib.rs` declares.
fn modules() -> Vec<String> {
    lib().split("\nmod ").skip(1).map(|declared| declared.split(';').next().unwrap().to_owned()).collect()
}

/// The module that a name of the crate's root comes from, as `lib.rs` re-exports it.
fn roots() -> BTreeMap<String, String> {
    let lib = lib();
    let mut roots: BTreeMap<String, String> = modules().into_iter().map(|name| (name.clone(), name)).collect();
    for used in lib.split("\npub use ").skip(1) {
        let used = used.split(';').next().unwrap();
        let origin = used.split("::").next().unwrap();
        for name in used.split(|c: char| !c.is_alphanumeric() && c != '_') {
            if !name.is_empty() && !roots.contains_key(name) {
                roots.insert(name.to_owned(), origin.to_owned());
            }
        }
    }
    roots
}

/// The names that a code takes from the crate's root: `crate::a::b`, and each of `crate::{a, b::c}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut name) = (0, String::new());
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        names.insert(std::mem::take(&mut name));
                        continue;
                    }
                    _ => {}
                }
                if depth == 0 {
                    name.push(c);
                }
            }
            names.insert(name);
        } else {
            names.insert(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    let first = |name: String| name.trim().split("::").next().unwrap().trim().to_owned();
    names.into_iter().map(first).filter(|name| !name.is_empty() && name != "self").collect()
}

/// Who imports from whom, and in which file.
fn arrows() -> BTreeMap<(String, String), String> {
    let roots = roots();
    let mut arrows = BTreeMap::new();
    for (file, code) in code() {
        for name in imports(&code) {
            // A macro of the crate's root, or a name inside a macro's own text.
            let Some(to) = roots.get(&name) else { continue };
            if to != module(&file) {
                arrows.insert((module(&file).to_owned(), to.clone()), file.clone());
            }
        }
    }
    assert!(arrows.len() > 60, "{}", arrows.len());
    arrows
}

fn layer(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|(_, modules)| modules.contains(&module))
        .unwrap_or_else(|| panic!("the module {module} belongs to no layer"))
}

#[test]
fn imports_run_downwards() {
    for ((from, to), file) in arrows() {
        assert!(layer(&from) >= layer(&to), "{file}: {from} imports {to}, which lies above it");
    }
}

#[test]
fn there_is_no_circle() {
    let arrows = arrows();
    let mut left: BTreeSet<&str> = LAYERS.iter().flat_map(|(_, modules)| modules.iter().copied()).collect();
    // Whoever imports nobody that is left is done; in a circle nobody ever is.
    loop {
        let waits = |module: &str| arrows.keys().any(|(from, to)| from == module && left.contains(to.as_str()));
        let done: Vec<&str> = left.iter().copied().filter(|module| !waits(module)).collect();
        if done.is_empty() {
            break;
        }
        for module in done {
            left.remove(module);
        }
    }
    assert!(left.is_empty(), "a circle among {left:?}");
}

#[test]
fn every_module_is_in_a_layer_and_in_the_picture() {
    let picture = fs::read_to_string(sources().join("../../../docs/architecture.md")).unwrap();
    for module in modules() {
        layer(&module);
        assert!(picture.contains(module.as_str()), "{module} is not in docs/architecture.md");
    }
}

#[test]
fn access_is_taken_away_in_one_place() {
    for (file, code) in code() {
        for statement in REVOKING {
            let calls = code.contains(&format!("store::{statement}("));
            assert!(!calls || file == "revocation.rs", "{file} calls {statement} past revocation.rs");
        }
    }
}

#[test]
fn only_the_store_and_the_database_run_statements() {
    for (file, code) in code() {
        let runs = ["sqlx::query", "sql!(", "run!("].iter().any(|call| code.contains(call));
        assert!(!runs || ["db", "store"].contains(&module(&file)), "{file} runs a statement");
    }
}

#[test]
fn only_the_database_knows_two_engines() {
    for (file, code) in code() {
        let dispatches = ["::Sqlite(", "::Postgres("].iter().any(|variant| code.contains(variant));
        assert!(!dispatches || module(&file) == "db", "{file} tells the engines apart");
    }
}

#[test]
fn the_options_of_an_operation_are_listed_at_its_call() {
    let mut options = 0;
    for (file, code) in code() {
        let whole = fs::read_to_string(sources().join(&file)).unwrap();
        for of_operation in code.split("\nimpl Write<").skip(1) {
            let methods = of_operation.split("\n}\n").next().unwrap();
            for method in methods.split("    pub fn ").skip(1) {
                let name = method.split('(').next().unwrap();
                let listed =
                    whole.lines().any(|line| line.starts_with("    /// | ") && line.contains(&format!("`{name}(")));
                assert!(listed, "{file}: `{name}` is in no table of options");
                options += 1;
            }
        }
    }
    assert!(options > 30, "{options}");
}
