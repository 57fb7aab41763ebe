//! One supervised actor a database.
//!
//! ```text
//! DomainHandle --message--> Domain (actor, on a shared thread) --future over--> Core --> Lanes --> PostgreSQL
//!      |   \-- Gatherer --^   | started: monitor (probes)              ^ standing, permits
//!      +-- follows the published address; Lifecycle publishes ----------+
//! ```
//!
//! Whoever is above sees a [`DomainHandle`], never an address. Nothing here knows flows, rules or HTTP.

mod actor;
mod core;
mod gatherer;
mod handle;
mod health;
mod lifecycle;
mod messages;
mod monitor;
mod state;
mod tally;
mod threads;
mod turns;

pub(super) use actor::Died;
pub use gatherer::Gatherer;
pub use handle::{DomainHandle, QueryRequest};
pub use health::{Health, LastError, LastProbe};
pub(super) use lifecycle::Lifecycle;
pub use lifecycle::LifecycleError;
#[doc(hidden)]
pub use messages::Fault;
pub use state::State;
pub use tally::Totals;
pub(super) use threads::Threads;
