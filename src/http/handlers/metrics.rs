//! `GET /metrics`: what was counted and how things are, in Prometheus' text format.

use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::{Encoder, TextEncoder};

use super::answering;
use crate::actors::domain::{Health, State};
use crate::http::{Problem, Service};
use crate::metrics::{DomainFigures, Gauges, MetricsError, RecordFigures};

/// Everything that was counted, and the figures of this moment.
pub(in crate::http) async fn scrape(
    request: HttpRequest,
    service: web::Data<Service>,
) -> Result<HttpResponse, Problem> {
    if !service.admin_side.is(&request) {
        return Err(answering(&request, Problem::no_such_path(request.path())));
    }
    match text(&service) {
        Ok(text) => Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text)),
        Err(error) => {
            tracing::error!(%error, "no metrics");
            Err(answering(&request, Problem::no_metrics()))
        }
    }
}

fn text(service: &Service) -> Result<Vec<u8>, MetricsError> {
    let release = service.releases.current();
    let healths: Vec<Health> = release.domains().values().map(|domain| domain.health()).collect();
    let domains: Vec<DomainFigures<'_>> = healths.iter().map(figures).collect();
    let gauges = Gauges::new()?;
    let most = service.most_under_way;
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
