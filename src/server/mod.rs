//! Floor 1: private PostgreSQL servers, for the demo and for the tests.
//!
//! Finds PostgreSQL's programs, makes a cluster (`initdb`), starts a server on it and stops it again, also when this
//! process is killed. A server started here listens on loopback only, trusts local users and is nobody else's business.
//! This is no way to run production databases.

mod binaries;
mod cluster;
mod error;
mod family;
mod instance;
mod schema;

pub use binaries::Binaries;
pub use cluster::{Owner, create_cluster};
pub use error::ServerError;
pub use instance::{Durability, Instance, InstanceOptions, free_port};
pub use schema::{apply_sql, ensure_database};
