//! A picture as DOT, the language of Graphviz, which does the layout.

use std::fmt::{self, Write};

use super::{Box, BoxKind, Picture, State, colours, is_idle};

/// The document.
pub(super) fn write(picture: &Picture, out: &mut String) -> fmt::Result {
    writeln!(out, "digraph {} {{", quoted(&picture.flow))?;
    writeln!(
        out,
        "  rankdir=LR; bgcolor=white; node [style=filled, fontname=\"sans-serif\", fontsize=12]; edge [color=\"#57606a\"];"
    )?;
    for (number, known) in picture.boxes.iter().enumerate() {
        writeln!(out, "  n{number} [{}];", attributes(picture, known))?;
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
        writeln!(out, "  n{} -> n{} [{}];", arrow.from, arrow.to, attributes.join(", "))?;
    }
    writeln!(out, "}}")
}

fn attributes(picture: &Picture, known: &Box) -> String {
    let (fill, stroke) = colours(picture, known);
    let shape = match known.kind {
        BoxKind::Input => "note",
        BoxKind::Query => "cylinder",
        BoxKind::Rules => "octagon",
        BoxKind::Outcome => "box",
    };
    let style = match (known.kind, known.state) {
        (_, Some(State::Skipped)) => "filled,dashed",
        (BoxKind::Outcome, _) => "filled,rounded",
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

/// A quoted text. In quotes, only quotes, backslashes and line ends are special.
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
