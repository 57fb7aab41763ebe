//! `GET /metrics`: counters, histograms and gauges, in Prometheus' text format.

use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::{Encoder, TextEncoder};

use super::gauges::Gauges;
use crate::actors::domain::Health;
use crate::http::endpoint::{Access, Endpoint, Operation, schema};
use crate::http::problem::kinds;
use crate::http::{Problem, Service};
use crate::metrics::MetricsError;

/// Everything that was counted, and gauges that are measured now.
pub(in crate::http) const SCRAPE: Endpoint =
    Endpoint::get("/metrics", |route| route.to(scrape)).documented(Operation {
        id: "metrics",
        summary: "What was counted, for Prometheus",
        access: Access::AdminSide,
        content: &[("text/plain", schema::<String>)],
        problems: &[kinds::INTERNAL],
        ..Operation::PLAIN
    });

async fn scrape(request: HttpRequest, service: web::Data<Service>) -> Result<HttpResponse, Problem> {
    if !service.admin_side.is(&request) {
        return Err(Problem::no_such_path(request.path()));
    }
    match text(&service) {
        Ok(text) => Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text)),
        Err(error) => {
            tracing::error!(%error, "no metrics");
            Err(Problem::no_metrics())
        }
    }
}

fn text(service: &Service) -> Result<Vec<u8>, MetricsError> {
    let release = service.releases.current();
    let domains: Vec<Health> = release.domains().values().map(|domain| domain.health()).collect();
    let gauges = Gauges::new()?;
    let most = service.max_in_flight;
    gauges.decisions(most.saturating_sub(service.coordinator.room()), most)?;
    gauges.domains(&domains)?;
    if let Some(recorder) = &service.recorder {
        gauges.records(&recorder.status())?;
    }
    let mut families = service.metrics.gather();
    families.extend(gauges.gather(&domains));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}
