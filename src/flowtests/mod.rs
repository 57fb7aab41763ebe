//! Flows tested without databases.
//!
//! A `*.test.yaml` names a flow and, for each test, inputs, the rows (or the failure) of each query node, and the expected end
//! of the run. `keys` declares the keys of the file and derives their JSON Schema. `suite` reads a file and refuses what has no
//! meaning: rows for a node that the flow does not have, a column that its query does not select, a column without a value.
//! `runner` decides each test by the same walk as the service, `verdict` compares, `coverage` counts which rules and branches
//! were seen on both sides, `junit` writes the results for build servers, and `record` makes a test file of a real decision.
//! No database is mocked here: rows are what the flow sees of one. What PostgreSQL does with a query is tested on PostgreSQL.

mod coverage;
mod junit;
mod keys;
mod possible;
mod record;
mod runner;
mod suite;
mod verdict;

pub use coverage::{Coverage, Uncovered};
pub use junit::junit;
pub use keys::{Expectation, schema};
pub use record::record;
pub use runner::{Outcome, run};
pub use suite::{Suite, Test};
pub use verdict::Mismatch;
