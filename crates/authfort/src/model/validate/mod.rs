//! The rules for a user's fields. Values are normalized first and then validated, so that two spellings become one
//! value.

mod chars;
mod email;
mod fold;
mod metadata;
mod search;
mod text;
mod time;

use crate::FieldError;
pub(crate) use email::{ERASED_NAME, address_shaped, email, erased_email, key_to_find};
pub use email::{check_email, email_key, normalize_email};
pub(crate) use metadata::metadata;
pub(crate) use search::{Keys, query};
#[cfg(feature = "webhooks")]
pub(crate) use text::description;
pub(crate) use text::{avatar_url, name, phone, provider, provider_account_id, reason, subscription};
pub(crate) use time::{future, time, without_leap_second};

pub(crate) type Checked<T> = Result<T, FieldError>;

/// Collects faults so that one error names them all: each once, and at most [`FieldError::LIMIT`].
#[derive(Default)]
pub(crate) struct Faults(Vec<FieldError>);

impl Faults {
    pub(crate) fn take<T>(&mut self, checked: Checked<T>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(fault) => {
                if self.0.len() < FieldError::LIMIT && !self.0.contains(&fault) {
                    self.0.push(fault);
                }
                None
            }
        }
    }

    pub(crate) fn finish(self) -> crate::Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(crate::Error::Validation(self.0)) }
    }
}
