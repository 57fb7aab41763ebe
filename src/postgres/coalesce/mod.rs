//! Coalescing: waiting queries of one node are run as one statement.
//!
//! Each distinct set of parameters is sent once, in the lists of a wrapped query (`wrapped`), and each row is returned with the
//! ordinal number of its parameters. Queries with equal parameters share one answer, which was read after all of them had been
//! asked. A query that waits by itself is sent unchanged.
//!
//! Rows are assigned only by their ordinal number, and a number out of range fails the whole statement, so that no answer
//! reaches another flow. After any error of the server the queries are run singly: parameters that cause an error
//! fail only their own flow, and a table that only the wrapped query reads fails none. Both statements are then prepared again.
//!
//! A query whose wrapped form was rejected is coalesced again after a pause, which doubles with each consecutive rejection up
//! to five seconds. The rejection is logged as a warning, at most once a minute for each query, and its queries are counted.
//!
//! These queries are never coalesced: those whose text may be misread (`template`), those that call functions that
//! are volatile by PostgreSQL's catalogue, and those with lists as parameters. The last two are checked again every ten seconds.
//! (A volatile function within a view or an operator is not detected: set `coalesce: off` for such queries.)

mod batch;
mod state;
mod template;
mod wrapped;

pub use batch::{BatchOutcome, Rows};
pub use state::QueryState;
pub(super) use wrapped::Wrapped;
