//! Flows as pictures: the shipped one as it is published, generated ones by what every picture keeps to, hostile texts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use tributary::graph::Flow;
use tributary::graph::picture::{BoxKind, NodeRun, Overlay, Picture, State};
use tributary::types::NodeId;

use crate::reading::{here, read};

fn shipped() -> Flow {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("graph.yaml")).expect("it works");
    read(root, "graph.yaml", &text).unwrap_or_else(|found| panic!("{found}")).0
}

fn assert_file(name: &str, text: &str) {
    assert_file_of("pictures", name, text);
}

/// Compares with the file of this name, which `INSTA_UPDATE=always` writes.
pub fn assert_file_of(directory: &str, name: &str, text: &str) {
    let path = here().join(directory).join(name);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, text).expect("it works");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(known == text, "{} is not what is written now; INSTA_UPDATE=always writes it", path.display());
}

#[test]
fn the_shipped_flow_is_drawn_as_it_is_published() {
    let picture = Picture::of(&shipped(), None);
    assert_file("purchasing.svg", &picture.svg());
    assert_file("purchasing.dot", &picture.dot());
    assert_file("purchasing.mmd", &picture.mermaid());
    assert_file("purchasing.json", &picture.json());
}

#[test]
fn a_decision_is_drawn_over_its_flow() {
    let run = |state, began, took| NodeRun {
        state,
        began: Some(Duration::from_micros(began)),
        took: Some(Duration::from_micros(took)),
        ..NodeRun::default()
    };
    let nodes: BTreeMap<NodeId, NodeRun> = [
        ("oms_history", NodeRun { rows: Some(1), ..run(State::Done, 20, 1_200) }),
        ("inventory_levels", NodeRun { rows: Some(1), ..run(State::Degraded, 25, 5_000) }),
        ("supplier_info", NodeRun { rows: Some(0), ..run(State::Failed, 30, 900) }),
        ("uom_conversion", NodeRun { state: State::Skipped, ..NodeRun::default() }),
        ("rule_engine", NodeRun { fired: Some(5), ..run(State::Done, 5_100, 300) }),
    ]
    .into_iter()
    .map(|(name, run)| (NodeId::parse(name).expect("it works"), run))
    .collect();
    let overlay = Overlay { nodes, outcome: Some(1), ending: "no_order".to_owned() };
    let picture = Picture::of(&shipped(), Some(&overlay));
    assert_file("decided.svg", &picture.svg());
    let idle: Vec<&str> = picture
        .boxes
        .iter()
        .filter(|known| matches!(known.state, Some(State::NotRun | State::Skipped)))
        .map(|known| known.id.as_str())
        .collect();
    assert_eq!(idle, ["uom_conversion", "discount", "create_po", "outcome:0", "outcome:2"]);
    let rules = picture.boxes.iter().find(|known| known.id == "rule_engine").expect("it works");
    assert_eq!(rules.lines, ["5 of 9 rules", "at 5.1 ms, took 0.3 ms"]);
}

/// A flow of so many nodes; each pair of bytes may make one depend on an earlier one.
fn generated(nodes: usize, edges: &[(u8, u8)]) -> String {
    let mut text = "flow: generated\ninput: { id: { type: text } }\nnodes:\n".to_owned();
    for node in 0..nodes {
        let mut needs: Vec<usize> = edges
            .iter()
            .filter(|(to, _)| usize::from(*to) % nodes == node && node > 0)
            .map(|(_, from)| usize::from(*from) % node)
            .collect();
        needs.sort_unstable();
        needs.dedup();
        let needs = needs.iter().map(|need| format!("n{need}")).collect::<Vec<_>>().join(", ");
        text.push_str(&format!(
            "  n{node}: {{ type: DBNode, database: d{}_db, query: \"SELECT a FROM t WHERE id = $1\", dependencies: [{needs}] }}\n",
            node % 11
        ));
    }
    text.push_str(&format!(
        "outcomes:\n  - {{ status: good, when: n{}.a > 1 }}\n  - {{ status: bad, when: n0.a < 1 }}\n",
        nodes - 1
    ));
    text
}

/// The same, with a condition at each edge whose number is even.
fn conditional(nodes: usize, edges: &[(u8, u8)]) -> String {
    let text = generated(nodes, edges);
    let mut conditions = String::from("edges:\n");
    let pairs = edges.iter().filter(|_| nodes > 1).map(|(to, from)| {
        let to = usize::from(*to) % nodes;
        (to, if to == 0 { 0 } else { usize::from(*from) % to })
    });
    let mut pairs: Vec<(usize, usize)> = pairs.filter(|(to, _)| *to > 0).collect();
    pairs.sort_unstable();
    pairs.dedup();
    for (number, (to, from)) in pairs.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
        let rule = "n{from}.a > ".replace("{from}", &from.to_string()) + &"1234567890"[..=number % 10];
        conditions.push_str(&format!("  - {{ from: n{from}, to: n{to}, rule: \"{rule} && n{from}.a < 1000\" }}\n"));
    }
    if conditions == "edges:\n" { text } else { text.replace("outcomes:\n", &format!("{conditions}outcomes:\n")) }
}

/// Points on an arrow as it is drawn: curves between layers, level through them.
fn drawn(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut all = Vec::new();
    for (number, pair) in points.windows(2).enumerate() {
        let ((x, y), (to_x, to_y)) = (pair[0], pair[1]);
        for step in 0..=60 {
            let t = f64::from(step) / 60.0;
            let bend = f64::midpoint(x, to_x);
            let bezier = |a: f64, b: f64, c: f64, d: f64| {
                let u = 1.0 - t;
                u.powi(3) * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t.powi(3) * d
            };
            all.push(if number % 2 == 0 {
                (bezier(x, bend, bend, to_x), bezier(y, y, to_y, to_y))
            } else {
                (x + (to_x - x) * t, y)
            });
        }
    }
    all
}

/// A flow that says this text wherever it can.
fn said(text: &str) -> String {
    let json = |text: &str| serde_json::to_string(text).expect("JSON");
    let (quoted, rule) = (json(text), json(&format!("a.t == {}", json(text))));
    format!(
        "flow: f
description: {quoted}
nodes:
  a: {{ type: DBNode, database: a_db, query: \"SELECT t FROM a\", params: [], description: {quoted} }}
  b: {{ type: DBNode, database: b_db, query: \"SELECT t FROM b\", params: [] }}
edges:
  - {{ from: a, to: b, rule: {rule} }}
outcomes:
  - {{ status: {quoted}, when: \"b.t != null\" }}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn boxes_never_overlap_and_arrows_go_to_the_right(
        nodes in 1usize..60, edges in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..90)
    ) {
        let (flow, _) = read(here(), "graph.yaml", &generated(nodes, &edges)).unwrap_or_else(|found| panic!("{found}"));
        let picture = Picture::of(&flow, None);
        prop_assert_eq!(picture.boxes.len(), nodes + 3);
        for (number, one) in picture.boxes.iter().enumerate() {
            prop_assert!(one.x >= 0.0 && one.y >= 0.0, "{}", one.id);
            prop_assert!(one.x + one.width <= picture.width && one.y + one.height <= picture.height, "{}", one.id);
            for other in picture.boxes.iter().skip(number + 1) {
                let apart = one.x + one.width <= other.x
                    || other.x + other.width <= one.x
                    || one.y + one.height <= other.y
                    || other.y + other.height <= one.y;
                prop_assert!(apart, "{} lies over {}", one.id, other.id);
            }
        }
        for arrow in &picture.arrows {
            let (from, to) = (&picture.boxes[arrow.from], &picture.boxes[arrow.to]);
            prop_assert!(from.x + from.width < to.x, "{} -> {}", from.id, to.id);
            for pair in arrow.points.windows(2) {
                prop_assert!(pair[0].0 <= pair[1].0);
            }
            // The level stretches of an arrow run through no box.
            for pair in arrow.points[1..arrow.points.len() - 1].chunks(2) {
                for known in &picture.boxes {
                    let inside = pair[0].1 > known.y && pair[0].1 < known.y + known.height;
                    let beside = pair[1].0 <= known.x || pair[0].0 >= known.x + known.width;
                    prop_assert!(!inside || beside, "{} -> {} runs through {}", from.id, to.id, known.id);
                }
            }
        }
        prop_assert_eq!(Picture::of(&flow, None).svg(), picture.svg(), "drawn twice, drawn otherwise");
    }

    #[test]
    fn no_condition_lies_on_an_arrow_a_box_or_another_condition(
        nodes in 2usize..30, edges in proptest::collection::vec((any::<u8>(), any::<u8>()), 1..60)
    ) {
        let (flow, _) = read(here(), "graph.yaml", &conditional(nodes, &edges)).unwrap_or_else(|found| panic!("{found}"));
        let picture = Picture::of(&flow, None);
        let labels: Vec<_> = picture.arrows.iter().enumerate().filter_map(|(number, arrow)| Some((number, arrow.label.as_ref()?))).collect();
        let conditions = picture.arrows.iter().filter(|arrow| arrow.condition.is_some()).count();
        prop_assert_eq!(labels.len(), conditions);
        for (number, label) in &labels {
            prop_assert!(label.x >= 0.0 && label.y >= 0.0 && label.x + label.width <= picture.width && label.y + label.height <= picture.height);
            for (other, arrow) in picture.arrows.iter().enumerate() {
                let on = |(x, y): &(f64, f64)| *x > label.x && *x < label.x + label.width && *y > label.y && *y < label.y + label.height;
                prop_assert!(!drawn(&arrow.points).iter().any(on), "arrow {other} runs through the condition of {number}");
            }
            let apart = |x: f64, y: f64, width: f64, height: f64| {
                label.x + label.width <= x || x + width <= label.x || label.y + label.height <= y || y + height <= label.y
            };
            for known in &picture.boxes {
                prop_assert!(apart(known.x, known.y, known.width, known.height), "the condition of {number} lies over {}", known.id);
            }
            for (other, known) in labels.iter().filter(|(other, _)| other != number) {
                prop_assert!(apart(known.x, known.y, known.width, known.height), "conditions {number} and {other}");
            }
        }
    }

    #[test]
    fn arrows_of_one_box_are_a_bundle(
        nodes in 2usize..30, edges in proptest::collection::vec((any::<u8>(), any::<u8>()), 1..60)
    ) {
        let (flow, _) = read(here(), "graph.yaml", &conditional(nodes, &edges)).unwrap_or_else(|found| panic!("{found}"));
        let picture = Picture::of(&flow, None);
        for (number, one) in picture.arrows.iter().enumerate() {
            for other in picture.arrows.iter().skip(number + 1).filter(|other| other.from == one.from) {
                // From the same point on, and together for as long as both go on: the last place may be that of a condition.
                let shared = |arrow: &tributary::graph::picture::Arrow| arrow.points.len() - 1 - 2 * usize::from(arrow.label.is_some());
                let together = shared(one).min(shared(other));
                prop_assert_eq!(&one.points[..together], &other.points[..together]);
            }
        }
    }

    #[test]
    fn no_text_breaks_out_of_a_picture(text in "[ -~äß€漢\"'<>&\\\\`#;{}|\\[\\]()]{1,40}") {
        let Ok((flow, _)) = read(here(), "graph.yaml", &said(&text)) else { return Ok(()) };
        let picture = Picture::of(&flow, None);
        let svg = picture.svg();
        let mut reader = quick_xml::Reader::from_str(&svg);
        let mut elements = 0;
        loop {
            match reader.read_event() {
                Ok(quick_xml::events::Event::Eof) => break,
                Ok(quick_xml::events::Event::Start(_) | quick_xml::events::Event::Empty(_)) => elements += 1,
                Ok(_) => {}
                Err(error) => prop_assert!(false, "{error}: {svg}"),
            }
        }
        // As many as for a text that needs no care.
        let (plain, _) = read(here(), "graph.yaml", &said("plain")).expect("a flow");
        prop_assert_eq!(elements, Picture::of(&plain, None).svg().matches('<').count() - Picture::of(&plain, None).svg().matches("</").count());
        // Without its quoted texts, DOT and Mermaid hold nothing of it.
        for (language, document) in [("dot", picture.dot()), ("mermaid", picture.mermaid())] {
            let mut outside = String::new();
            let (mut within, mut escaped) = (false, false);
            for character in document.chars() {
                match character {
                    _ if escaped => escaped = false,
                    '\\' if within && language == "dot" => escaped = true,
                    '"' => within = !within,
                    c if !within => outside.push(c),
                    _ => {}
                }
            }
            prop_assert!(!within, "{language} ends within quotes: {document}");
            let skeleton = |picture: &Picture| match language {
                "dot" => picture.dot(),
                _ => picture.mermaid(),
            };
            prop_assert_eq!(outside.lines().count(), skeleton(&Picture::of(&plain, None)).lines().count(), "{}", document);
        }
        prop_assert!(picture.boxes.iter().any(|known| known.kind == BoxKind::Outcome));
    }
}
