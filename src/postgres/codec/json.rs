//! JSON documents.

use bytes::{BufMut, BytesMut};

use super::format::{TOO_LONG, Unfit, Unreadable};
use crate::types::Value;

/// Reads a document.
pub(super) fn decode(raw: &[u8]) -> Result<Value, Unreadable> {
    let document: serde_json::Value =
        serde_json::from_slice(raw).map_err(|_| Unreadable("holds JSON nested too deeply to read"))?;
    Value::from_json(&document).map_err(|_| TOO_LONG)
}

/// Writes a value as a document.
pub(super) fn encode(value: &Value, out: &mut BytesMut) -> Result<(), Unfit> {
    let document = serde_json::to_string(value).map_err(|_| Unfit::kind(value))?;
    if has_nul(value) {
        return Err(Unfit::because("text with a NUL character"));
    }
    out.put_slice(document.as_bytes());
    Ok(())
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::Text(text) => text.contains('\0'),
        Value::List(elements) => elements.iter().any(has_nul),
        Value::Map(record) => record.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}
