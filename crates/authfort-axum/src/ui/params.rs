//! Reads a query or a form.
//!
//! A saved link outlives what it names, and a page must not fail for it: an unknown parameter is ignored, and so is a value
//! that a page does not know.

use std::collections::BTreeMap;

use authfort::FieldError;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, Utc};

use crate::Rejection;
use crate::extract::{Parameters, form, is_form};

/// The parameters of a page's query that are not empty; of two with one name, the last.
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    pub(super) fn of(parameters: Parameters) -> Self {
        Self(parameters.into_pairs().into_iter().filter(|(_, value)| !value.is_empty()).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Returns the value, which must be one of two choices.
    pub(super) fn choice(&self, name: &str, choices: [&'static str; 2]) -> Result<&'static str, Rejection> {
        let chosen = choices.into_iter().find(|choice| self.get(name) == Some(choice));
        chosen.ok_or_else(|| {
            let message = format!("must be one of: {}", choices.join(", "));
            Rejection::validation(vec![FieldError::new(name, "not_allowed", message)])
        })
    }

    /// Returns the value, if it can be read as a `T`.
    pub(super) fn parsed<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Parameters::split("query", parts.uri.query().unwrap_or_default()).map(Self::of)
    }
}

/// The day as a form has it, such as `2026-11-30`; empty if it is none, or one without a time beside it.
pub(super) fn day(params: &Params, name: &str) -> String {
    let day = params.parsed::<NaiveDate>(name).filter(|day| (1..9999).contains(&day.year()));
    day.map_or_else(String::new, |day| day.to_string())
}

/// Where a day begins, in UTC.
pub(super) fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The first day of a range, and the one after the last, which is meant with all its hours; none where a text is no day.
pub(super) fn days(from: &str, until: &str) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let last = until.parse::<NaiveDate>().ok();
    (from.parse().ok(), last.and_then(|day| day.checked_add_days(Days::new(1))))
}

/// The fields of a form.
pub(super) struct Form(pub Params);

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Rejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Rejection> {
        if !is_form(request.headers()) {
            return Err(Rejection::invalid_request("The body must be a form."));
        }
        Ok(Self(Params::of(form(request, state).await?)))
    }
}
