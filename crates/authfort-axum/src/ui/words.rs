//! How a template writes what it shows. Times are UTC here; the script of the page writes them in the reader's zone.

use authfort::{Event, User};
use chrono::{DateTime, SecondsFormat, Utc};

/// A time as a machine reads it.
pub(super) fn iso(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn utc(time: &DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A number with separators: 1,204.
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The name, or the address of who has none.
pub(super) fn name(user: &User) -> &str {
    user.name.as_deref().unwrap_or(&user.email)
}

/// What stands beside a user's name, and the style of it.
pub(super) fn status(user: &User) -> (&'static str, &'static str) {
    match (user.is_deleted, user.banned, user.email_verified) {
        (true, ..) => ("Anonymized", "muted"),
        (_, true, _) => ("Banned", "bad"),
        (_, _, false) => ("Not verified", "warn"),
        _ => ("Active", "good"),
    }
}

/// Up to two letters for who has no picture.
pub(super) fn initials(name: &str) -> String {
    let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(2).filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).collect()
}

/// A field of the interface, as the pages name it.
pub(super) fn field(name: &str) -> String {
    match name {
        "email" => "The address".into(),
        "address" => "What was typed".into(),
        "avatar_url" => "The picture".into(),
        "expires_at" | "until" => "The end of the ban".into(),
        "your_password" => "Your own password".into(),
        "url" => "The URL".into(),
        other => format!("The {}", other.replace('_', " ")),
    }
}

/// What happened, in words, with what matters most of it.
pub(super) fn happened(event: &Event) -> String {
    let of = |name: &str| event.data.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    match (event.r#type.as_str(), of("role"), of("reason"), of("mode")) {
        ("role_added" | "role_removed", Some(role), ..) => format!("{}: {role}", self::event(&event.r#type)),
        ("user_banned", _, Some(reason), _) => format!("User banned: {reason}"),
        ("user_deleted", .., Some("anonymize")) => "User anonymized".into(),
        (other, ..) => self::event(other),
    }
}

/// A type of events, in words.
pub(super) fn event(r#type: &str) -> String {
    let mut words = r#type.replace('_', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let numbers = [0, 7, 999, 1000, 1204, 999_999, 1_000_000, u64::MAX].map(number);
        assert_eq!(numbers, ["0", "7", "999", "1,000", "1,204", "999,999", "1,000,000", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn initials_are_of_the_first_two_words() {
        assert_eq!(
            ["Jane van Doe", "jane@example.com", "李明", "", "-", "ß"].map(initials),
            ["JV", "JE", "李", "", "", "SS"]
        );
    }

    #[test]
    fn a_field_is_written_as_the_page_names_it() {
        assert_eq!(
            ["expires_at", "role", "provider_id"].map(field),
            ["The end of the ban", "The role", "The provider id"]
        );
    }

    #[test]
    fn an_event_is_written_as_words() {
        assert_eq!(["user_banned", "login", ""].map(event), ["User banned", "Login", ""]);
    }
}
