//! The filters that list and count share.

use authfort::{DeletedFilter, UserFilter};
use chrono::{DateTime, Utc};
use utoipa::IntoParams;

use crate::{FromParams, Params, Rejection};

/// Which users; for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes; `Filter` reads")]
pub(crate) struct FilterParams {
    /// A part of address or name, without regard to case; or a whole id. An empty filter is none.
    query: Option<String>,
    /// Banned now, or not.
    banned: Option<bool>,
    /// Having any of these roles; may be repeated.
    role: Option<Vec<String>>,
    /// With a verified address, or not.
    email_verified: Option<bool>,
    /// Anonymised users: `false` (default), `true` includes them, `only`.
    deleted: Option<String>,
    /// Created at this time (RFC 3339) or later.
    created_after: Option<DateTime<Utc>>,
    /// Created before this time.
    created_before: Option<DateTime<Utc>>,
}

pub(crate) struct Filter(pub UserFilter);

const NAMES: [&str; 7] = ["query", "banned", "role", "email_verified", "deleted", "created_after", "created_before"];

impl FromParams for Filter {
    fn from_params(params: &mut Params) -> Result<Self, Rejection> {
        params.drop_empty(&NAMES);
        let mut filter = UserFilter::default();
        filter.query = params.one("query")?;
        filter.banned = params.bool("banned")?;
        filter.roles = params.many("role");
        filter.email_verified = params.bool("email_verified")?;
        let deleted = [("false", DeletedFilter::Without), ("true", DeletedFilter::With), ("only", DeletedFilter::Only)];
        filter.deleted = params.choice("deleted", &deleted)?.unwrap_or_default();
        filter.created_after = params.time("created_after")?;
        filter.created_before = params.time("created_before")?;
        Ok(Self(filter))
    }
}
