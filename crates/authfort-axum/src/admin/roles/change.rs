//! `PUT` and `DELETE /users/{id}/roles/{role}`

use authfort::UserId;
use axum::Json;

use super::Roles;
use crate::admin::Admin;
use crate::admin::etag::{IfMatch, IfMatchHeader};
use crate::openapi::ErrorBody;
use crate::{FromParams, Params, Path, Query, Rejection};

pub(crate) struct Immediate(bool);

impl FromParams for Immediate {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        Ok(Self(params.bool("immediate")?.unwrap_or(true)))
    }
}

/// Gives a role.
#[utoipa::path(
    put, path = "/users/{id}/roles/{role}", operation_id = "add_role", tag = "roles", security(("bearer" = [])),
    params(
        ("id" = UserId, Path), ("role" = String, Path),
        ("immediate" = Option<bool>, Query, description = "Whether live access tokens are cut; they are unless false."),
        IfMatchHeader,
    ),
    responses(
        (status = 200, body = Roles),
        (status = 404, description = "`user_not_found`", body = ErrorBody),
        (status = 412, description = "`precondition_failed`", body = ErrorBody),
        (status = 422, description = "`validation_failed`", body = ErrorBody),
    )
)]
pub(crate) async fn add(
    admin: Admin,
    Path((id, role)): Path<(UserId, String)>,
    if_match: IfMatch,
    Query(immediate): Query<Immediate>,
) -> Result<Json<Roles>, Rejection> {
    let call = admin.auth.add_role(id, role).immediate(immediate.0);
    let roles = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Roles { roles }))
}

/// Takes a role.
#[utoipa::path(
    delete, path = "/users/{id}/roles/{role}", operation_id = "remove_role", tag = "roles", security(("bearer" = [])),
    params(
        ("id" = UserId, Path), ("role" = String, Path),
        ("immediate" = Option<bool>, Query, description = "Whether live access tokens are cut; they are unless false."),
        IfMatchHeader,
    ),
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
    Path((id, role)): Path<(UserId, String)>,
    if_match: IfMatch,
    Query(immediate): Query<Immediate>,
) -> Result<Json<Roles>, Rejection> {
    if role == admin.auth.admin_role() {
        admin.not_on_self(id)?;
    }
    let call = admin.auth.remove_role(id, role).immediate(immediate.0);
    let roles = if_match.bind(&admin.auth, id, call).await?.await?;
    Ok(Json(Roles { roles }))
}
