//! `/ui/sessions`: the live sessions of everybody, newest first.

use askama::Template;
use authfort::{Error, Session, SessionId};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame::{Frame, Staff, page};
use super::log::{Named, Names};
use super::params::Params;
use super::words;
use crate::Rejection;

#[derive(Template)]
#[template(path = "ui/sessions.html")]
struct Page {
    frame: Frame,
    /// The session that the administrator is in.
    own_session: SessionId,
    sessions: Vec<(Session, Named)>,
    /// The query of the next page.
    next: Option<String>,
    is_first: bool,
}

pub(super) async fn list(staff: Staff, params: Params) -> Result<Response, Rejection> {
    let cursor = params.get("cursor");
    let mut call = staff.admin.auth.list_all_sessions().active_only(true);
    if let Some(cursor) = cursor {
        call = call.cursor(cursor);
    }
    let found = match call.await {
        // A saved link of another version: from the beginning.
        Err(Error::InvalidCursor) => return Ok(Redirect::to(&staff.frame.path("/ui/sessions")).into_response()),
        found => found?,
    };
    let named = Names::read(&staff, found.sessions.iter().map(|session| session.user_id).collect()).await?;
    let sessions = found.sessions.into_iter().map(|session| {
        let owner = named.of(session.user_id);
        (session, owner)
    });
    let next = found.next_cursor.map(|cursor| format!("?cursor={}", utf8_percent_encode(&cursor, NON_ALPHANUMERIC)));
    let (sessions, is_first) = (sessions.collect(), cursor.is_none());
    let own_session = staff.admin.user.session_id;
    page(StatusCode::OK, &Page { frame: staff.frame, own_session, sessions, next, is_first })
}
