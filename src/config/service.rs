//! The settings of `config/service.yaml`. A setting is declared here and nowhere else: its type, its default, its
//! documentation, its bounds or format, and by extensions of its schema
//! - `x-env`: the variables that replace the file's value, the last one that is set,
//! - `x-restart`: it takes effect only when the service is started again,
//! - `x-beside`: it is the path of a file, relative to the configuration.
//!
//! An absent or empty file works.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::access::{Cors, TlsFiles};
use super::domain::Domains;
use super::env::Env;
use super::relay::RelayConfig;
use super::traces::TracesConfig;
use super::values::{self, MOST, Threads};
use crate::diagnostics::{Diagnostic, Span};
use crate::grl;
use crate::types::{DomainName, Milliseconds};
use crate::yaml;

/// The settings of the service. An empty file, or none, means the defaults.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "The settings of the service of Tributary", extend("type" = ["object", "null"]))]
pub struct Config {
    /// How requests come in.
    pub http: HttpConfig,
    /// How rules are run.
    pub rules: RulesConfig,
    /// How flows are read.
    pub graph: GraphConfig,
    /// The zone that says which day `today()` is, by its IANA name. PostgreSQL's sessions and flow tests have it too.
    #[serde(serialize_with = "values::zone_name", deserialize_with = "values::zone")]
    #[schemars(with = "String", extend("format" = "time-zone", "x-env" = ["TRIBUTARY_TIME_ZONE"]))]
    pub time_zone: TimeZone,
    /// What is logged and how.
    pub log: LogConfig,
    /// The page that shows flows, databases and decisions.
    pub console: ConsoleConfig,
    /// The flows as tools of the Model Context Protocol.
    pub mcp: McpConfig,
    /// Which decisions are put on record, and where.
    #[schemars(extend("x-restart" = true))]
    pub records: RecordsConfig,
    /// How effects are written.
    pub effects: EffectsConfig,
    /// Where `tributary relay` sends the events of effects, and how.
    pub relay: RelayConfig,
    /// Pools and timeouts: of all domains (`defaults`), and of single ones by name.
    #[schemars(extend("propertyNames" = { "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,62}$" }))]
    pub(super) domains: Domains,
    /// Where traces are sent; `None` where they are not.
    #[serde(skip)]
    pub traces: Option<TracesConfig>,
    /// The bearer token of the admin endpoints; they are off without one.
    #[serde(skip)]
    pub admin_token: Option<SecretString>,
    /// The file that the token was read from.
    #[serde(skip)]
    pub admin_token_file: Option<PathBuf>,
    /// The sections of single domains, and where the file has them.
    #[serde(skip)]
    pub(super) sections: Vec<(DomainName, Span)>,
    /// About settings without effect.
    #[serde(skip)]
    pub(super) warnings: Vec<Diagnostic>,
    #[serde(skip)]
    pub(super) env: Env,
}

/// How requests come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Where to listen; port 0 takes a free one.
    #[serde(deserialize_with = "values::address")]
    #[schemars(with = "String", extend("format" = "socket-address", "x-env" = ["TRIBUTARY_BIND"], "x-restart" = true))]
    pub bind: SocketAddr,
    /// Threads that serve requests; `auto` is one a core.
    #[schemars(extend("x-env" = ["TRIBUTARY_WORKERS"], "x-restart" = true))]
    pub workers: Threads,
    /// From a request's arrival to its answer; later ones get 504.
    #[serde(rename = "request_timeout_ms", with = "Milliseconds")]
    #[schemars(extend("x-env" = ["TRIBUTARY_REQUEST_TIMEOUT_MS"]))]
    pub request_timeout: Duration,
    /// The largest request body in bytes; larger ones get 413.
    #[serde(rename = "body_limit_bytes")]
    #[schemars(range(min = 1, max = MOST), extend("x-env" = ["TRIBUTARY_BODY_LIMIT_BYTES"]))]
    pub body_limit: usize,
    /// Decisions under way at once, at most half of them of batches; more are answered 503 at once.
    #[schemars(range(min = 1, max = MOST), extend("x-restart" = true))]
    pub max_in_flight: usize,
    /// Decisions of one batch under way at once.
    #[schemars(range(min = 1, max = MOST))]
    pub batch_window: usize,
    /// How long the service is not ready before it stops, but answers, so that load balancers leave it first.
    #[serde(rename = "drain_delay_ms", with = "Milliseconds")]
    #[schemars(range(min = 0), extend("x-restart" = true))]
    pub drain_delay: Duration,
    /// How long to finish what is in flight when the service stops.
    #[serde(rename = "drain_timeout_ms", with = "Milliseconds")]
    #[schemars(extend("x-restart" = true))]
    pub drain_timeout: Duration,
    /// Where only the admin endpoints, metrics, what-if and flip are served; without it they are at `bind`.
    #[serde(deserialize_with = "values::address")]
    #[schemars(
        with = "Option<String>",
        extend("format" = "socket-address", "x-env" = ["TRIBUTARY_ADMIN_BIND"], "x-restart" = true)
    )]
    pub admin_bind: Option<SocketAddr>,
    /// The file of tokens, of which a caller must then send one, beside this file.
    #[schemars(extend("x-env" = ["TRIBUTARY_TOKENS"], "x-beside" = true))]
    pub tokens: Option<PathBuf>,
    /// Listen with TLS 1.2 and 1.3 instead of plain HTTP.
    #[schemars(extend("x-restart" = true))]
    pub tls: Option<TlsFiles>,
    /// The pages of other origins that browsers let ask; none without it.
    #[schemars(extend("x-restart" = true))]
    pub cors: Option<Cors>,
    /// The longest path and query in bytes (414).
    #[serde(rename = "url_limit_bytes")]
    #[schemars(range(min = 1, max = MOST), extend("x-restart" = true))]
    pub url_limit: usize,
    /// The most bytes of all headers of a request (431).
    #[serde(rename = "header_limit_bytes")]
    #[schemars(range(min = 1, max = MOST), extend("x-restart" = true))]
    pub header_limit: usize,
    /// For the head of a request to arrive, TLS handshake included.
    #[serde(rename = "head_timeout_ms", with = "Milliseconds")]
    #[schemars(extend("x-restart" = true))]
    pub head_timeout: Duration,
    /// How long an idle connection is kept; longer than a proxy in front keeps its own.
    #[serde(rename = "keep_alive_ms", with = "Milliseconds")]
    #[schemars(extend("x-restart" = true))]
    pub keep_alive: Duration,
    /// Connections of clients at once, an eighth of them reserved for probes and administration; the limit on open files
    /// may leave fewer.
    #[schemars(range(min = 1, max = MOST), extend("x-restart" = true))]
    pub max_connections: usize,
}

/// How rules are run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RulesConfig {
    /// Threads that evaluate rules, each with an engine of its own; `auto` is one a core.
    #[schemars(extend("x-env" = ["TRIBUTARY_RULE_THREADS"]))]
    pub threads: Threads,
    /// What rules may ask for.
    pub limits: grl::Limits,
}

/// How flows are read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GraphConfig {
    /// What a flow file may ask for.
    pub limits: yaml::Limits,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// How log lines look.
    #[schemars(extend("x-env" = ["TRIBUTARY_LOG_FORMAT"], "x-restart" = true))]
    pub format: LogFormat,
    /// A level, or a filter such as `tributary=debug,info`; without one it is `info` for a service, and `warn` for other
    /// commands.
    #[schemars(extend("format" = "log-filter", "x-env" = ["RUST_LOG", "TRIBUTARY_LOG"], "x-restart" = true))]
    pub filter: Option<String>,
    /// Log each decision at the level INFO: flow, outcome or error, id, caller, key and its result, time.
    pub decisions: bool,
}

/// The page that shows flows, databases and decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleConfig {
    /// Serve the page at `/`, and what it reads: `/events` and `/console/...`.
    #[schemars(extend("x-restart" = true))]
    pub enabled: bool,
}

/// The flows as tools of the Model Context Protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct McpConfig {
    /// Answer clients of the protocol at `/mcp`.
    #[schemars(extend("x-env" = ["TRIBUTARY_MCP"], "x-restart" = true))]
    pub enabled: bool,
}

/// Which decisions are put on record, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RecordsConfig {
    /// Where decisions are put on record.
    pub to: RecordsTo,
    /// Where `to: file` writes.
    pub path: PathBuf,
    /// The file is put aside once it has so many bytes.
    #[schemars(range(min = 1, max = MOST))]
    pub max_bytes: u64,
    /// How many files are kept beside the one that is being written.
    #[schemars(range(min = 0, max = MOST))]
    pub keep: usize,
    /// Records that may wait to be written.
    #[schemars(range(min = 1, max = MOST))]
    pub queue: usize,
    /// What happens where more would have to wait.
    pub when_full: WhenFull,
    /// Leave out the columns that graphs name in `redact:`, and what is made from them; such records cannot be replayed.
    pub redact: bool,
    /// With `to: file`: each line holds the digest of the line before it.
    pub chain: bool,
    /// Where `to: table` writes: the domain whose variables (`RECORDS_DB_HOST`, ...) say where the table is.
    #[serde(deserialize_with = "values::domain")]
    #[schemars(with = "Option<String>", extend("format" = "domain"))]
    pub database: Option<DomainName>,
    /// Where `to: table` writes: the table, with its schema where need be.
    #[schemars(extend("format" = "table"))]
    pub table: String,
    /// With `chain`: the Ed25519 private key in PEM that signs a file when it is put aside.
    #[schemars(extend("x-beside" = true))]
    pub signing_key: Option<PathBuf>,
}

/// How effects are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EffectsConfig {
    /// How long a key (`Idempotency-Key`) and its answer are kept, in seconds; then the key is free again.
    #[schemars(range(min = 3_600, max = 31_536_000), extend("x-env" = ["TRIBUTARY_EFFECTS_KEY_LIFETIME_S"]))]
    pub key_lifetime_s: u32,
}

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RecordsTo {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output, a line each.
    Stdout,
    /// To a file.
    File,
    /// To a table of a PostgreSQL database.
    Table,
}

/// What happens to a record where the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// It is dropped, which is counted and logged.
    #[default]
    Drop,
    /// Its decision waits, which is counted and logged.
    Wait,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::default(),
            rules: RulesConfig::default(),
            graph: GraphConfig::default(),
            time_zone: TimeZone::UTC,
            log: LogConfig::default(),
            console: ConsoleConfig::default(),
            mcp: McpConfig::default(),
            records: RecordsConfig::default(),
            effects: EffectsConfig::default(),
            relay: RelayConfig::default(),
            domains: Domains::default(),
            traces: None,
            admin_token: None,
            admin_token_file: None,
            sections: Vec::new(),
            warnings: Vec::new(),
            env: Env::default(),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            workers: Threads::PerCore,
            request_timeout: Duration::from_secs(10),
            body_limit: 256 * 1024,
            max_in_flight: 1_024,
            batch_window: 256,
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(10),
            admin_bind: None,
            tokens: None,
            tls: None,
            cors: None,
            url_limit: 8 * 1024,
            header_limit: 16 * 1024,
            head_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            max_connections: 10_000,
        }
    }
}

impl Default for RecordsConfig {
    fn default() -> Self {
        Self {
            to: RecordsTo::Off,
            path: PathBuf::from("records/decisions.ndjson"),
            max_bytes: 100 * 1024 * 1024,
            keep: 10,
            queue: 4_096,
            when_full: WhenFull::Drop,
            redact: true,
            chain: false,
            database: DomainName::parse("records_db").ok(),
            table: "decision_records".to_owned(),
            signing_key: None,
        }
    }
}

impl Default for EffectsConfig {
    fn default() -> Self {
        Self { key_lifetime_s: 86_400 }
    }
}

impl Default for ConsoleConfig {
    fn default() -> Self {
        Self { enabled: true }
    }
}
