//! The edges of the service, by the byte: clients that stall, clients that leave, proxies and runtimes with habits of their own,
//! and requests and JSON texts that are malformed.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod cancels;
mod cases;
mod clients;
mod deadlines;
#[path = "../support/mod.rs"]
mod support;
mod wire;
