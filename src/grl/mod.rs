//! Floor 1: the rule language.

mod facts;

pub use facts::{FactRef, Facts, Lookup, Owner};
