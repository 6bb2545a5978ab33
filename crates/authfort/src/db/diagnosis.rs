//! Explains why the library could not start on a database, and what to do about it, for the operator.
//!
//! While the service runs, the operator finds the cause in the log and a client is not told. At the start there is only
//! the operator, so [`Error::Start`] contains it. It names host, role, database or file, and never a password.

use std::sync::Arc;
use std::time::Duration;

use super::{Db, Pool};
use crate::Error;

/// Cause and remedy.
type Diagnosis = (String, &'static str);

/// Adds cause and remedy to an error of [`Db::connect`].
#[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to ask"))]
#[cfg_attr(not(feature = "postgres"), expect(unused_variables, reason = "the other engine waits"))]
pub(crate) async fn of_url(url: &str, patience: Duration, error: Error) -> Error {
    match url.split_once(':').map(|(scheme, _)| scheme) {
        #[cfg(feature = "sqlite")]
        Some("sqlite") => match url.parse::<sqlx::sqlite::SqliteConnectOptions>() {
            Ok(options) => explained(error, |error| sqlite::diagnose(error, options.get_filename())),
            Err(_) => error,
        },
        #[cfg(feature = "postgres")]
        Some("postgres" | "postgresql") => match url.parse() {
            Ok(options) => postgres::explain(error, &options, patience).await,
            Err(_) => error,
        },
        _ => error,
    }
}

impl Db {
    /// Adds cause and remedy to an error at the start on a pool.
    #[cfg_attr(not(feature = "postgres"), expect(clippy::unused_async, reason = "the other engine has to ask"))]
    pub(crate) async fn explain(&self, error: Error) -> Error {
        match &self.write.pool {
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => {
                let options = pool.connect_options();
                explained(error, |error| sqlite::diagnose(error, options.get_filename()))
            }
            #[cfg(feature = "postgres")]
            Pool::Postgres(pool) => {
                postgres::explain(error, &pool.connect_options(), pool.options().get_acquire_timeout()).await
            }
        }
    }
}

/// Explains only errors of the database; errors about an option or the schema are clear by themselves.
fn explained(error: Error, diagnose: impl FnOnce(&sqlx::Error) -> Diagnosis) -> Error {
    match error {
        Error::DatabaseUnavailable(source) | Error::Database(source) => {
            let (cause, remedy) = diagnose(&source);
            Error::Start { cause, remedy, source }
        }
        // Callers that waited for the same statement share its error.
        Error::Internal(inner) => match inner.downcast::<Arc<Error>>() {
            Ok(shared) => match &**shared {
                Error::DatabaseUnavailable(source) | Error::Database(source) => {
                    let (cause, remedy) = diagnose(source);
                    Error::Start { cause, remedy, source: std::io::Error::other(Arc::clone(&shared)).into() }
                }
                _ => Error::Internal(shared),
            },
            Err(inner) => Error::Internal(inner),
        },
        other => other,
    }
}

/// Returns the message of the database, or of the operating system.
fn words(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        sqlx::Error::Io(inner) => inner.to_string(),
        other => other.to_string(),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

const FULL: &str = "Make room, and start again.";

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::io::ErrorKind;
    use std::path::Path;

    use super::{Diagnosis, FULL, is_full, words};

    pub(super) fn diagnose(error: &sqlx::Error, path: &Path) -> Diagnosis {
        let file = shown(path);
        let said = words(error);
        if let sqlx::Error::Io(inner) = error {
            return if is_full(inner) { (format!("The disk of {file} is full."), FULL) } else { unopened(path, &said) };
        }
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return (
                format!("{file} stayed busy: another process holds it, or every connection of the pool is in use."),
                "Stop the other process, or wait longer by `acquire_timeout`.",
            );
        }
        let sqlx::Error::Database(inner) = error else {
            return (format!("{file} cannot be used: {said}."), "Correct the URL: sqlite://FOLDER/FILE.");
        };
        // The primary code, which is the low byte of the extended one.
        match inner.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default() & 0xff {
            5 | 6 => (
                format!("Another process holds {file}: {said}."),
                "Stop it, or wait longer for it by `acquire_timeout`.",
            ),
            8 => (
                format!("{file} cannot be written: {said}."),
                "Let the user that runs this program write the file and its folder; a URL must not say mode=ro.",
            ),
            11 => (format!("{file} is damaged: {said}."), "Restore a backup."),
            13 => (format!("There is no room for {file}: {said}."), FULL),
            14 => unopened(path, &said),
            26 => (
                format!("{file} is not an SQLite database: {said}."),
                "Name another file in the URL; this one was left as it is.",
            ),
            _ => (format!("{file} cannot be used: {said}."), "See whether another program made this file."),
        }
    }

    /// The operating system's error is the same in all these cases, so the path is inspected.
    fn unopened(path: &Path, said: &str) -> Diagnosis {
        let file = shown(path);
        if file.is_empty() {
            return ("The URL names no file.".to_owned(), "Name one: sqlite://FOLDER/FILE.");
        }
        if path.is_dir() {
            return (format!("{file} is a folder."), "Name a file in it: sqlite://FOLDER/FILE.");
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            return (format!("There is no folder {}.", shown(folder)), "Make it, or correct the path in the URL.");
        }
        if path.metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) && said.contains("unable to open") {
            return (
                format!("There is no file {file}."),
                "Correct the path in the URL, or let the file be made: leave out mode= or say mode=rwc.",
            );
        }
        (
            format!("{file} cannot be opened: {said}."),
            "Let the user that runs this program read and write the file and its folder.",
        )
    }

    /// Returns a path as the URL has it, but not one that may contain a password, such as a server's URL with another
    /// scheme.
    fn shown(path: &Path) -> String {
        let path = path.display().to_string();
        if path.contains('@') { "the file that the URL names".to_owned() } else { path }
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::time::Duration;

    use sqlx::ConnectOptions;
    use sqlx::postgres::PgConnectOptions;

    use super::{Diagnosis, FULL, explained, is_full, words};
    use crate::Error;

    pub(super) async fn explain(error: Error, options: &PgConnectOptions, patience: Duration) -> Error {
        match error {
            // A pool retries, and does not report the errors of its attempts.
            Error::DatabaseUnavailable(sqlx::Error::PoolTimedOut) => {
                match tokio::time::timeout(patience, options.connect()).await {
                    Ok(Ok(_)) => Error::Start {
                        cause: format!("{} gave no connection within `acquire_timeout`.", server(options)),
                        remedy: "Wait longer by it, or give the pool more connections: all may be in use.",
                        source: sqlx::Error::PoolTimedOut,
                    },
                    Ok(Err(reason)) => explained(crate::db::classify(reason), |error| diagnose(error, options)),
                    Err(_) => Error::Start {
                        cause: format!("{} does not answer.", server(options)),
                        remedy: "Correct host and port in the URL, and see whether a firewall lies between.",
                        source: sqlx::Error::PoolTimedOut,
                    },
                }
            }
            other => explained(other, |error| diagnose(error, options)),
        }
    }

    fn server(options: &PgConnectOptions) -> String {
        match options.get_socket() {
            Some(socket) => format!("The PostgreSQL server at {}", socket.display()),
            None => format!("The PostgreSQL server at {}:{}", options.get_host(), options.get_port()),
        }
    }

    fn diagnose(error: &sqlx::Error, options: &PgConnectOptions) -> Diagnosis {
        let (server, role, said) = (server(options), options.get_username(), words(error));
        let database = options.get_database().unwrap_or(role);
        let code = match error {
            sqlx::Error::Io(inner) if is_full(inner) => return (format!("The disk is full: {said}."), FULL),
            sqlx::Error::Io(_) => {
                return (
                    format!("{server} cannot be reached: {said}."),
                    "Start it, or correct host and port in the URL.",
                );
            }
            sqlx::Error::Tls(_) => {
                return (
                    format!("{server} and this program do not agree on TLS: {said}."),
                    "Turn on a TLS feature of sqlx, or set sslmode in the URL.",
                );
            }
            sqlx::Error::Database(inner) => inner.code().unwrap_or_default(),
            _ => {
                return (
                    format!("{server} cannot be used: {said}."),
                    "See whether the URL names a PostgreSQL server of version 14 or later.",
                );
            }
        };
        match &*code {
            "28P01" => (
                format!("{server} refuses the password of the role {role:?}."),
                "Correct the password in the URL, or in PGPASSWORD or the password file if the URL has none.",
            ),
            code if code.starts_with("28") => (
                format!("{server} does not let the role {role:?} in: {said}."),
                "Create the role, let it log in (ALTER ROLE … LOGIN), admit it in pg_hba.conf, or correct the URL.",
            ),
            "3D000" => (
                format!("{server} has no database {database:?}."),
                "Create it (CREATE DATABASE), or correct its name in the URL.",
            ),
            "42501" | "3F000" => (
                format!("The role {role:?} may not do what the start needs in the database {database:?}: {said}."),
                "Grant it (CREATE on the schema), or migrate once as a role that may and start with migrate(false).",
            ),
            "25006" => (
                format!("The database {database:?} cannot be written: {said}."),
                "Name the primary in the URL, and a role whose transactions are not read-only.",
            ),
            "53100" => (format!("The disk of {server} is full: {said}."), FULL),
            "53300" => (
                format!("{server} has no connection left: {said}."),
                "Raise its max_connections, or lower those of its clients.",
            ),
            "26000" | "42P05" => (
                format!("{server} is behind a pooler that does not keep prepared statements: {said} ({code})."),
                "Build with prepared_statements(false), or switch prepared statements on in the pooler.",
            ),
            code if code.starts_with("57P") => {
                (format!("{server} is starting or stopping: {said}."), "Start again once it has.")
            }
            _ => (format!("{server} refuses what the start needs: {said} ({code})."), "See the log of that server."),
        }
    }
}
