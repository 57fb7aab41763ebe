//! Floor 1: service configuration, environment and secrets.

mod domain;

pub use domain::{Connection, DomainConfig, Password, PoolConfig, Timeouts};
