//! The shape of a flow file. Serde checks keys and kinds section by section; what must keep its place or its digits
//! (queries, expressions, values) is taken from the tree itself.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::Coalescing;
use crate::yaml::Any;

/// The keys of the file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the sections are read one by one, each with its places")]
pub(super) struct FlowKeys {
    pub(super) flow: String,
    #[serde(default)]
    pub(super) path: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) input: Option<Any>,
    pub(super) nodes: BTreeMap<String, Any>,
    #[serde(default)]
    pub(super) edges: Option<Vec<Any>>,
    pub(super) outcomes: Vec<Any>,
}

/// What kind of node it is.
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeKind {
    DBNode,
    RuleNode,
}

/// The keys of a node.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeSpec {
    pub(super) r#type: NodeKind,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) database: Option<String>,
    #[serde(default)]
    pub(super) connection: Option<String>,
    #[serde(default)]
    pub(super) query: Option<String>,
    #[serde(default)]
    pub(super) params: Option<Vec<String>>,
    #[serde(default)]
    pub(super) rows: Option<RowsSpec>,
    #[serde(default)]
    pub(super) max_rows: Option<usize>,
    #[serde(default)]
    pub(super) timeout_ms: Option<u64>,
    #[serde(default)]
    pub(super) coalesce: Option<Coalescing>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) on_error: Option<Any>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) redact: Option<Vec<String>>,
    #[serde(default)]
    pub(super) rules: Option<Any>,
    #[serde(default)]
    pub(super) condition: Option<Any>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) dependencies: Option<Vec<String>>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) inputs: Option<BTreeMap<String, String>>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) field_mappings: Option<BTreeMap<String, String>>,
    #[serde(default)]
    #[expect(dead_code, reason = "read from the tree, with its places")]
    pub(super) facts: Option<BTreeMap<String, Any>>,
    #[serde(default)]
    pub(super) waiting: Option<WaitingSpec>,
}

/// `waiting:`
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum WaitingSpec {
    Strict,
    Allow,
}

/// `rows:`
#[derive(Deserialize, JsonSchema, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RowsSpec {
    One,
    Optional,
    Many,
}

/// The keys of an edge.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EdgeSpec {
    pub(super) from: String,
    pub(super) to: String,
    #[serde(default)]
    #[expect(dead_code, reason = "the expression is read with its place")]
    pub(super) rule: Option<Any>,
}

/// The keys of an outcome.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeSpec {
    pub(super) status: String,
    #[serde(default)]
    pub(super) when: Option<Any>,
    #[serde(default)]
    pub(super) message: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "the leaves are read with their places")]
    pub(super) body: Option<BTreeMap<String, Any>>,
}

#[cfg(test)]
mod tests {
    use serde_aux::serde_introspection::serde_introspect;

    use super::*;
    use crate::yaml::same_keys;

    #[test]
    fn editors_know_the_keys_of_flow_files() {
        same_keys(crate::graph::SCHEMA, "", serde_introspect::<FlowKeys>());
        same_keys(crate::graph::SCHEMA, "/$defs/node", serde_introspect::<NodeSpec>());
        same_keys(crate::graph::SCHEMA, "/$defs/edge", serde_introspect::<EdgeSpec>());
        same_keys(crate::graph::SCHEMA, "/$defs/outcome", serde_introspect::<OutcomeSpec>());
    }
}
