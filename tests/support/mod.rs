//! What the integration tests stand on: real PostgreSQL servers, databases of a test's own, and a network that fails on
//! demand. Every integration test that needs some of it says `mod support;`.
//!
//! Nothing here is shared with a server that somebody runs by hand, and nothing stays behind: servers and their
//! directories go with the test process, however that ends. Without PostgreSQL's programs everything here panics.

#![allow(dead_code, reason = "every test program compiles all of this and uses some of it")]
#![allow(unused_imports, reason = "every test program compiles all of this and uses some of it")]
#![allow(unreachable_pub, reason = "a test program exports nothing; `pub` says what tests may use")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(clippy::print_stderr, reason = "what goes wrong beside a test is shown with its output")]

mod app;
mod databases;
mod family;
mod program;
mod proxy;
pub mod server;
mod waiting;

pub use app::{Answer, Setup, TestApp, repository};
pub use databases::{Database, SampleDatabases, connect, shared_server};
pub use family::PrivateFamily;
pub use program::{json, program, read, run};
pub use proxy::{Fault, Proxy};
pub use server::{Port, Server, sql};
pub use waiting::{eventually, eventually_async};

/// The domains of the shipped flow.
pub const DOMAINS: [&str; 4] = ["oms_db", "inventory_db", "supplier_db", "uom_db"];

/// Whether waiting queries go together in these tests: `TEST_COALESCE=off` runs them all without.
pub fn coalescing() -> tributary::config::Coalescing {
    match std::env::var("TEST_COALESCE").as_deref() {
        Ok("off") => tributary::config::Coalescing::Off,
        _ => tributary::config::Coalescing::Auto,
    }
}
