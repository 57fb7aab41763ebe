//! `tributary run --batch FILE`: a decision a line for each input of a file.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, Stream, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};

use crate::actors::coordinator::BoundFlow;
use crate::app::cli::Run as Arguments;
use crate::app::commands::{Exit, plural};
use crate::app::core::Core;
use crate::graph::without_bom;
use crate::http::batch::{Batch, Form, Summary};
use crate::http::{AdminSide, Label};

/// How much of the file is read at once.
const PART: usize = 1 << 16;
const BAR: &str = "{elapsed_precise} [{bar:40}] {percent} %  {msg} decisions, {eta} left";

/// Decides every input of the file, or of a shard of it, and prints the lines; the exit tells whether each gave a decision.
pub(super) async fn execute(
    core: &Core,
    flow: Arc<BoundFlow>,
    path: &Path,
    arguments: &Arguments,
) -> anyhow::Result<Exit> {
    let release = core.releases().current();
    let id = uuid::Uuid::new_v4().to_string();
    let batch = Batch {
        service: core.service_factory(None, AdminSide::default(), None).service(),
        flow,
        settings: release.settings().clone(),
        trace_id: None,
        label: Label { id: id.clone(), caller: None },
        explains: arguments.explain,
        as_of: None,
        shard: arguments.shard,
    };
    let (mut reader, size) = open(path)?;
    let mut first = vec![0; PART];
    let length = reader.read(&mut first)?;
    first.truncate(length);
    let is_array = without_bom(&first).iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let form = if is_array { Form::Array } else { Form::Lines };
    let progress = progress(size);
    let body = Box::pin(parts(first, reader, progress.clone()));
    let mut lines = Box::pin(batch.lines(body, form));
    let mut output = Output::open(arguments.output.as_deref(), &id)?;
    let mut summary = Summary::default();
    while let Some(line) = lines.next().await {
        summary.add(&line);
        progress.set_message(summary.inputs.to_string());
        serde_json::to_writer(&mut output.writer, &line)?;
        output.writer.write_all(b"\n")?;
    }
    output.complete()?;
    progress.finish_and_clear();
    write!(std::io::stderr(), "{}", summed_up(&summary))?;
    Ok(if summary.failed() == 0 { Exit::Success } else { Exit::Refused })
}

/// Where the lines go: standard output, or a file that gets its name once it is complete.
struct Output<'a> {
    writer: BufWriter<Box<dyn Write>>,
    /// The file as it is called before it is complete, and its name.
    file: Option<(PathBuf, &'a Path)>,
}

impl<'a> Output<'a> {
    /// `id` tells apart what processes write that have the same `path`, such as the pods of a job that is tried again.
    fn open(path: Option<&'a Path>, id: &str) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self { writer: BufWriter::new(Box::new(std::io::stdout().lock())), file: None });
        };
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{id}.part"));
        let unfinished = PathBuf::from(unfinished);
        let file = File::create(&unfinished)
            .map_err(|error| anyhow::anyhow!("{} cannot be written: {error}", unfinished.display()))?;
        Ok(Self { writer: BufWriter::new(Box::new(file)), file: Some((unfinished, path)) })
    }

    fn complete(mut self) -> std::io::Result<()> {
        self.writer.flush()?;
        let Some((unfinished, path)) = self.file else { return Ok(()) };
        File::open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, path)
    }
}

/// "3 inputs", and below how they ended.
fn summed_up(summary: &Summary) -> String {
    let (failed, degraded) = (summary.failed(), summary.degraded);
    let inputs = [
        Some(plural(summary.inputs, "input")),
        (failed > 0).then(|| format!("{failed} without a decision; their lines say why")),
        (degraded > 0).then(|| format!("{degraded} degraded")),
    ];
    let mut lines = vec![inputs.into_iter().flatten().collect::<Vec<_>>().join(", ")];
    lines.extend(summary.outcomes.iter().map(|(status, count)| format!("  {count} x {status}")));
    lines.extend(summary.errors.iter().map(|(code, count)| format!("  {count} x error {code}")));
    lines.join("\n") + "\n"
}

/// The file, and its size where that is known; `-` is standard input.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    if path.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = File::open(path).map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", path.display()))?;
    let size = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(file), size))
}

/// A bar on a terminal, nothing elsewhere.
fn progress(size: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let Some(size) = size else { return ProgressBar::new_spinner() };
    let bar = ProgressBar::new(size);
    match ProgressStyle::with_template(BAR) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The file in parts: the one that was read already, then the rest.
fn parts(first: Vec<u8>, reader: Box<dyn Read>, progress: ProgressBar) -> impl Stream<Item = std::io::Result<Vec<u8>>> {
    stream::unfold((Some(first), reader), move |(first, mut reader)| {
        let progress = progress.clone();
        async move {
            let part = match first {
                Some(first) => Ok(first),
                None => read(&mut reader),
            };
            if let Ok(part) = &part {
                progress.inc(part.len() as u64);
            }
            let ended = part.as_ref().is_ok_and(Vec::is_empty);
            (!ended).then_some((part, (None, reader)))
        }
    })
}

fn read(reader: &mut dyn Read) -> std::io::Result<Vec<u8>> {
    let mut part = vec![0; PART];
    let length = reader.read(&mut part)?;
    part.truncate(length);
    Ok(part)
}
