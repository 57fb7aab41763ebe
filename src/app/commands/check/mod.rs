//! `tributary check`: reports all errors that can be found before the first request.

mod effects;

use std::collections::HashMap;
use std::io::Write;
use std::time::Duration;

use super::{Exit, counted, plural};
use crate::actors::domain::DomainHandle;
use crate::actors::supervision::DomainSet;
use crate::app::cli::{Check, Format};
use crate::app::project::{Project, Sources};
use crate::app::stderr::style;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, render_json, render_text};
use crate::flow::{QueryError, QueryErrorKind};
use crate::graph::{Catalog, Description, Work};
use crate::types::{Deadline, FlowName, NodeId};

pub(super) async fn execute(arguments: Check) -> anyhow::Result<Exit> {
    let Some(sources) = super::sources(&arguments.files, None, arguments.format)? else { return Ok(Exit::Refused) };
    loop {
        let exit = check(&arguments, &sources).await?;
        // A database that is away for a while has not drifted.
        let goes_on = matches!(exit, Exit::Success | Exit::Unreachable);
        match arguments.watch.filter(|_| goes_on) {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => return Ok(exit),
        }
    }
}

/// One round.
async fn check(arguments: &Check, sources: &Sources) -> anyhow::Result<Exit> {
    let (mut found, unreachable, summary) = match Project::load(sources, None) {
        Err(found) => (found, false, None),
        Ok((project, warnings)) if !arguments.db => (warnings, false, Some(summary(&project))),
        Ok((project, warnings)) => {
            let summary = summary(&project);
            let (found, unreachable) = check_databases(project, warnings, sources).await?;
            (found, unreachable, Some(summary))
        }
    };
    found.sort();
    print(&found, arguments.format, summary)?;
    Ok(match (found.has_errors(), unreachable) {
        (_, true) => Exit::Unreachable,
        (true, false) => Exit::Refused,
        (false, false) => Exit::Success,
    })
}

/// "1 flow, 6 nodes, 4 domains".
fn summary(project: &Project) -> String {
    let nodes: usize = project.flows.iter().map(|flow| flow.nodes.len()).sum();
    let counts = [(project.flows.len(), "flow"), (nodes, "node"), (project.domains.len(), "domain")];
    counts.map(|(count, word)| plural(count, word)).join(", ")
}

fn print(found: &Diagnostics, format: Format, summary: Option<String>) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        Format::Json => writeln!(stdout, "{}", render_json(found)),
        Format::Text => {
            let style = style(&stdout);
            if !found.is_empty() {
                writeln!(stdout, "{}\n", render_text(found, style))?;
            }
            match summary {
                Some(summary) if found.is_empty() => writeln!(stdout, "ok: {summary}"),
                Some(summary) if !found.has_errors() => writeln!(stdout, "ok: {summary}, {}", counted(found)),
                _ => writeln!(stdout, "{}", counted(found)),
            }
        }
    }
}

/// The databases' descriptions of the queries, by flow and node.
#[derive(Default)]
struct Described {
    queries: HashMap<(FlowName, NodeId), Description>,
    /// By flow, effect and position.
    statements: HashMap<(FlowName, NodeId, usize), Description>,
}

impl Catalog for Described {
    fn description(&self, flow: &FlowName, node: &NodeId) -> Option<&Description> {
        self.queries.get(&(flow.clone(), node.clone()))
    }

    fn statement(&self, flow: &FlowName, effect: &NodeId, position: usize) -> Option<&Description> {
        self.statements.get(&(flow.clone(), effect.clone(), position))
    }
}

/// Prepares every query on its database, and checks the files again with the descriptions. The second result: whether a
/// database could not be reached.
async fn check_databases(
    project: Project,
    warnings: Diagnostics,
    sources: &Sources,
) -> anyhow::Result<(Diagnostics, bool)> {
    let Project { flows, domains, config, .. } = project;
    let domains = DomainSet::start(domains)?;
    let handles = domains.handles();
    let mut described = Described::default();
    let mut found = Diagnostics::new();
    let mut unreachable = false;
    for flow in &flows {
        for node in &flow.nodes {
            let Work::Query(query) = &node.work else { continue };
            if query.query.request().is_some() {
                // It declares its types itself.
                continue;
            }
            let Some(domain) = handles.get(&query.domain) else { continue };
            match domain.describe(&query.query, Deadline::after(config.http.request_timeout)).await {
                Ok(description) => {
                    described.queries.insert((flow.name.clone(), node.id.clone()), description);
                }
                Err(error) => {
                    let diagnostic = refusal(&error, &query.query_span);
                    unreachable |= diagnostic.code == UNREACHABLE;
                    found.push(diagnostic);
                }
            }
        }
    }
    for flow in &flows {
        let domain = flow.effects.first().and_then(|effect| handles.get(&effect.domain));
        if let Some(writer) = domain.and_then(DomainHandle::writer) {
            let limit = config.http.request_timeout;
            let effects = effects::Check { flow, writer: &writer, limit, described: &mut described, found: &mut found };
            unreachable |= effects.run().await;
        }
    }
    domains.drain(config.http.drain_timeout).await;
    match Project::load(sources, Some(&described)) {
        Ok((_, again)) | Err(again) => found.extend(again),
    }
    found.extend(warnings);
    Ok((found, unreachable))
}

const UNREACHABLE: &str = "database-unreachable";

/// The diagnostic for an error of a query.
fn refusal(error: &QueryError, query: &crate::diagnostics::Span) -> Diagnostic {
    let domain = error.domain.as_str();
    match &error.kind {
        QueryErrorKind::Sql { sqlstate, detail } => {
            let (code, help) = match sqlstate.as_str() {
                "42P01" => ("missing-table", "create the table, or name the one that is there"),
                "42703" => ("missing-column", "name a column that the table has"),
                "42501" => ("missing-permission", "grant SELECT to the role that the domain connects as"),
                _ => ("query-refused", "mend the query, or the database"),
            };
            let message = format!("domain `{domain}` refuses the query: {detail}");
            Diagnostic::error(code, query, message).label(format!("SQLSTATE {sqlstate}")).help(help)
        }
        QueryErrorKind::Column { .. } | QueryErrorKind::Parameter { .. } | QueryErrorKind::ParameterCount { .. } => {
            Diagnostic::error("unmappable-query", query, error.to_string())
        }
        QueryErrorKind::Request { .. } | QueryErrorKind::Answer { .. } => {
            Diagnostic::error("service-disagrees", query, error.to_string())
        }
        outage => {
            let message = format!("the database could not be asked: {outage}");
            Diagnostic::error(UNREACHABLE, Place::Database(domain.to_owned()), message)
                .help("this says nothing about the graph; check again when the database answers")
        }
    }
}
