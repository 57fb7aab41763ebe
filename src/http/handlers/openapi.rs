//! `GET /openapi.json`: the contract of what is served now, with the column types that the databases report.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;

use crate::graph::{Flow, Work};
use crate::http::endpoint::{Access, Endpoint, Operation, schema};
use crate::http::openapi::Contract;
use crate::http::release::TypedFlow;
use crate::http::{Problem, Release, Service};
use crate::types::Deadline;

/// How long the databases may take to describe their columns. Those of a slower one have no types.
const DESCRIPTION_LIMIT: Duration = Duration::from_secs(2);

/// Writes the contract of the flows that the request may ask.
pub(in crate::http) const CONTRACT: Endpoint =
    Endpoint::get("/openapi.json", |route| route.to(contract)).documented(Operation {
        id: "contract",
        summary: "This document",
        access: Access::Caller,
        content: &[("application/json", schema::<serde_json::Map<String, serde_json::Value>>)],
        ..Operation::PLAIN
    });

async fn contract(
    request: HttpRequest,
    service: web::Data<Service>,
    endpoints: web::Data<Vec<Endpoint>>,
) -> Result<HttpResponse, Problem> {
    let release = service.releases.current();
    let visible = service.gate.visible(&request, release.flows(), |flow| &flow.flow().name)?;
    let typed = join_all(visible.iter().map(|flow| typed(&release, flow.flow()))).await;
    let is_admin_side = service.admin_side.is(&request);
    let contract = Contract {
        flows: visible.iter().zip(&typed).map(|(flow, typed)| typed.flow_or(flow.flow())).collect(),
        domains: release.domains().keys().map(|name| name.as_str()).collect(),
        with_admin: is_admin_side && service.has_admin(),
        with_metrics: is_admin_side,
        with_tokens: service.gate.is_closed(),
    };
    Ok(HttpResponse::Ok().json(contract.document(&endpoints)))
}

/// The flow with the types of its columns. A database is asked until it has described them once.
async fn typed(release: &Release, flow: &Flow) -> Arc<TypedFlow> {
    let known = release.typed(flow);
    let deadline = Deadline::after(DESCRIPTION_LIMIT);
    let asked = flow.nodes.iter().filter(|node| !known.describes(&node.id)).filter_map(|node| {
        let Work::Query(query) = &node.work else { return None };
        if query.query.request().is_some() {
            return None;
        }
        let domain = release.domains().get(&query.domain)?;
        Some(async move { Some((node.id.clone(), domain.describe(&query.query, deadline).await.ok()?)) })
    });
    let described: Vec<_> = join_all(asked).await.into_iter().flatten().collect();
    if described.is_empty() { known } else { release.describe(flow, described) }
}
