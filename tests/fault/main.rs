//! A database can die, hang or lie, and no answer is wrong and no other flow notices.
//!
//! Four servers under steady load, a flow beside them that has nothing to do with them, and one fault after the other.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod databases;

mod faults;

mod load;

mod rig;
mod trial;

#[path = "../support/mod.rs"]
mod support;
