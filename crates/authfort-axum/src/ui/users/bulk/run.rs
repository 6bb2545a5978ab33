//! Does the act to the next people of the form, and shows what came of it so far.

use std::collections::VecDeque;
use std::time::Duration;

use askama::Template;
use authfort::FieldError;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::act::Act;
use super::{LIMIT, Person};
use crate::Rejection;
use crate::ui::frame::{Frame, page};
use crate::ui::params::{Form, Params};
use crate::ui::step_up::StepUp;
use crate::ui::words;

/// How many people a request acts on, and how long it goes on: a script gives up after half a minute.
const PART: usize = 100;
const PART_LASTS: Duration = Duration::from_secs(5);
/// What stands in the place of a code if it was done, and if nothing was to be done.
const DONE: &str = "done";
const NOTHING: &str = "nothing";

/// Somebody who was acted on.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    person: Person,
    /// [`DONE`], [`NOTHING`], or the code of the refusal.
    code: String,
}

#[derive(Template)]
#[template(path = "ui/bulk_run.html")]
struct Progress {
    frame: Frame,
    /// The query of the list and the act: where who is refused begins again.
    address: String,
    act: Act,
    /// How many there are in all.
    of: usize,
    rest: Vec<Person>,
    outcomes: Vec<Outcome>,
    reason: String,
    role: String,
    /// Why it did not go on.
    stopped: Option<Rejection>,
    needs_password: bool,
}

impl Progress {
    fn number_of(&self, code: &str) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.code == code).count()
    }

    fn refused(&self) -> usize {
        self.outcomes.len() - self.number_of(DONE) - self.number_of(NOTHING)
    }

    fn rest_lines(&self) -> String {
        lines(&self.rest)
    }

    fn outcome_lines(&self) -> String {
        let line = |outcome: &Outcome| format!("{} {} {}", outcome.code, outcome.person.id, outcome.person.email);
        self.outcomes.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Writes people, a line each.
pub(super) fn lines(people: &[Person]) -> String {
    people.iter().map(|person| format!("{} {}", person.id, person.email)).collect::<Vec<_>>().join("\n")
}

fn person(line: &str) -> Option<Person> {
    let (id, email) = line.split_once(' ').unwrap_or((line, ""));
    Some(Person { id: id.parse().ok()?, email: email.to_owned() })
}

fn outcome(line: &str) -> Option<Outcome> {
    let (code, rest) = line.split_once(' ')?;
    Some(Outcome { person: person(rest)?, code: code.to_owned() })
}

/// Reads what the page before has written.
fn read<T>(form: &Params, name: &'static str, line: fn(&str) -> Option<T>) -> Result<Vec<T>, Rejection> {
    let text = form.get(name).unwrap_or_default();
    let read: Option<Vec<T>> = text.lines().map(line).collect();
    match read {
        Some(read) if read.len() <= LIMIT => Ok(read),
        _ => {
            Err(Rejection::invalid_request(format!("`{name}` is not what the page wrote. Begin again from the list.")))
        }
    }
}

pub(in crate::ui) async fn run(step_up: StepUp, uri: Uri, Form(mut form): Form) -> Result<Response, Rejection> {
    let act = form.get("act").and_then(Act::of).ok_or_else(|| Rejection::invalid_request("`act` is missing."))?;
    let mut rest = VecDeque::from(read(&form, "rest", person)?);
    let mut outcomes = read(&form, "outcomes", outcome)?;
    let of = rest.len() + outcomes.len();
    let typed = form.get("number").unwrap_or_default().replace([',', ' '], "");
    if typed.parse::<usize>() != Ok(of) {
        let message = format!("is not the number of people, which is {of}");
        return Err(Rejection::validation(vec![FieldError::new("number", "not_allowed", message)]));
    }
    act.check(&step_up.staff, &form).await?;
    let confirmed = step_up.confirm(&mut form).await;
    let staff = step_up.staff;
    let text = |name| form.get(name).unwrap_or_default().to_owned();
    let (reason, role) = (text("reason"), text("role"));
    let address = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    let (auth, cookies) = match confirmed {
        Ok(confirmed) => confirmed,
        // The page before has no field for the password: it was not needed then.
        Err(refused) if form.get("begun").is_some() => {
            let (rest, stopped) = (rest.into(), Some(refused));
            let frame = staff.frame;
            let progress =
                Progress { frame, address, act, of, rest, outcomes, reason, role, stopped, needs_password: true };
            return page(StatusCode::OK, &progress);
        }
        Err(refused) => return Err(refused),
    };
    let ends = Instant::now() + PART_LASTS;
    let mut stopped = None;
    for _ in 0..PART {
        let Some(person) = rest.front().filter(|_| Instant::now() < ends) else { break };
        let code = match act.on(&auth, &staff.admin, person.id, &form).await {
            Ok(true) => DONE.to_owned(),
            Ok(false) => NOTHING.to_owned(),
            // Of this person alone.
            Err(refused) if matches!(refused.status(), StatusCode::NOT_FOUND | StatusCode::CONFLICT) => {
                refused.code().to_owned()
            }
            Err(refused) => {
                stopped = Some(refused);
                break;
            }
        };
        outcomes.extend(rest.pop_front().map(|person| Outcome { person, code }));
    }
    if outcomes.is_empty()
        && let Some(refused) = stopped
    {
        return Ok((cookies, refused).into_response());
    }
    let rest = Vec::from(rest);
    let needs_password = !rest.is_empty() && cookies.is_empty() && staff.needs_password().await?;
    let progress =
        Progress { frame: staff.frame, address, act, of, rest, outcomes, reason, role, stopped, needs_password };
    Ok((cookies, page(StatusCode::OK, &progress)?).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_writes_the_next_reads() {
        let id = "0190a6d0-0000-7000-8000-000000000001";
        let jane = Person { id: id.parse().unwrap(), email: "jane doe@example.com".into() };
        assert_eq!(person(&lines(std::slice::from_ref(&jane))), Some(jane.clone()));
        assert_eq!(outcome(&format!("last_admin {id} jane doe@example.com")).unwrap().code, "last_admin");
        assert_eq!(outcome(&format!("done {id} jane doe@example.com")).unwrap().person, jane);
        assert_eq!((person("jane"), outcome(id)), (None, None));
    }
}
