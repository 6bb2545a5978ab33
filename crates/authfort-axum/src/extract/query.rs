//! The query string, read strictly and by hand.
//!
//! Deriving it with serde gives sentences of serde, takes the last of two contradicting parameters, and drops unknown
//! ones. A filter that is dropped because of a typing error shows everybody, so here each parameter is asked for by
//! name and whatever was not asked for is refused.
//!
//! | what comes | answer |
//! |---|---|
//! | a broken percent-encoding, invalid UTF-8, NUL | 400 `invalid_request` |
//! | a parameter twice where one is meant | 400, with its name |
//! | something else than `true` or `false`, a whole number, an RFC 3339 time, a canonical UUID where that is meant; also nothing at all | 400, with its name |
//! | a name nobody asked for | 422 `validation_failed`, code `unknown_field` |
//! | none of the allowed values, in exactly this case | 422, code `not_allowed`, with the list |
//! | a whole number beyond 64 bits | 422, code `out_of_range` |
//!
//! Bounds of a number are the caller's, who knows them.

use std::collections::BTreeSet;

use authfort::{DeleteMode, DeletedFilter, FieldError, SortBy, SortOrder, Total};
use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};
use percent_encoding::percent_decode;
use uuid::Uuid;

use super::{field::parse_time, path::parse_uuid, presentable};
use crate::Rejection;

/// The parameters that have not been asked for yet.
#[derive(Debug, Clone)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Splits a query string, or a body of the form `application/x-www-form-urlencoded`.
    ///
    /// # Errors
    /// - 400 for a broken percent-encoding, invalid UTF-8, or NUL
    pub fn parse(query: &str) -> Result<Self, Rejection> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        Ok(Self { pairs })
    }

    /// The text of a parameter that may come once.
    ///
    /// # Errors
    /// - 400 if it comes twice
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Rejection> {
        let mut values = self.many(name);
        let value = values.pop();
        if values.is_empty() { Ok(value) } else { Err(invalid(name, "may be given once only")) }
    }

    /// The texts of a parameter that may come several times, in their order.
    pub fn many(&mut self, name: &str) -> Vec<String> {
        let asked: Vec<_> = self.pairs.extract_if(.., |(key, _)| key == name).collect();
        asked.into_iter().map(|(_, value)| value).collect()
    }

    /// `true` or `false`, in exactly this spelling.
    ///
    /// # Errors
    /// - 400 for anything else, also for an empty value
    pub fn bool(&mut self, name: &str) -> Result<Option<bool>, Rejection> {
        self.one(name)?
            .map(|text| match text.as_str() {
                "true" => Ok(true),
                "false" => Ok(false),
                _ => Err(invalid(name, "must be true or false")),
            })
            .transpose()
    }

    /// A whole number: digits, with a minus sign in front of a negative one.
    ///
    /// # Errors
    /// - 400 for anything else, also for an empty value
    /// - 422 for a number that does not fit 64 bits
    pub fn int(&mut self, name: &str) -> Result<Option<i64>, Rejection> {
        self.one(name)?
            .map(|text| {
                let digits = text.strip_prefix('-').unwrap_or(&text);
                if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(invalid(name, "must be a whole number"));
                }
                text.parse().map_err(|_| unacceptable(name, "out_of_range", "is out of range".to_owned()))
            })
            .transpose()
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// - those of [`int`](Self::int), and 422 for a negative one
    pub fn natural(&mut self, name: &str) -> Result<Option<u64>, Rejection> {
        let refuse = |_| unacceptable(name, "out_of_range", "must be 0 or more".to_owned());
        self.int(name)?.map(u64::try_from).transpose().map_err(refuse)
    }

    /// How many a page holds. The operation refuses what is out of its bounds, so what is far out stays out.
    ///
    /// # Errors
    /// - those of [`int`](Self::int)
    pub fn limit(&mut self) -> Result<Option<u32>, Rejection> {
        let bounded = |limit: i64| u32::try_from(limit.max(0)).unwrap_or(u32::MAX);
        Ok(self.int("limit")?.map(bounded))
    }

    /// A time in the form of RFC 3339, with an offset.
    ///
    /// # Errors
    /// - 400 for anything else, also for an empty value
    pub fn time(&mut self, name: &str) -> Result<Option<DateTime<Utc>>, Rejection> {
        self.one(name)?
            .map(|text| {
                parse_time(&text).ok_or_else(|| {
                    invalid(name, "must be a time in the form of RFC 3339, such as 2030-01-31T12:00:00Z; a plus sign is written %2B")
                })
            })
            .transpose()
    }

    /// A UUID in its canonical, hyphenated form.
    ///
    /// # Errors
    /// - 400 for anything else, also for an empty value
    pub fn uuid(&mut self, name: &str) -> Result<Option<Uuid>, Rejection> {
        self.one(name)?.map(|text| parse_uuid(&text).ok_or_else(|| invalid(name, "must be a UUID"))).transpose()
    }

    /// One of the values that are listed, in exactly this spelling.
    ///
    /// # Errors
    /// - 422 for any other value, with the list
    pub fn choice<T: Clone>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, Rejection> {
        self.one(name)?
            .map(|text| {
                choices.iter().find(|(allowed, _)| *allowed == text).map(|(_, value)| value.clone()).ok_or_else(|| {
                    let allowed: Vec<&str> = choices.iter().map(|(allowed, _)| *allowed).collect();
                    unacceptable(name, "not_allowed", format!("must be one of: {}", allowed.join(", ")))
                })
            })
            .transpose()
    }

    /// Takes the parameters of these names for absent where they are empty, as a form sends them that nobody filled in.
    pub(crate) fn drop_empty(&mut self, names: &[&str]) {
        self.pairs.retain(|(name, value)| !value.is_empty() || !names.contains(&name.as_str()));
    }

    /// One of the choices of a type.
    pub(crate) fn choose<T: Choice>(&mut self, name: &str) -> Result<Option<T>, Rejection> {
        self.choice(name, T::CHOICES)
    }

    /// Refuses what nobody asked for.
    ///
    /// # Errors
    /// - 422 with the unknown names, sixteen of them at the most
    pub fn finish(self) -> Result<(), Rejection> {
        let unknown: BTreeSet<String> = self.pairs.into_iter().map(|(name, _)| name).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(Rejection::validation(
            unknown
                .iter()
                .map(|name| FieldError::new(presentable(name), "unknown_field", "is not a known parameter"))
                .collect(),
        ))
    }
}

/// A type of this library whose values a parameter names: said once, for who reads it and for the document.
pub(crate) trait Choice: Clone + 'static {
    const CHOICES: &'static [(&'static str, Self)];
}

impl Choice for SortBy {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("created_at", Self::CreatedAt), ("email", Self::Email), ("name", Self::Name)];
}

impl Choice for SortOrder {
    const CHOICES: &'static [(&'static str, Self)] = &[("asc", Self::Asc), ("desc", Self::Desc)];
}

impl Choice for Total {
    const CHOICES: &'static [(&'static str, Self)] = &[("exact", Self::Exact), ("none", Self::None)];
}

impl Choice for DeletedFilter {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("false", Self::Without), ("true", Self::With), ("only", Self::Only)];
}

impl Choice for DeleteMode {
    const CHOICES: &'static [(&'static str, Self)] = &[("delete", Self::Delete), ("anonymize", Self::Anonymize)];
}

/// Something that is read from the parameters of a request, for [`Query`].
pub(crate) trait FromParams: Sized {
    /// Asks for every parameter this type knows. [`Query`] refuses the rest.
    ///
    /// # Errors
    /// Whatever the parameters it asks for are refused for.
    fn from_params(params: &mut Params) -> Result<Self, Rejection>;
}

/// The query of a request as a `T`, and nothing in it that `T` does not know.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Query<T>(pub T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: FromParams,
    S: Send + Sync,
{
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let mut params = Params::parse(parts.uri.query().unwrap_or_default())?;
        let value = T::from_params(&mut params)?;
        params.finish()?;
        Ok(Self(value))
    }
}

/// A route that takes no parameters at all: `Query<()>`.
impl FromParams for () {
    fn from_params(_: &mut Params) -> Result<Self, Rejection> {
        Ok(())
    }
}

fn decode(text: &str) -> Result<String, Rejection> {
    let broken = || Rejection::invalid_request("The query is not properly percent-encoded UTF-8.");
    let mut after_percent = text.split('%').skip(1);
    // The decoder leaves what it does not understand as it is, and two readers would then understand it differently.
    let encoded = |rest: &str| rest.len() >= 2 && rest.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !after_percent.all(encoded) {
        return Err(broken());
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().map_err(|_| broken())?;
    if decoded.contains('\0') {
        return Err(Rejection::invalid_request("The query contains a NUL character."));
    }
    Ok(decoded.into_owned())
}

fn invalid(name: &str, message: &str) -> Rejection {
    Rejection::invalid_request(format!("`{name}` {message}."))
}

fn unacceptable(name: &str, code: &'static str, message: String) -> Rejection {
    Rejection::validation(vec![FieldError::new(name, code, message)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query).unwrap()
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Rejection>) -> (u16, String) {
        let rejection = result.unwrap_err();
        let field = rejection.fields().first().map(|f| format!("{} {} {}", f.field, f.code, f.message));
        (rejection.status().as_u16(), field.unwrap_or_else(|| rejection.message().to_owned()))
    }

    #[test]
    fn text_is_decoded_and_empty_pairs_do_not_count() {
        let mut params = params("&query=J%C3%BCrgen+%2B%26%3D%25&&flag&");
        assert_eq!(params.one("query").unwrap().as_deref(), Some("Jürgen +&=%"));
        assert_eq!(params.one("flag").unwrap().as_deref(), Some(""));
        assert_eq!(params.one("absent").unwrap(), None);
        params.finish().unwrap();
    }

    #[test]
    fn nul_invalid_utf8_and_broken_encodings_are_400() {
        for query in [
            "query=%00",
            "%00=1",
            "query=%FF",
            "query=%C3",
            "query=%",
            "query=%4",
            "query=%zz",
            "query=%+1",
            "query=a%é",
        ] {
            assert_eq!(refusal(Params::parse(query)).0, 400, "{query}");
        }
    }

    #[test]
    fn a_parameter_twice_is_400_unless_it_is_a_list() {
        assert_eq!(params("role=b&role=a").many("role"), ["b", "a"]);
        assert_eq!(refusal(params("limit=1&limit=1").int("limit")), (400, "`limit` may be given once only.".into()));
        assert_eq!(refusal(params("banned=true&banned=").bool("banned")).0, 400);
    }

    #[test]
    fn a_boolean_is_true_or_false_and_nothing_else() {
        assert_eq!(params("banned=true").bool("banned").unwrap(), Some(true));
        assert_eq!(params("banned=false").bool("banned").unwrap(), Some(false));
        assert_eq!(params("").bool("banned").unwrap(), None);
        for value in ["", "True", "1", "0", "yes", "%20true", "null"] {
            let answer = refusal(params(&format!("banned={value}")).bool("banned"));
            assert_eq!(answer, (400, "`banned` must be true or false.".into()), "{value}");
        }
    }

    #[test]
    fn a_number_is_digits_and_fits_64_bits() {
        for (value, number) in [("0", 0), ("-1", -1), ("0020", 20), ("9223372036854775807", i64::MAX)] {
            assert_eq!(params(&format!("limit={value}")).int("limit").unwrap(), Some(number));
        }
        for value in ["", "-", "abc", "1.0", "1e3", "+5", "%2B5", "0x10", "%205", "5%20", "--1", "٣"] {
            let answer = refusal(params(&format!("limit={value}")).int("limit"));
            assert_eq!(answer, (400, "`limit` must be a whole number.".into()), "{value}");
        }
        for value in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999"] {
            let answer = refusal(params(&format!("offset={value}")).int("offset"));
            assert_eq!(answer, (422, "offset out_of_range is out of range".into()), "{value}");
        }
    }

    #[test]
    fn a_time_is_rfc_3339_with_its_plus_sign_encoded() {
        let read = |value: &str| params(&format!("created_after={value}")).time("created_after");
        assert_eq!(read("2030-01-01T02:00:00%2B02:00").unwrap(), read("2030-01-01T00:00:00Z").unwrap());
        for value in
            ["", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01T00:00:00+02:00", "2030-01-01%2000:00:00Z", "0", "now"]
        {
            assert_eq!(refusal(read(value)).0, 400, "{value}");
        }
    }

    #[test]
    fn an_id_is_a_canonical_uuid() {
        let read = |value: &str| params(&format!("user_id={value}")).uuid("user_id");
        assert!(read("0190163d-8694-739b-aea5-966c26f8ad91").unwrap().is_some());
        for value in ["", "0190163d8694739baea5966c26f8ad91", "%7B0190163d-8694-739b-aea5-966c26f8ad91%7D", "1"] {
            assert_eq!(refusal(read(value)), (400, "`user_id` must be a UUID.".into()), "{value}");
        }
    }

    #[test]
    fn a_choice_is_one_of_its_list_in_exact_case() {
        let choices = [("created_at", 1), ("email", 2), ("name", 3)];
        assert_eq!(params("sort_by=email").choice("sort_by", &choices).unwrap(), Some(2));
        assert_eq!(params("").choice("sort_by", &choices).unwrap(), None);
        for value in ["", "Email", "password_hash", "email;drop", "email%20"] {
            let answer = refusal(params(&format!("sort_by={value}")).choice("sort_by", &choices));
            assert_eq!(answer, (422, "sort_by not_allowed must be one of: created_at, email, name".into()), "{value}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_422_by_its_name() {
        let mut asked = params("limit=1&Limit=2&x=hunter2&x=3&=4");
        asked.int("limit").unwrap();
        let rejection = asked.finish().unwrap_err();
        let names: Vec<&str> = rejection.fields().iter().map(|f| f.field.as_str()).collect();
        assert_eq!((rejection.status().as_u16(), names), (422, vec!["", "Limit", "x"]));
        assert!(!format!("{rejection:?}").contains("hunter2"));
    }

    #[test]
    fn the_list_of_unknown_names_is_bounded() {
        let many: Vec<String> = (0..500).map(|n| format!("{n}{}", "x".repeat(100))).collect();
        let rejection = params(&many.join("&")).finish().unwrap_err();
        assert_eq!(rejection.fields().len(), 16);
        assert!(rejection.message().len() < 500, "{}", rejection.message());
        assert!(rejection.message().ends_with("; and 497 more."), "{}", rejection.message());
    }

    #[tokio::test]
    async fn the_extractor_refuses_what_its_type_does_not_ask_for() {
        let read = async |uri: &str| {
            let (mut parts, ()) = axum::http::Request::get(uri).body(()).unwrap().into_parts();
            Query::<()>::from_request_parts(&mut parts, &()).await.map(|_| ())
        };
        read("/users").await.unwrap();
        read("/users?").await.unwrap();
        assert_eq!(refusal(read("/users?x=1").await), (422, "x unknown_field is not a known parameter".into()));
    }
}
