//! HTTP on the wire: clients that stall or disconnect, requests as proxies and runtimes send them, and malformed requests and JSON
//! texts.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod cancels;
mod cases;
mod clients;
mod deadlines;
#[path = "../support/mod.rs"]
mod support;
mod wire;
