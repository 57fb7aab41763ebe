//! The settings of the service, every one with a default: an absent or empty `config/service.yaml` works.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use super::access::{Cors, TlsFiles};
use super::domain::{PoolConfig, Timeouts};
use super::env::Env;
use super::traces::TracesConfig;
use crate::diagnostics::{Diagnostic, Span};
use crate::grl;
use crate::types::DomainName;
use crate::yaml;

/// The settings of the service. No secret shows in its `Debug`.
#[derive(Debug, Clone)]
pub struct Config {
    /// How requests come in.
    pub http: HttpConfig,
    /// How rules are run and how much they may ask for.
    pub rules: RulesConfig,
    /// How much a flow file may ask for.
    pub graph_limits: yaml::Limits,
    /// The zone that says which day it is.
    pub time_zone: TimeZone,
    /// What is logged and how.
    pub log: LogConfig,
    /// Which decisions are put on record, and where.
    pub records: RecordsConfig,
    /// Where traces go; nowhere without it.
    pub traces: Option<TracesConfig>,
    /// Whether the console is served: the page at `/` and what it reads. Default: yes.
    pub console: bool,
    /// The bearer token of the admin endpoints; they are off without one.
    pub admin_token: Option<SecretString>,
    /// The file that it came from, where it came from one.
    pub admin_token_file: Option<PathBuf>,
    pub(super) domains: DomainSettings,
    pub(super) env: Env,
}

impl Config {
    /// The settings in which `next` differs and which take effect only when the service is started again, by their keys in
    /// `config/service.yaml`.
    pub fn needs_restart(&self, next: &Self) -> Vec<&'static str> {
        let (now, then) = (&self.http, &next.http);
        let (records, logs) = (&self.records, &self.log);
        let settings = [
            ("http.bind", now.bind != then.bind),
            ("http.admin_bind", now.admin_bind != then.admin_bind),
            ("http.workers", now.workers != then.workers),
            ("http.max_in_flight", now.max_in_flight != then.max_in_flight),
            ("http.drain_timeout_ms", now.drain_timeout != then.drain_timeout),
            ("http.tls", now.tls != then.tls),
            ("http.cors", now.cors != then.cors),
            ("http.url_limit_bytes", now.url_limit != then.url_limit),
            ("http.header_limit_bytes", now.header_limit != then.header_limit),
            ("http.head_timeout_ms", now.head_timeout != then.head_timeout),
            ("http.keep_alive_ms", now.keep_alive != then.keep_alive),
            ("http.max_connections", now.max_connections != then.max_connections),
            ("log.format", logs.format != next.log.format),
            ("log.filter", logs.filter != next.log.filter),
            ("console.enabled", self.console != next.console),
            ("records", *records != next.records),
            ("OTEL_*", self.traces.is_some() != next.traces.is_some()),
        ];
        settings.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
    }
}

/// How requests come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen. Default 127.0.0.1:8080; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Threads that serve requests. Default: one a core.
    pub workers: Threads,
    /// From a request's arrival to its answer. Default 10 s.
    pub request_timeout: Duration,
    /// The largest request body in bytes. Default 256 KiB.
    pub body_limit: usize,
    /// Decisions under way at once, in the whole service, at most half of them of batches; more are answered 503. Default 1,024.
    pub max_in_flight: usize,
    /// Decisions of one batch under way at once. Default 256.
    pub batch_window: usize,
    /// How long to finish what is in flight when the service stops. Default 10 s.
    pub drain_timeout: Duration,
    /// Where the admin endpoints, metrics and what-if are served alone, beside everything else. Default: at `bind`.
    pub admin_bind: Option<SocketAddr>,
    /// The file of tokens of which one is asked for. Default: everybody may ask.
    pub tokens: Option<PathBuf>,
    /// The certificate to listen with. Default: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The pages of other origins that may ask. Default: none.
    pub cors: Option<Cors>,
    /// The longest path and query in bytes. Default 8 KiB.
    pub url_limit: usize,
    /// The most bytes of all headers of a request. Default 16 KiB.
    pub header_limit: usize,
    /// How long a client may take to send the head of its request, TLS handshake included. Default 5 s.
    pub head_timeout: Duration,
    /// How long an idle connection is kept. Default 75 s, longer than the 60 s of usual proxies.
    pub keep_alive: Duration,
    /// The most connections of clients at once; the limit on open files may leave fewer. Default 10,000.
    pub max_connections: usize,
}

/// How many threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Threads {
    /// One for each core that this process may use.
    #[default]
    PerCore,
    /// This many.
    Exactly(NonZeroUsize),
}

impl Threads {
    /// The number on this machine.
    pub fn count(self) -> usize {
        match self {
            Self::PerCore => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            Self::Exactly(count) => count.get(),
        }
    }
}

/// How rules are run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RulesConfig {
    /// Threads that evaluate rules, each with an engine of its own. Default: one a core.
    pub threads: Threads,
    /// How much rules may ask for.
    pub limits: grl::Limits,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// Default `pretty`.
    pub format: LogFormat,
    /// A filter of `tracing`, such as `info` or `tributary=debug,info`. Default `info` for a service, `warn` for other commands.
    pub filter: Option<String>,
    /// Whether each decision is logged, at the level INFO. Default: no.
    pub decisions: bool,
}

/// Which decisions are put on record, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordsConfig {
    /// Default: nowhere.
    pub to: RecordsTo,
    /// The file. Default `records/decisions.ndjson`.
    pub path: PathBuf,
    /// The file is put aside once it has so many bytes. Default 100 MiB.
    pub max_bytes: u64,
    /// How many files are kept beside the one that is being written. Default 10.
    pub keep: usize,
    /// How many records may wait to be written. Default 4,096.
    pub queue: usize,
    /// What happens where more would have to wait. Default: the record is dropped.
    pub when_full: WhenFull,
    /// Whether columns that a graph redacts, and what is made from them, are left out; such records cannot be replayed. Default:
    /// yes.
    pub redact: bool,
    /// Whether each line of the file holds the digest of the line before it. Default: no.
    pub chain: bool,
    /// The domain whose variables say where the table is. Default `records_db`.
    pub database: Option<DomainName>,
    /// The table, with its schema where need be. Default `decision_records`.
    pub table: String,
    /// The Ed25519 private key that signs a file when it is put aside. Default: none.
    pub signing_key: Option<PathBuf>,
}

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// It is dropped, counted and told.
    #[default]
    Drop,
    /// Its decision waits, which is counted and told.
    Wait,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Pool sizes and timeouts: the defaults, and what single domains have instead.
#[derive(Debug, Clone, Default)]
pub(super) struct DomainSettings {
    pub(super) defaults: (PoolConfig, Timeouts),
    pub(super) named: BTreeMap<DomainName, (PoolConfig, Timeouts, Span)>,
    /// About settings without effect.
    pub(super) warnings: Vec<Diagnostic>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::default(),
            rules: RulesConfig::default(),
            graph_limits: yaml::Limits::default(),
            time_zone: TimeZone::UTC,
            log: LogConfig::default(),
            records: RecordsConfig::default(),
            traces: None,
            console: true,
            admin_token: None,
            admin_token_file: None,
            domains: DomainSettings::default(),
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

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Pretty, filter: None, decisions: false }
    }
}
