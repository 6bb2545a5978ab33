//! What the measurements need beside the filled database; all of it through the library, and found again by the next run.

use std::sync::Arc;
use std::time::Duration;

use authfort::secrecy::ExposeSecret as _;
use authfort::{AuthFort, Clock, UserId};

use crate::Outcome;
use crate::cases::MANY;
use crate::database::{Database, Link};
use crate::measure::Bench;
use crate::server::Server;

pub const PASSWORD: &str = "correct horse battery staple";

pub async fn prepare(database: Database, time: Duration, log: &std::path::Path) -> Outcome<Bench> {
    let database = Arc::new(database);
    forget_former_runs(&database).await?;
    let day = Duration::from_hours(24);
    let auth = AuthFort::builder().access_ttl(day).connect(database.url()).await?;
    let admin = user(&auth, "bench.admin@example.com", Some("admin"), None).await?;
    for at in 0..MANY {
        user(&auth, &login_email(at), None, Some(PASSWORD)).await?;
    }
    let token = auth.create_session(admin).await?.tokens.access_token.expose_secret().to_owned();
    let users = totals(&database).await?;
    let server = Server::example(database.url(), log).await?;
    let pair = Server::pair(database.url(), log).await?;
    Ok(Bench { database, auth, server, pair, token, users, time })
}

/// Those who have a password.
pub fn login_email(at: usize) -> String {
    format!("bench.login.{at}@example.com")
}

async fn user(auth: &AuthFort, email: &str, role: Option<&str>, password: Option<&str>) -> Outcome<UserId> {
    if let Some(user) = auth.find_user_by_email(email).await? {
        return Ok(user.id);
    }
    let mut call = auth.create_user(email).name("Bench");
    if let Some(role) = role {
        call = call.role(role);
    }
    if let Some(password) = password {
        call = call.password(password);
    }
    Ok(call.await?.id)
}

/// A session of a user: access and refresh token.
pub async fn session(bench: &Bench, id: UserId) -> Outcome<(String, String)> {
    let tokens = bench.auth.create_session(id).await?.tokens;
    Ok((tokens.access_token.expose_secret().to_owned(), tokens.refresh_token.expose_secret().to_owned()))
}

/// What measurements before this one left in a kept database: the newest users of all, whom no search finds.
async fn forget_former_runs(database: &Database) -> Outcome<()> {
    const FORGET: &str =
        "UPDATE authfort_users SET banned = FALSE, banned_at = NULL, ban_reason = NULL WHERE ban_reason = 'bulk';
        DELETE FROM authfort_user_roles WHERE role IN ('auditor', 'bulk');
        DELETE FROM authfort_users WHERE email_key >= 'bulk.' AND email_key < 'bulk/';
        DELETE FROM authfort_users WHERE email_key >= 'bench.' AND email_key < 'bench/'
            AND email_key NOT LIKE 'bench.login.%' AND email_key NOT LIKE 'bench.admin@%';";
    match database.link().await? {
        Link::Sqlite(mut conn) => {
            sqlx::raw_sql(FORGET).execute(&mut conn).await?;
        }
        Link::Postgres(mut conn) => {
            sqlx::raw_sql(FORGET).execute(&mut conn).await?;
            sqlx::raw_sql("VACUUM ANALYZE authfort_users").execute(&mut conn).await?;
        }
    }
    Ok(())
}

/// The floor's own kept total, the cheapest that there can be; answers how many users there are.
async fn totals(database: &Database) -> Outcome<u64> {
    const MAKE: &str = "DROP TABLE IF EXISTS authfort_bench_totals;
        CREATE TABLE authfort_bench_totals (key text PRIMARY KEY, n bigint NOT NULL);
        INSERT INTO authfort_bench_totals SELECT 'all', count(*) FROM authfort_users WHERE deleted_at IS NULL;";
    const READ: &str = "SELECT n FROM authfort_bench_totals WHERE key = 'all'";
    let users: i64 = match database.link().await? {
        Link::Sqlite(mut conn) => {
            sqlx::raw_sql(MAKE).execute(&mut conn).await?;
            sqlx::query_scalar(READ).fetch_one(&mut conn).await?
        }
        Link::Postgres(mut conn) => {
            sqlx::raw_sql(MAKE).execute(&mut conn).await?;
            sqlx::raw_sql("ANALYZE authfort_bench_totals").execute(&mut conn).await?;
            sqlx::query_scalar(READ).fetch_one(&mut conn).await?
        }
    };
    Ok(u64::try_from(users)?)
}

/// The day, for the report.
pub fn today() -> String {
    Clock::system().now().format("%Y-%m-%d").to_string()
}
