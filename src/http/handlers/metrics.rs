//! `GET /metrics`: counters, histograms and gauges, in Prometheus' text format.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::join_all;
use prometheus::{Encoder, TextEncoder};

use super::gauges::Gauges;
use crate::actors::domain::Health;
use crate::http::endpoint::{Access, Endpoint, Operation, schema};
use crate::http::problem::kinds;
use crate::http::{Problem, Release, Service};
use crate::metrics::MetricsError;
use crate::types::Deadline;

/// How long a scrape waits for the databases in which approvals wait.
const LONGEST: Duration = Duration::from_secs(1);

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
    let release = service.releases.current();
    match text(&service, &release, &waiting(&release).await) {
        Ok(text) => Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text)),
        Err(error) => {
            tracing::error!(%error, "no metrics");
            Err(Problem::no_metrics())
        }
    }
}

/// The approvals that wait, of each flow that has some at times and whose database answers.
async fn waiting(release: &Release) -> Vec<(&str, (f64, f64))> {
    let deadline = Deadline::after(LONGEST);
    let flows = release.flows().into_iter().filter_map(|flow| Some((flow.flow(), flow.effects()?)));
    let flows = flows.filter(|(flow, effects)| {
        effects.may_write() && flow.outcomes.iter().any(|outcome| outcome.approval.is_some())
    });
    let counted = flows.map(async |(flow, effects)| {
        let waiting = effects.waiting(flow.name.as_str(), deadline).await;
        let waiting = waiting.inspect_err(|error| tracing::debug!(flow = %flow.name, %error, "approvals.uncounted"));
        Some((flow.name.as_str(), waiting.ok()?))
    });
    join_all(counted).await.into_iter().flatten().collect()
}

fn text(service: &Service, release: &Release, waiting: &[(&str, (f64, f64))]) -> Result<Vec<u8>, MetricsError> {
    let domains: Vec<Health> = release.domains().values().map(|domain| domain.health()).collect();
    let gauges = Gauges::new()?;
    let most = service.max_in_flight;
    gauges.decisions(most.saturating_sub(service.coordinator.room()), most)?;
    gauges.domains(&domains)?;
    gauges.approvals(waiting)?;
    if let Some(recorder) = &service.recorder {
        gauges.records(&recorder.status())?;
    }
    let mut families = service.metrics.gather();
    families.extend(gauges.gather(&domains));
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(text)
}
