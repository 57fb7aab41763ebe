//! PostgreSQL access and the supervised actor of a domain, against real servers.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helping functions too"
)]

mod bounds;
mod coalescing;
mod examination;
mod fixture;
mod lanes;
mod load;
mod logs;
mod network;
mod pooler;
mod psql;
mod sessions;
mod supervision;
#[path = "../support/mod.rs"]
mod support;
mod time_zone;
mod tls;
mod values;
