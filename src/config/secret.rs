//! Secrets: in a variable, or in a file that another variable names. No message repeats one.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::env::Env;
use crate::diagnostics::Diagnostics;

/// A secret, and where it is from.
pub(super) struct Secret {
    pub(super) text: SecretString,
    /// The variable that has it, or names its file.
    pub(super) variable: String,
    pub(super) file: Option<PathBuf>,
}

/// The secret in `variable`, or in the file that `variable` with `_FILE` behind it names; `value` reads `variable`.
pub(super) fn read(
    env: &Env,
    variable: &str,
    value: impl Fn(&str) -> Result<Option<String>, Diagnostics>,
    found: &mut Diagnostics,
) -> Option<Secret> {
    let file_variable = format!("{variable}_FILE");
    let mut or_report = |value: Result<Option<String>, Diagnostics>| {
        value.unwrap_or_else(|refused| {
            found.extend(refused);
            None
        })
    };
    let (given, file) = (or_report(value(variable)), or_report(env.value(&file_variable)));
    let secret = |text, variable: &str, file| Some(Secret { text, variable: variable.to_owned(), file });
    let (name, code, message) = match (given, file) {
        (None, None) => return None,
        (Some(text), None) => match one_line(&text) {
            Ok(text) => return secret(text.into(), variable, None),
            Err(why) => (variable, "invalid-value", format!("the value {why}")),
        },
        (None, Some(path)) => match read_secret(Path::new(&path)) {
            Ok(text) => return secret(text, &file_variable, Some(path.into())),
            Err(problem) => (file_variable.as_str(), "unreadable-file", problem),
        },
        (Some(_), Some(_)) => {
            let message = format!("{variable} and {file_variable} are both set; set one");
            (file_variable.as_str(), "contradicting-variables", message)
        }
    };
    found.push(env.error(name, code, &message));
    None
}

/// The secret that a file holds. The path is not repeated: it may be a secret that was set in the wrong variable.
///
/// # Errors
/// What is wrong with the file.
pub fn read_secret(path: &Path) -> Result<SecretString, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("the file it names cannot be read: {error}"))?;
    secret_of_bytes(bytes)
}

/// The secret that the bytes of a file are.
///
/// # Errors
/// What is wrong with them.
pub fn secret_of_bytes(bytes: Vec<u8>) -> Result<SecretString, String> {
    let text = String::from_utf8(bytes).map(SecretString::from);
    let text = text
        .map_err(|error| format!("the file it names is not UTF-8 at byte {}", error.utf8_error().valid_up_to() + 1))?;
    let secret = one_line(text.expose_secret()).map_err(|why| format!("the file it names {why}"))?;
    if secret.is_empty() { Err("the file it names is empty".to_owned()) } else { Ok(SecretString::from(secret)) }
}

/// A secret without the byte order mark before it and the line break after it that editors and `echo` add.
///
/// # Errors
/// Where a line break or a NUL is within it.
fn one_line(text: &str) -> Result<&str, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    let Some((at, found)) = text.char_indices().find(|(_, c)| matches!(c, '\n' | '\r' | '\0')) else { return Ok(text) };
    let what = if found == '\0' { "a NUL" } else { "a line break" };
    Err(format!("has {what} at byte {} of the secret, which must be one line", at + 1))
}
