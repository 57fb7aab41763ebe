//! A sweep over every slip of the finger in the shipped rules: each character deleted, doubled, swapped with the next.
//! Each such file is refused with a place, or says exactly what is written in it.

use std::collections::BTreeSet;

use tributary::diagnostics::Place;
use tributary::grl::{Limits, Ruleset, Scope, canonical};

use crate::mutants::mutants;
use crate::purchasing::{file, order_scope, read, scope};
use crate::reader::{count_rules, written_out};

/// What became of the mutants.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    same: usize,
    changed: usize,
    warned: usize,
}

fn facts(ruleset: &Ruleset) -> BTreeSet<String> {
    ruleset.shape().fields.iter().map(|field| field.name.to_string()).collect()
}

fn sweep(name: &str, scope: &Scope) -> Tally {
    let original = read(name);
    let limits = Limits::default();
    let (compiled, warnings) = Ruleset::compile("node", &[file(name, &original)], scope, &[], &limits).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let (meant, known) = (written_out(&original).unwrap(), facts(&compiled));
    assert_eq!(canonical(&file(name, &original), &limits).unwrap(), meant);
    let mutants = mutants(&original);
    let half = mutants.len() / 2;
    let judge = |mutants: &[String]| {
        let mut tally = Tally::default();
        for mutant in mutants {
            judge_one(name, mutant, scope, &meant, &known, &mut tally);
        }
        tally
    };
    let (first, second) = std::thread::scope(|threads| {
        let second = threads.spawn(|| judge(&mutants[half..]));
        (judge(&mutants[..half]), second.join().unwrap())
    });
    Tally {
        refused: first.refused + second.refused,
        same: first.same + second.same,
        changed: first.changed + second.changed,
        warned: first.warned + second.warned,
    }
}

fn judge_one(name: &str, mutant: &str, scope: &Scope, meant: &str, known: &BTreeSet<String>, tally: &mut Tally) {
    let snippet = file(name, mutant);
    match Ruleset::compile("node", std::slice::from_ref(&snippet), scope, &[], &Limits::default()) {
        Err(found) => {
            assert!(found.iter().all(|complaint| matches!(complaint.place, Place::Span(_))), "{found}\n{mutant}");
            tally.refused += 1;
        }
        Ok((ruleset, warnings)) => {
            let says = written_out(mutant).unwrap_or_else(|error| panic!("loaded, but {error}:\n{mutant}"));
            assert_eq!(canonical(&snippet, &Limits::default()).unwrap(), says, "{mutant}");
            assert_eq!(ruleset.rules().len(), count_rules(&says), "{mutant}");
            tally.same += usize::from(says == meant);
            tally.changed += usize::from(says != meant);
            let mut found = warnings;
            found.extend(ruleset.unused(|fact| known.contains(fact)));
            tally.warned += usize::from(!found.is_empty());
            // A misspelt target is a fact that nothing reads.
            if facts(&ruleset).difference(known).next().is_some() {
                assert!(found.iter().any(|warning| warning.code == "unused-fact"), "{found}\n{mutant}");
            }
        }
    }
}

#[test]
fn every_slip_in_the_purchasing_rules_is_refused_or_means_what_it_says() {
    let tally = sweep("rules/purchasing.grl", &scope());
    assert!(tally.refused > tally.changed && tally.same > 0 && tally.warned > 0, "{tally:?}");
}

#[test]
fn every_slip_in_the_order_rules_is_refused_or_means_what_it_says() {
    let tally = sweep("rules/purchase_order.grl", &order_scope());
    assert!(tally.refused > tally.changed && tally.same > 0 && tally.warned > 0, "{tally:?}");
}

/// A file that uses every part of the language, swept as well.
#[test]
fn every_slip_in_a_file_of_everything_is_refused_or_means_what_it_says() {
    let tally = sweep("tests/grl/everything.grl", &scope());
    assert!(tally.refused > 0 && tally.changed > 0, "{tally:?}");
}
