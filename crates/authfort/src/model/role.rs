//! The rules for a role's name.

use super::validate::Checked;
use crate::FieldError;

const ROLE_BYTES: usize = 50;

/// Returns whether a text is a valid role name: `^[a-z][a-z0-9_-]{0,49}$`. Callers can use it at compile
/// time.
///
/// ```
/// assert!(authfort::is_role_name("content-editor"));
/// assert!(!authfort::is_role_name("Admin"));
/// ```
pub const fn is_role_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.len() > ROLE_BYTES || !matches!(rest.first(), Some(b'a'..=b'z')) {
        return false;
    }
    while let Some((first, others)) = rest.split_first() {
        if !matches!(first, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') {
            return false;
        }
        rest = others;
    }
    true
}

/// Checks a role's name: `^[a-z][a-z0-9_-]{0,49}$`.
pub(crate) fn role_name(field: &str, name: &str) -> Checked<()> {
    if is_role_name(name) {
        Ok(())
    } else {
        Err(FieldError::new(field, "invalid_role", "must match ^[a-z][a-z0-9_-]{0,49}$"))
    }
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
