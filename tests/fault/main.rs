//! When databases fail, hang or change, no answer is wrong and no other flow is affected.
//!
//! The tests inject one fault after the other into four servers under steady load, beside an unrelated flow.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod actors;
mod databases;
mod drain;
mod exactly_once;

mod faults;

mod leaks;
mod load;
mod once;
mod overload;
mod replicas;

mod rig;
mod services;
mod stalled;
mod trial;

#[path = "../support/mod.rs"]
mod support;
