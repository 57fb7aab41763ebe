//! `tributary replay`: makes recorded decisions again with the current graph and rules.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::{Exit, offline_flows, plural, with_diagnostics};
use crate::app::cli::{Format, Replay as Arguments};
use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::records::{Change, Record, Replay, Replayed, Summary};
use crate::types::Value;

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let sources = arguments.files.sources(None);
    let Some((flows, limits, found)) = offline_flows(sources, arguments.format)? else { return Ok(Exit::Refused) };
    let replay = Replay::new(&flows, limits);
    let mut report = Report { arguments, summary: Summary::default(), changed: Vec::new(), found };
    for path in &arguments.records {
        report.file(path, &replay)?;
    }
    report.print()?;
    Ok(match (report.found.has_errors(), report.summary.changed) {
        (true, _) => Exit::Refused,
        (false, 0) => Exit::Success,
        (false, _) => Exit::Changed,
    })
}

/// What replays came to.
struct Report<'a> {
    arguments: &'a Arguments,
    summary: Summary,
    /// The decisions that change, for a document.
    changed: Vec<Json>,
    /// The warnings of the files, and the lines that are no records.
    found: Diagnostics,
}

impl Report<'_> {
    /// Replays the records of one file.
    fn file(&mut self, path: &Path, replay: &Replay<'_>) -> anyhow::Result<()> {
        let reader: Box<dyn BufRead> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin().lock())
        } else {
            match File::open(path) {
                Ok(file) => Box::new(BufReader::new(file)),
                Err(error) => anyhow::bail!("{} cannot be read: {error}", path.display()),
            }
        };
        for (number, line) in reader.lines().enumerate() {
            let line = line?;
            if Record::is_absent(&line) {
                continue;
            }
            let place = format!("{}:{}", path.display(), number + 1);
            match Record::parse(&line) {
                Ok(record) => {
                    let replayed = replay.replay(&record);
                    self.summary.add(&record, &replayed);
                    self.tell(&place, &record, &replayed)?;
                }
                Err(error) => {
                    if self.arguments.format == Format::Text {
                        writeln!(std::io::stderr(), "{place}: {error}")?;
                    }
                    self.found.push(Diagnostic::error("bad-record", Place::File(place), error.to_string()));
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, place: &str, record: &Record, replayed: &Replayed) -> anyhow::Result<()> {
        let (changes, impossible) = match replayed {
            Replayed::Same => return Ok(()),
            _ if self.arguments.summary => return Ok(()),
            Replayed::Changed(changes) => (Some(changes.as_slice()), None),
            Replayed::Impossible(why) => (None, Some(why.as_str())),
        };
        if self.arguments.format == Format::Json {
            let Record { id, flow, input, .. } = record;
            self.changed.push(serde_json::to_value(Changed { place, id, flow, input, changes, impossible })?);
            return Ok(());
        }
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{place}  {}  {}  {}", record.flow, record.at, record.input)?;
        if let Some(why) = impossible {
            writeln!(stdout, "    cannot be replayed: {why}")?;
        }
        for Change { field, before, after } in changes.unwrap_or_default() {
            writeln!(stdout, "    {field}: {} -> {}", shown(before.as_ref()), shown(after.as_ref()))?;
        }
        Ok(())
    }

    fn print(&self) -> anyhow::Result<()> {
        if self.arguments.format == Format::Text {
            return print(&self.summary);
        }
        let document = json!({ "changes": self.changed, "summary": self.summary });
        writeln!(std::io::stdout(), "{}", with_diagnostics(document, &self.found))?;
        Ok(())
    }
}

/// One decision that changes.
#[derive(Serialize)]
struct Changed<'a> {
    place: &'a str,
    id: &'a str,
    flow: &'a str,
    input: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impossible: Option<&'a str>,
}

fn shown(value: Option<&Value>) -> String {
    value.and_then(|value| serde_json::to_string(value).ok()).unwrap_or_else(|| "(none)".to_owned())
}

fn print(summary: &Summary) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let Summary { records, same, changed, impossible, reasons, outcomes, fields } = summary;
    writeln!(
        stdout,
        "{} replayed: {same} the same, {changed} changed, {impossible} cannot be replayed",
        plural(*records, "record")
    )?;
    for (why, count) in reasons {
        writeln!(stdout, "  {count} x {why}")?;
    }
    for (way, count) in outcomes {
        writeln!(stdout, "  {count} x {way}")?;
    }
    let width = fields.keys().map(|field| field.chars().count()).max().unwrap_or(0).max(5);
    if !fields.is_empty() {
        writeln!(
            stdout,
            "\n{:width$}  changed  {:>16}  {:>16}  {:>16}",
            "field", "sum before", "sum after", "difference"
        )?;
    }
    for (field, sums) in fields {
        let number = |value: &Option<Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let (before, after, difference) = (number(&sums.before), number(&sums.after), number(&sums.difference));
        let row = format!("{field:width$}  {:>7}  {before:>16}  {after:>16}  {difference:>16}", sums.changed);
        writeln!(stdout, "{}", row.trim_end())?;
    }
    Ok(())
}
