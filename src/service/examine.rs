//! Examines the service of a domain: can it be reached, does it accept the token, does it answer for the nodes of the graph.

use super::connect::Connector;
use crate::config::DomainConfig;
use crate::graph::Query;
use crate::pool::{ConnectError, Connected, Finding, Verdict, tls};

/// Examines the service of `config`, which answers `queries`. It asks for the description only.
pub async fn examine(config: &DomainConfig, queries: &[&Query]) -> Vec<Finding> {
    let connector = Connector::new(config);
    let found = |step, verdict, saw: String, remedy: Option<String>| Finding { step, verdict, saw, remedy };
    let setting = config.origin.of("URL", "URL");
    let mut connection = match connector.dial_in_time().await {
        Ok(connection) => connection,
        Err(error) => {
            let saw = ConnectError::unreachable(&*error).to_string();
            let is_tls = tls::explain(&*error).is_some();
            let remedy = if is_tls {
                tls::remedy(&*error, &config.origin)
            } else {
                format!("start the service, or correct {setting}")
            };
            return vec![found("connect", Verdict::Failure, saw, Some(remedy))];
        }
    };
    let mut findings = vec![found("connect", Verdict::Ok, "the service listens".to_owned(), None)];
    match connection.check(config.timeouts.probe).await {
        Ok(latency) => {
            let saw = format!("the service answered in {:.1} ms", latency.as_secs_f64() * 1_000.0);
            findings.push(found("answer", Verdict::Ok, saw, None));
        }
        Err(error) => {
            let remedy = match &error {
                ConnectError::Refused { .. } => format!("check {}", config.origin.of_token()),
                _ => "look into the log of the service".to_owned(),
            };
            findings.push(found("answer", Verdict::Failure, error.to_string(), Some(remedy)));
            return findings;
        }
    }
    let description = connection.description();
    // A request of a REST interface has no description.
    let asked = queries.iter().filter(|query| query.request().is_none()).map(|query| query.node().as_str());
    let asked: Vec<&str> = asked.collect();
    if asked.is_empty() {
        return findings;
    }
    let is_known = |node: &&str| {
        let described = description.as_ref().and_then(|description| description.nodes.get(*node));
        described.is_some_and(|described| described.error.is_none())
    };
    let missing: Vec<&str> = asked.iter().copied().filter(|node| !is_known(node)).collect();
    findings.push(if missing.is_empty() {
        found("nodes", Verdict::Ok, format!("it answers for {}", asked.join(", ")), None)
    } else {
        let remedy = "serve the same graph there (`tributary domain`), or a service that implements the contract";
        found(
            "nodes",
            Verdict::Failure,
            format!("it does not answer for {}", missing.join(", ")),
            Some(remedy.to_owned()),
        )
    });
    findings
}
