//! The file of a SQLite database.

use std::path::PathBuf;

use authfort::AuthFort;
use authfort_testkit::{Engine, TestDatabase};

use crate::support::{builder, clock};
use crate::tools::Raw;

/// A path beside the test's database, which goes with it.
fn beside(db: &TestDatabase, name: &str) -> PathBuf {
    let path = db.url().trim_start_matches("sqlite://").split('?').next().unwrap();
    PathBuf::from(path).with_file_name(name)
}

async fn used(url: &str) -> AuthFort {
    let auth = builder(&clock()).connect(url).await.unwrap();
    auth.create_user("jane@example.com").await.unwrap();
    auth
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_sqlite_file_is_for_its_owner_alone_whatever_the_url_says() {
    use std::os::unix::fs::PermissionsExt;

    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let db = TestDatabase::create(Engine::Sqlite).await;
    for (n, query) in ["", "?mode=rwc", "?cache=private", "?mode=rwc&cache=private"].into_iter().enumerate() {
        for link in [false, true] {
            let target = beside(&db, &format!("{n}-{link}.db"));
            let opened = if link { beside(&db, &format!("link-{n}.db")) } else { target.clone() };
            if link {
                std::os::unix::fs::symlink(&target, &opened).unwrap();
            }
            let auth = used(&format!("sqlite://{}{query}", opened.display())).await;
            for suffix in ["", "-wal", "-shm"] {
                let path = PathBuf::from(format!("{}{suffix}", target.display()));
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            }
            auth.close().await;
        }
    }
    // A file that is there keeps its rights, and one that must be there is not made.
    let shared = beside(&db, "shared.db");
    std::fs::write(&shared, "").unwrap();
    std::fs::set_permissions(&shared, PermissionsExt::from_mode(0o640)).unwrap();
    used(&format!("sqlite://{}", shared.display())).await.close().await;
    assert_eq!(mode(&shared), 0o640);
    let missing = beside(&db, "missing.db");
    assert!(builder(&clock()).connect(format!("sqlite://{}?mode=rw", missing.display())).await.is_err());
    assert!(!missing.exists());
}

#[tokio::test]
async fn a_pool_on_a_shared_file_has_every_setting_of_the_service() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let path = beside(&db, "shared.db");
    let url = format!("sqlite://{}", path.display());
    let pool = authfort::open_sqlite(&url, 3).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut conn = pool.acquire().await.unwrap();
        let mut found = Vec::new();
        for pragma in ["foreign_keys", "journal_mode", "synchronous", "busy_timeout", "secure_delete"] {
            let column = if pragma == "busy_timeout" { "timeout" } else { pragma };
            let text = format!("SELECT '{pragma} ' || {column} FROM pragma_{pragma}");
            let value: String = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&mut *conn).await.unwrap();
            found.push(value);
        }
        let expected = ["foreign_keys 1", "journal_mode wal", "synchronous 2", "busy_timeout 5000", "secure_delete 1"];
        assert_eq!(found, expected);
        held.push(conn);
    }
    drop(held);
    let auth = builder(&clock()).from_pool(pool.clone()).await.unwrap();
    auth.create_user("jane@example.com").await.unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    for (url, connections) in [("sqlite::memory:", 1), ("postgres://u@h/d", 1), (url.as_str(), 0)] {
        assert_eq!(authfort::open_sqlite(url, connections).await.unwrap_err().code(), "config");
    }
    let nowhere = format!("sqlite://{}/no/such/folder.db", path.display());
    assert_eq!(authfort::open_sqlite(nowhere, 1).await.unwrap_err().code(), "start");
}

#[tokio::test]
async fn who_was_erased_is_in_no_free_page_and_in_no_search_index() {
    let db = TestDatabase::create(Engine::Sqlite).await;
    let auth = builder(&clock()).connect(db.url()).await.unwrap();
    for n in 0..50 {
        auth.create_user(format!("user{n}@example.com")).name(format!("Name {n}")).await.unwrap();
    }
    let phone = "+99 123 456 789 00";
    let picture = "https://example.com/qzxjvw.png";
    let call = auth.create_user("jane@example.com").name("Qzxjvw").phone(phone).avatar_url(picture);
    let jane = call.await.unwrap().id;
    let other = auth.create_user("john@example.com").name("Wvkqzy").phone(phone).avatar_url(picture).await.unwrap().id;
    let mut raw = Raw::open(&db).await;
    let traces = async |raw: &mut Raw, trigram: &str| {
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let file = std::fs::read(beside(&db, "test.db")).unwrap();
        let found = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
        let indexed = raw
            .count(format!(
                "SELECT count(*) FROM authfort_users_search_data WHERE instr(block, CAST('{trigram}' AS blob)) > 0"
            ))
            .await;
        (found(phone), found(picture), indexed > 0)
    };
    assert_eq!(traces(&mut raw, "qzx").await, (true, true, true));
    auth.delete_user(jane).await.unwrap();
    auth.delete_user(other).anonymize().await.unwrap();
    assert_eq!(traces(&mut raw, "qzx").await, (false, false, false));
    assert_eq!(traces(&mut raw, "wvk").await, (false, false, false));
    assert_eq!(auth.list_users().query("user4").await.unwrap().total, Some(11));
}
