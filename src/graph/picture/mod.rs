//! Pictures of a flow: JSON with places for programs that draw, such as the console; DOT and Mermaid for programs that lay out
//! the graph themselves; SVG for documents.
//!
//! `draft` makes boxes and arrows of a compiled flow, `layout` gives them places, and a writer for each language writes them.
//! An [`Overlay`] adds one decision: what ran, for how long, and how it ended. The same flow always gives the same text.

mod dot;
mod draft;
mod layout;
mod mermaid;
mod svg;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::plan::Flow;
use crate::types::NodeId;

/// One decision over its flow.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// What each node did.
    pub nodes: BTreeMap<NodeId, NodeRun>,
    /// The outcome the flow ended in, by its position.
    pub outcome: Option<usize>,
    /// How the run ended, in a word.
    pub ending: String,
}

/// What one node did.
#[derive(Debug, Clone, Default)]
pub struct NodeRun {
    /// How it ended.
    pub state: State,
    /// When it started, since the run began.
    pub began: Option<Duration>,
    /// How long it took.
    pub took: Option<Duration>,
    /// How many rows its database found.
    pub rows: Option<usize>,
    /// How many of its rules fired.
    pub fired: Option<usize>,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It never started, or had not ended when the run did.
    #[default]
    NotRun,
    /// It has a value.
    Done,
    /// Its default stood in for its database.
    Degraded,
    /// A condition kept it from running.
    Skipped,
    /// It failed.
    Failed,
}

/// The kind of a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BoxKind {
    /// The flow's inputs.
    Input,
    /// A node that asks a database.
    Query,
    /// A node that runs rules.
    Rules,
    /// A way the flow can end.
    Outcome,
}

/// A flow, drawn. Lengths are in pixels, from the top left corner.
#[derive(Debug, Clone, Serialize)]
pub struct Picture {
    /// The flow.
    pub flow: String,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How the decision ended, if one is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<String>,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// The boxes.
    pub boxes: Vec<Box>,
    /// The arrows between them.
    pub arrows: Vec<Arrow>,
    /// The domains, in the order of their colours.
    pub domains: Vec<Domain>,
}

/// A box.
#[derive(Debug, Clone, Serialize)]
pub struct Box {
    /// A node's name; of inputs and outcomes, a name that no node has.
    pub id: String,
    /// Its kind.
    pub kind: BoxKind,
    /// Its first line.
    pub title: String,
    /// What stands below.
    pub lines: Vec<String>,
    /// Its description, and what does not fit into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The domain it asks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its state in the decision, if one is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Its left side.
    pub x: f64,
    /// Its top.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// An arrow.
#[derive(Debug, Clone, Serialize)]
pub struct Arrow {
    /// The box it leaves, by position.
    pub from: usize,
    /// The box it reaches, by position.
    pub to: usize,
    /// The condition under which its target runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Whether it only fills the answer, and decides nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub aside: bool,
    /// Whether the decision went this way, if one is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran: Option<bool>,
    /// Its ends and, between them, pairs of points for level stretches.
    pub points: Vec<(f64, f64)>,
    /// Its condition as it is shown: no other arrow passes through it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

/// The text over an arrow, in letters of 11 pixels that stand on `y + 12`.
#[derive(Debug, Clone, Serialize)]
pub struct Label {
    /// The condition, shortened.
    pub text: String,
    /// Its left side.
    pub x: f64,
    /// Its top.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// A domain and its colours.
#[derive(Debug, Clone, Serialize)]
pub struct Domain {
    /// Its name.
    pub name: String,
    /// The colour of its boxes, as `#rrggbb`.
    pub fill: &'static str,
    /// The colour of their borders.
    pub stroke: &'static str,
}

impl Picture {
    /// Draws `flow`, and over it one decision where there is one.
    pub fn of(flow: &Flow, overlay: Option<&Overlay>) -> Self {
        let mut picture = draft::of(flow, overlay);
        layout::place(&mut picture);
        picture
    }

    /// As JSON: the fields of this type.
    pub fn json(&self) -> String {
        // A picture holds nothing that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// As DOT, the language of Graphviz.
    pub fn dot(&self) -> String {
        text(|out| dot::write(self, out))
    }

    /// As a Mermaid flowchart.
    pub fn mermaid(&self) -> String {
        text(|out| mermaid::write(self, out))
    }

    /// As SVG.
    pub fn svg(&self) -> String {
        text(|out| svg::write(self, out))
    }

    fn domain(&self, of: &Box) -> Option<(usize, &Domain)> {
        let name = of.domain.as_ref()?;
        self.domains.iter().enumerate().find(|(_, domain)| domain.name == *name)
    }
}

fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut out = String::new();
    // Writing to a `String` cannot fail.
    write(&mut out).unwrap_or_default();
    out
}

/// The height of a row of the legend.
const LEGEND_ROW: f64 = 22.0;
/// Where the legend begins, from the left.
const LEGEND_LEFT: f64 = 24.0;

/// By domain: its position and row in the legend of a picture of this width.
fn legend(domains: &[Domain], width: f64) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (LEGEND_LEFT, 0);
    let mut places = Vec::with_capacity(domains.len());
    for domain in domains {
        let needed = layout::wide(&domain.name).mul_add(7.4, 44.0);
        if x > LEGEND_LEFT && x + needed > width {
            (x, row) = (LEGEND_LEFT, row + 1);
        }
        places.push((x, row));
        x += needed;
    }
    places
}

/// The colours of boxes that ask no database.
const PLAIN: (&str, &str) = ("#f6f6f4", "#57606a");
const FAILED: &str = "#b3261e";
const DEGRADED: &str = "#6639ba";
const CHOSEN: &str = "#1a7f37";

/// The fill and border of a box, by its domain and state.
fn colours(picture: &Picture, of: &Box) -> (&'static str, &'static str) {
    let (fill, stroke) = picture.domain(of).map_or(PLAIN, |(_, domain)| (domain.fill, domain.stroke));
    match (of.state, of.kind) {
        (Some(State::Failed), _) => (fill, FAILED),
        (Some(State::Degraded), _) => (fill, DEGRADED),
        (Some(State::Done), BoxKind::Outcome) => ("#dafbe1", CHOSEN),
        _ => (fill, stroke),
    }
}

/// Whether it did not run in the decision.
fn is_idle(of: &Box) -> bool {
    matches!(of.state, Some(State::NotRun | State::Skipped))
}
