//! Helpers of the integration tests: real PostgreSQL servers, a database for each test, the service under test, and a network that
//! fails on demand.
//!
//! The servers are private, and they and their directories are removed with the test process, however it ends. Without
//! PostgreSQL's programs the helpers panic.

#![allow(dead_code, reason = "every test program compiles all of this and uses some of it")]
#![allow(unused_imports, reason = "every test program compiles all of this and uses some of it")]
#![allow(unreachable_pub, reason = "a test program exports nothing; `pub` says what tests may use")]
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(clippy::print_stderr, reason = "what goes wrong beside a test is shown with its output")]

mod app;
mod authority;
mod databases;
mod family;
mod hook;
mod process;
mod program;
mod proxy;
pub mod server;
mod waiting;

pub use app::{Answer, Setup, TestApp, copy_shipped, repository};
pub use authority::{Authority, names};
pub use databases::{Database, SampleDatabases, connect, fill, require_replica, shared_server, write_environment};
pub use family::PrivateFamily;
pub use hook::{Heard, Hook, Received, Reply};
pub use process::Process;
pub use program::{DemoProgram, DomainService, PATIENT, json, program, read, run};
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
