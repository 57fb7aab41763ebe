//! Traces for OpenTelemetry: a thread of the exporter sends spans as OTLP over HTTP.
//!
//! A decision never waits for a collector: a span that has ended goes into a bounded queue, and is dropped if that is full.
//! If the collector does not answer, the log says so at the beginning, once a minute, and at the end.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::trace::{Link, SpanKind, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SamplingResult, SdkTracerProvider, ShouldSample, SpanData,
    SpanExporter,
};
use reqwest_blocking::blocking::Client;
use reqwest_blocking::redirect;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Share, TracesConfig};

/// How often a failure that lasts is logged.
const REMINDER: Duration = Duration::from_secs(60);
/// The paths of probes and scrapes.
const PROBES: [&str; 7] = ["/livez", "/live", "/healthz", "/readyz", "/ready", "/health", "/metrics"];
/// Whose spans are sent.
const OWN: &str = "tributary";

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The client cannot be made.
    #[error("traces: no HTTP client for {endpoint}: {why}; SSL_CERT_FILE names the certificates that are trusted")]
    Client {
        /// Where they were to go.
        endpoint: String,
        /// Why not.
        why: String,
    },
    /// The exporter cannot be made.
    #[error("traces: no exporter for {endpoint}: {why}")]
    Exporter {
        /// Where they were to go.
        endpoint: String,
        /// Why not.
        why: String,
    },
}

/// The exporter of traces.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Starts the thread that sends. Nothing connects before there is a span.
    ///
    /// # Errors
    /// [`TracesError`].
    pub fn start(config: &TracesConfig) -> Result<Self, TracesError> {
        let headers =
            config.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(client(config)?)
            .with_endpoint(&config.endpoint)
            .with_timeout(config.timeout)
            .with_headers(headers)
            .build()
            .map_err(|error| TracesError::Exporter { endpoint: config.endpoint.clone(), why: error.to_string() })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(config.batch.queue)
            .with_max_export_batch_size(config.batch.size.min(config.batch.queue))
            .with_scheduled_delay(config.batch.delay)
            .build();
        let exporter = Logged { exporter, outage: Mutex::default() };
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_sampler(sampler(config))
            .with_resource(resource(config))
            .build();
        Ok(Self { provider })
    }

    /// The layer that makes traces of the spans of this service, whatever is logged. Events are not sent.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let spans = filter_fn(|meta| meta.is_span() && *meta.level() <= Level::DEBUG && meta.target().starts_with(OWN));
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(OWN))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(spans.with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what is left, for at most `limit`.
    pub async fn finish(self, limit: Duration) {
        let finished = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(limit));
        match tokio::time::timeout(limit, finished).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) | Err(_) => tracing::warn!("the last traces were not sent"),
        }
    }
}

/// The client that posts spans. It is made on a thread of its own, because it waits for a runtime of its own.
fn client(config: &TracesConfig) -> Result<Client, TracesError> {
    let refused = |why: String| TracesError::Client { endpoint: config.endpoint.clone(), why };
    let mut roots = RootCertStore::empty();
    // An image may have no certificates, and needs none where TLS is not spoken.
    if config.endpoint.starts_with("https://") {
        let found = rustls_native_certs::load_native_certs();
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            return Err(refused("this machine trusts no certificate".to_owned()));
        }
    }
    let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = Client::builder().timeout(config.timeout).redirect(redirect::Policy::none());
    let made = thread::spawn(move || builder.tls_backend_preconfigured(tls).build());
    let made = made.join().map_err(|_| refused("its thread broke off".to_owned()))?;
    made.map_err(|error| refused(error.to_string()))
}

fn sampler(config: &TracesConfig) -> Box<dyn ShouldSample> {
    let own = Unprobed(match config.share {
        Share::All => Sampler::AlwaysOn,
        Share::None => Sampler::AlwaysOff,
        Share::Ratio(ratio) => Sampler::TraceIdRatioBased(ratio),
    });
    if config.parent_based { Box::new(Sampler::ParentBased(Box::new(own))) } else { Box::new(own) }
}

/// A sampler that omits probes and scrapes, which come every few seconds.
#[derive(Debug, Clone)]
struct Unprobed(Sampler);

impl ShouldSample for Unprobed {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let path = attributes.iter().find(|attribute| attribute.key.as_str() == "url.path");
        if path.is_some_and(|path| PROBES.contains(&&*path.value.as_str())) {
            return Sampler::AlwaysOff.should_sample(parent, trace, name, kind, attributes, links);
        }
        self.0.should_sample(parent, trace, name, kind, attributes, links)
    }
}

fn resource(config: &TracesConfig) -> Resource {
    let given = config.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()))
        .with_attributes(given)
        .with_service_name(config.service_name.clone())
        .build()
}

/// An exporter whose failures are logged, but not each of them.
struct Logged<E> {
    exporter: E,
    outage: Mutex<Outage>,
}

/// Shows no header of the exporter.
impl<E> fmt::Debug for Logged<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logged").finish_non_exhaustive()
    }
}

/// The spans lost since sending began to fail, and when that was last logged.
#[derive(Debug, Default)]
struct Outage {
    logged: Option<Instant>,
    lost: usize,
}

/// What is to be logged.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Nothing,
    Lost(usize),
    Over(usize),
}

impl Outage {
    fn after(&mut self, spans: usize, sent: bool, now: Instant) -> News {
        if sent {
            let was = self.logged.take();
            let lost = std::mem::take(&mut self.lost);
            return if was.is_some() { News::Over(lost) } else { News::Nothing };
        }
        self.lost += spans;
        if self.logged.is_some_and(|logged| now.duration_since(logged) < REMINDER) {
            return News::Nothing;
        }
        self.logged = Some(now);
        News::Lost(self.lost)
    }
}

impl<E: SpanExporter> SpanExporter for Logged<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        let news =
            self.outage.lock().unwrap_or_else(PoisonError::into_inner).after(spans, result.is_ok(), Instant::now());
        match (news, &result) {
            (News::Lost(lost), Err(error)) => {
                tracing::warn!(%error, spans.lost = lost, "traces cannot be sent; decisions are made as ever");
            }
            (News::Over(lost), _) => tracing::info!(spans.lost = lost, "traces are sent again"),
            (News::Lost(_) | News::Nothing, _) => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_logged_when_it_begins_once_a_minute_and_when_it_ends() {
        let (mut outage, begun) = (Outage::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert_eq!(outage.after(5, true, at(0)), News::Nothing);
        assert_eq!(outage.after(5, false, at(1)), News::Lost(5));
        for second in 2..61 {
            assert_eq!(outage.after(5, false, at(second)), News::Nothing);
        }
        assert_eq!(outage.after(5, false, at(61)), News::Lost(305));
        assert_eq!(outage.after(5, true, at(62)), News::Over(305));
        assert_eq!(outage.after(5, true, at(63)), News::Nothing);
        assert_eq!(outage.after(1, false, at(64)), News::Lost(1));
    }
}
