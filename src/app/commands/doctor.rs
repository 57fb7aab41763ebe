//! `tributary doctor`: examines the server of each domain step by step, with a remedy for each finding.

use std::io::Write;

use serde_json::json;
use tokio::time::timeout;

use super::{Exit, load, plural, with_diagnostics};
use crate::app::cli::{Doctor, Format};
use crate::config::{DomainConfig, Protocol};
use crate::diagnostics::Diagnostics;
use crate::graph::{Effect, Flow, Query, Work};
use crate::pool::{Finding, Verdict};
use crate::postgres::{EffectStatements, examination};
use crate::service;

pub(super) async fn execute(arguments: Doctor) -> anyhow::Result<Exit> {
    let Some((project, warnings)) = load(&arguments.files, arguments.format)? else { return Ok(Exit::Refused) };
    let mut all: Vec<(String, Vec<Finding>)> = Vec::new();
    for domain in &project.domains {
        let queries = queries_of(domain, &project.flows);
        let mut findings = match domain.connection.protocol {
            Protocol::Postgres => in_time(domain, queries.len(), examination::examine(domain, &queries)).await,
            Protocol::Http { .. } => service::examine(domain, &queries).await,
        };
        findings.extend(examine_writes(domain, &project.flows).await);
        all.push((domain.name.to_string(), findings));
    }
    print(&all, &warnings, arguments.format)?;
    let worst = all.iter().flat_map(|(_, findings)| findings).map(|finding| finding.verdict).max();
    let reached =
        all.iter().all(|(_, findings)| findings.iter().any(|finding| matches!(finding.step, "version" | "answer")));
    Ok(match worst {
        Some(Verdict::Failure) if !reached => Exit::Unreachable,
        Some(Verdict::Failure) => Exit::Refused,
        _ => Exit::Success,
    })
}

/// What the write role of a domain may do, where effects write to it.
async fn examine_writes(domain: &DomainConfig, flows: &[Flow]) -> Vec<Finding> {
    let effects: Vec<&Effect> =
        flows.iter().flat_map(|flow| &flow.effects).filter(|effect| effect.domain == domain.name).collect();
    let (Some(config), Some(first)) = (domain.for_writes(), effects.first()) else { return Vec::new() };
    let tables = EffectStatements::new(&first.name);
    let statements = effects.iter().flat_map(|effect| &effect.statements).map(|statement| statement.query.as_ref());
    let statements: Vec<&Query> = statements.chain(tables.of_tables()).collect();
    in_time(&config, statements.len(), examination::examine_writes(&config, &statements)).await
}

async fn in_time(
    config: &DomainConfig,
    queries: usize,
    examination: impl Future<Output = Vec<Finding>>,
) -> Vec<Finding> {
    let limit = examination::time_limit(config, queries);
    timeout(limit, examination).await.unwrap_or_else(|_| {
        let saw = format!("not done within {} s", limit.as_secs());
        vec![Finding { step: "examination", verdict: Verdict::Failure, saw, remedy: None }]
    })
}

fn queries_of<'a>(domain: &DomainConfig, flows: &'a [Flow]) -> Vec<&'a Query> {
    let works = flows.iter().flat_map(|flow| &flow.nodes).map(|node| &node.work);
    let queries = works.filter_map(|work| match work {
        Work::Query(query) if query.domain == domain.name => Some(query.query.as_ref()),
        _ => None,
    });
    queries.collect()
}

fn print(all: &[(String, Vec<Finding>)], warnings: &Diagnostics, format: Format) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if format == Format::Json {
        let domains: serde_json::Map<_, _> =
            all.iter().map(|(domain, findings)| (domain.clone(), json!(findings))).collect();
        return writeln!(stdout, "{}", with_diagnostics(json!({ "domains": domains }), warnings));
    }
    let (mut warnings, mut failures) = (0, 0);
    for (domain, findings) in all {
        writeln!(stdout, "{domain}")?;
        for finding in findings {
            let mark = match finding.verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warning => "warn",
                Verdict::Failure => "FAIL",
            };
            writeln!(stdout, "  {mark}  {:<8}  {}", finding.step, finding.saw)?;
            if let Some(remedy) = &finding.remedy {
                writeln!(stdout, "                  -> {remedy}")?;
            }
            warnings += usize::from(finding.verdict == Verdict::Warning);
            failures += usize::from(finding.verdict == Verdict::Failure);
        }
    }
    let domains = plural(all.len(), "domain");
    writeln!(stdout, "\n{domains}, {}, {}", plural(failures, "failure"), plural(warnings, "warning"))
}
