//! Examines a domain's database step by step: can it be reached, is the login accepted, does it suit the queries. This is for
//! diagnosis and not part of any decision. It reads catalogues and plans, and executes no query of a graph.
//!
//! No prepared statement outlives its transaction, so the examination works behind a pooler, too.

mod entry;
mod plans;
mod suitability;

use std::time::Duration;

use super::addresses::MAX_ADDRESSES;
use super::connect::Connector;
use super::failure::of_attempt;
use crate::config::DomainConfig;
use crate::graph::Query;
use crate::pool::{Connect, Finding, Verdict};

/// Examines the database of `config` and its queries. A failure ends the examination where later steps depend on it.
pub async fn examine(config: &DomainConfig, queries: &[&Query]) -> Vec<Finding> {
    let mut examination = Examination { config, findings: Vec::new() };
    if examination.reach().await
        && let Some(client) = examination.log_in().await
        && let Err(error) = examination.examine_server(&client, queries).await
    {
        examination.broken(&error);
    }
    examination.findings
}

/// Examines the write role of a domain, as `config` has it ([`DomainConfig::for_writes`]), and the statements of effects that it runs.
/// They are prepared, and not executed.
pub async fn examine_writes(config: &DomainConfig, statements: &[&Query]) -> Vec<Finding> {
    let mut examination = Examination { config, findings: Vec::new() };
    if let Some(client) = examination.log_in().await
        && let Err(error) = examination.may_write(&client, statements).await
    {
        examination.broken(&error);
    }
    examination.findings
}

/// A time limit for the examination of a domain with this number of queries.
pub fn time_limit(config: &DomainConfig, queries: usize) -> Duration {
    let each = config.timeouts.query.saturating_mul(u32::try_from(queries).unwrap_or(u32::MAX).saturating_add(4));
    let hosts = u32::try_from(config.connection.hosts.len()).unwrap_or(u32::MAX);
    let lookups = config.timeouts.connect.saturating_mul(hosts);
    // The connector assumes one address for each host before its first lookup.
    let most = u32::try_from(MAX_ADDRESSES).unwrap_or(u32::MAX);
    let connects = lookups.saturating_add(Connector::new(config).longest_connect()).saturating_mul(most);
    lookups.saturating_add(connects).saturating_add(each)
}

struct Examination<'a> {
    config: &'a DomainConfig,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    fn find(&mut self, step: &'static str, verdict: Verdict, saw: String, remedy: Option<&str>) {
        self.findings.push(Finding { step, verdict, saw, remedy: remedy.map(str::to_owned) });
    }

    fn broken(&mut self, error: &tokio_postgres::Error) {
        let why = of_attempt(error).to_string();
        self.find("catalogues", Verdict::Failure, why, Some("try again: the connection broke off"));
    }

    /// Reports whether the server is as it should be, and otherwise warns with a remedy.
    fn check(&mut self, step: &'static str, is_ok: bool, saw: String, remedy: &str) {
        let (verdict, remedy) = if is_ok { (Verdict::Ok, None) } else { (Verdict::Warning, Some(remedy)) };
        self.find(step, verdict, saw, remedy);
    }

    /// Where a setting is written.
    fn setting(&self, key: &str, part: &str) -> String {
        self.config.origin.of(key, part)
    }
}
