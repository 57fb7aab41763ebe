//! One run of a compiled flow, from inputs to a decision.
//!
//! [`run`] walks the graph as plain asynchronous code over two ports: databases that answer queries and engines that
//! evaluate rules. A node starts as soon as its own inputs are ready, and independent nodes run concurrently. The result is a
//! [`Decision`] whose outcome has its evidence, or a [`FlowError`] that names the node, domain, rule or fact. With
//! [`Detail`], a run notes what it did ([`Trace`]), which `explain` makes readable. `offline` runs the same walk over recorded
//! answers. This room knows no actor, socket or HTTP status, and never turns an error into a decision.

mod conclusion;
mod decision;
mod effect;
mod error;
mod executor;
pub mod explain;
mod facts;
pub mod flip;
mod missing;
mod node;
pub mod offline;
mod options;
mod outcome;
mod overrides;
mod ports;
mod query;
mod report;
mod trace;

pub use conclusion::{Conclusion, EventRow};
pub use decision::Decision;
pub use effect::EffectError;
pub use error::{FlowError, RulesError, Undecided};
pub use executor::run;
pub use missing::{Missing, Waiting};
pub use options::RunOptions;
pub use overrides::Overrides;
pub use ports::Ports;
pub use query::{QueryAnswer, QueryError, QueryErrorKind};
pub use report::{Answer, PendingApproval, Report};
pub(crate) use trace::micros;
pub use trace::{Detail, EffectTrace, KeyTrace, NodeEnd, NodeTrace, Skip, StatementTrace, Trace};
