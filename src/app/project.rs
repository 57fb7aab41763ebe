//! The contents of all files, checked together: the configuration, the flows, and the connection of each domain.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::{Access, Arguments, Config, DomainConfig, Env, LogFormat, Protocol, RecordsTo, log_format, prefix};
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Span};
use crate::flowtests::Suite;
use crate::graph::{self, Catalog, Flow, Work};
use crate::grl;
use crate::http::{Certificate, NodesOf, RESERVED_ENDINGS, is_reserved};
use crate::types::DomainName;

/// The files to read, and the arguments that replace their settings.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Flow files and directories of them.
    pub graphs: Vec<PathBuf>,
    /// The arguments, which replace settings of the files.
    pub arguments: Arguments,
    /// The variables.
    pub env: Env,
    /// A file of variables that `env` does not set. It is read again at each load, and need not exist.
    pub env_file: Option<PathBuf>,
    /// The domain whose nodes `tributary domain` serves in place of the flows.
    pub domain: Option<DomainName>,
}

impl Sources {
    /// The format of log lines, also where other settings have errors.
    pub fn log_format(&self) -> LogFormat {
        log_format(&self.arguments, &self.variables(&mut Diagnostics::new())).unwrap_or_default()
    }

    /// The current variables. Errors of the file go to `found`.
    pub fn variables(&self, found: &mut Diagnostics) -> Env {
        match &self.env_file {
            Some(file) => self.env.clone().with_dotenv(file, found),
            None => self.env.clone(),
        }
    }
}

/// The contents of all files, checked together.
#[derive(Debug)]
pub struct Project {
    /// The service configuration.
    pub config: Config,
    /// The compiled flows.
    pub flows: Vec<Flow>,
    /// The nodes that are answered for, in place of the flows.
    pub nodes: Option<NodesOf>,
    /// The database of each domain the flows name.
    pub domains: Vec<DomainConfig>,
    /// The tokens. `None` where everybody may ask.
    pub access: Option<Access>,
    /// The database of the table of decision records.
    pub records: Option<DomainConfig>,
}

impl Project {
    /// Reads and checks all files. With a `catalog`, types are checked against the descriptions of the databases.
    ///
    /// # Errors
    /// All errors of all files and variables. A project is returned with its warnings.
    pub fn load(sources: &Sources, catalog: Option<&dyn Catalog>) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let Some((config, flows)) = read(sources, catalog, &mut found) else {
            found.sort();
            return Err(found);
        };
        refuse_reserved_paths(&flows, &mut found);
        let nodes = sources.domain.as_ref().and_then(|domain| nodes(domain, &flows, &mut found));
        let domains = domains(&config, &flows, sources.domain.as_ref(), &mut found);
        refuse_requests_to_databases(&flows, &domains, &mut found);
        let access = access(&config, &flows, &mut found);
        let records = records(&config, &mut found).filter(|_| sources.domain.is_none());
        let flows = if sources.domain.is_some() { Vec::new() } else { flows };
        if let Some(Err(error)) = config.http.tls.as_ref().map(Certificate::read) {
            found.push(Diagnostic::error("bad-certificate", Place::File("http.tls".to_owned()), error.to_string()));
        }
        found.into_result(Self { config, flows, nodes, domains, access, records })
    }

    /// Keeps only the flow of this name (the only one if there is no name) and its domains. No idle connections are kept.
    ///
    /// # Errors
    /// A sentence with the names of the flows, if there is no such flow.
    pub fn narrow(mut self, name: Option<&str>) -> Result<Self, String> {
        let chosen = choose(&self.flows, name)?.name.clone();
        self.flows.retain(|flow| flow.name == chosen);
        let asks = |domain: &DomainConfig| self.flows.iter().flat_map(Flow::domains).any(|name| *name == domain.name);
        self.domains.retain(asks);
        self.domains.iter_mut().for_each(|domain| domain.pool.min = 0);
        Ok(self)
    }

    /// Reads flow tests and their graphs. All errors go to `found`.
    pub fn suites(sources: &Sources, paths: &[PathBuf], found: &mut Diagnostics) -> Option<(Vec<Suite>, grl::Limits)> {
        let env = sources.variables(found);
        let config = keep(Config::load(&sources.arguments, env.clone(), Diagnostics::new()), found)?;
        let limits = config.rules.limits.clone();
        let context =
            graph::Context { rule_limits: limits.clone(), file_limits: config.graph.limits, env: &env, catalog: None };
        let mut suites = Vec::new();
        for path in paths {
            suites.extend(keep(Suite::read(path, &context, &config.time_zone), found));
        }
        Some((suites, limits))
    }

    /// Reads the service configuration alone.
    ///
    /// # Errors
    /// All errors of the file and the variables.
    pub fn settings(sources: &Sources) -> Result<(Config, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let env = sources.variables(&mut found);
        let config = keep(Config::load(&sources.arguments, env, Diagnostics::new()), &mut found);
        match config {
            Some(config) => found.into_result(config),
            None => Err(found),
        }
    }

    /// Reads the flows and the limits of their rules. No domain needs to be configured.
    ///
    /// # Errors
    /// All errors of the files.
    pub fn load_offline(sources: &Sources) -> Result<(Vec<Flow>, grl::Limits, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let Some((config, flows)) = read(sources, None, &mut found) else {
            found.sort();
            return Err(found);
        };
        let (flows, warnings) = found.into_result(flows)?;
        Ok((flows, config.rules.limits, warnings))
    }
}

/// The flow of this name; the only one if there is no name.
///
/// # Errors
/// The names of the flows, in a sentence.
pub(super) fn choose<'a>(flows: &'a [Flow], name: Option<&str>) -> Result<&'a Flow, String> {
    let names = || flows.iter().map(|flow| flow.name.to_string()).collect::<Vec<_>>().join(", ");
    match (name, flows) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("the files hold several flows; choose one with --flow: {}", names())),
        (Some(name), _) => flows
            .iter()
            .find(|flow| flow.name.as_str() == name)
            .ok_or_else(|| format!("there is no flow `{name}`; the flows are: {}", names())),
    }
}

/// The configuration and the flows, if both can be read.
pub(super) fn read(
    sources: &Sources,
    catalog: Option<&dyn Catalog>,
    found: &mut Diagnostics,
) -> Option<(Config, Vec<Flow>)> {
    let env = sources.variables(found);
    let config = keep(Config::load(&sources.arguments, env.clone(), Diagnostics::new()), found);
    let rule_limits = config.as_ref().map(|config| config.rules.limits.clone()).unwrap_or_default();
    let file_limits = config.as_ref().map(|config| config.graph.limits).unwrap_or_default();
    let context = graph::Context { rule_limits, file_limits, env: &env, catalog };
    let (flows, warnings) = keep(graph::load(&sources.graphs, &context), found).unzip();
    found.extend(warnings.unwrap_or_default());
    Some((config?, flows?))
}

/// The value; or nothing, with its errors added to `found`.
pub(super) fn keep<T>(result: Result<T, Diagnostics>, found: &mut Diagnostics) -> Option<T> {
    result.map_err(|errors| found.extend(errors)).ok()
}

fn refuse_reserved_paths(flows: &[Flow], found: &mut Diagnostics) {
    for flow in flows {
        let first = flow.path.trim_start_matches('/').split('/').next().unwrap_or("");
        let own_default = flow.path == format!("/flows/{}", flow.name);
        if is_reserved(first) && !own_default {
            let message =
                format!("flow `{}` cannot be served at `{}`: the service itself answers there", flow.name, flow.path);
            let help = "choose a path whose first part is not one of the service's own".to_owned();
            found.push(Diagnostic::error("reserved-path", flow.path_span.clone(), message).help(help));
        }
        if let Some(last) = flow.path.rsplit('/').next().filter(|last| RESERVED_ENDINGS.contains(last)) {
            let message = format!(
                "flow `{}` cannot be served at `{}`: `/{last}` behind a flow's path is taken",
                flow.name, flow.path
            );
            let help = "end the path with another word";
            found.push(Diagnostic::error("reserved-path", flow.path_span.clone(), message).help(help));
        }
    }
}

/// The database of decision records, where they go to a table.
fn records(config: &Config, found: &mut Diagnostics) -> Option<DomainConfig> {
    let database = config.records.database.as_ref().filter(|_| config.records.to == RecordsTo::Table)?;
    keep(config.domain(database, None), found)
}

/// The tokens, if the configuration names a file. A flow that they name and that is not served is probably misspelt.
fn access(config: &Config, flows: &[Flow], found: &mut Diagnostics) -> Option<Access> {
    let path = config.http.tokens.as_ref()?;
    let access = keep(Access::read(path), found)?;
    for (token, flow) in access.named_flows().filter(|(_, name)| !flows.iter().any(|flow| flow.name == **name)) {
        let message = format!("token `{token}` is for the flow `{flow}`, which is not served");
        found.push(Diagnostic::warning("unknown-flow", Place::File(path.display().to_string()), message));
    }
    Some(access)
}

/// The nodes of `domain`.
fn nodes(domain: &DomainName, flows: &[Flow], found: &mut Diagnostics) -> Option<NodesOf> {
    let mut refuse = |code, message: String, help: &str| {
        found.push(Diagnostic::error(code, Place::Argument("DOMAIN".to_owned()), message).help(help));
        None
    };
    let nodes = match NodesOf::find(domain, flows) {
        Ok(nodes) => nodes,
        Err(node) => {
            let message = format!("two flows have a node `{node}` that asks `{domain}` in different ways");
            return refuse("ambiguous-node", message, "rename one of them, or name the file of one flow with --graph");
        }
    };
    if let Some(node) = nodes.names().find(|node| is_reserved(node)) {
        let message = format!("the node `{node}` cannot be served: the service itself answers at `/{node}`");
        return refuse("reserved-path", message, "rename the node");
    }
    if nodes.names().next().is_none() {
        let works = flows.iter().flat_map(|flow| &flow.nodes).map(|node| &node.work);
        let known: BTreeSet<&str> = works
            .filter_map(|work| match work {
                Work::Query(query) if query.query.request().is_none() => Some(query.domain.as_str()),
                _ => None,
            })
            .collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let help = format!("the domains that are queried: {known}");
        return refuse("unknown-domain", format!("no query asks the domain `{domain}`"), &help);
    }
    Some(nodes)
}

/// Refuses requests to domains that are databases.
fn refuse_requests_to_databases(flows: &[Flow], domains: &[DomainConfig], found: &mut Diagnostics) {
    let databases = domains.iter().filter(|domain| domain.connection.protocol == Protocol::Postgres);
    let databases: Vec<&DomainName> = databases.map(|domain| &domain.name).collect();
    for node in flows.iter().flat_map(|flow| &flow.nodes) {
        let Work::Query(query) = &node.work else { continue };
        if query.query.request().is_some() && databases.contains(&&query.domain) {
            let message = format!("a request needs a service, and domain `{}` is a PostgreSQL database", query.domain);
            let help = format!(
                "set `{}URL` to an `https://`, `http://` or `unix:` URL, or write a `query`",
                prefix(&query.domain)
            );
            let error = Diagnostic::error("request-needs-service", &query.query_span, message);
            found.push(error.help(help));
        }
    }
}

/// The configurations of the domains of all flows, or of `only` one. Errors are reported at the first node of the domain.
fn domains(config: &Config, flows: &[Flow], only: Option<&DomainName>, found: &mut Diagnostics) -> Vec<DomainConfig> {
    let mut named: BTreeMap<&DomainName, &Span> = BTreeMap::new();
    let mut inline = BTreeMap::new();
    for flow in flows {
        inline.extend(flow.connections.iter().map(|(name, connection)| (name, connection)));
        for node in &flow.nodes {
            if let Work::Query(query) = &node.work
                && only.is_none_or(|only| *only == query.domain)
            {
                named.entry(&query.domain).or_insert(&node.span);
            }
        }
        for effect in flow.effects.iter().filter(|_| only.is_none()) {
            named.entry(&effect.domain).or_insert(&effect.span);
        }
    }
    if only.is_none() {
        found.extend(config.domain_warnings(named.keys().copied()));
    }
    let mut domains = Vec::new();
    for (name, span) in named {
        match inline.get(name) {
            Some(connection) => domains.push(config.inline_domain(name.clone(), (*connection).clone())),
            None => domains.extend(keep(config.domain(name, Some(span)), found)),
        }
    }
    domains
}
