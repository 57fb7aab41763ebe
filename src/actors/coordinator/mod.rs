//! The coordinator: one actor a HTTP worker, which walks the graph of each request it is asked to decide.
//!
//! It answers `Decide` with a future over shared state, so a decision that breaks closes only its own reply, and any
//! number of decisions are under way at once, up to the permits that travel in the messages. It asks databases and rule
//! engines through their handles; it never waits for another actor inside its own context. The decisions of a batch are shared
//! out among all of them.

mod actor;
mod admission;
mod bound;
mod handle;
mod pool;
mod span;

pub use actor::Request;
pub use admission::Admission;
pub use bound::{BatchPlace, BoundFlow, UnknownDomain};
pub use handle::CoordinatorHandle;
pub use pool::CoordinatorPool;
