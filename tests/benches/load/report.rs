//! The figures as a table with ratios, and as a plot.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clients::{Run, count};

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
            Self::Pgbench => "#7f7f7f",
        }
    }
}

/// One line of the table.
pub struct Line {
    side: Side,
    clients: usize,
    rate: f64,
    latency: Option<(f64, f64)>,
    errors: usize,
    cpu: Option<f64>,
    memory: Option<f64>,
}

impl Line {
    /// Of a load.
    pub fn of(side: Side, clients: usize, run: &Run, cpu: f64, memory: f64) -> Self {
        let latency = Some((run.quantile(0.5), run.quantile(0.99)));
        Self { side, clients, rate: run.rate(), latency, errors: run.errors, cpu: Some(cpu), memory: Some(memory) }
    }

    /// Of which only the rate is known.
    pub fn rate(side: Side, clients: usize, rate: f64) -> Self {
        Self { side, clients, rate, latency: None, errors: 0, cpu: None, memory: None }
    }
}

/// Makes the directory of the report of this name.
pub fn directory(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/{name}-report"));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// All figures of one run.
pub struct Report {
    head: String,
    lines: Vec<Line>,
    notes: String,
}

impl Report {
    /// Nothing but what starting took.
    pub fn new(ready: Duration, idle: f64) -> Self {
        let head = format!("start to ready {:.1} ms, idle memory {idle:.1} MB", ready.as_secs_f64() * 1e3);
        Self { head, lines: Vec::new(), notes: String::new() }
    }

    /// Adds a line.
    pub fn add(&mut self, line: Line) {
        self.lines.push(line);
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
        let mut out = String::new();
        let header = "| clients | | flows/s | x by hand | x by hand, preparing | x pgbench | p50 ms | p99 ms | CPU us/flow | MB | errors |";
        writeln!(out, "{header}\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|").expect("text");
        for line in self.lines.iter().filter(|line| wanted(line)) {
            let ratio = |side| {
                let other = self.of(side, line.clients).filter(|_| line.side != side);
                other.map(|other| format!("{:.2}", line.rate / other.rate)).unwrap_or_default()
            };
            let shown = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
            let latency = |quantile: fn(&(f64, f64)) -> f64| {
                line.latency.as_ref().map(|latency| format!("{:.2}", quantile(latency))).unwrap_or_default()
            };
            writeln!(
                out,
                "| {} | {} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {} |",
                line.clients,
                line.side.name(),
                line.rate,
                ratio(Side::Rival),
                ratio(Side::Artless),
                ratio(Side::Pgbench),
                latency(|latency| latency.0),
                latency(|latency| latency.1),
                shown(line.cpu),
                shown(line.memory),
                line.errors,
            )
            .expect("text");
        }
        out
    }

    /// Bars of flows a second, by number of clients.
    fn plot(&self) -> String {
        let bars: Vec<&Line> = self.lines.iter().filter(|line| line.side != Side::Batch).collect();
        let most = bars.iter().map(|line| line.rate).fold(1.0, f64::max);
        let mut out = String::new();
        let height = 24 * bars.len() + 40;
        writeln!(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">").expect("text");
        writeln!(out, "<title>Flows a second</title><rect width=\"760\" height=\"{height}\" fill=\"white\"/>")
            .expect("text");
        for (number, line) in bars.iter().enumerate() {
            let (y, width) = (count(number).mul_add(24.0, 20.0), line.rate / most * 440.0);
            let label = format!("{} clients, {}", line.clients, line.side.name());
            writeln!(out, "<text x=\"210\" y=\"{:.0}\" text-anchor=\"end\">{label}</text>", y + 13.0).expect("text");
            writeln!(
                out,
                "<rect x=\"220\" y=\"{y:.0}\" width=\"{width:.0}\" height=\"18\" fill=\"{}\"/>",
                line.side.colour()
            )
            .expect("text");
            writeln!(out, "<text x=\"{:.0}\" y=\"{:.0}\">{:.0}</text>", 226.0 + width, y + 13.0, line.rate)
                .expect("text");
        }
        out.push_str("</svg>\n");
        out
    }
}
