//! The configuration of a domain: its connection, its pool and its timeouts.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::connection::{Connection, WriteRole};
use super::keys::prefix;
use super::origin::Origin;
use super::tls::SessionAttrs;
use super::values::MOST;
use crate::types::{DomainName, Milliseconds};

/// The configuration of one domain.
#[derive(Debug, Clone)]
pub struct DomainConfig {
    /// Its name: `oms_db`, `default` for the `DB_*` connection, or made from the node for an inline `connection:`.
    pub name: DomainName,
    /// How to connect to its database or service.
    pub connection: Connection,
    /// Where the connection is configured.
    pub origin: Origin,
    /// What its sessions may do.
    pub access: SessionAccess,
    /// The role that writes effects. `None` where nothing may be written, and for a service.
    pub write: Option<WriteRole>,
    /// The size of its pool.
    pub pool: PoolConfig,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// The largest age of rows, `None` for any. Older ones are not answered.
    pub max_staleness: Option<Duration>,
    /// The time zone of the service and of each session.
    pub time_zone: TimeZone,
}

/// What the sessions of a domain may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SessionAccess {
    /// Their transactions are read only.
    #[default]
    ReadOnly,
    /// They write effects, in transactions that begin as read-write.
    ReadWrite,
}

/// The settings of domains in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Domains {
    /// What a domain has unless its own section replaces it.
    pub(super) defaults: DomainSettings,
    /// What single domains have.
    #[serde(flatten)]
    pub(super) named: BTreeMap<String, DomainSettings>,
}

/// The settings of a domain in the file.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DomainSettings {
    /// Its connections.
    pub(super) pool: PoolConfig,
    /// How long to wait.
    pub(super) timeouts: Timeouts,
    /// By how much the rows of a replica may be older than a query; a replica that may be further behind is not asked.
    #[serde(rename = "max_staleness_ms")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub(super) max_staleness: Option<u64>,
}

/// The pool of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Connections kept open while idle.
    #[schemars(range(min = 0, max = MOST))]
    pub min: usize,
    /// The most connections at once, the probe's among them.
    #[schemars(range(min = 1, max = MOST))]
    pub max: usize,
    /// The most connections at once that write effects, in addition to `max`.
    #[schemars(range(min = 1, max = MOST))]
    pub write_max: usize,
    /// The age at which a connection is replaced, less up to a tenth.
    #[serde(rename = "max_lifetime_ms", with = "Milliseconds")]
    pub max_lifetime: Duration,
    /// Has no effect: queries wait for a connection for `acquire_ms`.
    #[serde(skip_serializing)]
    #[schemars(range(min = 0, max = MOST), extend("deprecated" = true))]
    pub max_waiting: Option<usize>,
    /// Whether waiting queries of one node are sent as one statement.
    pub coalesce: Coalescing,
    /// Whether statements are prepared once for each connection.
    pub statements: Statements,
}

/// Whether statements are prepared. A pooler in transaction mode does not keep prepared statements for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Statements {
    /// Once for each connection.
    #[default]
    Prepared,
    /// With each query, without a name, for a pooler in transaction mode. Sessions have no settings of their own, and
    /// queries are not combined.
    Unprepared,
}

/// Whether waiting queries of one node may be sent as one statement, and equal ones share an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Coalescing {
    /// Where it is possible and means the same.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// The timeouts of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// For a connection to be made and authenticated.
    #[serde(rename = "connect_ms", with = "Milliseconds")]
    pub connect: Duration,
    /// For a free connection of the pool.
    #[serde(rename = "acquire_ms", with = "Milliseconds")]
    pub acquire: Duration,
    /// For a query whose node has no `timeout_ms`; also the session's `statement_timeout`.
    #[serde(rename = "query_ms", with = "Milliseconds")]
    pub query: Duration,
    /// For a probe to be answered.
    #[serde(rename = "probe_ms", with = "Milliseconds")]
    pub probe: Duration,
    /// Between two probes.
    #[serde(rename = "probe_interval_ms", with = "Milliseconds")]
    pub probe_interval: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            min: 5,
            max: 20,
            write_max: 10,
            max_lifetime: Duration::from_secs(30 * 60),
            max_waiting: None,
            coalesce: Coalescing::Auto,
            statements: Statements::Prepared,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            acquire: Duration::from_secs(2),
            query: Duration::from_secs(5),
            probe: Duration::from_secs(1),
            probe_interval: Duration::from_secs(2),
        }
    }
}

impl DomainConfig {
    /// The domain as its write role sees it: sessions that can write, on the primary, none of them before it is needed. `None` without
    /// a write role.
    pub fn for_writes(&self) -> Option<Self> {
        let WriteRole { user, password } = self.write.clone()?;
        let connection = Connection { user, password, session_attrs: SessionAttrs::Primary, ..self.connection.clone() };
        // One connection of a pool belongs to the probe.
        let pool = PoolConfig { min: 0, max: self.pool.write_max.saturating_add(1), ..self.pool };
        let access = SessionAccess::ReadWrite;
        Some(Self { connection, access, write: None, pool, max_staleness: None, ..self.clone() })
    }

    /// The setting that has the role of its connections.
    pub fn user_setting(&self) -> String {
        match self.access {
            SessionAccess::ReadOnly => self.origin.of("USER", "user"),
            SessionAccess::ReadWrite => format!("{}WRITE_USER", prefix(&self.name)),
        }
    }

    /// The setting that has the password of its connections, or should have it.
    pub fn password_setting(&self) -> String {
        match self.access {
            SessionAccess::ReadOnly => self.origin.of_password(&self.connection.password),
            SessionAccess::ReadWrite => self.origin.of_write_password(&self.connection.password),
        }
    }

    /// Whether `other` is equal, so that the actor of the domain need not be replaced.
    pub fn is_same(&self, other: &Self) -> bool {
        let (a, b) = (&self.connection, &other.connection);
        let place = |c: &Connection| (c.protocol.clone(), c.hosts.clone(), c.user.clone(), c.database.clone());
        let manner = |c: &Connection| (c.application_name.clone(), c.options.clone(), c.tls.clone(), c.session_attrs);
        self.name == other.name
            && place(a) == place(b)
            && manner(a) == manner(b)
            && a.password.is_same(&b.password)
            && self.access == other.access
            && match (&self.write, &other.write) {
                (Some(a), Some(b)) => a.is_same(b),
                (a, b) => a.is_none() && b.is_none(),
            }
            && self.pool == other.pool
            && self.timeouts == other.timeouts
            && self.max_staleness == other.max_staleness
            && self.time_zone == other.time_zone
    }
}
