//! A picture as a Mermaid flowchart, which Markdown viewers draw.

use std::fmt::{self, Write};

use super::{Box, BoxKind, CHOSEN, DEGRADED, FAILED, Picture, State};

/// The document.
pub(super) fn write(picture: &Picture, out: &mut String) -> fmt::Result {
    writeln!(out, "flowchart LR")?;
    for (number, known) in picture.boxes.iter().enumerate() {
        let label = label(known);
        let shape = match known.kind {
            BoxKind::Input => format!("[/{label}/]"),
            BoxKind::Query => format!("[({label})]"),
            BoxKind::Rules => format!("{{{{{label}}}}}"),
            BoxKind::Outcome => format!("([{label}])"),
        };
        let class = picture.domain(known).map(|(number, _)| format!(":::d{number}")).unwrap_or_default();
        writeln!(out, "  n{number}{shape}{class}")?;
    }
    for arrow in &picture.arrows {
        let condition = arrow.condition.as_ref().map(|condition| format!("|{}|", quoted(condition)));
        let line = if condition.is_some() || arrow.ran == Some(false) { "-.->" } else { "-->" };
        writeln!(out, "  n{} {line}{} n{}", arrow.from, condition.unwrap_or_default(), arrow.to)?;
    }
    for (number, domain) in picture.domains.iter().enumerate() {
        writeln!(out, "  classDef d{number} fill:{},stroke:{},color:#1f2328", domain.fill, domain.stroke)?;
    }
    let style = |state| match state {
        State::Failed => Some(format!("stroke:{FAILED},stroke-width:3px")),
        State::Degraded => Some(format!("stroke:{DEGRADED},stroke-width:3px")),
        State::Done => Some(format!("stroke:{CHOSEN},stroke-width:2px")),
        State::Skipped | State::NotRun => Some("opacity:0.45".to_owned()),
    };
    for (number, known) in picture.boxes.iter().enumerate() {
        if let Some(style) = known.state.and_then(style) {
            writeln!(out, "  style n{number} {style}")?;
        }
    }
    Ok(())
}

fn label(known: &Box) -> String {
    let lines = std::iter::once(&known.title).chain(&known.lines).map(|line| escaped(line));
    format!("\"{}\"", lines.collect::<Vec<_>>().join("<br/>"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

/// Within quotes Mermaid reads entities, written with a hash, and HTML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '#' | '"' | '<' | '>' | '&' | '`' | ';' | '\\' => {
                out.push_str(&format!("#{};", u32::from(character)));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
