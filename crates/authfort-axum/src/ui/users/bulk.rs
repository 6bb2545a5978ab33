//! `/ui/users/bulk`: one act for everybody whom a list shows.
//!
//! The form holds who was listed when it was made: whoever comes into the list later is not acted on. Its number is typed to
//! confirm. The browser sends the form again for each hundred people and shows each result as it comes, so nothing has to run on
//! when nobody looks at it, each node can do the next part, and to stop is not to go on. Everybody is an act of their own, with
//! an event of its own.

mod act;
mod run;

use askama::Template;
use authfort::{Total, UserFilter, UserId};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};

use self::act::Act;
pub(in crate::ui) use self::run::run;
use super::list::{Chip, View};
use crate::Rejection;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::Params;
use crate::ui::words;

/// How many people at most: as far as a search counts, too.
const LIMIT: usize = 1_000;
/// As many as a page of the list can have.
const PAGE: u32 = 200;

/// A person, as the form carries them: the id, and the address to be recognized by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    id: UserId,
    email: String,
}

#[derive(Template)]
#[template(path = "ui/bulk.html")]
struct Choice {
    frame: Frame,
    list: String,
    /// That of this page.
    address: String,
    chips: Vec<Chip>,
    acts: Vec<(Act, String)>,
    /// The act that was chosen.
    act: Option<Act>,
    people: Vec<Person>,
    /// Whether there are more than can be acted on at once.
    too_many: bool,
    /// Those whom the page names.
    first: Vec<Person>,
    /// When they were listed.
    at: DateTime<Utc>,
    roles: Vec<String>,
    needs_password: bool,
}

impl Choice {
    fn count(&self) -> String {
        words::number(self.people.len().try_into().unwrap_or(u64::MAX))
    }

    fn noun(&self) -> &'static str {
        if self.people.len() == 1 { "person" } else { "people" }
    }

    fn lines(&self) -> String {
        run::lines(&self.people)
    }
}

pub(in crate::ui) async fn form(staff: Staff, params: Params) -> Result<Response, Rejection> {
    let view = View::of(&params).whole();
    // A list shows more than was meant without a filter that it does not know; nothing is done to those.
    if let Some(unknown) = view.unknown(&params) {
        let message = format!("The list has no filter `{unknown}` of this value. Choose the filters in the list.");
        return Err(Rejection::invalid_request(message));
    }
    let at = staff.admin.auth.now();
    let people = listed(&staff, &view).await?;
    let too_many = people.len() > LIMIT;
    let act = params.get("act").and_then(Act::of);
    let roles = staff.admin.auth.list_role_names().await?;
    let needs_password = staff.needs_password().await?;
    let address = view.address();
    let link = |act: Act| {
        let and = if address.is_empty() { '?' } else { '&' };
        (act, staff.frame.path(&format!("/ui/users/bulk{address}{and}act={}", act.name())))
    };
    let choice = Choice {
        address: act.map_or_else(String::new, |act| link(act).1),
        list: staff.frame.path(&format!("/ui/users{address}")),
        chips: view.chips(),
        acts: Act::ALL.map(link).to_vec(),
        act,
        first: people.iter().take(10).cloned().collect(),
        people: if too_many { Vec::new() } else { people },
        too_many,
        at,
        roles,
        needs_password,
        frame: staff.frame,
    };
    page(StatusCode::OK, &choice)
}

/// Returns whom the list shows on all its pages; one more than the limit if there are more.
async fn listed(staff: &Staff, view: &View) -> Result<Vec<Person>, Rejection> {
    let filter: UserFilter = view.filter();
    let mut people = Vec::new();
    let mut cursor = None;
    loop {
        let mut call = staff.admin.auth.list_users().filter(filter.clone()).limit(PAGE).total(Total::None);
        call = call.sort_by(view.sort_by()).sort_order(view.sort_order());
        if let Some(cursor) = cursor {
            call = call.cursor(cursor);
        }
        let found = call.await?;
        people.extend(found.users.into_iter().map(|user| Person { id: user.id, email: user.email }));
        match found.next_cursor {
            Some(next) if people.len() <= LIMIT => cursor = Some(next),
            _ => return Ok(people),
        }
    }
}
