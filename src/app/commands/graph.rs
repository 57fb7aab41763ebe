//! `tributary graph`: a flow as a picture, and one decision drawn over it.

use std::io::{BufRead, Write};
use std::path::Path;

use super::{Exit, offline_flows};
use crate::app::cli::{Format, Graph as Arguments, PictureFormat};
use crate::app::project::choose;
use crate::graph::picture::{Overlay, Picture};
use crate::records::{Record, overlay};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let Some((flows, limits, _)) = offline_flows(arguments.files.sources(None), Format::Text)? else {
        return Ok(Exit::Refused);
    };
    let record = arguments.explain_of.as_deref().map(read).transpose()?;
    let name = arguments.flow.as_deref().or(record.as_ref().map(|record| record.flow.as_str()));
    let flow = choose(&flows, name).map_err(anyhow::Error::msg)?;
    let overlay: Option<Overlay> = record.map(|record| overlay(flow, &record, &limits));
    let picture = Picture::of(flow, overlay.as_ref());
    let text = match arguments.format.unwrap_or_else(|| by_name(arguments.output.as_deref())) {
        PictureFormat::Json => picture.json(),
        PictureFormat::Dot => picture.dot(),
        PictureFormat::Mermaid => picture.mermaid(),
        PictureFormat::Svg => picture.svg(),
    };
    match &arguments.output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", path.display()))?,
        None => write!(std::io::stdout(), "{text}")?,
    }
    Ok(Exit::Success)
}

/// The format that a file's name asks for.
fn by_name(output: Option<&Path>) -> PictureFormat {
    match output.and_then(Path::extension).and_then(|extension| extension.to_str()) {
        Some("svg") => PictureFormat::Svg,
        Some("json") => PictureFormat::Json,
        Some("dot" | "gv") => PictureFormat::Dot,
        _ => PictureFormat::Mermaid,
    }
}

/// The record that `FILE` or `FILE:LINE` names: the first, or that of the line.
fn read(name: &str) -> anyhow::Result<Record> {
    let (path, line) = match name.rsplit_once(':') {
        Some((path, line)) if !Path::new(name).exists() => match line.parse::<usize>() {
            Ok(line) => (path, line),
            Err(_) => (name, 1),
        },
        _ => (name, 1),
    };
    let file = std::fs::File::open(path).map_err(|error| anyhow::anyhow!("{path} cannot be read: {error}"))?;
    let text = std::io::BufReader::new(file).lines().nth(line.saturating_sub(1));
    let text = text.ok_or_else(|| anyhow::anyhow!("{path} has no line {line}"))??;
    Record::parse(&text).map_err(|error| anyhow::anyhow!("{path}:{line}: {error}"))
}
