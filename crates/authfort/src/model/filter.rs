//! Filters and order of lists and counts of users.

use chrono::{DateTime, NaiveDate, NaiveTime, SubsecRound, TimeDelta, Utc};
use serde::Deserialize;

use super::role::role_name;
use super::validate;
use crate::{FieldError, Result};

/// What a list is sorted by. The id breaks ties, in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SortBy {
    /// When the user was created.
    #[default]
    CreatedAt,
    /// The address, by the code points of its [`email_key`](crate::email_key).
    Email,
    /// The name in lower case, by code points; a missing name comes last in both directions.
    Name,
}

/// The direction in which a list is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SortOrder {
    /// Smallest first.
    Asc,
    /// Largest first; newest first.
    #[default]
    Desc,
}

/// Whether anonymized users are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeletedFilter {
    /// They are not included.
    #[default]
    #[serde(rename = "false")]
    Without,
    /// They are included.
    #[serde(rename = "true")]
    With,
    /// Only anonymized users are included.
    Only,
}

/// How the matching users are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Total {
    /// Exactly. For any combination of banned, anonymized, verified and at most one role this costs nothing: those totals
    /// are kept.
    #[default]
    Exact,
    /// Up to 1,000: a search that finds many more users does not wait for their number. The page says whether there are
    /// more.
    Capped,
    /// Not at all.
    None,
}

impl Total {
    /// How far [`Total::Capped`] counts.
    pub(crate) const CAP: u64 = 1_000;

    /// How many are counted for it: one more tells whether there are more.
    pub(crate) fn counted() -> i64 {
        i64::try_from(Self::CAP).unwrap_or(i64::MAX).saturating_add(1)
    }
}

/// Selects users. Lists and counts use the same type.
///
/// ```
/// let mut filter = authfort::UserFilter::default();
/// filter.banned = Some(true);
/// filter.roles = vec!["admin".into(), "editor".into()];
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct UserFilter {
    /// A part of the address or name, or a whole id; at most 256 characters. One or two characters are the beginning of
    /// the address or name.
    pub query: Option<String>,
    /// Whether the user is banned now.
    pub banned: Option<bool>,
    /// Users that have any of these roles.
    pub roles: Vec<String>,
    /// Whether the address is verified.
    pub email_verified: Option<bool>,
    /// Whether anonymized users are included.
    pub deleted: DeletedFilter,
    /// Users created at this time or later.
    pub created_after: Option<DateTime<Utc>>,
    /// Users created before this time.
    pub created_before: Option<DateTime<Utc>>,
    /// Whether the user has ever signed in.
    pub signed_in: Option<bool>,
    /// Users whose last sign-in was on this day or later, in UTC.
    pub last_login_after: Option<NaiveDate>,
    /// Users whose last sign-in was before this day, in UTC. Who has never signed in is not among them.
    pub last_login_before: Option<NaiveDate>,
}

/// The most roles that one filter may name.
const MAX_ROLES: usize = 20;

impl UserFilter {
    /// Whether it concerns the last sign-in.
    pub(crate) fn asks_last_login(&self) -> bool {
        self.signed_in.is_some() || self.last_login_after.is_some() || self.last_login_before.is_some()
    }

    /// Validates the filter, folds the search term, and sorts the roles.
    pub(crate) fn checked(mut self) -> Result<Self> {
        let mut faults = validate::Faults::default();
        self.query = self.query.take().and_then(|query| faults.take(validate::query(&query)).flatten());
        for role in &self.roles {
            faults.take(role_name("role", role));
        }
        if self.roles.len() > MAX_ROLES {
            faults.take::<()>(Err(FieldError::new("role", "too_many", "may be given at most 20 times")));
        }
        for (field, time) in [("created_after", &mut self.created_after), ("created_before", &mut self.created_before)]
        {
            *time = time.and_then(|time| faults.take(bound(field, time)));
        }
        for (field, day) in [("last_login_after", self.last_login_after), ("last_login_before", self.last_login_before)]
        {
            if let Some(day) = day {
                faults.take(validate::time(field, day.and_time(NaiveTime::MIN).and_utc()));
            }
        }
        faults.finish()?;
        self.roles.sort();
        self.roles.dedup();
        Ok(self)
    }
}

/// Checks the bound of a range of times, and rounds it up to the microsecond. Stored times have no finer precision, and the
/// engines treat a bound between two microseconds differently. No stored time lies between them, so the later one is the same
/// bound.
pub(crate) fn bound(field: &str, time: DateTime<Utc>) -> Result<DateTime<Utc>, FieldError> {
    let time = validate::without_leap_second(time);
    let cut = time.trunc_subsecs(6);
    // The maximum time stays as it is, and is refused.
    let time = if cut < time { cut.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(time) } else { cut };
    validate::time(field, time)?;
    Ok(time)
}
