//! `GET /users/{id}/sessions`

use authfort::{AuthFort, SessionPage, UserId};
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::admin::{Admin, UserPath};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Selects sessions, for the admin's route and for the user's own.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SessionFilter {
    /// Whether only active sessions are listed; false by default.
    active_only: Option<bool>,
    /// The maximum number of sessions, 1 to 200; 50 by default.
    limit: Option<u32>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

impl SessionFilter {
    pub(crate) async fn list(self, auth: &AuthFort, user: UserId) -> authfort::Result<SessionPage> {
        let mut call = auth.list_sessions(user).active_only(self.active_only.unwrap_or_default());
        if let Some(limit) = self.limit {
            call = call.limit(limit);
        }
        if let Some(cursor) = self.cursor {
            call = call.cursor(cursor);
        }
        call.await
    }
}

/// Lists the sessions of a user.
#[utoipa::path(
    get, path = "/users/{id}/sessions", operation_id = "list_sessions", tag = "sessions", security(("bearer" = [])),
    params(UserPath, SessionFilter),
    responses(
        (status = 200, description = "A page of sessions, newest first.", body = SessionPage),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    admin: Admin,
    Path(UserPath { id }): Path<UserPath>,
    Query(filter): Query<SessionFilter>,
) -> Result<Json<SessionPage>, Rejection> {
    Ok(Json(filter.list(&admin.auth, id).await?))
}
