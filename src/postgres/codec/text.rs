//! Text, and types whose values are short texts.

use super::format::{MALFORMED, Unfit, Unreadable};
use crate::types::Value;

/// Reads text.
pub(super) fn text(raw: &[u8]) -> Result<&str, Unreadable> {
    str::from_utf8(raw).map_err(|_| MALFORMED)
}

/// `"char"`: the zero byte is the empty text, and a byte above ASCII is an octal escape, as in PostgreSQL 16 and later.
pub(super) fn character([byte]: [u8; 1]) -> Value {
    match byte {
        0 => Value::text(""),
        1..=0x7F => Value::text(char::from(byte).to_string()),
        0x80.. => Value::text(format!("\\{byte:o}")),
    }
}

/// Rejects NUL, which PostgreSQL text cannot contain. The server's own error would show the bytes.
pub(super) fn without_nul(text: &str) -> Result<&str, Unfit> {
    if text.contains('\0') { Err(Unfit::because("text with a NUL character")) } else { Ok(text) }
}

/// The byte of a `"char"`.
pub(super) fn byte(text: &str) -> Result<u8, Unfit> {
    match text.as_bytes() {
        [] => Ok(0),
        [byte] if *byte != 0 => Ok(*byte),
        [b'\\', octal @ ..] if octal.len() == 3 => escaped(octal),
        _ => Err(Unfit::because("text of more than one ASCII character")),
    }
}

/// A byte above ASCII, in the octal form in which it is decoded.
fn escaped(octal: &[u8]) -> Result<u8, Unfit> {
    let byte = str::from_utf8(octal).ok().and_then(|octal| u8::from_str_radix(octal, 8).ok());
    byte.filter(|byte| !byte.is_ascii()).ok_or(Unfit::because("text of more than one ASCII character"))
}

/// What the text stands for in a type that PostgreSQL writes in another form.
pub(super) fn parsed<T: std::str::FromStr>(text: &str, otherwise: &'static str) -> Result<T, Unfit> {
    text.parse().map_err(|_| Unfit::because(otherwise))
}
