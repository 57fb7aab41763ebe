//! Logs: tracing events to standard error, as text or JSON. Standard output has only the result of a command. And traces, where
//! they are configured (`traces`).

use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::stderr::style;
use super::traces::Traces;
use crate::config::{LogConfig, LogFormat};
use crate::diagnostics::Style;
use crate::postgres::NOTICES;

/// What the events of the SDK of the Model Context Protocol are called.
const PROTOCOL: &str = "rmcp";

/// Starts logging: what `log.filter` lets through, or `usual` where there is none, in the words of `RUST_LOG` (`info`,
/// `tributary=debug,warn`); and makes traces, where there are some. Without traces there is no layer for them, and no span that the log does not ask for.
///
/// # Errors
/// Why the filter is not one. A second call in one process changes nothing.
pub fn start(log: &LogConfig, usual: &str, traces: Option<&Traces>) -> Result<(), ParseError> {
    let mut filter = EnvFilter::builder().parse(log.filter.as_deref().unwrap_or(usual))?;
    if !log.filter.as_deref().is_some_and(|filter| filter.contains(NOTICES)) {
        // They may hold rows, so a level for everything does not include them.
        filter = filter.add_directive(format!("{NOTICES}=off").parse()?);
    }
    if !log.filter.as_deref().is_some_and(|filter| filter.contains(PROTOCOL)) {
        // It tells of each request, and at the level DEBUG what the request and its answer hold.
        filter = filter.add_directive(format!("{PROTOCOL}=error").parse()?);
    }
    let is_detailed = filter.max_level_hint().is_none_or(|most| most > LevelFilter::INFO);
    let registry = tracing_subscriber::registry();
    let started = match traces {
        None => registry.with(filter).with(lines(log.format, is_detailed)).try_init(),
        Some(traces) => {
            registry.with(lines(log.format, is_detailed).with_filter(filter)).with(traces.layer()).try_init()
        }
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// A line for each event. JSON names its innermost span; where there may be spans within that of the request, it names all.
fn lines<S>(format: LogFormat, is_detailed: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let stderr = std::io::stderr();
    let is_coloured = style(&stderr) == Style::Coloured;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => lines.with_ansi(is_coloured).with_target(false).with_span_events(FmtSpan::NONE).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(is_detailed).boxed(),
    }
}
