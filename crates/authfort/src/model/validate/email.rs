//! Addresses.
//!
//! An address has two forms. What is *shown* is what was typed, trimmed, NFKC-normalized and lower-cased: mail goes there.
//! Its *key* is what makes two addresses one: case is folded, which takes a final sigma for any other, and the domain is
//! spelled by its A-labels. Whatever compares addresses compares keys.
//!
//! | part | rule | by |
//! |---|---|---|
//! | all | at most 254 bytes; no control, invisible or white-space character | RFC 5321 |
//! | before the `@` | at most 64 bytes; letters and digits of any script with their marks, `.` between them, and the ASCII signs `` !#$%&'*+-/=?^_`{|}~ ``; letters of one direction | RFC 5322, 6531 |
//! | domain | two labels or more of letters, digits and hyphens; in Unicode or as `xn--`; at most 63 bytes each and 253 together, as A-labels | UTS 46, RFC 5891 to 5893 |
//!
//! A zero width joiner or non-joiner stands where a script needs it (RFC 5892, appendices A.1 and A.2), and nowhere else.

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::{JOINERS, is_control, is_invisible, is_mark, is_word, mixes_directions};
use super::fold::fold;
use crate::FieldError;

const EMAIL_BYTES: usize = 254;
const LOCAL_BYTES: usize = 64;
/// No longer text is an address in any spelling. Asked before the normalization, whose work must not grow with the input.
const TYPED_BYTES: usize = 4 * EMAIL_BYTES;
/// Anonymized users have addresses of this domain; nobody else may.
const ERASED_DOMAIN: &str = "deleted.invalid";

/// The name of an anonymized user.
pub(crate) const ERASED_NAME: &str = "Deleted user";

const UTS46: Uts46 = Uts46::new();

/// The address of an anonymized user.
pub(crate) fn erased_email(id: crate::UserId) -> String {
    format!("deleted+{id}@{ERASED_DOMAIN}")
}

/// The form in which an address is shown, and mail is sent to it: trimmed, NFKC, lower case.
///
/// It does not judge: a text that is no address has such a form too. What tells whether two addresses are one is
/// [`email_key`].
///
/// ```
/// assert_eq!(authfort::normalize_email(" JANE＠Example.com "), "jane@example.com");
/// // A final sigma stays: with another one it is another domain.
/// assert_eq!(authfort::normalize_email("N@παράδεισος.example.com"), "n@παράδεισος.example.com");
/// ```
pub fn normalize_email(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>().trim().to_owned()
}

/// Checks an address as [`create_user`](crate::AuthFort::create_user) does, and answers the form in which it is stored.
///
/// ```
/// assert_eq!(authfort::check_email(" Jane@Example.com ")?, "jane@example.com");
/// assert!(authfort::check_email("jane").is_err());
/// # Ok::<(), authfort::Error>(())
/// ```
///
/// # Errors
/// - [`Error::Validation`](crate::Error::Validation) for the field `email`: `too_long`, `invalid_email`.
pub fn check_email(text: &str) -> crate::Result<String> {
    email("email", text).map_err(|fault| crate::Error::Validation(vec![fault]))
}

/// The form by which addresses are told apart and sorted: two addresses with one key are one account.
///
/// It is [`normalize_email`] with case folded (ς as σ), and with the domain's A-labels (UTS 46) in place of its Unicode.
/// For a limit or a list of one's own that addresses are looked up in. It does not judge: a text that is no address has
/// a key too, which is no user's.
///
/// ```
/// use authfort::email_key;
/// assert_eq!(email_key("X@München.de"), "x@xn--mnchen-3ya.de");
/// assert_eq!(email_key("x@xn--mnchen-3ya.de"), email_key("x@MÜNCHEN.de"));
/// assert_eq!(email_key("Οδυσσεύς@example.com"), email_key("ΟΔΥΣΣΕΎΣ@example.com"));
/// ```
pub fn email_key(text: &str) -> String {
    key_of(&normalize_email(text))
}

/// The key of an address in the form that is shown.
pub(super) fn key_of(shown: &str) -> String {
    match shown.rsplit_once('@') {
        Some((local, domain)) => {
            let domain =
                unicode_domain(domain).and_then(|domain| ascii_domain(&domain)).unwrap_or_else(|| fold(domain));
            format!("{}@{domain}", fold(local))
        }
        None => fold(shown),
    }
}

/// The key to look somebody up by; none for a text that no user can have.
pub(crate) fn key_to_find(text: &str) -> Option<String> {
    // PostgreSQL takes no NUL in a text.
    if text.len() > TYPED_BYTES || text.contains('\0') { None } else { Some(email_key(text)) }
}

/// Every spelling by which an address can be searched for, folded: as it is shown, as its key, and with the domain in
/// Unicode and by the A-labels that mail goes to.
pub(super) fn spellings(shown: &str) -> Vec<String> {
    let mut all = vec![fold(shown), key_of(shown)];
    if let Some((local, domain)) = shown.rsplit_once('@') {
        let spelled = unicode_domain(domain).into_iter().chain(ascii_domain(domain));
        all.extend(spelled.map(|domain| format!("{}@{domain}", fold(local))));
    }
    all.sort();
    all.dedup();
    all
}

/// The domain with each label in Unicode, and folded.
fn unicode_domain(domain: &str) -> Option<String> {
    let (unicode, valid) = UTS46.to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    valid.ok().map(|()| fold(&unicode))
}

/// The domain by its A-labels.
fn ascii_domain(domain: &str) -> Option<String> {
    UTS46
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .ok()
        .map(std::borrow::Cow::into_owned)
}

fn is_local_part(local: &str) -> bool {
    let sign = |c: char| "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let words = || local.split(sign).filter(|word| !word.is_empty());
    local.len() <= LOCAL_BYTES
        && local.split('.').all(|atom| !atom.is_empty())
        && words().flat_map(str::chars).all(|c| is_word(c) || is_mark(c) || JOINERS.contains(&c))
        && words().all(|word| !word.starts_with(is_mark) && joiners_fit(word))
        && !mixes_directions(local)
}

/// The rule for joiners is one of IDNA, which judges the word as it judges a label.
fn joiners_fit(word: &str) -> bool {
    // Without ASCII, the word cannot be taken for an `xn--` label.
    word.split(|c: char| c.is_ascii())
        .filter(|part| part.contains(JOINERS))
        .all(|part| UTS46.to_ascii(part.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore).is_ok())
}

fn is_domain(domain: &str) -> bool {
    // The ideographic full stop would be mapped to a dot; mail programs differ on it.
    domain.contains('.') && !domain.contains('。') && ascii_domain(domain).is_some_and(|ascii| ascii != ERASED_DOMAIN)
}

pub(crate) fn email(field: &str, text: &str) -> Checked<String> {
    let too_long = || Err(FieldError::new(field, "too_long", format!("must have at most {EMAIL_BYTES} bytes")));
    if text.len() > TYPED_BYTES {
        return too_long();
    }
    let email = normalize_email(text);
    if email.len() > EMAIL_BYTES {
        return too_long();
    }
    let hidden = |c: char| is_control(c) || c.is_whitespace() || (is_invisible(c) && !JOINERS.contains(&c));
    let shaped = !email.contains(hidden)
        && email.split_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain));
    if shaped {
        Ok(email)
    } else {
        Err(FieldError::new(field, "invalid_email", "must be an email address such as jane@example.com"))
    }
}

/// What was typed as an address, as an address is shown, if it has the shape of one. What people type into the wrong field
/// is a password, or a page of something: neither belongs in a log.
pub(crate) fn address_shaped(text: &str) -> Option<String> {
    email("email", text).ok()
}

#[cfg(test)]
mod tests;
