//! Email addresses.
//!
//! An address has two forms. The *shown* form is the input, trimmed, NFKC-normalized and lower-cased; mail is sent to
//! it. The *key* decides whether two addresses are the same: case is folded, including the final sigma, and the domain
//! is written in A-labels. Addresses are always compared by their keys.
//!
//! | part | rule | by |
//! |---|---|---|
//! | all | at most 254 bytes; no control, invisible or white-space character | RFC 5321 |
//! | before the `@` | at most 64 bytes; letters and digits of any script with their marks, `.` between them, and the ASCII signs `` !#$%&'*+-/=?^_`{|}~ ``; letters of one direction | RFC 5322, 6531 |
//! | domain | two labels or more of letters, digits and hyphens; in Unicode or as `xn--`; at most 63 bytes each and 253 together, as A-labels | UTS 46, RFC 5891 to 5893 |
//!
//! A zero width joiner or non-joiner is allowed only where a script needs it (RFC 5892, appendices A.1 and A.2).

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::Checked;
use super::chars::{JOINERS, is_control, is_invisible, is_mark, is_word, mixes_directions};
use super::fold::fold;
use crate::FieldError;

const EMAIL_BYTES: usize = 254;
const LOCAL_BYTES: usize = 64;
/// No address is longer than this in any spelling. Checked before the normalization, to bound its work.
const TYPED_BYTES: usize = 4 * EMAIL_BYTES;
/// The domain of anonymized users' addresses; refused for all other users.
const ERASED_DOMAIN: &str = "deleted.invalid";

/// The name of an anonymized user.
pub(crate) const ERASED_NAME: &str = "Deleted user";

const UTS46: Uts46 = Uts46::new();

/// The address of an anonymized user.
pub(crate) fn erased_email(id: crate::UserId) -> String {
    format!("deleted+{id}@{ERASED_DOMAIN}")
}

/// Returns the form in which an address is shown and used for sending mail: trimmed, NFKC, lower case.
///
/// It does not validate: any text has such a form. To decide whether two addresses are the same, compare their
/// [`email_key`].
///
/// ```
/// assert_eq!(authfort::normalize_email(" JANE＠Example.com "), "jane@example.com");
/// // A final sigma stays: with another sigma it is another domain.
/// assert_eq!(authfort::normalize_email("N@παράδεισος.example.com"), "n@παράδεισος.example.com");
/// ```
pub fn normalize_email(text: &str) -> String {
    text.trim().nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>().trim().to_owned()
}

/// Checks an address as [`create_user`](crate::AuthFort::create_user) does, and returns the form in which it is stored.
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

/// Returns the key by which addresses are compared and sorted: two addresses with the same key are one account.
///
/// It is [`normalize_email`] with case folded (ς as σ), and with the domain in A-labels (UTS 46) instead of Unicode.
/// Use it for an application's own limits and lists of addresses. It does not validate: a text that is not an address
/// has a key too, which belongs to no user.
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

/// Returns the key of an address in its shown form.
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

/// Returns the key to look up a user by; none for a text that cannot be a user's address.
pub(crate) fn key_to_find(text: &str) -> Option<String> {
    // PostgreSQL does not accept a NUL in a text.
    if text.len() > TYPED_BYTES || text.contains('\0') { None } else { Some(email_key(text)) }
}

/// Returns every spelling by which an address can be found, folded: as shown, as its key, and with the domain in
/// Unicode and in A-labels, as used for sending mail.
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

/// Converts each label of the domain to Unicode, and folds it.
fn unicode_domain(domain: &str) -> Option<String> {
    let (unicode, valid) = UTS46.to_unicode(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    valid.ok().map(|()| fold(&unicode))
}

/// Converts the domain to A-labels.
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

/// Checks the joiners of a word with IDNA's rule for the joiners of a label.
fn joiners_fit(word: &str) -> bool {
    // Without ASCII, the word cannot be mistaken for an `xn--` label.
    word.split(|c: char| c.is_ascii())
        .filter(|part| part.contains(JOINERS))
        .all(|part| UTS46.to_ascii(part.as_bytes(), AsciiDenyList::EMPTY, Hyphens::Allow, DnsLength::Ignore).is_ok())
}

fn is_domain(domain: &str) -> bool {
    // The ideographic full stop would be mapped to a dot; mail programs treat it differently.
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

/// Returns the shown form of an input if it is an address. Input in the wrong field may be a password or a long text,
/// which must not be logged.
pub(crate) fn address_shaped(text: &str) -> Option<String> {
    email("email", text).ok()
}

#[cfg(test)]
mod tests;
