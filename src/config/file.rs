//! The shape of `config/service.yaml`, and how what stands there replaces the defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::{Cors, TlsFiles};
use super::domain::{Coalescing, PoolConfig, Statements, Timeouts};
use super::env::Env;
use super::interpolate;
use super::service::{Config, HttpConfig, LogFormat, RecordsConfig, RecordsTo, Threads, WhenFull};
use super::words::{Bind, Count, CountOrNone, Filter, Milliseconds, Origin, Table, Zone};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Source, Span};
use crate::types::DomainName;
use crate::yaml::{self, Marked};

/// The key of `domains` that is no domain.
const DEFAULTS: &str = "defaults";
/// How long a browser remembers that a page may ask, where the file does not say.
const CORS_MAX_AGE_S: usize = 600;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct File {
    http: Http,
    rules: Rules,
    graph: Graph,
    time_zone: Option<Zone>,
    log: Log,
    console: Console,
    records: Records,
    domains: BTreeMap<String, Domain>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Http {
    bind: Option<Bind>,
    workers: Option<Threads>,
    request_timeout_ms: Option<Milliseconds>,
    body_limit_bytes: Option<Count>,
    max_in_flight: Option<Count>,
    batch_window: Option<Count>,
    drain_timeout_ms: Option<Milliseconds>,
    admin_bind: Option<Bind>,
    tokens: Option<PathBuf>,
    tls: Option<Tls>,
    cors: Option<CorsKeys>,
    url_limit_bytes: Option<Count>,
    header_limit_bytes: Option<Count>,
    head_timeout_ms: Option<Milliseconds>,
    keep_alive_ms: Option<Milliseconds>,
    max_connections: Option<Count>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tls {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CorsKeys {
    origins: Vec<Origin>,
    max_age_s: Option<Count>,
}

impl Http {
    /// Files are looked for beside the one that names them.
    fn apply(self, directory: &Path, config: &mut HttpConfig) {
        set(&mut config.bind, self.bind.map(|bind| bind.0));
        set(&mut config.workers, self.workers);
        set(&mut config.request_timeout, self.request_timeout_ms.map(|time| time.0));
        set(&mut config.body_limit, self.body_limit_bytes.map(|count| count.0));
        set(&mut config.max_in_flight, self.max_in_flight.map(|count| count.0));
        set(&mut config.batch_window, self.batch_window.map(|count| count.0));
        set(&mut config.drain_timeout, self.drain_timeout_ms.map(|time| time.0));
        set(&mut config.admin_bind, self.admin_bind.map(|bind| Some(bind.0)));
        set(&mut config.tokens, self.tokens.map(|path| Some(directory.join(path))));
        let beside =
            |files: Tls| TlsFiles { certificate: directory.join(files.certificate), key: directory.join(files.key) };
        set(&mut config.tls, self.tls.map(|files| Some(beside(files))));
        let cors = |keys: CorsKeys| Cors {
            origins: keys.origins.into_iter().map(|origin| origin.0).collect(),
            max_age_s: keys.max_age_s.map_or(CORS_MAX_AGE_S, |count| count.0),
        };
        set(&mut config.cors, self.cors.map(|keys| Some(cors(keys))));
        set(&mut config.url_limit, self.url_limit_bytes.map(|count| count.0));
        set(&mut config.header_limit, self.header_limit_bytes.map(|count| count.0));
        set(&mut config.head_timeout, self.head_timeout_ms.map(|time| time.0));
        set(&mut config.keep_alive, self.keep_alive_ms.map(|time| time.0));
        set(&mut config.max_connections, self.max_connections.map(|count| count.0));
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Rules {
    threads: Option<Threads>,
    limits: RuleLimits,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct RuleLimits {
    file_bytes: Option<Count>,
    nesting: Option<Nesting>,
    terms: Option<Count>,
    rules: Option<Count>,
    cycles: Option<Count>,
    evaluation_ms: Option<Milliseconds>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Graph {
    limits: GraphLimits,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct GraphLimits {
    file_bytes: Option<Count>,
    nodes: Option<Count>,
    nesting: Option<Nesting>,
}

/// Levels of YAML or of an expression; bounded, because trees of that depth are walked by recursion.
#[derive(Deserialize, JsonSchema, Clone, Copy)]
#[serde(try_from = "u64")]
struct Nesting(usize);

impl TryFrom<u64> for Nesting {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Self, Self::Error> {
        let nesting = usize::try_from(number).ok().filter(|levels| (1..=200).contains(levels));
        nesting.map(Self).ok_or("this must be a whole number from 1 to 200")
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Log {
    format: Option<LogFormat>,
    filter: Option<Filter>,
    decisions: Option<bool>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Console {
    enabled: Option<bool>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Records {
    to: Option<RecordsTo>,
    path: Option<PathBuf>,
    max_bytes: Option<Count>,
    keep: Option<CountOrNone>,
    queue: Option<Count>,
    when_full: Option<WhenFull>,
    redact: Option<bool>,
    chain: Option<bool>,
    signing_key: Option<PathBuf>,
    database: Option<String>,
    table: Option<Table>,
}

impl Records {
    fn apply(self, root: &Marked, directory: &Path, config: &mut RecordsConfig, complaints: &mut Diagnostics) {
        let given = root.get("records");
        let place = |key: &str| given.and_then(|given| given.get(key)).map(Marked::head);
        if self.signing_key.is_some() && self.chain != Some(true) {
            let message = "`records.signing_key` signs a chain, and there is no chain";
            complaints.extend(place("signing_key").map(|place| {
                Diagnostic::error("needs-chain", place, message).help("set `records.chain: true`, or remove the key")
            }));
        }
        if self.chain == Some(true) && self.to != Some(RecordsTo::File) {
            let message = "`records.chain` links the lines of a file, and records do not go to a file";
            complaints.extend(place("chain").map(|place| {
                Diagnostic::error("needs-file", place, message).help("set `records.to: file`, or remove `chain`")
            }));
        }
        if let Some(name) = self.database {
            match DomainName::parse(&name) {
                Ok(name) => config.database = Some(name),
                Err(error) => complaints
                    .extend(place("database").map(|place| Diagnostic::error("bad-name", place, error.to_string()))),
            }
        }
        set(&mut config.table, self.table.map(|table| table.0));
        set(&mut config.chain, self.chain);
        set(&mut config.signing_key, self.signing_key.map(|path| Some(directory.join(path))));
        set(&mut config.to, self.to);
        set(&mut config.path, self.path);
        set(&mut config.max_bytes, self.max_bytes.map(|count| count.0 as u64));
        set(&mut config.keep, self.keep.map(|count| count.0));
        set(&mut config.queue, self.queue.map(|count| count.0));
        set(&mut config.when_full, self.when_full);
        set(&mut config.redact, self.redact);
    }
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Domain {
    pool: Pool,
    timeouts: TimeoutKeys,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct Pool {
    min: Option<CountOrNone>,
    max: Option<Count>,
    max_lifetime_ms: Option<Milliseconds>,
    /// Has no effect any more.
    max_waiting: Option<CountOrNone>,
    coalesce: Option<Coalescing>,
    statements: Option<Statements>,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the keys of the file, whose unit belongs to their names")]
struct TimeoutKeys {
    connect_ms: Option<Milliseconds>,
    acquire_ms: Option<Milliseconds>,
    query_ms: Option<Milliseconds>,
    probe_ms: Option<Milliseconds>,
    probe_interval_ms: Option<Milliseconds>,
}

/// The settings whose values an excerpt may show: those that the schema knows and that have no settings within.
pub(super) fn shown_keys() -> Vec<String> {
    fn collect(schema: &serde_json::Value, keys: &mut Vec<String>) {
        if let Some(properties) = schema.get("properties").and_then(serde_json::Value::as_object) {
            keys.extend(properties.iter().filter(|(_, of)| of.get("properties").is_none()).map(|(key, _)| key.clone()));
        }
        match schema {
            serde_json::Value::Object(parts) => parts.values().for_each(|part| collect(part, keys)),
            serde_json::Value::Array(parts) => parts.iter().for_each(|part| collect(part, keys)),
            _ => {}
        }
    }
    let mut keys = Vec::new();
    collect(&serde_json::from_str(super::SCHEMA).unwrap_or_default(), &mut keys);
    keys
}

/// Reads `source` over what `config` has.
pub(super) fn apply(source: &Arc<Source>, env: &Env, config: &mut Config, complaints: &mut Diagnostics) {
    let root = match yaml::parse(source, yaml::Limits::default()) {
        Ok(root) if root.is_null() => return,
        Ok(root) => root,
        Err(diagnostics) => return complaints.extend(diagnostics),
    };
    let mut found = Diagnostics::new();
    let (root, unresolved) = expand(&root, env, &mut found);
    let mut misread = Diagnostics::new();
    if let Some(file) = yaml::deserialize::<File>(&root, &mut misread) {
        let directory = Path::new(source.name()).parent().unwrap_or(Path::new(""));
        file.apply(&root, directory, config, &mut found);
    }
    // A value that could not be resolved is wrong once, not again for what it is without its variable.
    let resolved = |diagnostic: &Diagnostic| !unresolved.iter().any(|span| diagnostic.place == Place::from(span));
    found.extend(misread.into_iter().filter(resolved));
    complaints.extend(found);
}

/// Replaces references in texts; also gives the places where that failed.
fn expand(root: &Marked, env: &Env, complaints: &mut Diagnostics) -> (Marked, Vec<Span>) {
    let mut unresolved = Vec::new();
    let expanded = root.map_text(&mut |node, text| {
        if !interpolate::has_references(text) {
            return None;
        }
        env.expand(text)
            .map_err(|error| {
                let diagnostic = Diagnostic::error("bad-reference", node.head(), error.to_string());
                complaints.push(diagnostic.help(error.help()));
                unresolved.push(node.head());
            })
            .ok()
    });
    (expanded, unresolved)
}

impl File {
    fn apply(self, root: &Marked, directory: &Path, config: &mut Config, complaints: &mut Diagnostics) {
        self.http.apply(directory, &mut config.http);
        set(&mut config.rules.threads, self.rules.threads);
        let (limits, given) = (&mut config.rules.limits, self.rules.limits);
        set(&mut limits.max_file_bytes, given.file_bytes.map(|count| count.0));
        set(&mut limits.max_nesting, given.nesting.map(|nesting| nesting.0));
        set(&mut limits.max_terms, given.terms.map(|count| count.0));
        set(&mut limits.max_rules, given.rules.map(|count| count.0));
        set(&mut limits.max_cycles, given.cycles.map(|count| count.0));
        set(&mut limits.max_evaluation, given.evaluation_ms.map(|time| time.0));
        let (limits, given) = (&mut config.graph_limits, self.graph.limits);
        set(&mut limits.bytes, given.file_bytes.map(|count| count.0));
        set(&mut limits.nodes, given.nodes.map(|count| count.0));
        set(&mut limits.depth, given.nesting.map(|nesting| nesting.0));
        set(&mut config.time_zone, self.time_zone.map(|zone| zone.0));
        set(&mut config.log.format, self.log.format);
        set(&mut config.log.filter, self.log.filter.map(|filter| Some(filter.0)));
        set(&mut config.log.decisions, self.log.decisions);
        set(&mut config.console, self.console.enabled);
        self.records.apply(root, directory, &mut config.records, complaints);
        domains(&self.domains, root, config, complaints);
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

fn domains(given: &BTreeMap<String, Domain>, root: &Marked, config: &mut Config, complaints: &mut Diagnostics) {
    let Some(section) = root.get("domains") else {
        return;
    };
    if let (Some(defaults), Some(node)) = (given.get(DEFAULTS), section.get(DEFAULTS)) {
        config.domains.defaults = defaults.over(config.domains.defaults);
        complaints.extend(check_pool(config.domains.defaults.0, node));
        config.domains.warnings.extend(defaults.obsolete(node));
    }
    for entry in section.entries().iter().filter(|entry| entry.key() != DEFAULTS) {
        let Some(domain) = given.get(entry.key()) else {
            continue;
        };
        match DomainName::parse(entry.key()) {
            Ok(name) => {
                let (pool, timeouts) = domain.over(config.domains.defaults);
                complaints.extend(check_pool(pool, entry.value()));
                config.domains.warnings.extend(domain.obsolete(entry.value()));
                config.domains.named.insert(name, (pool, timeouts, entry.key_span().clone()));
            }
            Err(error) => complaints.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string())),
        }
    }
}

fn check_pool(pool: PoolConfig, node: &Marked) -> Option<Diagnostic> {
    if pool.min <= pool.max {
        return None;
    }
    let key = |name| node.get("pool").and_then(|pool| pool.entry(name));
    let span: Span = key("min").or_else(|| key("max")).map_or_else(|| node.head(), |entry| entry.value().head());
    let message = format!("`pool.min` is {} and more than `pool.max`, which is {}", pool.min, pool.max);
    Some(Diagnostic::error("bad-pool", span, message).help("a value that is not given is that of `defaults`"))
}

impl Domain {
    fn obsolete(&self, node: &Marked) -> Option<Diagnostic> {
        self.pool.max_waiting.as_ref()?;
        let span = node.get("pool")?.entry("max_waiting")?.key_span();
        let message = "`pool.max_waiting` has no effect: queries wait for a connection for `acquire_ms`";
        Some(
            Diagnostic::warning("obsolete-setting", span, message)
                .help("remove it; `http.max_in_flight` bounds what waits"),
        )
    }

    fn over(&self, (mut pool, mut timeouts): (PoolConfig, Timeouts)) -> (PoolConfig, Timeouts) {
        set(&mut pool.min, self.pool.min.map(|count| count.0));
        set(&mut pool.max, self.pool.max.map(|count| count.0));
        set(&mut pool.max_lifetime, self.pool.max_lifetime_ms.map(|time| time.0));
        set(&mut pool.coalesce, self.pool.coalesce);
        set(&mut pool.statements, self.pool.statements);
        set(&mut timeouts.connect, self.timeouts.connect_ms.map(|time| time.0));
        set(&mut timeouts.acquire, self.timeouts.acquire_ms.map(|time| time.0));
        set(&mut timeouts.query, self.timeouts.query_ms.map(|time| time.0));
        set(&mut timeouts.probe, self.timeouts.probe_ms.map(|time| time.0));
        set(&mut timeouts.probe_interval, self.timeouts.probe_interval_ms.map(|time| time.0));
        (pool, timeouts)
    }
}

#[cfg(test)]
mod tests {
    use serde_aux::serde_introspection::serde_introspect;

    use super::*;
    use crate::config::SCHEMA;
    use crate::yaml::same_keys;

    #[test]
    fn editors_know_the_keys_of_the_configuration() {
        same_keys(SCHEMA, "", serde_introspect::<File>());
        same_keys(SCHEMA, "/properties/http", serde_introspect::<Http>());
        same_keys(SCHEMA, "/properties/http/properties/tls", serde_introspect::<Tls>());
        same_keys(SCHEMA, "/properties/http/properties/cors", serde_introspect::<CorsKeys>());
        same_keys(SCHEMA, "/properties/rules", serde_introspect::<Rules>());
        same_keys(SCHEMA, "/properties/rules/properties/limits", serde_introspect::<RuleLimits>());
        same_keys(SCHEMA, "/properties/graph", serde_introspect::<Graph>());
        same_keys(SCHEMA, "/properties/graph/properties/limits", serde_introspect::<GraphLimits>());
        same_keys(SCHEMA, "/properties/log", serde_introspect::<Log>());
        same_keys(SCHEMA, "/properties/records", serde_introspect::<Records>());
        same_keys(SCHEMA, "/$defs/domain", serde_introspect::<Domain>());
        same_keys(SCHEMA, "/$defs/domain/properties/pool", serde_introspect::<Pool>());
        same_keys(SCHEMA, "/$defs/domain/properties/timeouts", serde_introspect::<TimeoutKeys>());
    }
}
