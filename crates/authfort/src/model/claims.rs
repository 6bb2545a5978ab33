//! The claims of an access token, and strict parsing of them.
//!
//! A payload is parsed only after its signature was verified, and still strictly: one JSON object in which no member
//! occurs twice; every claim has one type (numbers are integers, ids are lower-case hyphenated UUIDs, `iss` and `aud`
//! are strings and never arrays); `null` is not the same as absent. Unknown members are ignored, so that nodes of two
//! versions can run side by side.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use uuid::{Uuid, fmt::Hyphenated};

use super::json::read_json;

/// The claims of an access token. Times are seconds since 1970 (RFC 7519 `NumericDate`, whole seconds only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    /// The id of the user.
    #[serde(deserialize_with = "canonical")]
    pub(crate) sub: Uuid,
    pub(crate) email: String,
    pub(crate) name: Option<String>,
    pub(crate) roles: Vec<String>,
    /// The user's token version when the token was issued.
    pub(crate) ver: i64,
    /// The id of the session.
    #[serde(deserialize_with = "canonical")]
    pub(crate) sid: Uuid,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
    pub(crate) iss: String,
    /// The id of this token.
    #[serde(deserialize_with = "canonical")]
    pub(crate) jti: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) aud: Option<String>,
}

/// The claims, and `nbf`, which is honoured though never issued.
pub(crate) struct Payload {
    pub(crate) claims: Claims,
    pub(crate) nbf: Option<i64>,
}

impl Payload {
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        let object = read_object(json)?;
        let nbf = match object.get("nbf") {
            None => None,
            Some(nbf) => Some(nbf.as_i64()?),
        };
        let claims = Claims::deserialize(Value::Object(object)).ok()?;
        Some(Self { claims, nbf })
    }
}

/// Parses one JSON object in which no member occurs twice. An array is refused, and the parser bounds the nesting.
pub(crate) fn read_object(json: &[u8]) -> Option<Map<String, Value>> {
    match read_json(std::str::from_utf8(json).ok()?) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

/// Parses a UUID in its canonical form only; the `uuid` crate reads four others as well.
fn canonical<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(D::Error::custom("a UUID is written in lower case"));
    }
    text.parse().map(Hyphenated::into_uuid).map_err(D::Error::custom)
}

/// Parses a member that may be absent but not `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_each_member_once() {
        assert_eq!(read_object(br#"{"a":1,"b":{"c":[]}}"#).unwrap().len(), 2);
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"["a"]"#,
            "null",
            "",
            r#"{"a":1}x"#,
            r#"{"a":1}{"#,
            "{\"a\":\"\u{0}\"}",
        ] {
            assert!(read_object(text.as_bytes()).is_none(), "{text}");
        }
        assert!(read_object(b"{\"a\":\"\xff\"}").is_none());
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(read_object(deep(20).as_bytes()).is_some());
        assert!(read_object(deep(200).as_bytes()).is_none());
        assert!(read_object(deep(100_000).as_bytes()).is_none());
    }
}
