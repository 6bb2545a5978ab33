//! The filters that list and count share.

use authfort::{DeletedFilter, UserFilter};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::extract::{day_unless_empty, rfc3339_unless_empty, unless_empty};

/// Selects users. An empty parameter is treated as absent.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Part of an email address or name, ignoring case, or a whole id. One or two characters are the beginning of the email
    /// address or name. An empty parameter is treated as absent.
    #[serde(default, deserialize_with = "unless_empty")]
    query: Option<String>,
    /// Whether the user is banned now.
    #[serde(default, deserialize_with = "unless_empty")]
    banned: Option<bool>,
    /// Users with any of these roles; may be repeated.
    #[serde(default, deserialize_with = "unless_empty")]
    role: Option<Vec<String>>,
    /// Whether the email address is verified.
    #[serde(default, deserialize_with = "unless_empty")]
    email_verified: Option<bool>,
    /// Whether anonymized users are included: `false` (default), `true` to include them, `only` for no others.
    #[param(inline)]
    #[serde(default, deserialize_with = "unless_empty")]
    deleted: Option<DeletedFilter>,
    /// Created at this time (RFC 3339) or later.
    #[serde(default, deserialize_with = "rfc3339_unless_empty")]
    created_after: Option<DateTime<Utc>>,
    /// Created before this time (RFC 3339).
    #[serde(default, deserialize_with = "rfc3339_unless_empty")]
    created_before: Option<DateTime<Utc>>,
    /// Whether the user has ever signed in.
    #[serde(default, deserialize_with = "unless_empty")]
    signed_in: Option<bool>,
    /// Last signed in on this day (`2030-01-31`, in UTC) or later.
    #[serde(default, deserialize_with = "day_unless_empty")]
    last_login_after: Option<NaiveDate>,
    /// Last signed in before this day (`2030-01-31`, in UTC). Who has never signed in is not among them.
    #[serde(default, deserialize_with = "day_unless_empty")]
    last_login_before: Option<NaiveDate>,
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
        filter.signed_in = given.signed_in;
        filter.last_login_after = given.last_login_after;
        filter.last_login_before = given.last_login_before;
        filter
    }
}
