//! The way to the write role's connections of a domain.

use std::sync::Arc;

use super::core::{Core, InFlight};
use crate::postgres;

/// The connections that write the effects of one domain. A drain of the domain waits until this is dropped.
#[derive(Debug)]
pub struct Writer {
    pool: postgres::Pool,
    _in_flight: InFlight,
}

impl Writer {
    /// `None` where the domain has no write role.
    pub(super) fn of(core: &Arc<Core>) -> Option<Self> {
        Some(Self { pool: core.writes()?.clone(), _in_flight: InFlight::begin(core) })
    }

    /// The connections. None is made before it is acquired, and none after the domain was drained.
    pub fn pool(&self) -> &postgres::Pool {
        &self.pool
    }
}
