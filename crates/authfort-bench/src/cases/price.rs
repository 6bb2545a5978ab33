//! What totals, orders and the guard's log cost a write: the same SQL on the library's tables, and beside them on tables with
//! the same users and without their triggers and indexes.

use std::sync::Arc;

use uuid::Uuid;

use super::some_ids;
use super::writes::{Values, hex, id128, limited, ordered, people, two_events, victims};
use crate::Outcome;
use crate::database::{Database, Engine, Link};
use crate::fill;
use crate::floor::Floor;
use crate::load::{Contestant, Jobs};
use crate::measure::{Bar, Bench, Case, Served};
use crate::people::Dice;

const BESIDE: &str = "without totals, orders and log";
const EACH_SECOND: usize = 3000;

/// How many users a statement of an operator changes, at most a tenth of all.
const MANY_ROWS: u64 = 100_000;

/// How many it deletes from SQLite, whose search index overwrites what is deleted: milliseconds for each.
const SQLITE_DELETED_ROWS: u64 = 1_000;

pub async fn cases(bench: &Bench, users: u64, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<Case>> {
    const SINGLE: [&str; 5] =
        ["SQL: insert", "SQL: ban and unban", "SQL: give and take a role", "SQL: delete", "SQL: login"];
    // Each with its text, and the group of it that is timed.
    const BULK: [(&str, &str, usize); 4] = [
        ("bulk SQL: ban", "many_bans", 0),
        ("bulk SQL: give a role", "many_roles", 0),
        ("bulk SQL: insert", "many_users", 0),
        ("bulk SQL: delete", "many_users", 1),
    ];
    if !SINGLE.iter().chain(BULK.iter().map(|(name, ..)| name)).any(|name| only(name)) {
        return Ok(Vec::new());
    }
    let bare = Arc::new(bench.database.beside());
    fill::bare(&bare, users).await?;
    let mut dice = Dice(u64::try_from(bench.auth.now().timestamp_micros())?);
    let many = usize::try_from(bench.time.as_millis())? * EACH_SECOND / 1000 + 10;
    let mut cases = Vec::new();
    for name in SINGLE {
        if !only(name) {
            continue;
        }
        let mut side = async |database: &Arc<Database>| {
            // Each has its own: the two were filled at different times.
            let ids = some_ids(database, 400).await?;
            let (text, values) = match name {
                "SQL: insert" => ("create", people(many, &format!("price.{}", dice.next()), &mut dice)),
                "SQL: ban and unban" => ("ban", two_events(&ids, many, &mut dice)),
                "SQL: give and take a role" => ("role", two_events(&ids, many, &mut dice)),
                "SQL: delete" => {
                    let victims = victims(database, many, &mut dice).await?;
                    ("delete", victims.into_iter().map(|id| vec![hex(id), id128(&mut dice)]).collect())
                }
                _ => ("login", logins(&ids, many, &mut dice)),
            };
            Ok::<_, crate::Fault>(Contestant::Sql(Floor::new(database, text, None)?, Jobs::once(values)))
        };
        let case = Case::new(name, 1, side(&bench.database).await?).floor(BESIDE, side(&bare).await?);
        cases.push(limited(Case { served: Served::None, ..case }, many));
    }
    for (name, text, timed) in BULK {
        if !only(name) {
            continue;
        }
        let deletes = text == "many_users";
        let few = deletes && bench.engine() == Engine::Sqlite;
        let rows = if few { SQLITE_DELETED_ROWS } else { MANY_ROWS }.min(users / 10);
        let side = async |database: &Arc<Database>| {
            let values = if deletes { vec![rows.to_string()] } else { between(database, rows).await? };
            let floor = Floor::new(database, text, None)?.timing(timed);
            Ok::<_, crate::Fault>(Contestant::Sql(floor, Jobs::cycle(vec![values])))
        };
        let case = Case::new(name, 1, side(&bench.database).await?).floor(BESIDE, side(&bare).await?);
        let case = case.bar(Bar::MedianToFloor(2.0));
        cases.push(Case { served: Served::None, most: 1, rounds: 2, ..case });
    }
    Ok(cases)
}

/// A user, and a session, a token and an event.
fn logins(ids: &[Uuid], many: usize, dice: &mut Dice) -> Values {
    ids.iter().cycle().take(many).map(|id| vec![hex(*id), ordered(dice), id128(dice), ordered(dice)]).collect()
}

/// Two times between which so many users were created, with others on either side.
async fn between(database: &Database, rows: u64) -> Outcome<Vec<String>> {
    let text = match database.engine() {
        Engine::Sqlite => "SELECT created_at FROM authfort_users WHERE deleted_at IS NULL ORDER BY created_at",
        Engine::Postgres => {
            "SELECT CAST(created_at AS text) FROM authfort_users WHERE deleted_at IS NULL ORDER BY created_at"
        }
    };
    let mut bounds = Vec::new();
    for offset in [rows, rows * 2] {
        let text = sqlx::AssertSqlSafe(format!("{text} LIMIT 1 OFFSET {offset}"));
        bounds.push(match database.link().await? {
            Link::Sqlite(mut conn) => sqlx::query_scalar(text).fetch_one(&mut conn).await?,
            Link::Postgres(mut conn) => sqlx::query_scalar(text).fetch_one(&mut conn).await?,
        });
    }
    Ok(bounds)
}
