//! Domains that are services: what they may answer, how they are reached, and how a domain moves to one and back.
//!
//! `fault/services.rs` has services that are killed, frozen and cut off.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod bureau;
mod lies;
mod manners;
mod moving;
mod secure;

#[path = "../support/mod.rs"]
mod support;
