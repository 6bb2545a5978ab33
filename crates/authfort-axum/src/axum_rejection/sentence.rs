//! Parses the error messages of axum and serde: which member, what kind of error, what was expected.

use authfort::FieldError;
use axum::http::StatusCode;

use crate::Rejection;
use crate::extract::{presentable, wanted};

/// Parses one of axum's messages.
pub(super) fn rejection_of(status: StatusCode, text: &str) -> Option<Rejection> {
    let after = |start| after(text, start);
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => after("Failed to deserialize the JSON body into the target type")
            .map(|fault| Rejection::validation(vec![field(without_position(fault))]))
            .or_else(|| after("Failed to deserialize form body").map(|fault| pair_rejection("form", fault))),
        StatusCode::BAD_REQUEST => bad_request(text),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => match text {
            "Expected request with `Content-Type: application/json`" => Some(Rejection::unsupported_media_type()),
            "Form requests must have `Content-Type: application/x-www-form-urlencoded`" => Some(Rejection::new(
                status,
                Rejection::unsupported_media_type().code(),
                "The body must be sent as Content-Type: application/x-www-form-urlencoded.",
            )),
            _ => None,
        },
        StatusCode::PAYLOAD_TOO_LARGE => {
            let known = after("Failed to buffer the request body").is_some() || text == "Request payload is too large";
            known.then(Rejection::payload_too_large)
        }
        StatusCode::INTERNAL_SERVER_ERROR => {
            let ours = text.starts_with("Missing request extension: Extension of type `")
                || text.starts_with("Wrong number of path arguments for `Path`. Expected ")
                || text.strip_prefix("Unsupported type `").is_some_and(|name| name.ends_with('`'))
                || [
                    "No paths parameters found for matched route",
                    "No matched path found",
                    "The matched route is not nested",
                ]
                .contains(&text);
            ours.then(|| {
                tracing::error!(mistake = ?text, "an extractor of axum does not fit its route");
                Rejection::internal()
            })
        }
        _ => None,
    }
}

/// Returns what follows the sentence with which axum's message begins.
fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.strip_prefix(": ")
}

fn bad_request(text: &str) -> Option<Rejection> {
    let after = |start| after(text, start);
    if let Some(fault) = after("Failed to parse the request body as JSON") {
        return Some(Rejection::invalid_request(json_message(fault)));
    }
    if let Some(fault) = after("Failed to deserialize query string") {
        return Some(pair_rejection("query", fault));
    }
    if let Some(fault) = after("Failed to deserialize form") {
        return Some(pair_rejection("form", fault));
    }
    if let Some(fault) = after("Invalid URL").or_else(|| text.starts_with("Invalid UTF-8 in `").then_some(text)) {
        return path_message(fault).map(Rejection::invalid_request);
    }
    if text == "Invalid `boundary` for `multipart/form-data` request"
        || text == "Error parsing `multipart/form-data` request"
    {
        return Some(Rejection::invalid_request("The body is not valid multipart/form-data."));
    }
    if after("Failed to buffer the request body").is_some() {
        return Some(Rejection::invalid_request("The body did not arrive whole."));
    }
    after("Request body didn't contain valid UTF-8").map(|_| Rejection::invalid_request("The body is not valid UTF-8."))
}

/// Describes why a text is not the expected JSON. `serde_json` also reports malformed JSON when a type's parser stops
/// at an unexpected token, such as a number in place of one of several names.
fn json_message(fault: &str) -> String {
    let place = position(fault).map(|(line, column)| format!(", at line {line}, column {column}")).unwrap_or_default();
    if fault.starts_with("EOF while parsing a value at line 1 column 0") {
        return "The body is empty, and must be JSON.".to_owned();
    }
    match fault.split_once(": ").map(|(path, _)| path).filter(|path| is_path(path)) {
        Some(path) => format!("`{}` in the body cannot be read{place}.", presentable(path)),
        None => format!("The body is not valid JSON{place}."),
    }
}

/// Converts an error in name-value pairs: what cannot be parsed is 400, what can be parsed and is invalid is 422.
fn pair_rejection(place: &str, fault: &str) -> Rejection {
    let field = field(fault);
    if matches!(field.code, "required" | "unknown_field" | "not_allowed" | "duplicate") {
        return Rejection::validation(vec![field]);
    }
    Rejection::invalid_request(if field.field == "body" {
        format!("The {place} is not acceptable.")
    } else {
        format!("`{}` in the {place} {}.", field.field, field.message)
    })
}

/// Converts axum's message about a part of the path. The name comes from the route, so it ends at the first separator;
/// the type follows the last one.
fn path_message(fault: &str) -> Option<String> {
    if let Some(name) = fault.strip_prefix("Invalid UTF-8 in `").and_then(|rest| rest.strip_suffix('`')) {
        return is_path(name).then(|| format!("`{name}` in the path is not valid UTF-8."));
    }
    let Some(rest) = fault.strip_prefix("Cannot parse ") else {
        return KINDS.iter().any(|(kind, _)| fault.starts_with(kind)).then(|| "The path is not acceptable.".to_owned());
    };
    let named = rest.strip_prefix('`').and_then(|rest| rest.split_once("` with value `"));
    let subject = match named.map(|(name, _)| name).filter(|name| is_path(name)) {
        Some(name) => format!("`{}` in the path", presentable(name)),
        None => "A part of the path".to_owned(),
    };
    let kind = rest.strip_suffix('`').and_then(|rest| rest.rsplit_once("` to a `")).map(|(_, kind)| kind);
    Some(match kind {
        Some("i8" | "i16" | "i32" | "i64" | "i128" | "u8" | "u16" | "u32" | "u64" | "u128") => {
            format!("{subject} must be a whole number in range.")
        }
        Some("f32" | "f64") => format!("{subject} must be a number."),
        Some("bool") => format!("{subject} must be true or false."),
        _ if rest.contains("`: UUID parsing failed: ") || rest.ends_with(", expected a UUID") => {
            format!("{subject} must be a UUID.")
        }
        _ => format!("{subject} is not acceptable."),
    })
}

/// Parses serde's message, which the path of the member may precede: `email: invalid type: integer …, expected a
/// string`.
fn field(fault: &str) -> FieldError {
    let known = KINDS.iter().filter_map(|(kind, says)| at(fault, kind).map(|(path, fault)| (path, fault, *says)));
    // A message of the application's own type may begin with the value, so nothing of it is repeated.
    let Some((path, fault, says)) = known.min_by_key(|(path, ..)| path.len()) else {
        return FieldError::new("body", "invalid", "is not acceptable");
    };
    let here =
        |code, message: &str| FieldError::new(presentable(if path.is_empty() { "body" } else { path }), code, message);
    match says {
        Template::Name(code, message) => {
            let name = fault.split('`').nth(1).filter(|name| is_path(name));
            // The path of an unknown or repeated member ends with its name, the path of a missing one does not.
            match name {
                Some(name) if path.is_empty() => FieldError::new(presentable(name), code, message),
                Some(name) if path.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')) => {
                    here(code, message)
                }
                Some(name) => FieldError::new(presentable(&format!("{path}.{name}")), code, message),
                None => FieldError::new("body", "invalid", "is not acceptable"),
            }
        }
        Template::Wanted(code) => match fault.rsplit_once(", expected ").map(|(_, expected)| expected) {
            Some(expected) if is_known(expected) => here(code, &format!("must be {}", wanted(expected))),
            _ => here("invalid", "is not acceptable"),
        },
        Template::Fixed(message) => here("invalid", message),
    }
}

#[derive(Clone, Copy)]
enum Template {
    /// The member is named between the first two backticks.
    Name(&'static str, &'static str),
    /// The message ends with what was expected.
    Wanted(&'static str),
    /// The text is constant.
    Fixed(&'static str),
}

const WHOLE: &str = "must be a whole number in range";

/// How the messages of serde and of common types begin, and what they mean.
const KINDS: [(&str, Template); 17] = [
    ("missing field `", Template::Name("required", "is required")),
    ("unknown field `", Template::Name("unknown_field", "is not a known member")),
    ("duplicate field `", Template::Name("duplicate", "appears twice")),
    ("unknown variant `", Template::Wanted("not_allowed")),
    ("invalid type: ", Template::Wanted("invalid_type")),
    ("invalid value: ", Template::Wanted("invalid")),
    ("invalid length ", Template::Wanted("invalid")),
    ("invalid digit found in string", Template::Fixed(WHOLE)),
    ("number too large to fit in target type", Template::Fixed(WHOLE)),
    ("number too small to fit in target type", Template::Fixed(WHOLE)),
    ("cannot parse integer from empty string", Template::Fixed(WHOLE)),
    ("invalid float literal", Template::Fixed("must be a number")),
    ("cannot parse float from empty string", Template::Fixed("must be a number")),
    ("provided string was not `true` or `false`", Template::Fixed("must be true or false")),
    ("UUID parsing failed: ", Template::Fixed("must be a UUID")),
    ("input contains invalid characters", Template::Fixed("is not acceptable")),
    ("premature end of input", Template::Fixed("is not acceptable")),
];

/// Returns whether a text has only characters of names and member paths; any other text may be a value that was sent.
fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "_-.[]".contains(c))
}

/// Returns whether a text is one that serde uses for what it expected, and not a value that was sent.
fn is_known(expected: &str) -> bool {
    let name = |text: &str| text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).is_some_and(is_path);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let texts = [
        "a string",
        "a borrowed string",
        "a boolean",
        "a character",
        "a sequence",
        "a map",
        "unit",
        "option",
        "a byte array",
        "an RFC 3339 formatted date and time string",
        "a formatted date string",
        "a formatted time string",
        "a string or a number",
        "a UUID",
    ];
    let names = expected.strip_prefix("one of ").unwrap_or(expected);
    texts.contains(&expected)
        || wanted(expected) != expected
        || ["a tuple of size ", "an array of length "]
            .iter()
            .any(|kind| expected.strip_prefix(kind).is_some_and(number))
        || (names.len() <= 1_000 && names.split(", ").flat_map(|names| names.split(" or ")).all(name))
}

/// Splits a message into the path and the sentence, if the sentence begins with `kind`.
fn at<'a>(fault: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
    if fault.starts_with(kind) {
        return Some(("", fault));
    }
    let (path, rest) = fault.split_once(": ")?;
    (is_path(path) && rest.starts_with(kind)).then_some((path, rest))
}

/// Returns the position `… at line 1 column 20`, which ends each message of `serde_json`.
fn position(fault: &str) -> Option<(u64, u64)> {
    let (line, column) = fault.rsplit_once(" at line ")?.1.split_once(" column ")?;
    Some((line.parse().ok()?, column.parse().ok()?))
}

fn without_position(fault: &str) -> &str {
    match (position(fault), fault.rsplit_once(" at line ")) {
        (Some(_), Some((fault, _))) => fault,
        _ => fault,
    }
}
