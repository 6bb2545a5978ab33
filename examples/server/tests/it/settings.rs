//! The settings are validated before anything is written, tolerate whitespace, and never reveal secrets.

use authfort_testkit::{TestDatabase, both_engines};

use crate::support::{Folder, Server, refusal, signs_in};

const SECRET: &str = "a secret of more than thirty-two bytes";

#[tokio::test]
async fn a_setting_that_cannot_be_stops_the_start_before_anything_is_written() {
    let folder = Folder::new().await;
    for (variable, value, said) in [
        ("AUTHFORT_LISTEN", "3000", "--listen"),
        ("AUTHFORT_ADMIN_EMAIL", "admin", "AUTHFORT_ADMIN_EMAIL: must be an email address"),
        ("AUTHFORT_ADMIN_PASSWORD", "short", "AUTHFORT_ADMIN_PASSWORD: must have at least 8 characters"),
        ("AUTHFORT_SECRET", "short", "AUTHFORT_SECRET: must have at least 32 bytes"),
        ("AUTHFORT_ACCESS_TTL", "0", "AUTHFORT_ACCESS_TTL: must be between one second and ten years"),
        ("AUTHFORT_ACCESS_TTL", "soon", "--access-ttl"),
        ("AUTHFORT_REFRESH_TTL", "999999999999", "AUTHFORT_REFRESH_TTL: must be between one second and ten years"),
        ("AUTHFORT_REFRESH_GRACE", "61", "AUTHFORT_REFRESH_GRACE: must be at most 60 seconds"),
        ("AUTHFORT_SIGNUP", "yes", "write on or off"),
        ("AUTHFORT_COOKIE_SECURE", "true", "write on or off"),
        ("AUTHFORT_TRUSTED_PROXIES", "localhost", "AUTHFORT_TRUSTED_PROXIES: `localhost` is neither"),
        ("AUTHFORT_TRUSTED_PROXIES", "0.0.0.0/1, 128.0.0.0/1", "would let every client choose its own address"),
        ("DATABASE_URL", "mysql://jane:planted@localhost/x", "DATABASE_URL: must begin with sqlite: or postgres:"),
        ("AUTHFORT_REPLICA_URL", "sqlite://x:planted@y", "AUTHFORT_REPLICA_URL: must begin with postgres:"),
        ("AUTHFORT_LISTEN_URL", "sqlite://x:planted@y", "AUTHFORT_LISTEN_URL: must begin with postgres:"),
        ("AUTHFORT_LISTEN_URL", "postgres://jane:planted@localhost/x", "listen_url: is only for PostgreSQL"),
        ("AUTHFORT_GUARD_STALENESS", "61", "AUTHFORT_GUARD_STALENESS: must be zero, or between"),
        ("AUTHFORT_REPLICA_URL", "postgres://jane:planted@localhost/x", "replica_url: is only for PostgreSQL"),
        ("AUTHFORT_HEAD_TIMEOUT", "0", "AUTHFORT_HEAD_TIMEOUT: must be between one second and an hour"),
        ("AUTHFORT_HEAD_BYTES", "100", "AUTHFORT_HEAD_BYTES: must be between 8192 and"),
        ("AUTHFORT_MAX_CONNECTIONS", "0", "AUTHFORT_MAX_CONNECTIONS: must be between 1 and"),
        ("AUTHFORT_SECRET_FILE", "nowhere", "AUTHFORT_SECRET_FILE: nowhere: No such file"),
    ] {
        let text = refusal(folder.server().env(variable, value));
        assert!(text.contains(said), "{variable}={value}: {text}");
        assert!(!text.contains("planted"), "{text}");
        assert_eq!(folder.names(), [""; 0], "{variable}={value}");
    }
}

#[tokio::test]
async fn all_faults_are_named_at_once() {
    let folder = Folder::new().await;
    let text = refusal(folder.server().env("AUTHFORT_ADMIN_PASSWORD", "short").env("AUTHFORT_ACCESS_TTL", "0"));
    assert!(text.contains("AUTHFORT_ADMIN_PASSWORD:") && text.contains("AUTHFORT_ACCESS_TTL:"), "{text}");
}

both_engines! {
    async fn an_empty_variable_is_none_and_blanks_around_a_value_do_not_count(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server();
        for name in [
            "ADMIN_PASSWORD", "ADMIN_PASSWORD_FILE", "SECRET", "SECRET_FILE", "ISSUER", "REFRESH_TTL", "REFRESH_GRACE",
            "SIGNUP", "RATE_LIMIT", "COOKIE_SECURE", "INTROSPECT_SECRET", "INTROSPECT_SECRET_FILE", "ADMIN_EMAIL",
            "REPLICA_URL", "REPLICA_URL_FILE", "REPLICA_LAG", "LISTEN_URL", "LISTEN_URL_FILE", "GUARD_STALENESS",
        ] {
            command.env(format!("AUTHFORT_{name}"), "");
        }
        command.env("DATABASE_URL_FILE", " ").env("DATABASE_URL", format!(" {}\n", db.url()));
        command.env("AUTHFORT_LISTEN", " 127.0.0.1:0 ").env("AUTHFORT_ACCESS_TTL", " 60 ");
        command.env("AUTHFORT_TRUSTED_PROXIES", "127.0.0.1, ::1,");
        let mut server = Server::start(&mut command);
        server.wait_for("admin@example.com");
        drop(server);
        drop(Server::start(command.env("AUTHFORT_TRUSTED_PROXIES", "")));
        assert_eq!(folder.names(), [""; 0], "the file of the default was made");
    }

    async fn secrets_come_from_files_without_the_line_break_at_their_end(db: TestDatabase) {
        let folder = Folder::new().await;
        let mut command = folder.server();
        command.args(["--database-url-file", &folder.file("url", &format!("{}\n", db.url()))]);
        command.args(["--admin-password-file", &folder.file("password", "correct horse\r\n")]);
        command.args(["--secret-file", &folder.file("secret", SECRET)]);
        command.env("AUTHFORT_INTROSPECT_SECRET_FILE", folder.file("introspect", "another one\n"));
        let mut server = Server::start(&mut command);
        assert!(signs_in(&server, "admin@example.com", "correct horse").await);
        let ask = reqwest::Client::new().post(server.url("/auth/introspect")).json(&serde_json::json!({ "token": "x" }));
        assert!(ask.bearer_auth("another one").send().await.unwrap().status().is_success());
        let output = server.output();
        assert!(!output.contains("others on this machine"), "{output}");
        drop(server);
        // The secret came from the file: the same secret from a variable decrypts the keys.
        let mut command = folder.server();
        drop(Server::start(command.env("DATABASE_URL", db.url()).env("AUTHFORT_SECRET", SECRET)));
        let text = refusal(command.env("AUTHFORT_SECRET", "another secret of at least thirty-two bytes"));
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn no_flag_takes_a_secret() {
    let folder = Folder::new().await;
    for flag in ["--secret", "--admin-password", "--introspect-secret"] {
        let text = refusal(folder.server().arg(format!("{flag}=planted secret of thirty-two bytes or more")));
        assert!(text.contains("unexpected argument") && text.contains(&format!("{flag}-file")), "{text}");
        assert!(!text.contains("planted"), "{text}");
    }
    for url in ["postgres://jane:planted@127.0.0.1:1/x", "postgres://jane@127.0.0.1:1/x?password=planted"] {
        for flag in ["--database-url", "--replica-url"] {
            let text = refusal(folder.server().args([flag, url]));
            assert!(text.contains(&format!("{flag} holds a password")), "{text}");
            assert!(text.contains(&format!("{flag}-file")) && !text.contains("planted"), "{text}");
        }
    }
    assert_eq!(folder.names(), [""; 0]);
    drop(Server::start(folder.server().args(["--database-url", "sqlite://named.db"])));
    assert!(folder.names().contains(&"named.db".to_owned()));
}

#[tokio::test]
async fn a_secret_given_twice_is_refused_and_an_empty_file_too() {
    let folder = Folder::new().await;
    let (full, empty) = (folder.file("full", SECRET), folder.file("empty", "\n"));
    let text = refusal(folder.server().env("AUTHFORT_SECRET", SECRET).args(["--secret-file", &full]));
    assert!(text.contains("AUTHFORT_SECRET and AUTHFORT_SECRET_FILE are both given"), "{text}");
    let text = refusal(folder.server().env("DATABASE_URL", "sqlite://x.db").args(["--database-url-file", &full]));
    assert!(text.contains("DATABASE_URL and DATABASE_URL_FILE are both given"), "{text}");
    let text = refusal(folder.server().args(["--secret-file", &empty]));
    assert!(text.contains("AUTHFORT_SECRET_FILE:") && text.contains("is empty"), "{text}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_secret_that_others_can_read_is_warned_about() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new().await;
    let file = folder.file("secret", SECRET);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let mut server = Server::start(folder.server().args(["--secret-file", &file]));
    let output = server.output();
    assert!(output.contains("others on this machine can read this secret") && !output.contains(SECRET), "{output}");
}

#[tokio::test]
async fn the_grace_of_a_refresh_is_a_setting() {
    let folder = Folder::new().await;
    for (grace, second) in [("0", 401), ("60", 200)] {
        let mut command = folder.server();
        command.env("AUTHFORT_REFRESH_GRACE", grace).env("AUTHFORT_ADMIN_PASSWORD", "correct horse");
        let server = Server::start(&mut command);
        let client = reqwest::Client::new();
        let body = serde_json::json!({ "email": "admin@example.com", "password": "correct horse" });
        let signed_in = client.post(server.url("/auth/login")).json(&body).send().await.unwrap();
        let signed_in: serde_json::Value = signed_in.json().await.unwrap();
        let body = serde_json::json!({ "refresh_token": signed_in["tokens"]["refresh_token"] });
        for expected in [200, second] {
            let answer = client.post(server.url("/auth/refresh")).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), expected, "{grace}");
        }
    }
}
