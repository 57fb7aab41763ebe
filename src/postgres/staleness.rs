//! How old the rows of a replica may be at most.
//!
//! A sample of the primary is a time of this service and a position in the WAL that was read after it: what was committed before the
//! time is before the position. A replica that has replayed the WAL up to the position has all of it. No clock of a server
//! is used. It holds while the primary is idle and its position does not move, and while a replica is cut off from the primary and
//! has replayed all that it received.
//!
//! A position means nothing on another timeline: after a failover, a replica that still follows the old timeline may be further in
//! its WAL than the new primary. A replica is trusted once it is known to follow the newest timeline: at once where the role may
//! read `pg_stat_wal_receiver` (`pg_read_all_stats`), otherwise after the next restartpoint of the replica. A primary of an older
//! timeline is not trusted.
//!
//! A transaction with `synchronous_commit = off` counts as committed once its WAL is flushed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::config::DomainConfig;
use crate::pool::{ConnectError, DialError};

/// Whether the server is a primary, its position, and its timeline. On a replica the position is what it has replayed, and the
/// timeline the newest one that it is known to follow.
const POSITION: &str = "SELECT NOT r, CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn() \
     ELSE pg_catalog.pg_current_wal_flush_lsn() END - '0/0'::pg_catalog.pg_lsn, \
     CASE WHEN r THEN GREATEST((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()), \
     (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()), \
     (SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver)) \
     ELSE ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int4 END \
     FROM (SELECT pg_catalog.pg_is_in_recovery() AS r) AS server";
/// The part of the limit after which a proof is renewed, so that it is renewed before it is too old.
const RENEWED_AFTER: u32 = 2;
/// The samples that are taken within the limit.
const SAMPLES: u32 = 4;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// The samples that are kept, as multiples of the limit: those that are too old tell how far a replica is behind.
const KEPT: u32 = 4;
/// What a connection's server was last known to have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof {
    /// Everything: it is the primary of this timeline. A primary does not become a replica without a restart.
    Primary { timeline: u32 },
    /// Everything that was committed before this time.
    Replica { complete: Instant },
}

impl Proof {
    /// By how much rows that are read now may be older.
    pub(super) fn age(self) -> Duration {
        match self {
            Self::Primary { .. } => Duration::ZERO,
            Self::Replica { complete } => complete.elapsed(),
        }
    }
}

/// The samples of the primary of one domain.
#[derive(Debug)]
pub(super) struct Staleness {
    limit: Duration,
    /// Between two samples.
    pub(super) interval: Duration,
    /// For a server to tell its position.
    pub(super) probe: Duration,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    samples: VecDeque<Sample>,
    /// The newest timeline of a primary.
    timeline: u32,
    /// Why the last sample failed.
    failure: Option<String>,
    last: Option<Proof>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    timeline: u32,
    lsn: u64,
}

/// How old the rows of a domain may be.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StalenessHealth {
    /// `max_staleness_ms` of the domain.
    pub max_ms: u64,
    /// By how much rows of the server that was checked last may be older than a query, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_may_be_older_by_ms: Option<u64>,
    /// Why the primary could not be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_error: Option<String>,
}

/// Where a server is in the WAL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    pub(super) is_primary: bool,
    lsn: u64,
    timeline: u32,
}

impl Position {
    /// Asks the server of `client`.
    pub(super) async fn of(client: &Client) -> Result<Self, DialError> {
        let answer = client.simple_query(POSITION).await?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let position = row.and_then(|row| {
            let (is_primary, lsn, timeline) =
                (row.get(0)? == "t", row.get(1)?.parse().ok()?, row.get(2)?.parse().ok()?);
            Some(Self { is_primary, lsn, timeline })
        });
        position.ok_or_else(|| "the server does not tell its position in the WAL".into())
    }
}

impl Staleness {
    /// Of a domain that limits it.
    pub(super) fn new(config: &DomainConfig) -> Option<Self> {
        let (limit, timeouts) = (config.max_staleness?, config.timeouts);
        let interval = (limit / SAMPLES).min(timeouts.probe_interval).max(SHORTEST_INTERVAL);
        Some(Self { limit, interval, probe: timeouts.probe, history: Mutex::default() })
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By how much the rows of a query that is sent now may be older. `None` where that has to be proved first.
    pub(super) fn known(&self, proof: Option<Proof>) -> Option<Duration> {
        let (proof, age) = (proof?, proof?.age());
        let holds = match proof {
            Proof::Primary { timeline } => timeline >= self.history().timeline,
            Proof::Replica { .. } => age <= self.limit / RENEWED_AFTER,
        };
        holds.then_some(age)
    }

    /// Whether a sample was taken since `start`.
    pub(super) fn is_sampled_since(&self, start: Instant) -> bool {
        self.history().samples.back().is_some_and(|sample| sample.at >= start)
    }

    /// Notes why the last sample failed.
    pub(super) fn note_failure(&self, failure: Option<String>) {
        self.history().failure = failure;
    }

    /// What a server has whose `position` was read after `at`.
    pub(super) fn judge(&self, position: Position, at: Instant) -> Result<Proof, ConnectError> {
        let mut history = self.history();
        let (lsn, timeline) = (position.lsn, position.timeline);
        if position.is_primary {
            if timeline < history.timeline {
                let newest = history.timeline;
                let why = format!(
                    "the server is a primary of timeline {timeline}, and that of timeline {newest} replaced it"
                );
                return Err(ConnectError::Stale { why });
            }
            history.add(Sample { at, timeline, lsn }, self.limit * KEPT);
        }
        let has = |sample: &&Sample| timeline >= sample.timeline && lsn >= sample.lsn;
        let complete = history.samples.iter().rev().find(has).map(|sample| sample.at);
        let proof = match complete {
            _ if position.is_primary => Proof::Primary { timeline },
            Some(complete) if complete.elapsed() <= self.limit => Proof::Replica { complete },
            complete => return Err(self.too_old(complete, history.failure.as_deref())),
        };
        history.last = Some(proof);
        Ok(proof)
    }

    fn too_old(&self, complete: Option<Instant>, failure: Option<&str>) -> ConnectError {
        let limit = self.limit.as_millis();
        let behind = match complete {
            Some(complete) => {
                format!("{} ms behind, which is more than max_staleness_ms ({limit})", complete.elapsed().as_millis())
            }
            None => format!("more than max_staleness_ms ({limit}) behind"),
        };
        let failure = failure.map(|why| format!("; of the hosts, none could be asked as the primary: {why}"));
        ConnectError::Stale { why: format!("the replica may be {behind}{}", failure.unwrap_or_default()) }
    }

    pub(super) fn health(&self) -> StalenessHealth {
        let history = self.history();
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        StalenessHealth {
            max_ms: milliseconds(self.limit),
            rows_may_be_older_by_ms: history.last.map(|last| milliseconds(last.age())),
            primary_error: history.failure.clone(),
        }
    }
}

impl History {
    fn add(&mut self, sample: Sample, kept: Duration) {
        if sample.timeline > self.timeline {
            // The last ones may be of a primary that had been replaced.
            self.samples.clear();
            self.timeline = sample.timeline;
        }
        self.samples.retain(|old| old.at.elapsed() <= kept);
        self.samples.push_back(sample);
    }
}
