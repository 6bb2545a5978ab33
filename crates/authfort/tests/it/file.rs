//! The file of a SQLite database.

#[cfg(unix)]
#[tokio::test]
async fn a_new_sqlite_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let db = authfort_testkit::TestDatabase::create(authfort_testkit::Engine::Sqlite).await;
    let beside = db.url().trim_start_matches("sqlite:").trim_start_matches("//").split('?').next().unwrap().to_owned();
    let path = format!("{beside}.new");
    let url = format!("sqlite://{path}");
    let auth = crate::support::builder(&crate::support::clock()).connect(&url).await.unwrap();
    auth.create_user("jane@example.com").await.unwrap();
    for name in [path.clone(), format!("{path}-wal")] {
        let mode = std::fs::metadata(&name).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    auth.close().await;
}
