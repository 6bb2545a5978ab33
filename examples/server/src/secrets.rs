//! Reads secrets from the environment or from files, never from flags.

use std::env;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use authfort::secrecy::SecretString;

/// The maximum size that is read: larger than any secret, and small enough if the path is not a regular file.
const MAX_BYTES: u64 = 64 * 1024;

/// Returns the secret of a variable or of the named file, or `None` without either.
pub fn read(variable: &str, file: Option<&Path>) -> Result<Option<SecretString>, String> {
    let value = match env::var(variable) {
        Ok(value) if value.is_empty() => None,
        Ok(value) => Some(SecretString::from(value)),
        Err(env::VarError::NotPresent) => None,
        Err(env::VarError::NotUnicode(_)) => return Err(format!("{variable}: must be UTF-8")),
    };
    match (value, file) {
        (Some(_), Some(_)) => Err(format!("{variable} and {variable}_FILE are both given; leave one of them out")),
        (value, None) => Ok(value),
        (None, Some(path)) => from_file(variable, path).map(Some),
    }
}

/// Returns the content of a file without its final line break, which editors and `echo` add.
pub fn from_file(variable: &str, path: &Path) -> Result<SecretString, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("{variable}_FILE: {}: {what}", path.display());
    let (text, exposed) = content(path).map_err(|error| wrong(&error))?;
    if exposed {
        tracing::warn!("{}", wrong(&"others on this machine can read this secret; chmod 600 it"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() { Err(wrong(&"is empty")) } else { Ok(SecretString::from(text)) }
}

/// Returns the content of a file, and whether users other than its owner may read it.
fn content(path: &Path) -> io::Result<(String, bool)> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    #[cfg(unix)]
    let exposed = about.is_file() && std::os::unix::fs::MetadataExt::mode(&about) & 0o044 != 0;
    #[cfg(not(unix))]
    let exposed = {
        let _ = about;
        false
    };
    Ok((text, exposed))
}
