//! The parts of a pool that its sessions use, too.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::connect::Connector;
use super::lifetime::Lifetime;
use crate::config::{PoolConfig, Statements, Timeouts};

/// The parts of a pool that its sessions use, too.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) limits: Timeouts,
    pub(super) size: PoolConfig,
    /// Counts calls of `Pool::recycle`. A connection of an earlier epoch is not used again.
    pub(super) epoch: AtomicU64,
    /// The number of leases that wait because every connection is in use.
    pub(super) contenders: AtomicUsize,
    /// Counts acquire timeouts.
    pub(super) timeouts: AtomicU64,
    pub(super) lifetime: Lifetime,
}

impl Shared {
    /// Whether statements are prepared, once for each connection.
    pub(super) fn prepares(&self) -> bool {
        self.size.statements == Statements::Prepared
    }

    /// The number of calls of `Pool::recycle`.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }
}
