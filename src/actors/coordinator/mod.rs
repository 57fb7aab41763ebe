//! The coordinator: one actor for each HTTP worker, which runs the flow of each request.
//!
//! It answers `Decide` with a future over shared state. A decision that panics therefore closes only its own reply, and many decisions
//! are in progress at once, bounded by the permits in the messages. Databases and rule engines are reached through their handles, and
//! no handler waits for another actor. The decisions of a batch are distributed among all coordinators.

mod actor;
mod admission;
mod bound;
mod handle;
mod pool;
pub(super) mod span;

pub use actor::Request;
pub use admission::Admission;
pub use bound::{BatchPlace, BoundFlow, UnknownDomain};
pub use handle::CoordinatorHandle;
pub use pool::CoordinatorPool;
