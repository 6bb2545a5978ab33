//! How much memory sign-ins take. A binary of its own: what is measured is the process.
#![cfg(all(test, target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a helper of the test")]

use std::future::IntoFuture as _;

use authfort::{Algorithm, AuthFort, Hashing};
use authfort_testkit::{Engine, TestDatabase};

const PERMITS: usize = 4;
const MEMORY_KIB: usize = 19 * 1024;

/// What the process holds, in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse().unwrap()
}

/// Whatever the engine: hashing knows nothing of the database.
#[test]
fn two_thousand_logins_hold_no_more_memory_than_the_permits_allow() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = TestDatabase::create(Engine::Sqlite).await;
        let hashing = Hashing::default().permits(PERMITS).queue(10_000);
        let auth = AuthFort::builder().algorithm(Algorithm::EdDsa).hashing(hashing).connect(db.url()).await.unwrap();
        auth.create_user("jane@example.com").password("correct horse battery").await.unwrap();
        let start = resident();
        for _ in 0..125 {
            let logins: Vec<_> = (0..16)
                .map(|n| {
                    let address = if n % 2 == 0 { "jane@example.com" } else { "nobody@example.com" };
                    tokio::spawn(auth.login(address, "wrong").into_future())
                })
                .collect();
            for login in logins {
                assert_eq!(login.await.unwrap().unwrap_err().code(), "invalid_credentials");
            }
        }
        let grown = resident().saturating_sub(start);
        assert!(grown < PERMITS * MEMORY_KIB + 20 * 1024, "{grown} KiB more than before");
    });
}
