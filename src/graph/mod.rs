//! Flow files, from YAML to a checked plan.
//!
//! A file is read with its places (`yaml`), section by section (`spec`), its queries are looked through without a
//! database (`sql`), its names become edges and an order (`order`), and its rules and expressions are compiled against
//! what each node can see (`compile`). What comes out is a [`Flow`], the only thing the executor takes, or every
//! complaint at once. This room asks no database: what one said of the queries comes to it as a [`Catalog`].

mod compile;
mod input;
mod load;
pub mod picture;
mod plan;
mod query;
mod spec;
mod sql;
mod values;

pub use compile::{Catalog, Context, RuleFiles, compile};
pub use input::{FieldProblem, InputError, InputField, InputSchema, Scalar, without_bom};
pub use load::load;
pub use plan::{
    Cause, Flow, Guard, Message, MessagePart, Node, OnError, Outcome, QueryNode, Rows, RuleNode, Template, Work,
};
pub use query::{Column, ColumnType, Description, Query};
pub use spec::schema;
pub use values::literal;
