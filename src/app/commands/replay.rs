//! `tributary replay`: what the graph and rules of today would have made of decisions on record.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use serde::Serialize;

use super::{Exit, offline_flows, plural};
use crate::app::cli::{Format, Replay as Arguments};
use crate::records::{Change, Record, Replay, Replayed, Summary};

pub(super) fn execute(arguments: &Arguments) -> anyhow::Result<Exit> {
    let sources = arguments.files.sources(None);
    let Some((flows, limits)) = offline_flows(sources, arguments.format)? else { return Ok(Exit::Refused) };
    let replay = Replay::new(&flows, limits);
    let mut summary = Summary::default();
    let mut complete = true;
    for path in &arguments.records {
        complete &= file(path, &replay, arguments, &mut summary)?;
    }
    print(&summary, arguments.format)?;
    Ok(match (complete, summary.changed) {
        (false, _) => Exit::Refused,
        (true, 0) => Exit::Success,
        (true, _) => Exit::Changed,
    })
}

/// Replays the records of one file; whether all of its lines were records.
fn file(path: &Path, replay: &Replay<'_>, arguments: &Arguments, summary: &mut Summary) -> anyhow::Result<bool> {
    let reader: Box<dyn BufRead> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        match File::open(path) {
            Ok(file) => Box::new(BufReader::new(file)),
            Err(error) => anyhow::bail!("{} cannot be read: {error}", path.display()),
        }
    };
    let mut complete = true;
    for (number, line) in reader.lines().enumerate() {
        let line = line?;
        if Record::is_absent(&line) {
            continue;
        }
        let place = format!("{}:{}", path.display(), number + 1);
        let record = match Record::parse(&line) {
            Ok(record) => record,
            Err(error) => {
                writeln!(std::io::stderr(), "{place}: {error}")?;
                complete = false;
                continue;
            }
        };
        let replayed = replay.replay(&record);
        summary.add(&record, &replayed);
        if !arguments.summary {
            tell(&place, &record, &replayed, arguments.format)?;
        }
    }
    Ok(complete)
}

/// One decision that changes.
#[derive(Serialize)]
struct Changed<'a> {
    place: &'a str,
    id: &'a str,
    flow: &'a str,
    input: &'a serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impossible: Option<&'a str>,
}

fn tell(place: &str, record: &Record, replayed: &Replayed, format: Format) -> anyhow::Result<()> {
    let (changes, impossible) = match replayed {
        Replayed::Same => return Ok(()),
        Replayed::Changed(changes) => (Some(changes.as_slice()), None),
        Replayed::Impossible(why) => (None, Some(why.as_str())),
    };
    let mut stdout = std::io::stdout().lock();
    if format == Format::Json {
        let Record { id, flow, input, .. } = record;
        writeln!(stdout, "{}", serde_json::to_string(&Changed { place, id, flow, input, changes, impossible })?)?;
        return Ok(());
    }
    writeln!(stdout, "{place}  {}  {}  {}", record.flow, record.at, record.input)?;
    if let Some(why) = impossible {
        writeln!(stdout, "    cannot be replayed: {why}")?;
    }
    for Change { field, before, after } in changes.unwrap_or_default() {
        writeln!(stdout, "    {field}: {} -> {}", shown(before.as_ref()), shown(after.as_ref()))?;
    }
    Ok(())
}

fn shown(json: Option<&serde_json::Value>) -> String {
    json.map_or_else(|| "(none)".to_owned(), ToString::to_string)
}

fn print(summary: &Summary, format: Format) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    if format == Format::Json {
        writeln!(stdout, "{}", serde_json::json!({ "summary": summary }))?;
        return Ok(());
    }
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
        let number = |value: &Option<crate::types::Value>| value.as_ref().map(ToString::to_string).unwrap_or_default();
        let (before, after, difference) = (number(&sums.before), number(&sums.after), number(&sums.difference));
        let row = format!("{field:width$}  {:>7}  {before:>16}  {after:>16}  {difference:>16}", sums.changed);
        writeln!(stdout, "{}", row.trim_end())?;
    }
    Ok(())
}
