//! `GET /metrics`: counters, histograms and gauges, in Prometheus' text format.

use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::{Encoder, TextEncoder};

use crate::actors::domain::{Health, State};
use crate::http::endpoint::{Access, Endpoint, Operation, schema};
use crate::http::problem::kinds;
use crate::http::{Problem, Service};
use crate::metrics::{DomainFigures, Gauges, MetricsError, RecordFigures};

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
    let healths: Vec<Health> = release.domains().values().map(|domain| domain.health()).collect();
    let domains: Vec<DomainFigures<'_>> = healths.iter().map(figures).collect();
    let gauges = Gauges::new()?;
    let most = service.max_in_flight;
    gauges.decisions(most.saturating_sub(service.coordinator.room()), most)?;
    gauges.domains(&domains)?;
    if let Some(recorder) = &service.recorder {
        let status = recorder.status();
        let counts = [
            ("written", status.written),
            ("dropped", status.dropped),
            ("waited", status.waited),
            ("failed", status.failed),
        ];
        gauges.records(&RecordFigures { counts, queued: status.queued })?;
    }
    let mut families = service.metrics.gather();
    families.extend(gauges.gather(&domains));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}

fn figures(health: &Health) -> DomainFigures<'_> {
    let is_down = matches!(health.state, State::Down { .. });
    DomainFigures {
        domain: health.domain.as_str(),
        state: health.state.name(),
        restarts: health.restarts,
        retry_seconds: health.retry_in.filter(|_| is_down).unwrap_or_default().as_secs_f64(),
        most: health.pool.max,
        open: health.pool.size,
        idle: health.pool.idle,
        waiting: health.pool.waiting,
        timeouts: health.pool.timeouts,
        in_flight: health.in_flight,
        batches: &health.batches.sizes,
        batched: health.batches.queries,
        uncoalesced: health.batches.uncoalesced,
    }
}
