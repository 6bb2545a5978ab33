//! `/ui/users`
//!
//! Everything that the page shows is in its address: search, filters, order and place. So it survives a reload, the browser's
//! back, and being sent to somebody else.

use askama::Template;
use authfort::{DeletedFilter, Error, SortBy, SortOrder, Total, User, UserFilter, UserId, UserPage};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::ui::around::HX_REQUEST;
use crate::ui::frame::{Frame, Staff, page};
use crate::ui::params::{Params, day, days, midnight};
use crate::ui::words;
use crate::{Rejection, is_role_name};

const SIZES: [u32; 4] = [25, 50, 100, 200];
const SIZE: u32 = 50;
/// The cookie that remembers how many users a page has.
const SIZE_COOKIE: &str = "authfort_page_size";

/// What the address of the page says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct View {
    query: String,
    status: String,
    role: String,
    verified: String,
    /// Days, as a form has them: `2026-11-30`.
    from: String,
    until: String,
    /// Whether somebody has ever signed in: `true` or `false`.
    signed_in: String,
    /// The days of the last sign-in.
    seen_from: String,
    seen_until: String,
    sort: String,
    order: String,
    size: Option<u32>,
    cursor: String,
    /// The number of the first user on the page, as the link to the page says.
    first: u64,
}

fn one_of(value: Option<&str>, allowed: &[&str]) -> String {
    value.filter(|value| allowed.contains(value)).unwrap_or_default().to_owned()
}

fn role(params: &Params) -> Option<String> {
    params.get("role").map(|role| role.trim().to_lowercase()).filter(|role| !role.is_empty())
}

impl View {
    /// Reads what is known of it; the rest is left out.
    pub(super) fn of(params: &Params) -> Self {
        Self {
            query: params.get("query").unwrap_or_default().trim().to_owned(),
            status: one_of(params.get("status"), &["active", "banned", "anonymized"]),
            role: role(params).filter(|role| is_role_name(role)).unwrap_or_default(),
            verified: one_of(params.get("verified"), &["true", "false"]),
            from: day(params, "from"),
            until: day(params, "until"),
            signed_in: one_of(params.get("signed_in"), &["true", "false"]),
            seen_from: day(params, "seen_from"),
            seen_until: day(params, "seen_until"),
            sort: one_of(params.get("sort"), &["email", "name"]),
            order: one_of(params.get("order"), &["asc", "desc"]),
            size: params.parsed("size").filter(|size| SIZES.contains(size)),
            cursor: params.get("cursor").unwrap_or_default().to_owned(),
            first: params.parsed("first").unwrap_or_default(),
        }
    }

    pub(super) fn filter(&self) -> UserFilter {
        let mut filter = UserFilter::default();
        filter.query = (!self.query.is_empty()).then(|| self.query.clone());
        filter.banned = match self.status.as_str() {
            "active" => Some(false),
            "banned" => Some(true),
            _ => None,
        };
        filter.deleted = if self.status == "anonymized" { DeletedFilter::Only } else { DeletedFilter::default() };
        filter.roles = (!self.role.is_empty()).then(|| self.role.clone()).into_iter().collect();
        filter.email_verified = self.verified.parse().ok();
        let (from, until) = days(&self.from, &self.until);
        (filter.created_after, filter.created_before) = (from.map(midnight), until.map(midnight));
        filter.signed_in = self.signed_in.parse().ok();
        (filter.last_login_after, filter.last_login_before) = days(&self.seen_from, &self.seen_until);
        filter
    }

    pub(super) fn sort_by(&self) -> SortBy {
        match self.sort.as_str() {
            "email" => SortBy::Email,
            "name" => SortBy::Name,
            _ => SortBy::CreatedAt,
        }
    }

    /// Newest first, and texts from A on, unless the address says otherwise.
    pub(super) fn sort_order(&self) -> SortOrder {
        match (self.order.as_str(), self.sort.as_str()) {
            ("asc", _) | ("", "email" | "name") => SortOrder::Asc,
            _ => SortOrder::Desc,
        }
    }

    /// Returns the query of the page; a change of what is listed leads to the first page.
    pub(super) fn address(&self) -> String {
        let first = if self.first == 0 { String::new() } else { self.first.to_string() };
        let size = self.size.map_or_else(String::new, |size| size.to_string());
        let others = [
            ("sort", &self.sort),
            ("order", &self.order),
            ("size", &size),
            ("cursor", &self.cursor),
            ("first", &first),
        ];
        let given = self.filters().into_iter().chain(others).filter(|(_, value)| !value.is_empty());
        let given: Vec<_> =
            given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect();
        if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
    }

    fn filters(&self) -> [(&'static str, &String); 9] {
        [
            ("query", &self.query),
            ("status", &self.status),
            ("role", &self.role),
            ("verified", &self.verified),
            ("from", &self.from),
            ("until", &self.until),
            ("signed_in", &self.signed_in),
            ("seen_from", &self.seen_from),
            ("seen_until", &self.seen_until),
        ]
    }

    /// Whether somebody asks for the last sign-in.
    fn asks_last_login(&self) -> bool {
        !(self.signed_in.is_empty() && self.seen_from.is_empty() && self.seen_until.is_empty())
    }

    /// Returns a parameter that names a filter which is not applied.
    pub(super) fn unknown(&self, params: &Params) -> Option<String> {
        let applied = self.filters();
        let others = ["sort", "order", "size", "cursor", "first", "act", "open"];
        let is_applied = |name: &str| applied.iter().any(|(known, value)| *known == name && !value.is_empty());
        params.names().find(|name| !others.contains(name) && !is_applied(name)).map(str::to_owned)
    }

    /// Returns a filter that is named and not applied, since its value is none.
    fn left_out(&self, params: &Params) -> Option<(&'static str, String)> {
        let named = |name| params.get(name).map(str::trim).filter(|value| !value.is_empty());
        let mut missing = self.filters().into_iter().filter(|(_, applied)| applied.is_empty());
        missing.find_map(|(name, _)| named(name).map(|value| (name, value.to_owned())))
    }

    /// Returns the list from its beginning, in pages of any size.
    pub(super) fn whole(self) -> Self {
        Self { cursor: String::new(), first: 0, size: None, ..self }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut other = Self { cursor: String::new(), first: 0, ..self.clone() };
        change(&mut other);
        other.address()
    }

    pub(super) fn chips(&self) -> Vec<Chip> {
        let mut chips = Vec::new();
        let mut chip = |text: String, change: fn(&mut Self)| chips.push(Chip { text, without: self.with(change) });
        if !self.query.is_empty() {
            chip(format!("“{}”", self.query), |view| view.query.clear());
        }
        match self.status.as_str() {
            "" => {}
            status => chip(words::event(status), |view| view.status.clear()),
        }
        if !self.role.is_empty() {
            chip(format!("Role {}", self.role), |view| view.role.clear());
        }
        match self.verified.as_str() {
            "true" => chip("Address verified".into(), |view| view.verified.clear()),
            "false" => chip("Address not verified".into(), |view| view.verified.clear()),
            _ => {}
        }
        if !self.from.is_empty() {
            chip(format!("Created from {}", self.from), |view| view.from.clear());
        }
        if !self.until.is_empty() {
            chip(format!("Created until {}", self.until), |view| view.until.clear());
        }
        match self.signed_in.as_str() {
            "true" => chip("Has signed in".into(), |view| view.signed_in.clear()),
            "false" => chip("Never signed in".into(), |view| view.signed_in.clear()),
            _ => {}
        }
        if !self.seen_from.is_empty() {
            chip(format!("Last sign-in from {}", self.seen_from), |view| view.seen_from.clear());
        }
        if !self.seen_until.is_empty() {
            chip(format!("Last sign-in until {}", self.seen_until), |view| view.seen_until.clear());
        }
        chips
    }
}

/// A filter that is on, and the address of the page without it.
pub(super) struct Chip {
    pub(super) text: String,
    without: String,
}

/// The head of a column by which the list can be sorted.
struct Column {
    text: &'static str,
    address: String,
    /// `ascending` or `descending` if the list is sorted by it.
    sorted: &'static str,
}

#[derive(Template)]
#[template(path = "ui/users.html")]
struct Page {
    frame: Frame,
    view: View,
    users: Vec<User>,
    /// How the search was done, where the form does not tell.
    hint: String,
    total: String,
    range: String,
    columns: [Column; 3],
    chips: Vec<Chip>,
    /// The roles that there are.
    roles: Vec<String>,
    previous: Option<String>,
    next: Option<String>,
    beginning: String,
    sizes: Vec<(u32, String, bool)>,
    /// The address of who was deleted before.
    deleted: Option<String>,
}

pub(in crate::ui) async fn list(staff: Staff, params: Params, headers: HeaderMap) -> Result<Response, Rejection> {
    let view = View::of(&params);
    let entered = params.get("open").is_some();
    let to = |id: UserId| go(&headers, &staff.frame.path(&format!("/ui/users/{id}")));
    let is_exact = view.query.parse::<UserId>().is_ok() || entered && view.query.contains('@');
    if is_exact && let Some(user) = staff.admin.auth.lookup_user(&view.query).await? {
        return Ok(to(user.id));
    }
    let size = view.size.or_else(|| remembered_size(&headers)).unwrap_or(SIZE);
    let found = match read(&staff, &view, size).await {
        // A saved link of another version: from the beginning.
        Err(Error::InvalidCursor) => {
            return Ok(go(&headers, &staff.frame.path(&format!("/ui/users{}", view.with(|_| {})))));
        }
        found => found?,
    };
    // An id at a provider may be a word, so what the search finds comes first.
    if entered
        && !is_exact
        && found.users.is_empty()
        && let Some(user) = staff.admin.auth.lookup_user(&view.query).await?
    {
        return Ok(to(user.id));
    }
    if entered && !is_partial(&headers) {
        // The address of the list is that of the list alone: to go back to it is not to enter the term again.
        return Ok(go(&headers, &staff.frame.path(&format!("/ui/users{}", view.address()))));
    }
    let deleted = match params.parsed("deleted") {
        Some(id) => deleted(&staff, id).await?,
        None => None,
    };
    let address = staff.frame.path(&format!("/ui/users{}", view.address()));
    let roles = staff.admin.auth.list_role_names().await?;
    let mut shown = show(staff.frame, view.clone(), size, found, roles);
    shown.deleted = deleted;
    if let Some((name, value)) = view.left_out(&params) {
        shown.hint = format!("“{name}” cannot be “{value}”, so it is left out.");
    }
    let mut response = page(StatusCode::OK, &shown)?;
    if let Some(size) = view.size {
        let cookie = format!("{SIZE_COOKIE}={size}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly");
        if let Ok(cookie) = cookie.parse() {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    // The address that a script has put together is written in the shortest way.
    if is_partial(&headers)
        && let Ok(address) = address.parse()
    {
        response.headers_mut().insert("hx-replace-url", address);
    }
    Ok(response)
}

/// Leads to another page; a script that asked for a part of this one leaves it.
fn go(headers: &HeaderMap, address: &str) -> Response {
    if headers.contains_key(HX_REQUEST) {
        return ([("hx-redirect", address)], "").into_response();
    }
    Redirect::to(address).into_response()
}

/// Whether a script asks for a part of the page that is shown.
fn is_partial(headers: &HeaderMap) -> bool {
    headers.contains_key(HX_REQUEST) && !headers.contains_key("hx-boosted")
}

/// Returns the address of a user whom the administrator has just deleted, as the log has it.
async fn deleted(staff: &Staff, id: UserId) -> Result<Option<String>, Rejection> {
    let events = staff.admin.auth.list_events().user_id(id).r#type("user_deleted").limit(1).await?.events;
    let event = events.into_iter().find(|event| staff.has_just_done(event));
    Ok(event.and_then(|event| event.data.get("email")?.as_str().map(str::to_owned)))
}

async fn read(staff: &Staff, view: &View, size: u32) -> authfort::Result<UserPage> {
    let filter = view.filter();
    // What is found one by one is counted up to a thousand: to count more takes longer than to show them.
    let total = if filter.query.is_some() || view.asks_last_login() { Total::Capped } else { Total::Exact };
    let mut call = staff.admin.auth.list_users().filter(filter).sort_by(view.sort_by()).sort_order(view.sort_order());
    call = call.limit(size).total(total);
    if !view.cursor.is_empty() {
        call = call.cursor(view.cursor.as_str());
    }
    call.await
}

fn remembered_size(headers: &HeaderMap) -> Option<u32> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, size) = pairs.find(|(name, _)| *name == SIZE_COOKIE)?;
    size.parse().ok().filter(|size| SIZES.contains(size))
}

fn show(frame: Frame, view: View, size: u32, found: UserPage, roles: Vec<String>) -> Page {
    let first = if view.cursor.is_empty() { 1 } else { view.first };
    let shown = u64::try_from(found.users.len()).unwrap_or(u64::MAX);
    let total = match found.total {
        Some(total) if found.total_is_capped == Some(true) => format!("more than {}", words::number(total)),
        Some(total) => words::number(total),
        None => String::new(),
    };
    let range = match (shown, first) {
        (0, _) => "0".into(),
        // The link did not say where it leads.
        (_, 0) => words::number(shown),
        _ => format!("{}–{}", words::number(first), words::number(first.saturating_add(shown - 1))),
    };
    let to = |cursor: String, first: u64| Some(view.with(|view| (view.cursor, view.first) = (cursor, first)));
    let later = if first == 0 { 0 } else { first.saturating_add(shown) };
    let previous = found
        .prev_cursor
        .and_then(|cursor| to(cursor, first.saturating_sub(u64::from(size)).max(u64::from(first > 0))));
    let next = found.next_cursor.and_then(|cursor| to(cursor, later));
    let column = |text, key: &str| {
        let is_current = view.sort == key;
        let ascends = view.sort_order() == SortOrder::Asc;
        let sorted = match (is_current, ascends) {
            (false, _) => "none",
            (true, true) => "ascending",
            (true, false) => "descending",
        };
        let order = match (is_current, ascends) {
            (false, _) => "",
            (true, true) => "desc",
            (true, false) => "asc",
        };
        let address = view.with(|view| (view.sort, view.order) = (key.to_owned(), order.to_owned()));
        Column { text, address, sorted }
    };
    let columns = [column("Name", "name"), column("Address", "email"), column("Created", "")];
    let sizes = SIZES.map(|size_of| (size_of, view.with(|view| view.size = Some(size_of)), size_of == size)).to_vec();
    let hint = match view.query.chars().count() {
        1 | 2 => "One or two letters find addresses and names that begin with them.",
        _ => "",
    };
    let hint = hint.to_owned();
    Page {
        chips: view.chips(),
        beginning: view.with(|_| {}),
        frame,
        view,
        users: found.users,
        hint,
        total,
        range,
        columns,
        roles,
        previous,
        next,
        sizes,
        deleted: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::Parameters;

    fn view(query: &str) -> View {
        View::of(&Params::of(Parameters::split("query", query).unwrap()))
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let odd = "status=gone&role=%3Cb%3E&verified=maybe&from=yesterday&signed_in=yes&seen_from=never&seen_until=%2B262142-12-31&until=9999-12-31&sort=shoe&order=up&size=7&first=x&utm_source=mail";
        assert_eq!(view(odd), View::default());
    }

    #[test]
    fn the_address_says_all_that_is_shown() {
        let all = "query=a%26b&status=banned&role=editor&verified=false&from=2026-01-02&until=2026-02-03&signed_in=true&seen_from=2026-03-04&seen_until=2026-04-05&sort=email&order=desc&size=100&cursor=abc&first=101";
        let shown = view(all);
        let address = shown.address();
        assert_eq!(view(address.trim_start_matches('?')), shown);
        assert_eq!(shown.chips().len(), 9);
        assert!(
            shown.chips().iter().all(|chip| !chip.without.contains("cursor")),
            "a new list begins at its beginning"
        );
        assert_eq!(View::default().address(), "");
    }

    #[test]
    fn the_last_day_is_meant_with_all_its_hours() {
        let filter = view("from=2026-01-02&until=2026-01-02").filter();
        assert_eq!(filter.created_after.unwrap().to_rfc3339(), "2026-01-02T00:00:00+00:00");
        assert_eq!(filter.created_before.unwrap().to_rfc3339(), "2026-01-03T00:00:00+00:00");
    }

    #[test]
    fn a_page_size_is_remembered_if_it_is_one() {
        let headers = |text: &str| HeaderMap::from_iter([(header::COOKIE, text.parse().unwrap())]);
        assert_eq!(remembered_size(&headers("a=b; authfort_page_size=100")), Some(100));
        assert_eq!(remembered_size(&headers("authfort_page_size=7")), None);
    }
}
