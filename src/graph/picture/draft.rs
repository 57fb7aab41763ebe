//! Boxes and arrows of a flow, not yet placed.

use super::{Arrow, Box, BoxKind, Domain, NodeRun, Overlay, Picture, State};
use crate::graph::plan::{Flow, Node, Outcome, Work};
use crate::grl::{FactRef, Owner};

/// Tints and borders that can be distinguished with any colour vision (after Okabe and Ito).
const COLOURS: [(&str, &str); 8] = [
    ("#d6ecfa", "#0072b2"),
    ("#fde8c8", "#b86e00"),
    ("#d3f0e5", "#00805a"),
    ("#f6dcea", "#a8447e"),
    ("#fbf6c3", "#8a7d00"),
    ("#fadccb", "#b84a00"),
    ("#dfe9f7", "#3f6fb5"),
    ("#e4e4e4", "#444444"),
];
/// The most characters of a line; a longer line ends in an ellipsis.
const LONGEST: usize = 42;
/// The most characters of a line of a condition, and its most lines.
const CONDITION: (usize, usize) = (34, 3);

/// The boxes and arrows.
pub(super) fn of(flow: &Flow, overlay: Option<&Overlay>) -> Picture {
    let mut boxes = Vec::new();
    let mut arrows = Vec::new();
    let has_inputs = !flow.inputs.fields().is_empty();
    if has_inputs {
        boxes.push(inputs(flow, overlay.is_some()));
    }
    let first = boxes.len();
    for node in &flow.nodes {
        let run = overlay.map(|overlay| overlay.nodes.get(&node.id).cloned().unwrap_or_default());
        boxes.push(one(node, run.as_ref()));
    }
    for (place, node) in flow.nodes.iter().enumerate() {
        // Only the first nodes have arrows from the inputs: arrows to all readers would hide the rest.
        let begins = node.depends_on.is_empty();
        if has_inputs && begins && reads(node).iter().any(|fact| fact.owner == Owner::Input) {
            arrows.push(arrow(0, first + place, None));
        }
        for from in &node.depends_on {
            let guard = node.guards.iter().find(|guard| guard.from == *from);
            arrows.push(arrow(first + from, first + place, guard.map(|guard| one_line(guard.rule.text()))));
        }
    }
    let last = boxes.len();
    for (number, outcome) in flow.outcomes.iter().enumerate() {
        boxes.push(ending(number, outcome, overlay));
        for from in evidence(flow, outcome) {
            let (from, decides) = from;
            arrows.push(Arrow { aside: !decides, ..arrow(first + from, last + number, None) });
        }
    }
    if overlay.is_some() {
        for arrow in &mut arrows {
            let state = |place: usize| boxes.get(place).and_then(|known| known.state);
            let handed_on = matches!(state(arrow.from), Some(State::Done | State::Degraded));
            arrow.ran = Some(handed_on && !matches!(state(arrow.to), None | Some(State::NotRun | State::Skipped)));
        }
    }
    Picture {
        flow: flow.name.to_string(),
        description: flow.description.clone(),
        ending: overlay.map(|overlay| overlay.ending.clone()),
        width: 0.0,
        height: 0.0,
        domains: domains(&boxes),
        boxes,
        arrows,
    }
}

fn arrow(from: usize, to: usize, condition: Option<String>) -> Arrow {
    Arrow { from, to, condition, aside: false, ran: None, points: Vec::new(), label: None }
}

fn plain(id: String, kind: BoxKind, title: &str, lines: &[String]) -> Box {
    Box {
        id,
        kind,
        title: short(title),
        lines: lines.iter().map(|line| short(line)).collect(),
        description: None,
        domain: None,
        state: None,
        x: 0.0,
        y: 0.0,
        width: 0.0,
        height: 0.0,
    }
}

fn inputs(flow: &Flow, is_drawn_over: bool) -> Box {
    let names: Vec<String> = flow.inputs.fields().iter().map(|field| field.name.to_string()).collect();
    let state = is_drawn_over.then_some(State::Done);
    Box { state, ..plain("input".to_owned(), BoxKind::Input, "input", &names) }
}

fn one(node: &Node, run: Option<&NodeRun>) -> Box {
    let id = node.id.to_string();
    let mut lines = Vec::new();
    let (kind, domain) = match &node.work {
        Work::Query(query) => {
            lines.push(query.domain.to_string());
            (BoxKind::Query, Some(query.domain.to_string()))
        }
        Work::Rules(rules) => {
            let count = rules.ruleset.rules().len();
            let fired = run.and_then(|run| run.fired).map(|fired| format!("{fired} of ")).unwrap_or_default();
            let what = if rules.ruleset.is_table() { "row" } else { "rule" };
            lines.push(format!("{fired}{count} {what}{}", if count == 1 { "" } else { "s" }));
            (BoxKind::Rules, None)
        }
    };
    lines.extend(run.map(timing).unwrap_or_default());
    let description = node.description.clone();
    Box { description, domain, state: run.map(|run| run.state), ..plain(id.clone(), kind, &id, &lines) }
}

/// The state of the node, if it is not plain, and "at 0.1 ms, took 3.4 ms, 1 row".
fn timing(run: &NodeRun) -> Vec<String> {
    let state = match run.state {
        State::Skipped => Some("skipped".to_owned()),
        State::Failed => Some("failed".to_owned()),
        State::Degraded => Some("default used".to_owned()),
        State::NotRun | State::Done => None,
    };
    let ms = |duration: std::time::Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    let parts = [
        run.began.map(|began| format!("at {}", ms(began))),
        run.took.filter(|_| run.began.is_some()).map(|took| format!("took {}", ms(took))),
        run.rows.map(|rows| format!("{rows} row{}", if rows == 1 { "" } else { "s" })),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let times = (!parts.is_empty()).then(|| parts.join(", "));
    state.into_iter().chain(times).collect()
}

fn ending(number: usize, outcome: &Outcome, overlay: Option<&Overlay>) -> Box {
    let when = outcome.when.as_ref().map_or_else(|| "otherwise".to_owned(), |when| one_line(when.text()));
    let state = overlay.map(|overlay| if overlay.outcome == Some(number) { State::Done } else { State::NotRun });
    let description = Some(format!("{}: {when}", outcome.status));
    // No node's name has a colon.
    Box { description, state, ..plain(format!("outcome:{number}"), BoxKind::Outcome, &outcome.status, &wrapped(&when)) }
}

/// The nodes that decide whether the flow ends so (true), and those that only its answer reads (false).
fn evidence(flow: &Flow, outcome: &Outcome) -> Vec<(usize, bool)> {
    let is_last = |place: &usize| flow.nodes.get(*place).is_some_and(|node| node.dependents.is_empty());
    let mut nodes: Vec<usize> = outcome.when.iter().flat_map(|when| when.reads().iter().filter_map(place)).collect();
    if outcome.when.is_none() {
        nodes.extend((0..flow.nodes.len()).filter(is_last));
    }
    let shown = outcome.reads();
    let shown = shown.iter().filter_map(place).filter(is_last).filter(|place| !nodes.contains(place));
    let mut all: Vec<(usize, bool)> = shown.map(|place| (place, false)).collect();
    all.extend(nodes.into_iter().map(|place| (place, true)));
    all.sort_unstable();
    all.dedup();
    all
}

fn place(fact: &FactRef) -> Option<usize> {
    match fact.owner {
        Owner::Node(node) => Some(node),
        Owner::Input => None,
    }
}

fn reads(node: &Node) -> &[FactRef] {
    match &node.work {
        Work::Query(query) => &query.params,
        Work::Rules(rules) => rules.ruleset.reads(),
    }
}

fn domains(boxes: &[Box]) -> Vec<Domain> {
    let mut names: Vec<&String> = boxes.iter().filter_map(|known| known.domain.as_ref()).collect();
    names.sort();
    names.dedup();
    let colours = COLOURS.into_iter().cycle();
    names.into_iter().zip(colours).map(|(name, (fill, stroke))| Domain { name: name.clone(), fill, stroke }).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A condition in lines, broken between words.
fn wrapped(text: &str) -> Vec<String> {
    let (longest, most) = CONDITION;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= longest => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            last.push_str(" …");
        }
    }
    lines
}

fn short(text: &str) -> String {
    let text = one_line(text);
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}
