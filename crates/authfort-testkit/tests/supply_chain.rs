//! What `deny.toml` asks of the dependencies and the workspace asks of its crates, checked without any further tool.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every package of `Cargo.lock`, with its version.
fn locked() -> Vec<(String, String)> {
    let lock = read(&root().join("Cargo.lock"));
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.trim_matches('"').to_owned()
    };
    lock.split("[[package]]\n").skip(1).map(|p| (value(p, "name = "), value(p, "version = "))).collect()
}

fn versions_of(name: &str) -> Vec<String> {
    locked().into_iter().filter(|(package, _)| package == name).map(|(_, version)| version).collect()
}

#[test]
fn no_banned_crate_is_locked() {
    for banned in ["rsa", "openssl", "openssl-sys", "native-tls"] {
        assert_eq!(versions_of(banned), Vec::<String>::new(), "{banned} is banned; deny.toml says why");
    }
}

#[test]
fn no_jsonwebtoken_before_10_3_is_locked() {
    let versions = versions_of("jsonwebtoken");
    assert!(!versions.is_empty());
    for version in versions {
        let numbers: Vec<u32> = version.split('.').take(2).map(|n| n.parse().unwrap()).collect();
        assert!(numbers >= vec![10, 3], "jsonwebtoken {version} has a known flaw");
    }
}

#[test]
fn what_the_public_types_come_from_is_locked_once() {
    for once in ["tokio", "hyper", "serde", "sqlx", "rustls"] {
        assert_eq!(versions_of(once).len(), 1, "{once}: {:?}", versions_of(once));
    }
}

#[test]
fn migrations_are_numbered_alike_on_both_engines() {
    let names = |engine: &str| -> BTreeSet<String> {
        let directory = root().join("migrations").join(engine);
        let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let sqlite = names("sqlite");
    assert_eq!(sqlite, names("postgres"));
    assert!(!sqlite.is_empty());
    for (name, number) in sqlite.iter().zip(1..) {
        assert!(name.starts_with(&format!("{number:04}_")), "{name} should be number {number:04}");
        assert_eq!(Path::new(name).extension(), Some("sql".as_ref()), "{name}");
    }
}

#[test]
fn every_crate_inherits_the_lints_that_forbid_unsafe_code() {
    let workspace = read(&root().join("Cargo.toml"));
    assert!(workspace.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"));

    let mut crates = 0;
    for group in ["crates", "examples"] {
        for entry in fs::read_dir(root().join(group)).unwrap() {
            let manifest = entry.unwrap().path().join("Cargo.toml");
            assert!(read(&manifest).contains("[lints]\nworkspace = true\n"), "{}", manifest.display());
            crates += 1;
        }
    }
    assert!(crates >= 5);
}
