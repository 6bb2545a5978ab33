//! The position of a page: the sort key and id of a row, bound to the list that it came from.
//!
//! The text is base64url of a version, a direction, eight bytes of the SHA-256 over filter and order, the id, and the
//! key. Clients must not depend on this format. A cursor is not secret and needs no signature: its content is only
//! bound as values, and cannot reach a row that the filter excludes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::filter::{SortBy, SortOrder, UserFilter};
use crate::UserId;
use crate::crypto::{base64url_decode, base64url_encode, sha256};

const VERSION: u8 = 1;
const BINDING: usize = 8;
/// No key is longer than this: names have at most 255 characters, and folding at most triples one.
const MAX_TEXT: usize = 8192;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    pub backward: bool,
    pub key: SortKey,
    pub id: Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SortKey {
    Time(DateTime<Utc>),
    Text(String),
    Missing,
    /// No row: the end of the list from which the cursor starts, so a backward one leads to the last page.
    End,
}

impl Cursor {
    pub(crate) fn at(id: UserId, key: SortKey, backward: bool) -> Self {
        Self { backward, key, id: id.0 }
    }

    /// Returns a cursor to the last page if it is backward, or to the first page if it is forward.
    pub(crate) fn from_end(backward: bool) -> Self {
        Self { backward, key: SortKey::End, id: Uuid::nil() }
    }

    pub(crate) fn encode(&self, filter: &UserFilter, sort_by: SortBy, sort_order: SortOrder) -> String {
        let mut bytes = vec![VERSION, u8::from(self.backward)];
        bytes.extend_from_slice(&binding(filter, sort_by, sort_order));
        bytes.extend_from_slice(self.id.as_bytes());
        match &self.key {
            SortKey::Time(time) => {
                bytes.push(b't');
                bytes.extend_from_slice(&time.timestamp_micros().to_be_bytes());
            }
            SortKey::Text(text) => {
                bytes.push(b's');
                bytes.extend_from_slice(text.as_bytes());
            }
            SortKey::Missing => bytes.push(b'n'),
            SortKey::End => bytes.push(b'e'),
        }
        base64url_encode(bytes)
    }

    /// Decodes a cursor; `None` for a text that this library did not create, or created for another list.
    pub(crate) fn decode(text: &str, filter: &UserFilter, sort_by: SortBy, sort_order: SortOrder) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = base64url_decode(text)?;
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        let (bound, rest) = rest.split_first_chunk::<BINDING>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (kind, key) = rest.split_first()?;
        let backward = match head {
            [VERSION, 0] => false,
            [VERSION, 1] => true,
            _ => return None,
        };
        if *bound != binding(filter, sort_by, sort_order) {
            return None;
        }
        let key = match (kind, sort_by) {
            (b't', SortBy::CreatedAt) => {
                let micros = i64::from_be_bytes(key.try_into().ok()?);
                let time = DateTime::from_timestamp_micros(micros)?;
                SortKey::Time(super::validate::time("cursor", time).ok().map(|()| time)?)
            }
            (b's', SortBy::Email | SortBy::Name) => {
                let text = std::str::from_utf8(key).ok()?;
                if text.contains('\0') {
                    return None;
                }
                SortKey::Text(text.to_owned())
            }
            (b'n', SortBy::Name) if key.is_empty() => SortKey::Missing,
            (b'e', _) if key.is_empty() => SortKey::End,
            _ => return None,
        };
        Some(Self { backward, key, id: Uuid::from_bytes(*id) })
    }
}

fn binding(filter: &UserFilter, sort_by: SortBy, sort_order: SortOrder) -> [u8; BINDING] {
    let digest = sha256(format!("{filter:?} {sort_by:?} {sort_order:?}").as_bytes());
    let mut bound = [0; BINDING];
    bound.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(key: SortKey) -> Cursor {
        Cursor { backward: true, key, id: Uuid::from_u128(7) }
    }

    #[test]
    fn a_cursor_survives_the_way_out_and_back() {
        let filter = UserFilter::default();
        for (key, by) in [
            (SortKey::Time(DateTime::UNIX_EPOCH), SortBy::CreatedAt),
            (SortKey::Text("é".into()), SortBy::Name),
            (SortKey::Missing, SortBy::Name),
            (SortKey::Text("a@example.com".into()), SortBy::Email),
            (SortKey::End, SortBy::CreatedAt),
            (SortKey::End, SortBy::Email),
            (SortKey::End, SortBy::Name),
        ] {
            let text = cursor(key.clone()).encode(&filter, by, SortOrder::Asc);
            assert_eq!(Cursor::decode(&text, &filter, by, SortOrder::Asc), Some(cursor(key)));
            assert_eq!(Cursor::decode(&text, &filter, by, SortOrder::Desc), None);
            let other = UserFilter { banned: Some(true), ..UserFilter::default() };
            assert_eq!(Cursor::decode(&text, &other, by, SortOrder::Asc), None);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let filter = UserFilter::default();
        let good = cursor(SortKey::Text("a".into())).encode(&filter, SortBy::Name, SortOrder::Asc);
        let long = "A".repeat(10_000);
        for text in ["", "x", "====", "AAAA", &good[..good.len() - 4], &format!("{good}="), &long] {
            assert_eq!(Cursor::decode(text, &filter, SortBy::Name, SortOrder::Asc), None, "{text}");
        }
    }
}
