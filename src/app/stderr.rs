//! Standard error beside the log, in the format of the log: text, or a JSON object for each line.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::config::LogFormat;
use crate::diagnostics::{Diagnostics, Style, covered, render_json, render_text};

/// Whether lines are JSON: known before the log starts, so that no line is written in another form.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From now on lines have this format.
pub(super) fn expect(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Whether lines are JSON.
pub fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// The style of text for `stream`: coloured on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn style(stream: &impl IsTerminal) -> Style {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stream.is_terminal() && !refused { Style::Coloured } else { Style::Plain }
}

/// Writes an error.
///
/// # Errors
/// Those of standard error.
pub fn error(message: &str) -> std::io::Result<()> {
    let message = covered(message);
    if is_json() {
        line("ERROR", json!({ "message": message }))
    } else {
        writeln!(std::io::stderr(), "error: {message}")
    }
}

/// Writes diagnostics; `summary` ends their text.
pub(super) fn diagnostics(found: &Diagnostics, summary: &str) -> std::io::Result<()> {
    if !is_json() {
        let mut stderr = std::io::stderr().lock();
        let style = style(&stderr);
        return writeln!(stderr, "{}\n\n{summary}", render_text(found, style));
    }
    let mut document: Json = serde_json::from_str(&render_json(found)).unwrap_or_default();
    let each = document.get_mut("diagnostics").and_then(Json::as_array_mut).map(std::mem::take).unwrap_or_default();
    each.into_iter().try_for_each(|diagnostic| {
        let is_warning = diagnostic.get("severity").is_some_and(|severity| severity == "warning");
        line(if is_warning { "WARN" } else { "ERROR" }, diagnostic)
    })
}

/// A line as the log writes them.
fn line(level: &str, fields: Json) -> std::io::Result<()> {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), json!(Timestamp::now().to_string()));
    line.insert("level".to_owned(), json!(level));
    if let Json::Object(fields) = fields {
        line.extend(fields.into_iter().filter(|(name, _)| name != "severity"));
    }
    writeln!(std::io::stderr(), "{}", Json::Object(line))
}
