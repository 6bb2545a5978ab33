//! `PUT` and `DELETE /users/{id}/roles/{role}`

use authfort::UserId;
use axum::Json;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Roles;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{Path, Query, Rejection};

/// Identifies a role of a user.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct RolePath {
    id: UserId,
    role: String,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Immediate {
    /// Whether access tokens that were issued before are revoked; true by default.
    immediate: Option<bool>,
}

/// Adds a role to a user.
#[utoipa::path(
    put, path = "/users/{id}/roles/{role}", operation_id = "add_role", tag = "roles", security(("bearer" = [])),
    params(RolePath, Immediate, IfMatchHeader),
    responses(
        (status = 200, body = Roles),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn add(
    admin: Admin,
    Path(RolePath { id, role }): Path<RolePath>,
    if_match: IfMatch,
    Query(query): Query<Immediate>,
) -> Result<Json<Roles>, Rejection> {
    let call = admin.auth.add_role(id, role).immediate(query.immediate.unwrap_or(true));
    let roles = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Roles { roles }))
}

/// Removes a role from a user.
#[utoipa::path(
    delete, path = "/users/{id}/roles/{role}", operation_id = "remove_role", tag = "roles", security(("bearer" = [])),
    params(RolePath, Immediate, IfMatchHeader),
    responses(
        (status = 200, body = Roles),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 409, description = "`cannot_act_on_self`, `last_admin`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn remove(
    admin: Admin,
    Path(RolePath { id, role }): Path<RolePath>,
    if_match: IfMatch,
    Query(query): Query<Immediate>,
) -> Result<Json<Roles>, Rejection> {
    if role == admin.auth.admin_role() {
        admin.not_on_self(id)?;
    }
    let call = admin.auth.remove_role(id, role).immediate(query.immediate.unwrap_or(true));
    let roles = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Roles { roles }))
}
