use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::*;
use crate::extract::{rfc3339, rfc3339_unless_empty, unless_empty};

fn refusal<T>(result: Result<T, Rejection>) -> (u16, String) {
    let rejection = result.err().expect("a refusal");
    let field = rejection.fields().first().map(|f| format!("{} {} {}", f.field, f.code, f.message));
    (rejection.status().as_u16(), field.unwrap_or_else(|| rejection.message().to_owned()))
}

fn read<T: DeserializeOwned>(query: &str) -> Result<T, Rejection> {
    let mut parameters = Parameters::split("query", query)?;
    let value = parameters.take()?;
    parameters.finish()?;
    Ok(value)
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Sort {
    CreatedAt,
    Email,
}

#[derive(Debug, Default, Deserialize)]
struct Page {
    query: Option<String>,
    flag: Option<String>,
    banned: Option<bool>,
    limit: Option<u32>,
    offset: Option<u64>,
    sort: Option<Sort>,
    #[serde(default)]
    role: Vec<String>,
    user_id: Option<authfort::UserId>,
    #[serde(default, deserialize_with = "rfc3339")]
    after: Option<DateTime<Utc>>,
}

fn page(query: &str) -> Result<Page, Rejection> {
    read(query)
}

#[test]
fn text_is_decoded_and_empty_pairs_do_not_count() {
    let page = page("&query=J%C3%BCrgen+%2B%26%3D%25&&flag&").unwrap();
    assert_eq!(page.query.as_deref(), Some("Jürgen +&=%"));
    assert_eq!(page.flag.as_deref(), Some(""));
    assert_eq!(page.banned, None);
}

#[test]
fn nul_invalid_utf8_and_broken_encodings_are_400() {
    for query in
        ["query=%00", "%00=1", "query=%FF", "query=%C3", "query=%", "query=%4", "query=%zz", "query=%+1", "query=a%é"]
    {
        assert_eq!(refusal(page(query)).0, 400, "{query}");
    }
}

#[test]
fn a_parameter_twice_is_400_unless_it_is_a_list() {
    assert_eq!(page("role=b&role=a").unwrap().role, ["b", "a"]);
    let twice = |name: &str| (400, format!("`{name}` may be given once only."));
    assert_eq!(refusal(page("limit=1&limit=1")), twice("limit"));
    assert_eq!(refusal(page("banned=true&banned=")), twice("banned"));
    assert_eq!(refusal(page("query=a&query=b")), twice("query"));
    assert_eq!(refusal(page("sort=email&sort=email")), twice("sort"));
}

#[test]
fn a_boolean_is_true_or_false_and_nothing_else() {
    assert_eq!(page("banned=true").unwrap().banned, Some(true));
    assert_eq!(page("banned=false").unwrap().banned, Some(false));
    for value in ["", "True", "1", "0", "yes", "%20true", "null"] {
        let answer = refusal(page(&format!("banned={value}")));
        assert_eq!(answer, (400, "`banned` must be true or false.".into()), "{value}");
    }
}

#[test]
fn a_number_is_digits_and_fits_64_bits() {
    for (value, number) in [("0", 0), ("0020", 20), ("9223372036854775807", 9_223_372_036_854_775_807)] {
        assert_eq!(page(&format!("offset={value}")).unwrap().offset, Some(number));
    }
    for value in ["", "-", "abc", "1.0", "1e3", "+5", "%2B5", "0x10", "%205", "5%20", "--1", "٣"] {
        for name in ["limit", "offset"] {
            let answer = refusal(page(&format!("{name}={value}")));
            assert_eq!(answer, (400, format!("`{name}` must be a whole number.")), "{value}");
        }
    }
    for value in ["9223372036854775808", "-9223372036854775809", "99999999999999999999999999"] {
        let answer = refusal(page(&format!("offset={value}")));
        assert_eq!(answer, (422, "offset out_of_range is out of range".into()), "{value}");
    }
}

#[test]
fn a_negative_offset_is_refused_and_a_limit_far_out_is_left_to_the_operation() {
    assert_eq!(refusal(page("offset=-1")), (422, "offset out_of_range must be 0 or more".into()));
    assert_eq!(page("limit=-1").unwrap().limit, Some(0));
    assert_eq!(page("limit=5000000000").unwrap().limit, Some(u32::MAX));
}

#[test]
fn a_time_is_rfc_3339_with_its_plus_sign_encoded() {
    let read = |value: &str| page(&format!("after={value}"));
    let time = |value| read(value).unwrap().after.unwrap();
    assert_eq!(time("2030-01-01T02:00:00%2B02:00"), time("2030-01-01T00:00:00Z"));
    for value in
        ["", "2030-01-01", "2030-01-01T00:00:00", "2030-01-01T00:00:00+02:00", "2030-01-01%2000:00:00Z", "0", "now"]
    {
        assert_eq!(refusal(read(value)).0, 400, "{value}");
    }
    assert!(refusal(read("2030-01-01T00:00:00+02:00")).1.ends_with("a plus sign in a query is written %2B."));
}

#[test]
fn an_id_is_a_canonical_uuid() {
    let read = |value: &str| page(&format!("user_id={value}"));
    assert!(read("0190163d-8694-739b-aea5-966c26f8ad91").unwrap().user_id.is_some());
    for value in ["", "0190163d8694739baea5966c26f8ad91", "%7B0190163d-8694-739b-aea5-966c26f8ad91%7D", "1"] {
        assert_eq!(refusal(read(value)), (400, "`user_id` must be a UUID.".into()), "{value}");
    }
}

#[test]
fn a_choice_is_one_of_its_list_in_exact_case() {
    assert_eq!(page("sort=email").unwrap().sort, Some(Sort::Email));
    assert_eq!(page("sort=created_at").unwrap().sort, Some(Sort::CreatedAt));
    for value in ["", "Email", "password_hash", "email;drop", "email%20"] {
        let answer = refusal(page(&format!("sort={value}")));
        assert_eq!(answer, (422, "sort not_allowed must be one of: created_at, email".into()), "{value}");
    }
}

#[test]
fn an_unknown_parameter_is_422_by_its_name() {
    let rejection = page("limit=1&Limit=2&x=hunter2&x=3&=4").unwrap_err();
    let names: Vec<&str> = rejection.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!((rejection.status().as_u16(), names), (422, vec!["", "Limit", "x"]));
    assert!(!format!("{rejection:?}").contains("hunter2"));
}

#[test]
fn the_list_of_unknown_names_is_bounded() {
    let many: Vec<String> = (0..500).map(|n| format!("{n}{}", "x".repeat(100))).collect();
    let rejection = page(&many.join("&")).unwrap_err();
    assert_eq!(rejection.fields().len(), FieldError::LIMIT);
    assert!(rejection.message().len() < 500, "{}", rejection.message());
    assert!(rejection.message().ends_with("; and 497 more."), "{}", rejection.message());
}

#[derive(Debug, Default, Deserialize)]
struct Filter {
    #[serde(default, deserialize_with = "unless_empty")]
    active: Option<bool>,
    #[serde(default, deserialize_with = "unless_empty")]
    tag: Option<Vec<String>>,
    #[serde(default, deserialize_with = "rfc3339_unless_empty")]
    before: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "unless_empty")]
    kind: Option<Sort>,
}

#[test]
fn an_empty_filter_is_none_and_one_that_is_not_empty_is_read_strictly() {
    let empty: Filter = read("active=&tag=&tag=&before=&kind=&active=").unwrap();
    assert!(empty.active.is_none() && empty.tag.is_none() && empty.before.is_none() && empty.kind.is_none());
    let given: Filter = read("active=true&tag=&tag=a&before=2030-01-01T00:00:00Z&kind=email").unwrap();
    assert_eq!((given.active, given.tag, given.kind), (Some(true), Some(vec!["a".into()]), Some(Sort::Email)));
    assert!(given.before.is_some());
    assert_eq!(refusal(read::<Filter>("active=1")), (400, "`active` must be true or false.".into()));
    for twice in ["active=true&active=true", "active=&active=true", "active=true&active="] {
        assert_eq!(refusal(read::<Filter>(twice)), (400, "`active` may be given once only.".into()), "{twice}");
    }
    assert_eq!(refusal(read::<Filter>("before=now")).0, 400);
}

#[test]
fn structs_of_a_tuple_take_in_turn_and_a_fault_names_the_parameter() {
    let (filter, page): (Filter, Page) = read("limit=5&active=true").unwrap();
    assert_eq!((filter.active, page.limit), (Some(true), Some(5)));
    assert_eq!(refusal(read::<(Filter, Page)>("limit=x")), (400, "`limit` must be a whole number.".into()));
    assert_eq!(refusal(read::<(Filter, Page)>("active=x")), (400, "`active` must be true or false.".into()));
    assert_eq!(refusal(read::<(Filter, Page)>("x=1")), (422, "x unknown_field is not a known parameter".into()));
}

#[test]
fn no_struct_takes_none() {
    read::<()>("").unwrap();
    assert_eq!(refusal(read::<()>("x=1")), (422, "x unknown_field is not a known parameter".into()));
}

#[test]
fn a_parameter_that_must_be_there_is_422() {
    #[derive(Debug, Deserialize)]
    struct Form {
        #[expect(dead_code, reason = "its absence is the point")]
        token: String,
    }
    assert_eq!(refusal(read::<Form>("")), (422, "token required is required".into()));
}
