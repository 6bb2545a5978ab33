//! Changes, each beside the same statements by hand in a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use authfort::Clock;
use chrono::TimeDelta;
use uuid::Uuid;

use super::{MANY, requests, some_ids};
use crate::Outcome;
use crate::database::{Database, Engine};
use crate::fill;
use crate::floor::Floor;
use crate::http::Request;
use crate::load::{Contestant, Jobs};
use crate::measure::{Bar, Bench, Case};
use crate::people::Dice;
use crate::setup::{PASSWORD, login_email};

/// The values of each run of a text.
pub type Values = Vec<Vec<String>>;

/// What a side uses up at most, for each second that it works.
const EACH_SECOND: usize = 1500;

pub async fn cases(bench: &Bench, only: &dyn Fn(&str) -> bool) -> Outcome<Vec<Case>> {
    let mut cases = Vec::new();
    // Different in each run: what a run before this one left is in the database.
    let run = u64::try_from(bench.auth.now().timestamp_micros())?;
    let mut dice = Dice(run);
    let many = usize::try_from(bench.time.as_millis())? * EACH_SECOND / 1000 + MANY * 2;
    for (concurrency, name) in [(1, "delete"), (MANY, "delete")] {
        if only(name) {
            let subject = victims(&bench.database, many, &mut dice).await?;
            let floor = victims(&bench.database, many, &mut dice).await?;
            let delete = |id: &Uuid| {
                job(vec![
                    Request::new("DELETE", &format!("/admin/users/{id}"), Some(&bench.token), None)
                        .begins(r#"{"deleted":true}"#),
                ])
            };
            let subject = Contestant::Http(bench.server.address, Jobs::once(subject.iter().map(delete).collect()));
            let values = floor.iter().map(|id| vec![hex(*id), id128(&mut dice)]).collect();
            let case = Case::new(name, concurrency, subject);
            // Writers of SQLite that do not queue wait for each other by sleeping: that is no floor.
            let beside = concurrency == 1 || bench.engine() == Engine::Postgres;
            let case = if beside { case.floor("by hand", sql(bench, "delete", values)?) } else { case };
            cases.push(limited(if concurrency == 1 { case.bar(Bar::MedianToFloor(3.0)) } else { case }, many));
        }
    }
    if only("create") {
        let subject = creates(bench, many, &run.to_string());
        let values = people(many, &format!("hand.{run}"), &mut dice);
        cases.push(limited(Case::new("create", 1, subject).floor("by hand", sql(bench, "create", values)?), many));
    }
    if only("ban and unban") {
        let ids = some_ids(&bench.database, 400).await?;
        let (mine, hands) = ids.split_at(ids.len() / 2);
        let subject = bans(bench, mine);
        let values = two_events(hands, many, &mut dice);
        cases.push(limited(Case::new("ban and unban", 1, subject).floor("by hand", sql(bench, "ban", values)?), many));
    }
    if only("login") {
        let login = |at: usize| {
            let body = format!(r#"{{"email":"{}","password":"{PASSWORD}"}}"#, login_email(at));
            Request::new("POST", "/auth/login", None, Some(&body)).begins(r#"{"user":{"#)
        };
        for concurrency in [1, MANY] {
            cases.push(Case::new("login", concurrency, requests(bench, (0..MANY).map(login).collect())));
        }
    }
    if only("refresh") {
        for concurrency in [1, MANY] {
            let mut tokens = Vec::new();
            // Users of their own: a ban of the case before would end the session.
            for at in 0..concurrency {
                let user =
                    bench.auth.find_user_by_email(login_email(at)).await?.ok_or("a user of the logins is gone")?;
                tokens.push(crate::setup::session(bench, user.id).await?.1);
            }
            cases.push(Case::new(
                "refresh",
                concurrency,
                Contestant::Refresh(bench.server.address, Jobs::once(tokens)),
            ));
        }
    }
    Ok(cases)
}

/// Requests that create users, each once.
pub fn creates(bench: &Bench, many: usize, unique: &str) -> Contestant {
    let create = |at: usize| {
        let body =
            format!(r#"{{"email":"bench.create.{unique}.{at}@example.com","name":"Jane Doe","roles":["member"]}}"#);
        job(vec![Request::new("POST", "/admin/users", Some(&bench.token), Some(&body)).status(201)])
    };
    Contestant::Http(bench.server.address, Jobs::once((0..many).map(create).collect()))
}

/// Requests that ban these users and end that, over and over.
pub fn bans(bench: &Bench, ids: &[Uuid]) -> Contestant {
    let both = |id: &Uuid| {
        let post =
            |what: &str| Request::new("POST", &format!("/admin/users/{id}/{what}"), Some(&bench.token), Some("{}"));
        let unban = Request::new("POST", &format!("/admin/users/{id}/unban"), Some(&bench.token), None);
        job(vec![post("ban"), unban])
    };
    Contestant::Http(bench.server.address, Jobs::cycle(ids.iter().map(both).collect()))
}

/// A user, and an id for each of two events: an event's id is its own.
pub fn two_events(ids: &[Uuid], many: usize, dice: &mut Dice) -> Values {
    ids.iter().cycle().take(many).map(|id| vec![hex(*id), ordered(dice), ordered(dice)]).collect()
}

/// What a user is created with by hand, and its two events.
pub fn people(many: usize, unique: &str, dice: &mut Dice) -> Values {
    let person = |at: usize| {
        let email = format!("bench.{unique}.{at}@example.com");
        let key = format!("{email}\njane doe");
        vec![id128(dice), email, "Jane Doe".into(), "jane doe".into(), key, ordered(dice), ordered(dice)]
    };
    (0..many).map(person).collect()
}

pub fn limited(case: Case, many: usize) -> Case {
    let most = (many.saturating_sub(case.concurrency)) / 5 / case.concurrency;
    Case { most: most.max(1), ..case }
}

fn job(requests: Vec<Request>) -> Arc<[Request]> {
    requests.into()
}

pub fn sql(bench: &Bench, name: &str, values: Values) -> Outcome<Contestant> {
    Ok(Contestant::Sql(Floor::new(&bench.database, name, None)?, Jobs::once(values)))
}

pub fn hex(id: Uuid) -> String {
    id.simple().to_string()
}

/// In the order of the calls, as the ids of events are.
pub fn ordered(dice: &mut Dice) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let at = Clock::system().now().timestamp_micros().unsigned_abs();
    hex(Uuid::from_u128(u128::from(at + NEXT.fetch_add(1, Ordering::Relaxed)) << 64 | u128::from(dice.next())))
}

pub fn id128(dice: &mut Dice) -> String {
    hex(Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(dice.next())))
}

/// Users to delete: three roles, five sessions with a refresh token each, and an account.
pub async fn victims(database: &Database, many: usize, dice: &mut Dice) -> Outcome<Vec<Uuid>> {
    let now = Clock::system().now();
    let mut ids = Vec::new();
    let [mut users, mut roles, mut sessions, mut tokens, mut accounts] = fill::victim_tables();
    for _ in 0..many {
        let number = dice.next();
        let id = Uuid::from_u128(u128::from(number) << 64 | u128::from(dice.next()));
        let email = format!("bench.victim.{number}@example.com");
        let at = now - TimeDelta::days(i64::try_from(dice.below(900))?);
        users.rows.push(fill::cells(vec![
            id.into(),
            email.as_str().into(),
            email.as_str().into(),
            "Jane Doe".into(),
            "jane doe".into(),
            format!("{email}\njane doe").into(),
            at.into(),
            at.into(),
        ]));
        for role in ["member", "editor", "auditor"] {
            roles.rows.push(fill::cells(vec![id.into(), role.into(), at.into()]));
        }
        for _ in 0..5 {
            let session = Uuid::from_u128(u128::from(dice.next()) << 64 | u128::from(dice.next()));
            let end = now + TimeDelta::days(30);
            sessions.rows.push(fill::cells(vec![
                session.into(),
                id.into(),
                at.into(),
                at.into(),
                end.into(),
                end.into(),
            ]));
            let hash: Vec<u8> = (0..4).flat_map(|_| dice.next().to_le_bytes()).collect();
            tokens.rows.push(fill::cells(vec![hash.into(), session.into(), id.into(), at.into(), end.into()]));
        }
        accounts.rows.push(fill::cells(vec!["github".into(), number.to_string().into(), id.into(), at.into()]));
        ids.push(id);
    }
    let mut link = database.link().await?;
    fill::write(&mut link, &[users, roles, sessions, tokens, accounts]).await?;
    Ok(ids)
}
