//! PostgreSQL access and the supervised actor of a domain, against real servers.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests and their helpers fail by panicking"
)]

mod bounds;
mod coalescing;
mod examination;
mod fixture;
mod load;
mod logs;
mod migrations;
mod network;
mod pipelining;
mod pooler;
mod psql;
mod reevaluated;
mod sessions;
mod sqlstate;
mod staleness;
mod supervision;
#[path = "../support/mod.rs"]
mod support;
mod time_zone;
mod tls;
mod values;
mod workers;
mod wrapped;
mod writes;
