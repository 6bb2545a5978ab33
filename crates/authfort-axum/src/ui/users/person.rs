//! `/ui/users/{id}`: one person, and the form to edit them.

use askama::Template;
use authfort::{Event, OauthAccount, Session, User, UserId};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::edit::{Profile, pretty};
use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::log::{Entry, entries};
use crate::ui::panel::RenderedPanel;
use crate::ui::params::Params;
use crate::ui::words;

/// How many sessions and events the page has.
const SESSIONS: u32 = 20;
const EVENTS: u32 = 30;

#[derive(Template)]
#[template(path = "ui/person.html")]
pub(super) struct Person {
    frame: Frame,
    /// The list as it was left.
    back: String,
    now: DateTime<Utc>,
    pub user: User,
    metadata: String,
    sessions: Vec<Session>,
    has_more_sessions: bool,
    /// The session that the administrator is in.
    own_session: authfort::SessionId,
    accounts: Vec<OauthAccount>,
    history: Vec<Entry>,
    has_more_history: bool,
    is_self: bool,
    /// Whether nobody else could do what an administrator does.
    is_last_admin: bool,
    admin_role: String,
    /// The application's own.
    panels: Vec<RenderedPanel>,
    /// The act that the log confirms.
    receipt: Option<String>,
    pub form: Option<Profile>,
}

pub(in crate::ui) async fn show(
    staff: Staff,
    headers: HeaderMap,
    Path(UserPath { id }): Path<UserPath>,
    params: Params,
) -> Result<Response, Rejection> {
    let mut person = Person::read(&staff, id, &headers, params.get("done")).await?;
    if params.get("edit").is_some() && !person.user.is_deleted {
        let was = Some(Box::new(Profile::of(&person.user)));
        let needs_password = staff.needs_password().await?;
        person.form = Some(Profile { needs_password, was, ..Profile::of(&person.user) });
    }
    page(StatusCode::OK, &person)
}

impl Person {
    pub(super) async fn read(
        staff: &Staff,
        id: UserId,
        headers: &HeaderMap,
        done: Option<&str>,
    ) -> Result<Self, Rejection> {
        let auth = &staff.admin.auth;
        let user = auth.get_user(id).deleted(true).await?;
        let panels = staff.frame.panels(&user);
        // An anonymized user has none of these.
        let (sessions, next_sessions, accounts) = if user.is_deleted {
            Default::default()
        } else {
            let found = auth.list_sessions(id).limit(SESSIONS).await?;
            (found.sessions, found.next_cursor, auth.list_accounts(id).await?)
        };
        let events = auth.list_events().user_id(id).limit(EVENTS).await?;
        let me = &staff.admin.user;
        let receipt = done.and_then(|done| {
            let own = |event: &&Event| {
                // Where there was none before, a password is set, else it is changed.
                let is_it = event.r#type == done || done == "password" && event.r#type.starts_with("password_");
                is_it && staff.has_just_done(event)
            };
            events.events.iter().find(own)
        });
        let receipt = receipt.map(words::happened);
        let admin_role = auth.admin_role().to_owned();
        let is_last_admin = auth.is_last_admin(&user).await?;
        Ok(Self {
            frame: staff.frame.clone(),
            back: left_list(headers, &staff.frame),
            now: auth.now(),
            metadata: pretty(&user.metadata),
            has_more_sessions: next_sessions.is_some(),
            sessions,
            own_session: me.session_id,
            accounts,
            has_more_history: events.next_cursor.is_some(),
            history: entries(staff, events.events.clone()).await?,
            is_self: me.user_id == id,
            is_last_admin,
            admin_role,
            receipt,
            panels: panels.shown().await,
            user,
            form: None,
        })
    }
}

/// The address of the list that the caller comes from, so that its filters are kept.
fn left_list(headers: &HeaderMap, frame: &Frame) -> String {
    let list = frame.path("/ui/users");
    let from =
        headers.get(header::REFERER).and_then(|from| from.to_str().ok()).and_then(|from| from.parse::<Uri>().ok());
    match from.as_ref().and_then(Uri::path_and_query) {
        Some(from) if from.path() == list => from.to_string(),
        _ => list,
    }
}
