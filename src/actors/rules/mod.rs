//! Rule actors with compiled engines: one on the thread of each worker, and a `SyncArbiter` whose threads only evaluate rules.
//!
//! rust-rule-engine evaluates by `&mut self` and without yielding. Most evaluations take a few microseconds, less than waking
//! another thread, so they are tried on the thread of the worker. One that exceeds two milliseconds has had no effect; it
//! starts again on a thread for rules, and so do the next evaluations of the same rules. No rule therefore blocks the connections of
//! a worker for longer. A thread keeps one engine for each ruleset, and drops those whose flows no longer exist. After a
//! panic a thread discards all its engines and makes new ones.

mod actor;
mod handle;

pub use handle::{QuickPolicy, QuickRulesHandle, RulesHandle};
