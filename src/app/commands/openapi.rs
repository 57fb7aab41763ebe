//! `tributary openapi`: the contract of the flows, without databases and without serving.

use std::collections::BTreeSet;
use std::io::Write;

use super::{Exit, offline_flows};
use crate::app::cli::{Format, Openapi as Arguments};
use crate::graph::Work;
use crate::http::document;
use crate::http::openapi::Contract;

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Some((flows, ..)) = offline_flows(arguments.files.sources(None), Format::Text)? else {
        return Ok(Exit::Refused);
    };
    let domains: BTreeSet<&str> = flows
        .iter()
        .flat_map(|flow| &flow.nodes)
        .filter_map(|node| match &node.work {
            Work::Query(query) => Some(query.domain.as_str()),
            Work::Rules(_) => None,
        })
        .collect();
    // Whether there will be an admin token is not known here, so the admin endpoints are included.
    let contract = Contract {
        flows: flows.iter().collect(),
        domains: domains.into_iter().collect(),
        with_admin: true,
        with_metrics: true,
        with_tokens: false,
    };
    writeln!(std::io::stdout(), "{:#}", document(&contract))?;
    Ok(Exit::Success)
}
