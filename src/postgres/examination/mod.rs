//! A domain's database, examined step by step as whoever sets it up would: is it there, does it let us in, does it suit the
//! queries. For people who ask, never on a decision's way; it reads catalogues and plans, and runs no query of a graph.
//!
//! Nothing is prepared under a name that outlives its transaction, so that it works behind a pooler as well.

mod entry;
mod plans;
mod suitability;

use std::time::Duration;

use serde::Serialize;

use super::addresses::MAX_ADDRESSES;
use super::connect::Connector;
use super::failure::ConnectError;
use crate::config::DomainConfig;
use crate::graph::Query;

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may be better.
    Warning,
    /// It does not work.
    Failure,
}

/// What a step found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The step.
    pub step: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// What was seen.
    pub saw: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Examines the database of `config` and these queries of it. A step that fails ends the examination where the next
/// ones need it.
pub async fn examine(config: &DomainConfig, queries: &[&Query]) -> Vec<Finding> {
    let mut examination = Examination { config, findings: Vec::new() };
    if examination.resolve().await
        && examination.reach().await
        && let Some(client) = examination.log_in().await
    {
        let outcome = examination.look(&client, queries).await;
        if let Err(error) = outcome {
            let why = ConnectError::of(&error).to_string();
            examination.find("catalogues", Verdict::Failure, why, Some("try again: the connection broke off"));
        }
    }
    examination.findings
}

/// The longest that examining a domain with so many queries should take.
pub fn patience(config: &DomainConfig, queries: usize) -> Duration {
    let each = config.timeouts.query.saturating_mul(u32::try_from(queries).unwrap_or(u32::MAX).saturating_add(4));
    let hosts = u32::try_from(config.connection.hosts.len()).unwrap_or(u32::MAX);
    let found = config.timeouts.connect.saturating_mul(hosts);
    // Each host has one address until it is looked up.
    let most = u32::try_from(MAX_ADDRESSES).unwrap_or(u32::MAX);
    let reached = found.saturating_add(Connector::new(config).patience()).saturating_mul(most);
    found.saturating_add(reached).saturating_add(each)
}

struct Examination<'a> {
    config: &'a DomainConfig,
    findings: Vec<Finding>,
}

impl Examination<'_> {
    fn find(&mut self, step: &'static str, verdict: Verdict, saw: String, remedy: Option<&str>) {
        self.findings.push(Finding { step, verdict, saw, remedy: remedy.map(str::to_owned) });
    }

    /// Where a setting is written.
    fn setting(&self, key: &str, part: &str) -> String {
        self.config.origin.of(key, part)
    }
}
