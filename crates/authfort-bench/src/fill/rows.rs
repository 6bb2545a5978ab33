//! People as rows of tables.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::people::{Dice, People, Person};

pub enum Cell {
    Null,
    Text(String),
    Bool(bool),
    Bytes(Vec<u8>),
    Id(Uuid),
    Time(DateTime<Utc>),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
macro_rules! cells {
    ($($from:ty => $variant:ident),*) => { $(impl From<$from> for Cell { fn from(value: $from) -> Self { Self::$variant(value.into()) } })* };
}
cells! { String => Text, &str => Text, bool => Bool, Vec<u8> => Bytes, Uuid => Id, DateTime<Utc> => Time }

pub struct Batch {
    pub table: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

macro_rules! row {
    ($($value:expr),* $(,)?) => { vec![$(Cell::from($value)),*] };
}

impl Batch {
    fn new(table: &'static str, columns: &'static [&'static str]) -> Self {
        Self { table, columns, rows: Vec::new() }
    }

    /// The rows of a range of people, in the order in which tables refer to each other.
    pub fn of(people: &People, range: Range<u64>) -> Vec<Self> {
        let mut users = Self::new("authfort_users", &USERS);
        let mut roles = Self::new("authfort_user_roles", &["user_id", "role", "created_at"]);
        let mut sessions = Self::new("authfort_sessions", &SESSIONS);
        let mut tokens = Self::new("authfort_refresh_tokens", &TOKENS);
        let mut events = Self::new("authfort_events", &["id", "type", "timestamp", "user_id", "data"]);
        for number in range {
            let person = people.person(number);
            for role in &person.roles {
                roles.rows.push(row![person.id, *role, person.created_at]);
            }
            if person.has_sessions {
                let mut dice = Dice(number);
                session(&person, &mut dice, &mut sessions, &mut tokens, &mut events);
            }
            users.rows.push(user(person));
        }
        vec![users, roles, sessions, tokens, events]
    }
}

const USERS: [&str; 19] = [
    "id",
    "email",
    "email_key",
    "email_verified",
    "name",
    "name_key",
    "search_key",
    "phone",
    "metadata",
    "banned",
    "banned_at",
    "ban_reason",
    "ban_expires_at",
    "created_at",
    "updated_at",
    "last_login_at",
    "deleted_at",
    "token_version",
    "version",
];
const SESSIONS: [&str; 8] =
    ["id", "user_id", "user_agent", "ip_address", "created_at", "last_seen_at", "expires_at", "final_expires_at"];
const TOKENS: [&str; 7] = ["token_hash", "session_id", "user_id", "created_at", "expires_at", "used_at", "child_salt"];

fn user(person: Person) -> Vec<Cell> {
    let (banned_at, expires_at) = person.ban.map_or((None, None), |ban| (Some(ban.at), ban.expires_at));
    row![
        person.id,
        person.email.as_str(),
        // Addresses of letters, digits and points are their own keys.
        person.email.as_str(),
        person.email_verified,
        person.name,
        person.name_key,
        person.search_key,
        person.phone,
        person.metadata,
        banned_at.is_some(),
        banned_at,
        banned_at.map(|_| "terms of use"),
        expires_at,
        person.created_at,
        person.created_at,
        person.last_login_at,
        person.deleted_at,
        "0",
        "1",
    ]
}

/// A session that was refreshed three times, and the event of its beginning.
fn session(person: &Person, dice: &mut Dice, sessions: &mut Batch, tokens: &mut Batch, events: &mut Batch) {
    let begun = person.last_login_at.unwrap_or(person.created_at);
    let draw = |dice: &mut Dice| (0..4).flat_map(|_| dice.next().to_le_bytes()).collect::<Vec<u8>>();
    let id = |dice: &mut Dice| Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(dice.next()));
    let session = id(dice);
    let seen = begun + TimeDelta::minutes(45);
    let end = seen + TimeDelta::days(30);
    sessions.rows.push(row![
        session,
        person.id,
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101",
        "203.0.113.7",
        begun,
        seen,
        end,
        begun + TimeDelta::days(90),
    ]);
    for step in 0..4 {
        let at = begun + TimeDelta::minutes(15 * step);
        let used = (step < 3).then(|| at + TimeDelta::minutes(15));
        let salt = used.map(|_| draw(dice));
        tokens.rows.push(row![draw(dice), session, person.id, at, at + TimeDelta::days(30), used, salt]);
    }
    let data =
        format!(r#"{{"email":"{}","provider":"password","ip_address":"203.0.113.7","user_agent":null}}"#, person.email);
    events.rows.push(row![id(dice), "login", begun, person.id, data]);
}

/// The tables of users who are there to be deleted.
pub fn victim_tables() -> [Batch; 5] {
    [
        Batch::new(
            "authfort_users",
            &["id", "email", "email_key", "name", "name_key", "search_key", "created_at", "updated_at"],
        ),
        Batch::new("authfort_user_roles", &["user_id", "role", "created_at"]),
        Batch::new(
            "authfort_sessions",
            &["id", "user_id", "created_at", "last_seen_at", "expires_at", "final_expires_at"],
        ),
        Batch::new("authfort_refresh_tokens", &["token_hash", "session_id", "user_id", "created_at", "expires_at"]),
        Batch::new("authfort_oauth_accounts", &["provider", "provider_account_id", "user_id", "created_at"]),
    ]
}

/// A row; it names the type.
pub fn cells(cells: Vec<Cell>) -> Vec<Cell> {
    cells
}
