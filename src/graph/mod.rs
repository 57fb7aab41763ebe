//! Flow files, from YAML to a checked plan.
//!
//! A file is parsed with its places (`yaml`) and read section by section (`spec`). Its queries are checked without a database
//! (`sql`), its requests become templates (`request`), its names become edges and an order, and its rules and expressions are
//! compiled against what each node can see (`compile`). The result is a [`Flow`], the only thing that the executor takes, or all
//! errors at once. Nothing here asks a database: what one said of the queries comes in a [`Catalog`].

mod compile;
mod decimals;
mod finite;
mod input;
pub mod listing;
mod load;
pub mod picture;
mod plan;
mod query;
mod request;
mod spec;
mod sql;
mod unknown_type;
mod values;

pub use compile::{Catalog, Context, RuleFiles, compile};
pub use decimals::Decimals;
pub use input::{FieldProblem, InputError, InputField, InputSchema, KEY_MEMBER, KeyedInputs, Scalar, without_bom};
pub use load::load;
pub use plan::{
    Cause, Effect, Event, Flow, Guard, Message, MessagePart, Node, OnError, Outcome, QueryNode, Rows, RuleNode,
    Statement, Template, Work,
};
pub use query::{Column, ColumnType, Description, Query};
pub use request::{Method, Misfit, Rendered, Request, Unfit};
pub use spec::schema;
pub use values::literal;
