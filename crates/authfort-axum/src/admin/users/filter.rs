//! The filters that list and count share.

use authfort::{DeletedFilter, UserFilter};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::extract::{rfc3339_unless_empty, unless_empty};

/// Which users. An empty filter is none.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// A part of address or name, without regard to case; or a whole id. An empty filter is none.
    #[serde(default, deserialize_with = "unless_empty")]
    query: Option<String>,
    /// Banned now, or not.
    #[serde(default, deserialize_with = "unless_empty")]
    banned: Option<bool>,
    /// Having any of these roles; may be repeated.
    #[serde(default, deserialize_with = "unless_empty")]
    role: Option<Vec<String>>,
    /// With a verified address, or not.
    #[serde(default, deserialize_with = "unless_empty")]
    email_verified: Option<bool>,
    /// Anonymized users: `false` (default), `true` includes them, `only`.
    #[param(inline)]
    #[serde(default, deserialize_with = "unless_empty")]
    deleted: Option<DeletedFilter>,
    /// Created at this time (RFC 3339) or later.
    #[serde(default, deserialize_with = "rfc3339_unless_empty")]
    created_after: Option<DateTime<Utc>>,
    /// Created before this time.
    #[serde(default, deserialize_with = "rfc3339_unless_empty")]
    created_before: Option<DateTime<Utc>>,
}

impl From<Filter> for UserFilter {
    fn from(given: Filter) -> Self {
        let mut filter = Self::default();
        filter.query = given.query;
        filter.banned = given.banned;
        filter.roles = given.role.unwrap_or_default();
        filter.email_verified = given.email_verified;
        filter.deleted = given.deleted.unwrap_or_default();
        filter.created_after = given.created_after;
        filter.created_before = given.created_before;
        filter
    }
}
