//! Flows tested without databases.
//!
//! A `*.test.yaml` names a flow and, for each test, inputs, the rows (or the failure) of each query node, and what must
//! come of it. `file` reads them and refuses what could not mean anything: a row for a node the flow does not have, a
//! column its query does not select, one that is missing. `runner` decides each by the same walk as the service, over the
//! rows of the test, `verdict` compares, `coverage` counts which rules and branches were seen on both sides, `junit` writes
//! the results for build servers, and `record` makes such a file of a real decision. No mock of a database is here: rows
//! are what the flow sees of one, and what PostgreSQL does with a query is tested against PostgreSQL.

mod coverage;
mod file;
mod junit;
mod record;
mod runner;
mod verdict;

pub use coverage::{Coverage, Uncovered};
pub use file::{Case, Expectation, Suite};
pub use junit::junit;
pub use record::record;
pub use runner::{Outcome, run};
pub use verdict::Mismatch;

/// The JSON Schema (2020-12) of flow tests, for editors. It knows their shape and nothing of what they name.
pub const SCHEMA: &str = include_str!("schema.json");
