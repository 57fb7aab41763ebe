//! What searches found, for a terminal.

use std::fmt::Write;

use crate::flow::flip::{Bound, Edge, Flip, Together};
use crate::types::Value;

/// Both sides of each change that a search found.
pub(super) fn flip(flip: &Flip) -> String {
    let mut text = String::new();
    line(&mut text, &format!("{} is {}: {}", flip.fact, flip.value, flip.ending));
    for (edge, bound, word) in [(&flip.below, &flip.below_bound, "down"), (&flip.above, &flip.above_bound, "up")] {
        match (edge, bound) {
            (Some(edge), _) => side(flip, edge, word, &mut text),
            (None, Some(Bound { last, why })) => {
                line(&mut text, &format!("  {word} to {last}: {}", flip.ending));
                line(&mut text, &format!("  {word} from there no further value could be tried: {why}"));
            }
            (None, None) => line(&mut text, &format!("  {word}: no other ending was found")),
        }
    }
    text
}

/// The smallest change of several facts that a search found.
pub(super) fn together(together: &Together) -> String {
    let mut text = String::new();
    line(&mut text, &format!("{} together: {}", together.facts.join(", "), together.ending));
    match &together.change {
        Some(change) => {
            for changed in &change.facts {
                line(&mut text, &format!("  {} from {} to {}", changed.fact, changed.before, changed.after));
            }
            line(&mut text, &format!("  then: {}", change.ending));
        }
        None => line(&mut text, "  no change to another decision was found"),
    }
    let runs = together.runs;
    let proved = together.found_by == "proof";
    let rest = if proved { "there is no smaller change" } else { "a smaller change is not excluded" };
    line(&mut text, &format!("  found by {} over {runs} runs; {rest}", together.found_by));
    if let Some(why) = &together.cut_off {
        line(&mut text, &format!("  the search was cut off: {why}"));
    }
    text
}

fn side(flip: &Flip, edge: &Edge, word: &str, text: &mut String) {
    let Edge { last, first, ending, decision } = edge;
    line(text, &format!("  {word} to {last}: {}", flip.ending));
    line(text, &format!("  {word} to {first}: {ending}"));
    let message = decision.as_ref().and_then(|decision| decision.get("message")).and_then(|message| message.as_str());
    if let Some(message) = message {
        line(text, &format!("      {}", Value::text(message)));
    }
}

fn line(text: &mut String, line: &str) {
    // Writing to a text cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}
