//! A picture as DOT, the language of Graphviz, which does the layout.

use std::fmt::Write;

use super::{Box, Kind, Picture, State, colours, is_idle};

/// The document.
pub(super) fn write(picture: &Picture) -> String {
    let mut out = String::new();
    put(&mut out, &format!("digraph {} {{", quoted(&picture.flow)));
    put(
        &mut out,
        "  rankdir=LR; bgcolor=white; node [style=filled, fontname=\"sans-serif\", fontsize=12]; edge [color=\"#57606a\"];",
    );
    for (number, known) in picture.boxes.iter().enumerate() {
        put(&mut out, &format!("  n{number} [{}];", attributes(picture, known)));
    }
    for arrow in &picture.arrows {
        let mut attributes = Vec::new();
        if let Some(condition) = &arrow.condition {
            attributes.push(format!("label={}, style=dashed", quoted(condition)));
        }
        match arrow.ran {
            Some(true) => attributes.push("penwidth=2, color=\"#1f2328\"".to_owned()),
            Some(false) => attributes.push("color=\"#c6cbd1\"".to_owned()),
            None => {}
        }
        put(&mut out, &format!("  n{} -> n{} [{}];", arrow.from, arrow.to, attributes.join(", ")));
    }
    out.push_str("}\n");
    out
}

fn attributes(picture: &Picture, known: &Box) -> String {
    let (fill, stroke) = colours(picture, known);
    let shape = match known.kind {
        Kind::Input => "note",
        Kind::Query => "cylinder",
        Kind::Rules => "octagon",
        Kind::Outcome => "box",
    };
    let style = match (known.kind, known.state) {
        (_, Some(State::Skipped)) => "filled,dashed",
        (Kind::Outcome, _) => "filled,rounded",
        _ => "filled",
    };
    let label = std::iter::once(&known.title).chain(&known.lines).map(String::as_str).collect::<Vec<_>>().join("\n");
    let text = if is_idle(known) { "#8c959f" } else { "#1f2328" };
    let tooltip = quoted(known.description.as_deref().unwrap_or(&known.id));
    format!(
        "label={}, shape={shape}, style=\"{style}\", fillcolor=\"{fill}\", color=\"{stroke}\", fontcolor=\"{text}\", tooltip={tooltip}",
        quoted(&label)
    )
}

/// A quoted text: within quotes only quotes, backslashes and line ends mean anything.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn put(out: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(out, "{line}").unwrap_or_default();
}
