//! No secret in a log, an error, a `{:?}` or an event.
//!
//! A binary of its own: what is logged is captured for the whole process, at the finest level.
#![cfg(test)]

#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/support.rs"]
mod support;
#[allow(dead_code, reason = "shared with the other tests")]
#[path = "it/tools.rs"]
mod tools;

use std::error::Error as StdError;
use std::fmt::{Debug, Write as _};
use std::io;
use std::sync::{Mutex, Once, PoisonError};

use authfort::secrecy::{ExposeSecret, SecretString};
use authfort::{Actor, AuthFort, Conn, Error, Hashing, Pool};
use authfort_testkit::{Engine, TestDatabase, both_engines};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{builder, clock};
use crate::tools::{Raw, access, code, refresh, spellings};

const PRIVATE_KEYS: &str = "SELECT private_key FROM authfort_signing_keys WHERE private_key <> ''";

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes into [`LOG`].
struct Sink;

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Libraries that log without `tracing`.
impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}: {}\n", record.level(), record.target(), record.args());
        io::Write::write_all(&mut Sink, line.as_bytes()).unwrap();
    }

    fn flush(&self) {}
}

/// Captures everything from here on.
fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_span_events(FmtSpan::FULL)
            .with_ansi(false)
            .with_writer(|| Sink)
            .init();
        log::set_logger(&Sink).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
}

fn captured() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}

/// The database's URL with a password in it, and that password. The test server asks for none and takes any.
fn with_password(db: &TestDatabase) -> (String, String) {
    let (scheme, rest) = db.url().split_once("://").unwrap();
    let Some((user, place)) = rest.split_once('@').filter(|_| db.engine() == Engine::Postgres) else {
        return (db.url().to_owned(), "planted-dsn-password".to_owned());
    };
    match user.split_once(':') {
        Some((_, password)) => (db.url().to_owned(), password.to_owned()),
        None => (format!("{scheme}://{user}:planted-dsn-password@{place}"), "planted-dsn-password".to_owned()),
    }
}

/// Panics where one of them is in the text, and shows where.
fn assert_none(secrets: &[String], text: &str, of: &str) {
    for secret in secrets {
        assert!(secret.len() >= 8, "too short to look for: {secret}");
        if let Some(at) = text.find(secret.as_str()) {
            let from = text[..at].rfind('\n').map_or(0, |line| line + 1);
            panic!("{of} holds {secret}: {}", text[from..].lines().next().unwrap());
        }
    }
}

/// An error in every form: `{}`, `{:?}`, and the chain behind it.
fn forms(error: &Error) -> String {
    let mut text = format!("{error}\n{error:?}\n{error:#?}");
    let mut source = error.source();
    while let Some(inner) = source {
        write!(text, "\n{inner}\n{inner:?}").unwrap();
        source = inner.source();
    }
    text
}

both_engines! {
    async fn a_whole_life_at_the_finest_log_level_shows_no_secret(db: TestDatabase) {
        const EMAIL: &str = "jane@example.com";
        capture();
        let engine = db.engine();
        let plant = |what: &str| format!("planted {what} of {engine:?}");
        let [password, second, third, wrong] = ["password", "second password", "third password", "wrong password"].map(plant);
        let secret = plant("secret, long enough to be one");
        let (url, dsn_password) = with_password(&db);
        let mut secrets = vec![password.clone(), second.clone(), third.clone(), wrong.clone(), secret.clone(), dsn_password];
        let mut shown = String::new();
        let mut show = |value: &dyn Debug| write!(shown, "{value:?}\n{value:#?}\n").unwrap();

        let clock = clock();
        let options = || builder(&clock).secret(secret.as_str()).hashing(Hashing::insecure_fast_for_tests());
        show(&options());
        let auth = options().connect(&url).await.unwrap();
        show(&auth);
        let mut keep = |token: &str| secrets.extend(spellings(token));
        let mut errors: Vec<Error> = Vec::new();

        show(&auth.sign_up(EMAIL, password.as_str()));
        let signed_up = auth.sign_up(EMAIL, password.as_str()).name("Jane").await.unwrap();
        show(&signed_up);
        let id = signed_up.user.id;
        show(&auth.login(EMAIL, password.as_str()));
        let first = auth.login(EMAIL, password.as_str()).await.unwrap().signed_in().unwrap();
        show(&first.tokens);
        errors.push(auth.login(EMAIL, wrong.as_str()).await.unwrap_err());
        errors.push(auth.login(EMAIL, format!("{wrong}\0")).await.unwrap_err());
        show(&auth.refresh(refresh(&first)));
        let child = auth.refresh(refresh(&first)).await.unwrap();
        let again = auth.refresh(refresh(&first)).await.unwrap();
        for pair in [&signed_up, &first, &child, &again] {
            keep(access(pair));
            keep(access(pair).rsplit('.').next().unwrap());
            keep(refresh(pair));
        }
        show(&auth.authenticate(access(&child)).await.unwrap());
        show(&auth.introspect(access(&child)).await.unwrap());
        errors.push(auth.authenticate(&format!("{}x", access(&child))).await.unwrap_err());
        errors.push(auth.authenticate(refresh(&child)).await.unwrap_err());
        errors.push(auth.refresh(access(&child)).await.unwrap_err());
        let grandchild = auth.refresh(refresh(&child)).await.unwrap();
        keep(access(&grandchild));
        keep(refresh(&grandchild));
        errors.push(auth.refresh(refresh(&first)).await.unwrap_err());

        let verification = auth.request_email_verification(EMAIL).await.unwrap().unwrap();
        show(&verification);
        keep(verification.token.expose_secret());
        show(&auth.verify_email(verification.token.clone()));
        auth.verify_email(verification.token.clone()).await.unwrap();
        errors.push(auth.verify_email(verification.token).await.unwrap_err());
        let reset = auth.request_password_reset(EMAIL).await.unwrap().unwrap();
        keep(reset.token.expose_secret());
        show(&auth.reset_password(reset.token.clone(), second.as_str()));
        errors.push(auth.reset_password(reset.token.clone(), "short").await.unwrap_err());
        auth.reset_password(reset.token.clone(), second.as_str()).await.unwrap();
        errors.push(auth.reset_password(reset.token, third.as_str()).await.unwrap_err());
        show(&auth.change_password(id, second.as_str(), third.as_str()));
        errors.push(auth.change_password(id, wrong.as_str(), third.as_str()).await.unwrap_err());
        auth.change_password(id, second.as_str(), third.as_str()).await.unwrap();
        show(&auth.set_password(id, password.as_str()));
        auth.set_password(id, password.as_str()).await.unwrap();
        errors.push(auth.set_password(id, wrong.repeat(100)).await.unwrap_err());
        errors.push(auth.create_user(EMAIL).password(password.as_str()).await.unwrap_err());

        let mut raw = Raw::open(&db).await;
        let mut sealed = raw.texts(PRIVATE_KEYS).await;
        let new_key = auth.rotate_keys().await.unwrap();
        show(&new_key);
        show(&auth.list_keys().await.unwrap());
        show(&auth.jwks().await);
        show(&auth.create_session(id).await.unwrap());
        auth.ban_user(id).reason("spam").await.unwrap();
        errors.push(auth.login(EMAIL, password.as_str()).await.unwrap_err());
        auth.unban_user(id).await.unwrap();
        let last = auth.login(EMAIL, password.as_str()).await.unwrap().signed_in().unwrap();
        keep(access(&last));
        keep(refresh(&last));
        assert!(auth.by(Actor::user(id).session(last.session_id)).logout(refresh(&last)).await.unwrap());

        // What lies in the database: hashes, keys, and the keys as they are without their seal.
        let hashes = raw.texts("SELECT password_hash FROM authfort_users").await;
        raw.execute("UPDATE authfort_users SET password_hash = replace(password_hash, 'argon2id', 'argon2xx')").await;
        errors.push(auth.login(EMAIL, password.as_str()).await.unwrap_err());
        sealed.extend(raw.texts(PRIVATE_KEYS).await);
        // After the rotation two: the new one, and the one that signs until it takes over.
        assert_eq!(sealed.len(), 3);
        let clear_db = TestDatabase::create(engine).await;
        let clear = builder(&clock).connect(clear_db.url()).await.unwrap();
        show(&clear.list_keys().await.unwrap());
        let mut clear_raw = Raw::open(&clear_db).await;
        let mut clear_keys = clear_raw.texts(PRIVATE_KEYS).await;
        clear.rotate_keys().await.unwrap();
        clear_keys.extend(clear_raw.texts(PRIVATE_KEYS).await);
        assert_eq!(clear_keys.len(), 3);
        let rows = raw.dump().await;
        assert_eq!(code(&auth.delete_user(id).await), "ok");
        let events = raw.dump().await;
        let events: String = events.lines().filter(|line| line.starts_with("authfort_events")).collect();

        // The tokens and passwords themselves are nowhere at all.
        assert!(secrets.len() > 30);
        assert_none(&secrets, &rows, "the database");
        for kept in hashes.iter().chain(&sealed).chain(&clear_keys) {
            secrets.push(kept.clone());
            secrets.push(kept.rsplit(['$', '.']).next().unwrap().to_owned());
        }
        auth.close().await;
        let log = captured();
        // It was captured: statements, what the library says, both ends of the run.
        for expected in ["INSERT INTO authfort_users", "DELETE FROM authfort_users", "a stored password hash is unusable"] {
            assert!(log.contains(expected), "nothing of {expected:?} in {} bytes", log.len());
        }
        assert_none(&secrets, &log, "the log");
        assert_none(&secrets, &shown, "a debug form");
        assert!(events.len() > 1000 && events.contains("user_deleted"), "{events}");
        assert_none(&secrets, &events, "the events");
        for error in &errors {
            assert_none(&secrets, &forms(error), "an error");
        }
    }

    async fn a_database_url_is_repeated_nowhere(db: TestDatabase) {
        capture();
        let planted = ["planted-url-password".to_owned()];
        let (engine, url) = match db.engine() {
            Engine::Sqlite => ("sqlite", "sqlite:///no/such/directory/app.db?key=planted-url-password"),
            Engine::Postgres => ("postgres", "postgres://jane:planted-url-password@127.0.0.1:1/app"),
        };
        for url in [
            url.to_owned(),
            format!("{engine}://jane:planted-url-password@127.0.0.1:no-port/app"),
            format!("{engine}://jane:planted-url-password@127.0.0.1/app?sslmode=planted-url-password"),
            "mysql://jane:planted-url-password@127.0.0.1/app".to_owned(),
            "jane:planted-url-password@127.0.0.1".to_owned(),
            "planted-url-password".to_owned(),
        ] {
            let error = builder(&clock()).acquire_timeout(std::time::Duration::from_millis(200)).connect(&url).await;
            let error = error.map(|_| ()).expect_err(&url);
            assert_none(&planted, &forms(&error), &url);
        }
        assert_none(&planted, &captured(), "the log");
    }

    async fn pools_and_connections_show_no_password(db: TestDatabase) {
        let (url, password) = with_password(&db);
        let planted = [password];
        let mut shown = String::new();
        match db.engine() {
            Engine::Sqlite => {
                let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
                writeln!(shown, "{:?}", Pool::from(pool.clone())).unwrap();
                let mut tx = pool.begin().await.unwrap();
                writeln!(shown, "{:?}", Conn::from(&mut tx)).unwrap();
            }
            Engine::Postgres => {
                let pool = sqlx::PgPool::connect(&url).await.unwrap();
                writeln!(shown, "{:?}", Pool::from(pool.clone())).unwrap();
                let mut tx = pool.begin().await.unwrap();
                writeln!(shown, "{:?}", Conn::from(&mut tx)).unwrap();
            }
        }
        let auth = AuthFort::connect(&url).await.unwrap();
        writeln!(shown, "{auth:?} {:?} {:?}", auth.list_users(), auth.get_roles(uuid::Uuid::nil().into())).unwrap();
        assert!(shown.lines().count() >= 3);
        assert_none(&planted, &shown, "a debug form");
    }
}

#[test]
fn a_secret_that_is_too_short_is_not_repeated() {
    authfort_testkit::run(Engine::Sqlite, async |_| {
        let secret = SecretString::from("planted, short");
        let error = builder(&clock()).secret(secret.clone()).connect("sqlite::memory:").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "secret: must have at least 32 bytes; `openssl rand -base64 32` makes a good one"
        );
        assert_none(&[secret.expose_secret().to_owned()], &forms(&error), "the error");
    });
}

both_engines! {
    async fn a_row_that_the_database_refuses_is_not_repeated(db: TestDatabase) {
        const EMAIL: &str = "jane@example.com";
        capture();
        let auth = builder(&clock()).connect(db.url()).await.unwrap();
        auth.create_user(EMAIL).password("planted refused password").await.unwrap();
        let mut raw = Raw::open(&db).await;
        let hash = raw.texts("SELECT password_hash FROM authfort_users").await.remove(0);
        let id = auth.find_user_by_email(EMAIL).await.unwrap().unwrap().id;
        // A rule of the application's on our table.
        match db.engine() {
            Engine::Postgres => {
                let check = "ALTER TABLE authfort_users ADD CONSTRAINT no_refused CHECK (name <> 'refused')";
                raw.execute(check).await;
            }
            Engine::Sqlite => {
                let trigger = "CREATE TRIGGER no_refused BEFORE UPDATE ON authfort_users WHEN NEW.name = 'refused'
                     BEGIN SELECT RAISE(ABORT, 'refused'); END";
                raw.execute(trigger).await;
            }
        }
        let error = auth.update_user(id).name("refused").await.unwrap_err();
        assert_eq!(error.code(), "internal");
        // PostgreSQL would repeat the first 64 bytes of every column.
        let hash = [hash[..60].to_owned()];
        assert_none(&hash, &forms(&error), "the error");
        assert_none(&hash, &captured(), "the log");
        assert!(forms(&error).contains(if db.engine() == Engine::Postgres { "no_refused" } else { "refused" }));
    }
}
