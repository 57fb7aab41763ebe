//! `GET /openapi.json`: the contract of what is served now, with the types that the databases tell.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;

use super::answering;
use crate::graph::{Catalog, Description, Flow, Work};
use crate::http::openapi::Contract;
use crate::http::{Problem, Release, Service};
use crate::types::{Deadline, FlowName, NodeId};

/// How long the databases may take to say what their columns are; of those that take longer no types are told.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes the contract of the flows that the request may ask.
pub(in crate::http) async fn contract(
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let visible = service.gate.visible(&request, release.flows(), |flow| &flow.flow().name);
    let flows = visible.map_err(|problem| answering(&request, problem))?;
    let columns = Columns::of(&release).await;
    let described: Vec<Option<Flow>> = flows.iter().map(|flow| flow.flow().described(&columns)).collect();
    let is_admin_side = service.admin_side.is(&request);
    let contract = Contract {
        flows: flows.iter().zip(&described).map(|(flow, more)| more.as_ref().unwrap_or(flow.flow())).collect(),
        domains: release.domains().keys().map(|name| name.as_str()).collect(),
        with_admin: is_admin_side && service.has_admin(),
        with_metrics: is_admin_side,
        with_tokens: service.gate.is_closed(),
    };
    Ok(HttpResponse::Ok().json(contract.document()))
}

/// What the databases say of the columns, by flow and node.
struct Columns(HashMap<(FlowName, NodeId), Arc<Description>>);

impl Columns {
    async fn of(release: &Release) -> Self {
        let deadline = Deadline::after(PATIENCE);
        let mut asked = Vec::new();
        for flow in release.flows() {
            for node in &flow.flow().nodes {
                let Work::Query(query) = &node.work else { continue };
                let Some(domain) = release.domains().get(&query.domain) else { continue };
                let name = (flow.flow().name.clone(), node.id.clone());
                asked.push(async move {
                    if let Some(known) = release.descriptions().get(&name) {
                        return Some((name, known));
                    }
                    // Where a database does not say, nothing is said of its columns, and it is asked again the next time.
                    let description = Arc::new(domain.describe(&query.query, deadline).await.ok()?);
                    release.descriptions().keep(name.clone(), Arc::clone(&description));
                    Some((name, description))
                });
            }
        }
        Self(join_all(asked).await.into_iter().flatten().collect())
    }
}

impl Catalog for Columns {
    fn description(&self, flow: &FlowName, node: &NodeId) -> Option<&Description> {
        self.0.get(&(flow.clone(), node.clone())).map(|description| &**description)
    }
}
