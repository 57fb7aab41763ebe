//! Diagnostics as text with carets, or as JSON for editors.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet as Excerpt};
use serde_json::{Value as Json, json};

use super::diagnostic::{Diagnostic, Diagnostics, Place, Severity};
use super::secrets::covered;
use super::source::Span;

/// Whether the text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Coloured,
    /// For a pipe or a file.
    Plain,
}

/// The most diagnostics in a text. If there are more, errors come first.
const MOST_SHOWN: usize = 100;

/// All of them as text, each with its source line and a caret, separated by blank lines.
pub fn render_text(diagnostics: &Diagnostics, style: Style) -> String {
    let renderer = match style {
        Style::Coloured => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let mut shown: Vec<&Diagnostic> = diagnostics.iter().collect();
    if shown.len() > MOST_SHOWN {
        shown.sort_by_key(|diagnostic| diagnostic.severity);
    }
    let left_out = shown.len().saturating_sub(MOST_SHOWN);
    let mut rendered: Vec<String> =
        shown.into_iter().take(MOST_SHOWN).map(|diagnostic| render_one(diagnostic, &renderer)).collect();
    rendered.extend((left_out > 0).then(|| format!("and {left_out} more")));
    rendered.join("\n\n")
}

fn render_one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = match &diagnostic.place {
        Place::Span(_) => covered(&diagnostic.message),
        place => covered(&format!("{}: {}", describe(place), diagnostic.message)),
    };
    let mut group = Group::with_title(level.primary_title(title).id(diagnostic.code));
    for excerpt in excerpts(diagnostic) {
        group = group.element(excerpt);
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(covered(help)));
    }
    renderer.render(&[group])
}

/// One excerpt for each file, the diagnostic's own file first.
fn excerpts(diagnostic: &Diagnostic) -> Vec<Excerpt<'_, annotate_snippets::Annotation<'_>>> {
    let mut spans: Vec<(&Span, &str, AnnotationKind)> = Vec::new();
    if let Place::Span(span) = &diagnostic.place {
        spans.push((span, diagnostic.label.as_deref().unwrap_or(""), AnnotationKind::Primary));
    }
    spans.extend(diagnostic.related.iter().map(|(span, label)| (span, label.as_str(), AnnotationKind::Context)));
    let mut files: Vec<&str> = Vec::new();
    for (span, ..) in &spans {
        if !files.contains(&span.source().name()) {
            files.push(span.source().name());
        }
    }
    let excerpt = |file: &str| {
        let mut inside = spans.iter().filter(|(span, ..)| span.source().name() == file).peekable();
        let source = inside.peek().map(|(span, ..)| span.source())?;
        let excerpt = Excerpt::source(source.shown()).path(source.name()).fold(true);
        Some(excerpt.annotations(inside.map(|(span, label, kind)| kind.span(span.range()).label(*label))))
    };
    files.into_iter().filter_map(excerpt).collect()
}

fn describe(place: &Place) -> String {
    match place {
        Place::Span(span) => span.to_string(),
        Place::File(name) => name.clone(),
        Place::Variable(name) => format!("environment variable {name}"),
        Place::Argument(name) => format!("argument {name}"),
        Place::Database(name) => format!("database {name}"),
    }
}

/// All of them as one JSON document: `{"errors": n, "warnings": n, "diagnostics": [..]}`.
pub fn render_json(diagnostics: &Diagnostics) -> String {
    let (errors, warnings) = diagnostics.counts();
    let diagnostics: Vec<Json> = diagnostics.iter().map(for_editors).collect();
    format!("{:#}", json!({ "errors": errors, "warnings": warnings, "diagnostics": diagnostics }))
}

/// A diagnostic for editors: lines and columns from 1, columns in characters, ends exclusive.
fn for_editors(diagnostic: &Diagnostic) -> Json {
    let Diagnostic { severity, code, message, place, label, help, related, .. } = diagnostic;
    let place = match place {
        Place::Span(span) => json_span(span),
        Place::File(file) => json!({ "file": covered(file) }),
        Place::Variable(variable) => json!({ "variable": variable }),
        Place::Argument(argument) => json!({ "argument": argument }),
        Place::Database(database) => json!({ "database": database }),
    };
    let label = label.as_ref().map(|label| json!({ "label": label }));
    let help = help.as_ref().map(|help| json!({ "help": covered(help) }));
    let related = related.iter().map(|(span, message)| merged([json_span(span), json!({ "message": message })]));
    let related: Vec<Json> = related.collect();
    let related = (!related.is_empty()).then(|| json!({ "related": related }));
    let head = json!({ "severity": severity, "code": code, "message": covered(message) });
    merged([head, place].into_iter().chain(label).chain(help).chain(related))
}

fn json_span(span: &Span) -> Json {
    let (source, range) = (span.source(), span.range());
    json!({ "file": source.name(), "start": source.position(range.start), "end": source.position(range.end) })
}

/// One object with the fields of all.
fn merged(objects: impl IntoIterator<Item = Json>) -> Json {
    let fields = objects.into_iter().filter_map(|object| match object {
        Json::Object(fields) => Some(fields),
        _ => None,
    });
    Json::Object(fields.flatten().collect())
}

/// Plain text with source lines and carets.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render_text(self, Style::Plain))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::super::Source;
    use super::*;

    #[test]
    fn text_shows_the_place_the_caret_and_the_remedy() {
        let source = Source::new("rules/a.grl", "rule \"A\" {\n    when lead_tme > 3\n    then x = 1;\n}\n");
        let at = source.text().find("lead_tme").unwrap();
        let diagnostic = Diagnostic::error("unknown-fact", source.span(at..at + 8), "there is no fact `lead_tme`")
            .label("not a fact")
            .help("did you mean `lead_time`?");
        let text = render_text(&diagnostic.into(), Style::Plain);
        assert!(text.contains("error[unknown-fact]: there is no fact `lead_tme`"), "{text}");
        assert!(text.contains("rules/a.grl:2:10"), "{text}");
        assert!(text.contains("^^^^^^^^ not a fact"), "{text}");
        assert!(text.contains("help: did you mean `lead_time`?"), "{text}");
    }

    #[test]
    fn of_very_many_the_errors_come_first_and_the_rest_is_counted() {
        let source = Source::new("a.grl", "x\n");
        let mut found: Diagnostics =
            (0..150).map(|number| Diagnostic::warning("w", source.span(0..1), format!("warned {number}"))).collect();
        found.push(Diagnostic::error("e", source.span(0..1), "broken"));
        let text = render_text(&found, Style::Plain);
        assert!(text.starts_with("error[e]: broken") && text.ends_with("and 51 more"), "{text}");
    }

    #[test]
    fn json_has_positions_an_editor_can_use() {
        let source = Source::new("graph.yaml", "nodes:\n  größe: 1\n");
        let diagnostic = Diagnostic::error("unknown-key", source.span(9..16), "unknown key");
        let json: serde_json::Value = serde_json::from_str(&render_json(&diagnostic.into())).unwrap();
        let place = &json["diagnostics"][0];
        assert_eq!(place["file"], "graph.yaml");
        assert_eq!(place["start"]["line"].to_string(), "2");
        assert_eq!(place["start"]["column"].to_string(), "3");
        assert_eq!(place["end"]["column"].to_string(), "8");
    }
}
