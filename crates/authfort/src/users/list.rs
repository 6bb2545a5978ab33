//! Pages and counts of users, with one type of filter.
//!
//! - The order is total (`…, id`): paging by cursor returns each user once, whatever is written in the meantime.
//! - A page, the roles of its users and the exact total come from one statement, so they are consistent.
//! - A cursor is opaque and bound to its filter and order; it costs the same on the last page as on the first. A page
//!   beyond an end of the list, for example because its rows were deleted, still has the cursor that leads back.
//! - `query` finds a part of the address or name, folded like the keys, with `%`, `_` and `\` taken literally; one or
//!   two characters find what begins with them; a whole id finds its user.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::core::Core;
use crate::model::cursor::{Cursor, SortKey};
use crate::model::filter::{DeletedFilter, SortBy, SortOrder, Total, UserFilter};
use crate::model::page::{PageRequest, Seek};
use crate::model::user::User;
use crate::model::validate;
use crate::{AuthFort, Error, Result, store};

impl AuthFort {
    /// Lists users with filters, order and pages. See [`ListUsers`].
    pub fn list_users(&self) -> ListUsers {
        ListUsers::new(self.core().clone())
    }

    /// Counts users with the filters of [`list_users`](Self::list_users).
    pub fn get_user_count(&self) -> CountUsers {
        CountUsers::new(self.core().clone())
    }
}

macro_rules! filters {
    ($name:ident) => {
        impl $name {
            /// Finds users by a part of the address or name, ignoring case, or by the whole id. One or two characters find the
            /// addresses and names that begin with them.
            pub fn query(mut self, query: impl Into<String>) -> Self {
                self.filter.query = Some(query.into());
                self
            }

            /// Returns only users who are banned now, or only users who are not.
            pub fn banned(mut self, banned: bool) -> Self {
                self.filter.banned = Some(banned);
                self
            }

            /// Returns only users with this role. Further calls add roles, of which a user needs any one.
            pub fn role(mut self, role: impl Into<String>) -> Self {
                self.filter.roles.push(role.into());
                self
            }

            /// Returns only users whose address is verified, or only users whose address is not.
            pub fn email_verified(mut self, verified: bool) -> Self {
                self.filter.email_verified = Some(verified);
                self
            }

            /// Includes, excludes (the default), or returns only anonymized users.
            pub fn deleted(mut self, deleted: DeletedFilter) -> Self {
                self.filter.deleted = deleted;
                self
            }

            /// Returns only users created at this time or later.
            pub fn created_after(mut self, time: DateTime<Utc>) -> Self {
                self.filter.created_after = Some(time);
                self
            }

            /// Returns only users created before this time.
            pub fn created_before(mut self, time: DateTime<Utc>) -> Self {
                self.filter.created_before = Some(time);
                self
            }

            /// Returns only users who have ever signed in, or only users who never have.
            pub fn signed_in(mut self, signed_in: bool) -> Self {
                self.filter.signed_in = Some(signed_in);
                self
            }

            /// Returns only users whose last sign-in was on this day or later, in UTC.
            pub fn last_login_after(mut self, day: NaiveDate) -> Self {
                self.filter.last_login_after = Some(day);
                self
            }

            /// Returns only users whose last sign-in was before this day, in UTC. Who has never signed in is not among them.
            pub fn last_login_before(mut self, day: NaiveDate) -> Self {
                self.filter.last_login_before = Some(day);
                self
            }

            /// Replaces the whole filter.
            pub fn filter(mut self, filter: UserFilter) -> Self {
                self.filter = filter;
                self
            }
        }
    };
}

/// Lists users; created by [`AuthFort::list_users`](crate::AuthFort::list_users). 50 per page, newest first, unless
/// set.
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct ListUsers {
    core: Core,
    filter: UserFilter,
    sort_by: SortBy,
    sort_order: SortOrder,
    limit: u32,
    offset: Option<u64>,
    cursor: Option<String>,
    total: Total,
}

/// Counts users; created by [`AuthFort::get_user_count`](crate::AuthFort::get_user_count).
#[derive(Debug, Clone)]
#[must_use = "a call does nothing until it is awaited"]
pub struct CountUsers {
    core: Core,
    filter: UserFilter,
}

filters!(ListUsers);
filters!(CountUsers);

/// A page of users.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> authfort::Result<()> {
/// # let auth = authfort::AuthFort::builder().algorithm(authfort::Algorithm::EdDsa).connect("sqlite::memory:").await?;
/// # for n in 0..5 { auth.create_user(format!("user{n}@example.com")).await?; }
/// let first = auth.list_users().limit(2).await?;
/// assert_eq!((first.users.len(), first.total), (2, Some(5)));
/// let second = auth.list_users().limit(2).cursor(first.next_cursor.unwrap()).await?;
/// assert_ne!(first.users[1].id, second.users[0].id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct UserPage {
    /// The users, with their roles.
    pub users: Vec<User>,
    /// How many users match in all; none if no total was requested.
    pub total: Option<u64>,
    /// Whether more users match than `total` says; only if a capped total was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub total_is_capped: Option<bool>,
    /// The requested limit.
    pub limit: u32,
    /// The requested offset; 0 if a cursor was given.
    pub offset: u64,
    /// The cursor of the next page; none on the last page.
    pub next_cursor: Option<String>,
    /// The cursor of the previous page; none on the first. An empty page past the end has the one that leads to the
    /// last page.
    pub prev_cursor: Option<String>,
}

impl ListUsers {
    pub(crate) fn new(core: Core) -> Self {
        Self {
            core,
            filter: UserFilter::default(),
            sort_by: SortBy::default(),
            sort_order: SortOrder::default(),
            limit: 50,
            offset: None,
            cursor: None,
            total: Total::default(),
        }
    }

    /// Sets the sort key.
    pub fn sort_by(mut self, by: SortBy) -> Self {
        self.sort_by = by;
        self
    }

    /// Sets the direction.
    pub fn sort_order(mut self, order: SortOrder) -> Self {
        self.sort_order = order;
        self
    }

    /// Sets the page size, 1 to 200.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }

    /// Skips this many users. A cursor is cheaper for later pages.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Starts at a cursor of this list, which must have the same filter and order.
    pub fn cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }

    /// Sets how matching users are counted.
    pub fn total(mut self, total: Total) -> Self {
        self.total = total;
        self
    }

    fn page(&self) -> Result<PageRequest> {
        let mut faults = validate::Faults::default();
        let mut refuse = |field: &str, code, message: &str| {
            faults.take::<()>(Err(crate::FieldError::new(field, code, message)));
        };
        if !(1..=200).contains(&self.limit) {
            refuse("limit", "out_of_range", "must be between 1 and 200");
        }
        if self.offset.is_some() && self.cursor.is_some() {
            refuse("offset", "conflict", "must not be given together with a cursor");
        }
        faults.finish()?;
        let filter = self.filter.clone().checked()?;
        let seek = match &self.cursor {
            None => Seek::Offset(i64::try_from(self.offset.unwrap_or(0)).unwrap_or(i64::MAX)),
            Some(text) => {
                let cursor =
                    Cursor::decode(text, &filter, self.sort_by, self.sort_order).ok_or(Error::InvalidCursor)?;
                Seek::Cursor(cursor)
            }
        };
        Ok(PageRequest {
            filter,
            sort_by: self.sort_by,
            sort_order: self.sort_order,
            // One more than requested tells whether another page follows.
            limit: i64::from(self.limit) + 1,
            seek,
            total: self.total,
        })
    }

    async fn run(self) -> Result<UserPage> {
        let page = self.page()?;
        let now = self.core.now();
        let (mut rows, total) = self.core.db().on_lists(&store::users::list::Page { request: &page, now }).await?;

        let size = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let backward = matches!(&page.seek, Seek::Cursor(cursor) if cursor.backward);
        if backward {
            rows.reverse();
        }
        let from_end = matches!(&page.seek, Seek::Cursor(cursor) if cursor.key == SortKey::End);
        let (has_next, has_prev) = match &page.seek {
            // There is no user on any other page.
            _ if rows.is_empty() && (from_end || total == Some(0)) => (false, false),
            Seek::Offset(offset) => (more, *offset > 0),
            Seek::Cursor(_) if backward => (!from_end, more),
            Seek::Cursor(_) => (more, !from_end),
        };
        let encode = |row: Option<&store::users::UserRow>, backward| {
            // A page without rows lies beyond an end of the list, so its cursor leads back from that end.
            let cursor = row.map_or_else(
                || Cursor::from_end(backward),
                |row| Cursor::at(row.id, row.sort_key(self.sort_by), backward),
            );
            cursor.encode(&page.filter, self.sort_by, self.sort_order)
        };
        let next_cursor = has_next.then(|| encode(rows.last(), false));
        let prev_cursor = has_prev.then(|| encode(rows.first(), true));
        let users = rows.into_iter().map(|row| row.into_user(now)).collect::<Result<_>>()?;
        let total = total.map(natural);
        let total_is_capped = (self.total == Total::Capped).then_some(total > Some(Total::CAP));
        Ok(UserPage {
            users,
            total: if total_is_capped == Some(true) { Some(Total::CAP) } else { total },
            total_is_capped,
            limit: self.limit,
            offset: self.offset.unwrap_or(0),
            next_cursor,
            prev_cursor,
        })
    }
}

/// Converts a count, which is never negative; SQL has no unsigned type.
fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

impl CountUsers {
    pub(crate) fn new(core: Core) -> Self {
        Self { core, filter: UserFilter::default() }
    }

    async fn run(self) -> Result<u64> {
        let filter = self.filter.checked()?;
        let now = self.core.now();
        self.core.db().on_lists(&store::users::list::Count { filter: &filter, now }).await.map(natural)
    }
}

impl IntoFuture for ListUsers {
    type Output = Result<UserPage>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl IntoFuture for CountUsers {
    type Output = Result<u64>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
