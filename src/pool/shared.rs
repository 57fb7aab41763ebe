//! The parts of a pool that its sessions use, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::lifetime::Lifetime;
use super::manager::Object;
use super::ports::Connect;
use crate::config::{PoolConfig, Statements, Timeouts};

/// The parts of a pool that its sessions use, too.
#[derive(Debug)]
pub struct Shared<C> {
    /// Makes the connections.
    pub connector: C,
    /// The configured timeouts.
    pub limits: Timeouts,
    pub(super) size: PoolConfig,
    /// Counts calls of `Pool::recycle`. A connection of an earlier epoch is not used again.
    pub(super) epoch: AtomicU64,
    /// The number of leases that wait because every connection is in use.
    pub(super) contenders: Arc<AtomicUsize>,
    /// Counts acquire timeouts.
    pub(super) timeouts: AtomicU64,
    /// The maximum age of connections.
    pub lifetime: Lifetime,
}

impl<C> Shared<C> {
    /// Whether statements are prepared, once for each connection.
    pub fn prepares(&self) -> bool {
        self.size.statements == Statements::Prepared
    }

    /// The number of calls of `Pool::recycle`.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
}

/// A connection that was taken from its pool, which gets it back when it is dropped.
#[derive(Debug)]
pub struct Lease<C: Connect> {
    /// The connection.
    pub connection: Object<C>,
    /// The parts of the pool that a session uses.
    pub pool: Arc<Shared<C>>,
}
