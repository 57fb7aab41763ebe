//! Passwords and tokens as connection attempts need them.

use secrecy::SecretString;

use crate::config::{Password, secret_of_bytes};

/// The password. A file is read now, so that a rotated password takes effect. `source` is its setting, for the error.
///
/// # Errors
/// What is wrong with the file. The path is not repeated: it is visible only to those who can see the variables.
pub async fn read_password(password: &Password, source: &str) -> Result<Option<SecretString>, String> {
    let path = match password {
        Password::None => return Ok(None),
        Password::Given(secret) => return Ok(Some(secret.clone())),
        Password::File(path) => path,
    };
    let read = tokio::fs::read(path).await;
    read.map_err(|error| format!("the password file cannot be read: {error}"))
        .and_then(|bytes| secret_of_bytes(bytes).map_err(|why| format!("the password: {why}")))
        .map(Some)
        .map_err(|why| format!("{why}; see {source}"))
}
