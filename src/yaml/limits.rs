//! The limits of YAML files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a YAML file may ask for. Crossing a limit is an error that names it, never a hang or an overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The size of the file in bytes.
    #[serde(rename = "file_bytes")]
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub bytes: usize,
    /// Scalars, lists and mappings; those that aliases repeat count each time.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub nodes: usize,
    /// Levels of lists and mappings within each other.
    #[serde(rename = "nesting")]
    #[schemars(range(min = 1, max = 200))]
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1024 * 1024, nodes: 100_000, depth: 64 }
    }
}
