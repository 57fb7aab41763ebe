//! One supervised actor a database, and one worker of it on each thread that asks.
//!
//! ```text
//! DomainHandle --Ask, on this thread--> DomainWorker (connections, queue, scheduler) --> PostgreSQL
//!      |                                      | holds connections of
//!      +--Describe, Probe, Drain--> Domain (pool, state, probe) --Notice, Fill--> every DomainWorker
//!      +-- follows the published actor; Lifecycle publishes
//! ```
//!
//! The floors above see a [`DomainHandle`], never an address. Nothing here knows flows, rules or HTTP.

mod actor;
mod core;
mod handle;
mod health;
mod lifecycle;
mod monitor;
mod state;
mod worker;
mod workers;

pub(super) use actor::Died;
#[doc(hidden)]
pub use handle::Fault;
pub use handle::{DomainHandle, QueryRequest};
pub use health::{Health, LastError, LastProbe};
pub use lifecycle::LifecycleError;
pub(super) use lifecycle::{Lifecycle, Threads};
pub use state::State;
