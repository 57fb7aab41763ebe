//! A database can die, hang or lie, and no answer is wrong and no other flow notices.
//!
//! Four servers under steady load, a flow beside them that has nothing to do with them, and one fault after the other.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod actors;
mod databases;
mod drain;

mod faults;

mod leaks;
mod load;
mod overload;

mod rig;
mod stalled;
mod trial;

#[path = "../support/mod.rs"]
mod support;
