//! Hit policies: which of the rows that match give their results.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostics::Span;
use crate::types::{FieldName, Type, Value};

/// Which of the matching rows of a table give their results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HitPolicy {
    /// At most one row matches; two are an error.
    #[default]
    Unique,
    /// All matching rows give the same results; others are an error.
    Any,
    /// The row whose results come first in `prefer`.
    Priority,
    /// The first row in the order of the table.
    First,
    /// The results of all rows, as lists in the order of the table.
    RuleOrder,
    /// The results of all rows, as lists in the order of `prefer`.
    OutputOrder,
    /// The results of all rows, as lists.
    Collect,
    /// The sums of the results.
    Sum,
    /// The least results.
    Min,
    /// The greatest results.
    Max,
    /// How many rows match.
    Count,
}

/// A hit policy, with the order of preference that it may need.
#[derive(Debug, Clone, Default)]
pub struct Hit {
    /// The policy.
    pub policy: HitPolicy,
    /// The values of result columns from the most preferred, each list with the place that gives it. Columns without one do not
    /// count.
    pub prefer: Vec<(FieldName, Vec<Value>, Span)>,
}

impl HitPolicy {
    /// Its name in graphs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Any => "any",
            Self::Priority => "priority",
            Self::First => "first",
            Self::RuleOrder => "rule_order",
            Self::OutputOrder => "output_order",
            Self::Collect => "collect",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
        }
    }

    /// Whether it needs an order of preference.
    pub fn needs_preference(self) -> bool {
        matches!(self, Self::Priority | Self::OutputOrder)
    }

    /// Whether its results are lists.
    pub(in crate::grl) fn is_list(self) -> bool {
        matches!(self, Self::RuleOrder | Self::OutputOrder | Self::Collect)
    }

    /// Whether one result is made from those of several rows.
    pub(in crate::grl) fn joins(self) -> bool {
        self.is_list() || matches!(self, Self::Sum | Self::Min | Self::Max | Self::Count)
    }

    /// The type of a result whose cells are of type `ty`.
    pub(in crate::grl) fn ty(self, ty: &Type) -> Type {
        match self {
            Self::Count => Type::Integer,
            _ if self.is_list() => Type::List(ty.clone().into()),
            _ => ty.clone(),
        }
    }
}
