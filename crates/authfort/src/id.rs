//! Typed ids: a user's id cannot be passed where a session's id is expected.
//!
//! All are UUIDs of version 7 (RFC 9562): ordered by creation time, also within one millisecond of one process. They
//! are names, not secrets.
//!
//! As text an id is hyphenated, in upper or lower case (RFC 9562, section 4). The other forms that the `uuid` crate
//! reads (without hyphens, in braces, as a URN) are refused.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Unexpected};
use uuid::fmt::Hyphenated;
use uuid::timestamp::context::ContextV7;
use uuid::{Timestamp, Uuid};

/// Keeps the ids of one process ordered within a millisecond, across all threads.
static ORDER: Mutex<ContextV7> = Mutex::new(ContextV7::new());

pub(crate) fn new_v7(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(Timestamp::from_unix(&ORDER, seconds, now.timestamp_subsec_nanos()))
}

/// Returns the first id that can be of a time, rounded down to the millisecond.
pub(crate) fn first_v7(time: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

struct IdText;

impl de::Visitor<'_> for IdText {
    type Value = Uuid;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Uuid, E> {
        let id: Result<Hyphenated, _> = text.parse();
        id.map(Hyphenated::into_uuid).map_err(|_| E::invalid_value(Unexpected::Other("text"), &self))
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(value_type = String, format = "uuid"))]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            #[allow(dead_code, reason = "without webhooks, nobody makes ids for them")]
            pub(crate) fn new(now: DateTime<Utc>) -> Self {
                Self(new_v7(now))
            }
        }

        impl<DB: sqlx::Database> sqlx::Type<DB> for $name
        where
            Uuid: sqlx::Type<DB>,
        {
            fn type_info() -> DB::TypeInfo {
                Uuid::type_info()
            }

            fn compatible(column: &DB::TypeInfo) -> bool {
                Uuid::compatible(column)
            }
        }

        impl<'q, DB: sqlx::Database> sqlx::Encode<'q, DB> for $name
        where
            Uuid: sqlx::Encode<'q, DB>,
        {
            fn encode_by_ref(
                &self,
                buffer: &mut <DB as sqlx::Database>::ArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                self.0.encode_by_ref(buffer)
            }
        }

        impl<'r, DB: sqlx::Database> sqlx::Decode<'r, DB> for $name
        where
            Uuid: sqlx::Decode<'r, DB>,
        {
            fn decode(value: <DB as sqlx::Database>::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Uuid::decode(value).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(|id: Hyphenated| Self(id.into_uuid()))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(IdText).map(Self)
                } else {
                    Uuid::deserialize(deserializer).map(Self)
                }
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// The id of a user. It never changes and is never reused.
    ///
    /// ```
    /// use authfort::UserId;
    /// let id: UserId = "0198c0de-0000-7000-8000-000000000001".parse()?;
    /// assert_eq!(id.to_string(), "0198c0de-0000-7000-8000-000000000001");
    /// assert!("0198c0de000070008000000000000001".parse::<UserId>().is_err());
    /// # Ok::<(), uuid::Error>(())
    /// ```
    UserId
}
id! {
    /// The id of a session: one sign-in on one device, however often its tokens are refreshed.
    SessionId
}
id! {
    /// The id of an event of the log. An event keeps its id however often it is delivered.
    EventId
}
id! {
    /// The id of a webhook.
    WebhookId
}
