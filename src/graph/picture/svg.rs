//! A picture as SVG: black on white, without scripts and fonts.

use std::fmt::{self, Write};

use super::{Arrow, Box, BoxKind, LEGEND_ROW, PLAIN, Picture, State, colours, is_idle};

const FONT: &str = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";

/// The document.
pub(super) fn write(picture: &Picture, out: &mut String) -> fmt::Result {
    let (width, height) = (picture.width, picture.height);
    let name = escaped(&picture.flow);
    let said = escaped(picture.ending.as_deref().or(picture.description.as_deref()).unwrap_or("a flow"));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONT}\">"
    )?;
    writeln!(out, "<title>{name}</title>\n<desc>{said}</desc>")?;
    writeln!(out, "<defs>")?;
    for (id, colour) in [("tip", "#57606a"), ("tip-ran", "#1f2328"), ("tip-idle", "#c6cbd1")] {
        writeln!(
            out,
            "<marker id=\"{id}\" viewBox=\"0 0 8 8\" refX=\"7.5\" refY=\"4\" markerUnits=\"userSpaceOnUse\" markerWidth=\"9\" markerHeight=\"9\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"{colour}\"/></marker>"
        )?;
    }
    writeln!(out, "</defs>")?;
    writeln!(out, "<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>")?;
    arrows(picture, out)?;
    picture.boxes.iter().try_for_each(|known| one(picture, known, out))?;
    picture.arrows.iter().try_for_each(|arrow| condition(arrow, out))?;
    legend(picture, out)?;
    writeln!(out, "</svg>")
}

fn arrows(picture: &Picture, out: &mut String) -> fmt::Result {
    // Arrows that ran are drawn over the others.
    let mut arrows: Vec<_> = picture.arrows.iter().collect();
    arrows.sort_by_key(|arrow| arrow.ran == Some(true));
    for arrow in &arrows {
        let (colour, tip, stroke) = match arrow.ran {
            None if arrow.aside => ("#c6cbd1", "tip-idle", 1.2),
            None => ("#57606a", "tip", 1.4),
            Some(true) => ("#1f2328", "tip-ran", 2.2),
            Some(false) => ("#c6cbd1", "tip-idle", 1.2),
        };
        let dashes = if arrow.condition.is_some() { " stroke-dasharray=\"6 4\"" } else { "" };
        writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{stroke}\"{dashes} marker-end=\"url(#{tip})\"/>",
            path(&arrow.points)
        )?;
    }
    Ok(())
}

/// The condition of an arrow, over everything else.
fn condition(arrow: &Arrow, out: &mut String) -> fmt::Result {
    let (Some(condition), Some(label)) = (&arrow.condition, &arrow.label) else { return Ok(()) };
    let (full, short, x, y) = (escaped(condition), escaped(&label.text), label.x, label.y + 12.0);
    let halo = "stroke=\"#ffffff\" stroke-width=\"4\" paint-order=\"stroke\"";
    writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"11\" fill=\"#1f2328\" {halo}><title>{full}</title>{short}</text>"
    )
}

/// Curves between layers, level through them.
fn path(points: &[(f64, f64)]) -> String {
    let Some(((x, y), rest)) = points.split_first() else { return String::new() };
    let mut path = format!("M{x:.1} {y:.1}");
    let (mut x, mut y) = (*x, *y);
    for (number, (to_x, to_y)) in rest.iter().enumerate() {
        if number % 2 == 0 {
            let bend = f64::midpoint(x, *to_x);
            path.push_str(&format!("C{bend:.1} {y:.1} {bend:.1} {to_y:.1} {to_x:.1} {to_y:.1}"));
        } else {
            path.push_str(&format!("L{to_x:.1} {to_y:.1}"));
        }
        (x, y) = (*to_x, *to_y);
    }
    path
}

fn one(picture: &Picture, known: &Box, out: &mut String) -> fmt::Result {
    let Box { x, y, width, height, .. } = known;
    let (fill, stroke) = colours(picture, known);
    let dim = if is_idle(known) { " opacity=\"0.45\"" } else { "" };
    let dashes = if known.state == Some(State::Skipped) { " stroke-dasharray=\"5 4\"" } else { "" };
    let thick = if known.state.is_some() && !is_idle(known) { 2.2 } else { 1.4 };
    let style = format!("fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{thick}\"{dashes}");
    writeln!(out, "<g{dim}>")?;
    let name = if known.kind == BoxKind::Outcome { &known.title } else { &known.id };
    let full = known.description.as_ref().map_or_else(|| name.clone(), |said| format!("{name}: {said}"));
    writeln!(out, "<title>{}</title>", escaped(&full))?;
    let rect = format!("<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"");
    match known.kind {
        BoxKind::Query => {
            writeln!(out, "{rect} rx=\"3\" {style}/>")?;
            cylinder(x + width - 20.0, y + 8.0, stroke, out)?;
        }
        BoxKind::Rules => writeln!(out, "<path d=\"{}\" {style}/>", chamfered(known))?,
        BoxKind::Input => {
            let style =
                format!("fill=\"#ffffff\" stroke=\"{stroke}\" stroke-width=\"{thick}\" stroke-dasharray=\"2 3\"");
            writeln!(out, "{rect} rx=\"3\" {style}/>")?;
        }
        BoxKind::Outcome => writeln!(out, "{rect} rx=\"{:.1}\" {style}/>", height / 2.0)?,
    }
    let (centre, mut line) = (x + width / 2.0, y + 24.0);
    writeln!(
        out,
        "<text x=\"{centre:.1}\" y=\"{line:.1}\" font-size=\"14\" font-weight=\"600\" text-anchor=\"middle\" fill=\"#1f2328\">{}</text>",
        escaped(&known.title)
    )?;
    for text in &known.lines {
        line += 17.0;
        writeln!(
            out,
            "<text x=\"{centre:.1}\" y=\"{line:.1}\" font-size=\"12\" text-anchor=\"middle\" fill=\"#424a53\">{}</text>",
            escaped(text)
        )?;
    }
    writeln!(out, "</g>")
}

/// The sign of a database.
fn cylinder(x: f64, y: f64, stroke: &str, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "<path d=\"M{x:.1} {:.1}v8a6 2.5 0 0 0 12 0v-8a6 2.5 0 0 0 -12 0a6 2.5 0 0 0 12 0\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"1.2\"/>",
        y + 2.5
    )
}

/// A box with its corners cut.
fn chamfered(known: &Box) -> String {
    let Box { x, y, width, height, .. } = known;
    let cut = 10.0;
    let (w, h) = (width - 2.0 * cut, height - 2.0 * cut);
    format!("M{:.1} {y:.1}h{w:.1}l{cut} {cut}v{h:.1}l-{cut} {cut}h-{w:.1}l-{cut} -{cut}v-{h:.1}z", x + cut)
}

fn legend(picture: &Picture, out: &mut String) -> fmt::Result {
    let places = super::legend(&picture.domains, picture.width);
    let rows = places.last().map_or(0, |(_, row)| row + 1);
    for (domain, (x, row)) in picture.domains.iter().zip(places) {
        #[expect(clippy::cast_precision_loss, reason = "rows of a legend")]
        let y = LEGEND_ROW.mul_add(-((rows - row) as f64), picture.height - 6.0);
        writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"14\" height=\"14\" rx=\"3\" fill=\"{}\" stroke=\"{}\"/>",
            domain.fill, domain.stroke
        )?;
        let (x, y) = (x + 20.0, y + 11.5);
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"12\" fill=\"{}\">{}</text>",
            PLAIN.1,
            escaped(&domain.name)
        )?;
    }
    Ok(())
}

/// Text for XML; characters that XML does not allow become question marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
