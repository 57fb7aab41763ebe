//! What criterion found, as one table.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

/// One benchmark: its name, nanoseconds an iteration, elements of one.
struct Figure {
    name: String,
    nanoseconds: f64,
    elements: Option<f64>,
}

/// Where the report is.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/parts-report")
}

/// Prints the table and writes it.
pub fn write() {
    let mut figures = Vec::new();
    collect(&directory().join("criterion"), &mut figures);
    if figures.is_empty() {
        return;
    }
    figures.sort_by(|a, b| order(&a.name).partial_cmp(&order(&b.name)).expect("numbers"));
    let table = table(&figures);
    println!("{table}");
    let file = directory().join("report.md");
    std::fs::write(&file, table).expect("written");
    println!("written to {}", file.display());
}

/// By name, those of one name by the number they end with.
fn order(name: &str) -> (&str, f64) {
    let (head, tail) = name.rsplit_once('/').unwrap_or((name, ""));
    tail.parse().map_or((name, 0.0), |number| (head, number))
}

/// Reads every figure of the latest run below `directory`.
fn collect(directory: &Path, figures: &mut Vec<Figure>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if path.ends_with("new") {
            figures.extend(figure(&path));
        } else {
            collect(&path, figures);
        }
    }
}

fn figure(directory: &Path) -> Option<Figure> {
    let read = |name: &str| -> Option<Json> {
        serde_json::from_str(&std::fs::read_to_string(directory.join(name)).ok()?).ok()
    };
    let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
    Some(Figure {
        name: benchmark["full_id"].as_str()?.to_owned(),
        nanoseconds: estimates["median"]["point_estimate"].as_f64()?,
        elements: benchmark["throughput"]["Elements"].as_f64(),
    })
}

fn table(figures: &[Figure]) -> String {
    let mut out = String::from(
        "Medians. An element is a rule, a node or a row; decoding is what values take beyond the driver alone.\n\n",
    );
    writeln!(out, "| | us | us an element | of it decoding |\n|---|---:|---:|---:|").expect("text");
    for figure in figures {
        let each = |nanoseconds: f64| figure.elements.map(|elements| format!("{:.3}", nanoseconds / elements / 1e3));
        let driver = figure.name.replace("rows/values/", "rows/driver alone/");
        let driver = figures.iter().find(|other| other.name == driver && figure.name != driver);
        let decoding = driver.and_then(|driver| each(figure.nanoseconds - driver.nanoseconds));
        writeln!(
            out,
            "| {} | {:.2} | {} | {} |",
            figure.name,
            figure.nanoseconds / 1e3,
            each(figure.nanoseconds).unwrap_or_default(),
            decoding.unwrap_or_default()
        )
        .expect("text");
    }
    out
}
