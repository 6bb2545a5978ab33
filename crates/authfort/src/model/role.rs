//! The rules for a role's name.

use super::validate::Checked;
use crate::FieldError;

const ROLE_BYTES: usize = 50;

/// Checks a role's name: `^[a-z][a-z0-9_-]{0,49}$`.
pub(crate) fn role_name(field: &str, name: &str) -> Checked<()> {
    let shaped = name.len() <= ROLE_BYTES
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    if shaped { Ok(()) } else { Err(FieldError::new(field, "invalid_role", "must match ^[a-z][a-z0-9_-]{0,49}$")) }
}

#[cfg(test)]
mod tests {
    use super::role_name;

    #[test]
    fn a_role_name_is_short_and_plain() {
        for name in ["admin", "a", "content-editor", "level_2", &"a".repeat(50)] {
            assert!(role_name("role", name).is_ok(), "{name}");
        }
        for name in [
            "",
            " ",
            "Admin",
            "2fast",
            "ad min",
            "ad\nmin",
            "a,b",
            "аdmin",
            "\u{202e}admin",
            &"a".repeat(51),
            &"a".repeat(10_000),
        ] {
            assert!(role_name("role", name).is_err(), "{name:?}");
        }
    }
}
