//! One supervised actor for each database, with one worker on each thread that queries it.
//!
//! ```text
//! DomainHandle --Ask, on this thread--> DomainWorker (connections, queue, scheduler) --> PostgreSQL
//!      |                                      | holds connections of
//!      +--Probe, Drain-----------> Domain (pool, state, probe) --Notice, Fill--> every DomainWorker
//!      +-- follows the published actor; Lifecycle publishes
//! ```
//!
//! Other modules use a [`DomainHandle`], never an address. This module does not depend on flows, rules or HTTP.

mod access;
mod actor;
mod core;
mod handle;
mod health;
mod lifecycle;
mod monitor;
mod state;
mod worker;
mod workers;
mod writer;

pub(super) use actor::Died;
#[doc(hidden)]
pub use handle::Fault;
pub use handle::{DomainHandle, QueryRequest};
pub use health::Health;
pub use lifecycle::LifecycleError;
pub(super) use lifecycle::{Lifecycle, Threads};
pub use state::{LastError, LastProbe, State};
pub use writer::Writer;
