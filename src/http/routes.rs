//! All endpoints at fixed paths, and their routes.

use std::collections::BTreeMap;

use actix_web::web;

use super::console;
use super::endpoint::{Endpoint, resource};
use super::handlers::{admin, approvals, flows, graph, health, metrics, nodes, openapi, path};
use super::mcp;
use super::middleware::RequestSettings;
use super::openapi::Contract;
use super::problem::Problem;
use super::service::Service;

/// The endpoints of flows.
const OF_FLOWS: &[Endpoint] = &[flows::LIST, graph::PICTURE, approvals::LIST, approvals::ONE, approvals::RESOLVE];

/// The endpoints of nodes, which `tributary domain` has in place of those of flows.
const OF_NODES: &[Endpoint] = &[nodes::DESCRIBE, nodes::ASK];

/// The endpoints of every service, in the order of the document.
const ENDPOINTS: &[Endpoint] = &[
    health::LIVE,
    health::READY,
    health::ALL,
    health::ONE,
    openapi::CONTRACT,
    admin::RESTART,
    admin::RELOAD,
    metrics::SCRAPE,
];

/// The page of the console. `tributary domain` serves it beside the description.
const PAGE: &[Endpoint] = &[console::assets::PAGE];

/// The other endpoints of the console.
const CONSOLE: &[Endpoint] =
    &[console::assets::PART, console::flows::ONE, console::record::TEST, console::events::STREAM];

/// The endpoint of the Model Context Protocol.
const MCP: &[Endpoint] = &[mcp::endpoint::MESSAGE, mcp::endpoint::CHANGES];

/// What follows a flow's path for its other endpoints, and so ends no path of a flow.
pub const RESERVED_ENDINGS: &[&str] = &["batch", "flip", "graph", "what-if"];

/// Whether no flow may have a path that begins with this segment.
pub fn is_reserved(segment: &str) -> bool {
    let paths = [OF_FLOWS, ENDPOINTS, CONSOLE, MCP].into_iter().flatten().flat_map(Endpoint::paths);
    paths.map(first_segment).any(|reserved| reserved == segment && !reserved.is_empty())
}

/// The OpenAPI document of the contract by which a service answers for a domain.
pub fn document_of_domain(contract: &Contract<'_>) -> serde_json::Value {
    contract.document(&[OF_NODES, ENDPOINTS].concat())
}

/// The OpenAPI document of `contract`.
pub fn document(contract: &Contract<'_>) -> serde_json::Value {
    contract.document(&[OF_FLOWS, ENDPOINTS].concat())
}

/// Puts the routes into an application of `service`.
pub fn configure(service: Service, settings: RequestSettings) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        let is_of_domain = service.releases.current().nodes().is_some();
        let endpoints = [if is_of_domain { OF_NODES } else { OF_FLOWS }, ENDPOINTS].concat();
        if let Some(console) = &service.console {
            config.app_data(web::Data::new(console.clone()));
            register(config, CONSOLE);
            if !is_of_domain {
                register(config, PAGE);
            }
        }
        if service.mcp.is_some() && !is_of_domain {
            register(config, MCP);
        }
        // Last, because the path of a node is any path of one segment.
        register(config, &endpoints);
        // A parameter that is not UTF-8 names nothing.
        let no_such_path = |_, request: &actix_web::HttpRequest| Problem::no_such_path(request.path()).into();
        config
            .app_data(web::Data::new(service))
            .app_data(web::Data::new(settings))
            .app_data(web::Data::new(endpoints))
            .app_data(web::PathConfig::default().error_handler(no_such_path))
            .default_service(web::to(path::any));
    }
}

/// Registers `endpoints`. Every request for a flow is compared with all routes first: with a scope by its beginning, with
/// a path that has parameters by a regular expression. So those are put into a scope of their first segment.
fn register(config: &mut web::ServiceConfig, endpoints: &[Endpoint]) {
    let mut segments: BTreeMap<&str, BTreeMap<&str, Vec<&Endpoint>>> = BTreeMap::new();
    for endpoint in endpoints {
        for path in endpoint.paths() {
            segments.entry(first_segment(path)).or_default().entry(path).or_default().push(endpoint);
        }
    }
    for (segment, found) in segments {
        if found.keys().any(|path| path.contains('{')) {
            let prefix = format!("/{segment}");
            let scope = found.iter().fold(web::scope(&prefix), |scope, (path, endpoints)| {
                scope.service(resource(path.strip_prefix(&prefix).unwrap_or_default(), endpoints))
            });
            config.service(scope);
        } else {
            for (path, endpoints) in found {
                config.service(resource(path, &endpoints));
            }
        }
    }
}

fn first_segment(path: &str) -> &str {
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}
