//! The figures as a table with ratios, and as a plot.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clients::count;
use crate::sample::Sample;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The service as it comes.
    Service,
    /// The service without coalescing.
    Plain,
    /// The service written by hand.
    Rival,
    /// The same, preparing each query anew.
    Artless,
    /// Written by hand over connections that belong to a worker, coalescing.
    Pinned,
    /// The same without coalescing.
    PinnedPlain,
    /// The slowest of four pgbench.
    Pgbench,
    /// One batch; the number of clients is that of its inputs.
    Batch,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Plain => "service, coalescing off",
            Self::Rival => "written by hand",
            Self::Artless => "written by hand, preparing each time",
            Self::Pinned => "connections of the worker, coalescing",
            Self::PinnedPlain => "connections of the worker, plain",
            Self::Pgbench => "slowest of four pgbench",
            Self::Batch => "service, one batch",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Service | Self::Batch => "#0072b2",
            Self::Plain => "#56b4e9",
            Self::Rival => "#d55e00",
            Self::Artless => "#e69f00",
            Self::Pinned => "#009e73",
            Self::PinnedPlain => "#cc79a7",
            Self::Pgbench => "#7f7f7f",
        }
    }
}

/// One line of the table: medians.
pub struct Line {
    side: Side,
    clients: usize,
    rate: f64,
    /// Nothing where only the rate is known.
    sample: Option<Sample>,
}

impl Line {
    /// Of the median of some loads.
    pub fn of(side: Side, clients: usize, sample: Sample) -> Self {
        Self { side, clients, rate: sample.rate, sample: Some(sample) }
    }

    /// Of which only the rate is known.
    pub fn rate(side: Side, clients: usize, rate: f64) -> Self {
        Self { side, clients, rate, sample: None }
    }
}

/// Makes the directory of the report of this name.
pub fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/{name}-report"));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// Prints a report that is one text, and writes it to the directory of this name.
pub fn write(name: &str, text: &str) {
    println!("{text}");
    let directory = directory(name);
    std::fs::write(directory.join("report.md"), text).expect("written");
    println!("written to {}", directory.display());
}

/// All figures of one run.
pub struct Report {
    head: String,
    lines: Vec<Line>,
    notes: String,
}

impl Report {
    /// Nothing but what starting took, and how many rounds the medians are of.
    pub fn new(ready: Duration, idle: f64, rounds: usize) -> Self {
        let ready = ready.as_secs_f64() * 1e3;
        let head = format!(
            "Start to ready {ready:.1} ms, idle memory {idle:.1} MB. Figures are medians of {rounds} rounds, ratios are of medians; errors are added up."
        );
        println!("{head}");
        Self { head, lines: Vec::new(), notes: String::new() }
    }

    /// Adds a line.
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Adds how the rate of the batch compares with that of single requests by so many clients.
    pub fn note_batch(&mut self, clients: usize) {
        let batch = self.lines.iter().find(|line| line.side == Side::Batch);
        let Some((batch, single)) = batch.zip(self.of(Side::Service, clients)) else { return };
        let (size, ratio) = (batch.clients, batch.rate / single.rate);
        self.note(&format!(
            "One batch of {size}: {ratio:.2} times the rate of single requests with {clients} clients.\n"
        ));
    }

    /// Adds something to be said below the table.
    pub fn note(&mut self, text: &str) {
        self.notes.push('\n');
        self.notes.push_str(text);
    }

    /// Prints what was measured with so many clients.
    pub fn print(&self, clients: usize) {
        println!("{}", self.table(|line| line.clients == clients));
    }

    /// Prints the whole and writes it, with a plot.
    pub fn finish(&self) {
        let table = format!("{}{}", self.table(|_| true), self.notes);
        println!("{table}");
        let directory = directory("load");
        std::fs::write(directory.join("report.md"), format!("{}\n\n{table}", self.head)).expect("written");
        std::fs::write(directory.join("flows.svg"), self.plot()).expect("written");
        println!("written to {}", directory.display());
    }

    fn of(&self, side: Side, clients: usize) -> Option<&Line> {
        self.lines.iter().find(|line| line.side == side && line.clients == clients)
    }

    fn table(&self, wanted: impl Fn(&Line) -> bool) -> String {
        let mut out = String::from(
            "| clients | | flows/s | x by hand | x by hand, preparing | x pgbench | p50 ms | p50 x by hand | p99 ms | p99 x by hand | CPU us/flow | switches/flow | MB | errors |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for line in self.lines.iter().filter(|line| wanted(line)) {
            let ratio = |side, of: fn(&Line) -> Option<f64>| {
                let other = self.of(side, line.clients).filter(|_| line.side != side);
                let ratio = other.and_then(of).zip(of(line)).map(|(other, own)| own / other);
                shown(ratio, 2)
            };
            let rate = |side| ratio(side, |line| Some(line.rate));
            let of = |figure: fn(&Sample) -> f64, digits| shown(line.sample.as_ref().map(figure), digits);
            let cells = [
                line.clients.to_string(),
                line.side.name().to_owned(),
                format!("{:.0}", line.rate),
                rate(Side::Rival),
                rate(Side::Artless),
                rate(Side::Pgbench),
                of(|sample| sample.p50, 3),
                ratio(Side::Rival, |line| line.sample.as_ref().map(|sample| sample.p50)),
                of(|sample| sample.p99, 3),
                ratio(Side::Rival, |line| line.sample.as_ref().map(|sample| sample.p99)),
                of(|sample| sample.cpu, 1),
                of(|sample| sample.switches, 2),
                of(|sample| sample.memory, 1),
                line.sample.as_ref().map_or(0, |sample| sample.failures.total()).to_string(),
            ];
            writeln!(out, "| {} |", cells.join(" | ")).expect("text");
        }
        out
    }

    /// Bars of flows a second, by number of clients.
    fn plot(&self) -> String {
        let bars: Vec<&Line> = self.lines.iter().filter(|line| line.side != Side::Batch).collect();
        let most = bars.iter().map(|line| line.rate).fold(1.0, f64::max);
        let mut out = String::new();
        let height = 24 * bars.len() + 40;
        writeln!(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"800\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">").expect("text");
        writeln!(out, "<title>Flows a second</title><rect width=\"800\" height=\"{height}\" fill=\"white\"/>")
            .expect("text");
        for (number, line) in bars.iter().enumerate() {
            let (y, width) = (count(number).mul_add(24.0, 20.0), line.rate / most * 400.0);
            let plural = if line.clients == 1 { "" } else { "s" };
            let label = format!("{} client{plural}, {}", line.clients, line.side.name());
            writeln!(out, "<text x=\"310\" y=\"{:.0}\" text-anchor=\"end\">{label}</text>", y + 13.0).expect("text");
            writeln!(
                out,
                "<rect x=\"320\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"18\" fill=\"{}\"/>",
                line.side.colour()
            )
            .expect("text");
            writeln!(out, "<text x=\"{:.0}\" y=\"{:.0}\">{:.0}</text>", 326.0 + width, y + 13.0, line.rate)
                .expect("text");
        }
        out.push_str("</svg>\n");
        out
    }
}

/// A figure with so many digits after the point, if there is one.
fn shown(value: Option<f64>, digits: usize) -> String {
    value.map(|value| format!("{value:.digits$}")).unwrap_or_default()
}
