//! Rule actors: a `SyncArbiter` of threads, each with the compiled engines it has needed so far.
//!
//! rust-rule-engine evaluates by `&mut self` and without yielding, so evaluations run on threads of their own, never on
//! one that serves connections. A thread keeps one engine a ruleset and drops those whose flows are gone. An engine that
//! panics is thrown away with its thread's state; the thread lives on with fresh ones.

mod actor;
mod handle;

pub use handle::RulesHandle;
