//! `/ui/users/{id}/news`: what others have done to a person since the page was made. The script of the page asks every few
//! seconds while somebody looks at it.

use askama::Template;
use authfort::{Event, EventId};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::Rejection;
use crate::admin::UserPath;
use crate::extract::Path;
use crate::ui::frame::{Staff, page};
use crate::ui::params::Params;
use crate::ui::words;

#[derive(Template)]
#[template(path = "ui/news.html")]
struct News {
    /// The page, as it is now.
    address: String,
    event: Event,
}

pub(in crate::ui) async fn news(
    staff: Staff,
    Path(UserPath { id }): Path<UserPath>,
    params: Params,
) -> Result<Response, Rejection> {
    let newest = staff.admin.auth.list_events().user_id(id).limit(1).await?.events.pop();
    match newest {
        Some(event) if params.parsed::<EventId>("seen") != Some(event.id) => {
            let address = staff.frame.path(&format!("/ui/users/{id}"));
            page(StatusCode::OK, &News { address, event })
        }
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
