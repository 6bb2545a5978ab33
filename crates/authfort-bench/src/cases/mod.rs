//! What is measured: the rows of the table of bars, and what stands beside them.

pub mod events;
pub mod guard;
pub mod lists;
pub mod page;
pub mod price;
pub mod writes;

use std::sync::Arc;

use serde_json::Value;

use crate::Outcome;
use crate::database::{Database, Engine, Link};
use crate::http::Request;
use crate::load::{Contestant, Jobs};
use crate::measure::Bench;

/// The concurrency of the second measurement.
pub const MANY: usize = 16;

/// A request that changes nothing, asked once and read whole: from then on its answers must have the same length.
pub async fn probe(bench: &Bench, path: &str) -> Outcome<(Request, Value)> {
    let mut request = Request::get(path, &bench.token);
    let mut client = bench.client().await?;
    let body = client.check(&request).await?;
    request.length = Some(body.len());
    Ok((request, serde_json::from_slice(body)?))
}

pub fn requests(bench: &Bench, requests: Vec<Request>) -> Contestant {
    Contestant::Http(bench.server.address, Jobs::cycle(requests.into_iter().map(|one| Arc::from([one])).collect()))
}

/// A number out of the database, past the library.
pub async fn number(bench: &Bench, sqlite: &str, postgres: &str) -> Outcome<i64> {
    let text = if bench.engine() == Engine::Sqlite { sqlite } else { postgres };
    let text = sqlx::AssertSqlSafe(text.to_owned());
    Ok(match bench.database.link().await? {
        Link::Sqlite(mut conn) => sqlx::query_scalar(text).fetch_one(&mut conn).await?,
        Link::Postgres(mut conn) => sqlx::query_scalar(text).fetch_one(&mut conn).await?,
    })
}

/// Ids of users who are neither anonymized nor banned, in no order that an index has.
pub async fn some_ids(database: &Database, many: usize) -> Outcome<Vec<uuid::Uuid>> {
    let condition = "FROM authfort_users u WHERE deleted_at IS NULL AND NOT banned AND email NOT LIKE 'bench.%'
        AND NOT EXISTS (SELECT 1 FROM authfort_user_roles r WHERE r.user_id = u.id AND r.role = 'admin')";
    let text = format!("SELECT id {condition} ORDER BY random() LIMIT {many}");
    let text = sqlx::AssertSqlSafe(text);
    Ok(match database.link().await? {
        Link::Sqlite(mut conn) => sqlx::query_scalar(text).fetch_all(&mut conn).await?,
        Link::Postgres(mut conn) => sqlx::query_scalar(text).fetch_all(&mut conn).await?,
    })
}
