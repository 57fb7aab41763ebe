//! Rule actors, each with the compiled engines it has needed so far: one on each worker's own thread, and a `SyncArbiter`
//! of threads that do nothing else.
//!
//! rust-rule-engine evaluates by `&mut self` and without yielding. Most evaluations take some microseconds, less than it
//! takes to wake another thread, so they are tried on the worker's own; one that is not done within two milliseconds has
//! changed nothing and is begun again on the other threads, where the following ones of the same rules go at once. So no
//! rule keeps a worker from its connections for longer than that. A thread keeps one engine a ruleset and drops those whose
//! flows are gone. An engine that panics is thrown away with its thread's others; the thread lives on with fresh ones.

mod actor;
mod handle;

pub use handle::{Pace, QuickRulesHandle, RulesHandle};
