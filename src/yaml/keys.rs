//! For the tests of the rooms that read files: that a JSON Schema for editors knows the keys that are read, and no others.

use std::collections::BTreeSet;

/// Panics where the properties at `pointer` of the schema are not `keys`, or others are let pass.
pub(crate) fn same_keys(schema: &str, pointer: &str, keys: &[&str]) {
    let schema: serde_json::Value = serde_json::from_str(schema).expect("JSON");
    let section = schema.pointer(pointer).unwrap_or_else(|| panic!("the schema has no `{pointer}`"));
    let known: BTreeSet<&str> =
        section["properties"].as_object().expect("properties").keys().map(String::as_str).collect();
    let read: BTreeSet<&str> = keys.iter().copied().collect();
    assert!(section["additionalProperties"] == false, "`{pointer}` lets other keys pass");
    assert_eq!(known, read, "at `{pointer}`");
}
