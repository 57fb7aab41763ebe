//! `tributary relay` against real databases, webhooks and servers of NATS, which fail in every way.

#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(clippy::print_stderr, reason = "the log of a relay is shown with the output of its test")]

mod failures;
mod fixture;
mod nats;
mod order;
mod settings;

#[path = "../support/mod.rs"]
mod support;
