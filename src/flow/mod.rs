//! Floor 2: one run of a compiled flow, from inputs to a decision.
//!
//! [`run`] walks the graph as plain asynchronous code over two ports: databases that answer queries and engines that
//! evaluate rules. A node starts the moment its own inputs are ready; independent ones run side by side. What comes out
//! is a [`Decision`] whose outcome has its evidence, or a [`FlowError`] that says which node, domain, rule or fact is to
//! blame. This floor knows no actor, socket or HTTP status, and never turns an error into a decision.

mod decision;
mod error;
mod executor;
mod facts;
mod outcome;
mod ports;

pub use decision::Decision;
pub use error::FlowError;
pub use executor::{Run, run};
pub use ports::{Ports, RulesError};
