//! Why an outcome is undecided: the facts that are missing, and the rules that wait for them.
//!
//! An unknown fact is followed back through waiting rules, edges and parameters to the facts that no waiting rule would have
//! set, and a fact of a skipped node through its edges and parameters. Those are missing. The result holds names and conditions
//! as they are written, never values.

use schemars::JsonSchema;
use serde::Serialize;

use super::facts::Known;
use crate::graph::{Flow, Node, Work};
use crate::grl::{Beginning, FactRef, Facts, Lookup, Origin, Owner, Reason, Ruleset, overlap};
use crate::types::{Clock, FieldName, NodeId};

/// A fact that has no value, at the root of what is unknown.
#[derive(Debug, Clone, Serialize, JsonSchema, PartialEq, Eq)]
#[schemars(deny_unknown_fields)]
pub struct Missing {
    /// The fact, as `node.field`.
    pub fact: String,
    /// The rules that would have set it, had they fired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_by: Vec<String>,
    /// Why it has no value: why these rules did not fire, or why its node was skipped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// A rule that waits for a missing fact.
#[derive(Debug, Clone, Serialize, JsonSchema, PartialEq, Eq)]
#[schemars(deny_unknown_fields)]
pub struct Waiting {
    /// Its node.
    pub node: NodeId,
    /// Its name.
    pub rule: String,
    /// The facts it would have set.
    pub sets: Vec<FieldName>,
}

impl Missing {
    fn plain(fact: &FactRef) -> Self {
        Self { fact: fact.written.to_string(), set_by: Vec::new(), because: Vec::new() }
    }
}

/// How many rules a missing fact has reasons of.
const MOST_REASONS: usize = 8;

/// Why a condition is not true, without values.
fn sentence(reason: &Reason) -> String {
    let listed = |texts: Vec<&str>| format!("`{}`", texts.join("`, `"));
    match reason {
        Reason::NotYet => "its date-effective has not come".to_owned(),
        Reason::Expired => "its date-expires has come".to_owned(),
        Reason::False(failed) => {
            let texts: Vec<&str> = failed.iter().map(|part| part.text.as_str()).collect();
            let are = if texts.len() > 1 { "are" } else { "is" };
            format!("{} {are} false", listed(texts))
        }
        Reason::Overruled { by } => format!("it matches, and {by} was chosen"),
        Reason::Waits(facts) | Reason::Lacks(facts) => {
            format!("it waits for {}", listed(facts.iter().map(Origin::written).collect()))
        }
    }
}

/// How many rules that would have set a fact are named; a table may have thousands of rows.
const MOST_WRITERS: usize = 20;

/// Follows unknown facts to their roots.
pub(super) struct Roots<'a> {
    flow: &'a Flow,
    known: &'a Known<'a>,
    clock: &'a Clock,
    seen: Vec<(usize, FieldName)>,
    /// What is missing.
    pub(super) missing: Vec<Missing>,
    /// Which rules wait.
    pub(super) waiting: Vec<Waiting>,
}

impl<'a> Roots<'a> {
    pub(super) fn new(flow: &'a Flow, known: &'a Known<'a>, clock: &'a Clock) -> Self {
        Self { flow, known, clock, seen: Vec::new(), missing: Vec::new(), waiting: Vec::new() }
    }

    /// Follows `facts`. Where rules only wait for each other, the facts themselves are missing.
    pub(super) fn follow(&mut self, facts: &[&FactRef]) {
        facts.iter().for_each(|fact| self.outside(fact));
        if self.missing.is_empty() {
            self.missing.extend(facts.iter().map(|fact| Missing::plain(fact)));
        }
    }

    fn outside(&mut self, fact: &FactRef) {
        let Owner::Node(place) = fact.owner else { return };
        let Some(node) = self.flow.nodes.get(place) else { return };
        let path = fact.path.join(".");
        if self.known.is_unknown(place) {
            self.behind(place, node);
        } else if self.known.is_skipped(place) {
            self.skipped(place, node, fact);
        } else if let (Work::Rules(rules), Lookup::Unknown { .. } | Lookup::Unset) = (&node.work, self.known.read(fact))
        {
            let mut names: Vec<FieldName> =
                rules.ruleset.own_facts().map(|(name, _)| name.clone()).filter(|name| overlap(name, &path)).collect();
            let is_unknown =
                |name: &FieldName| self.known.unknowns(place).is_some_and(|all| all.facts().any(|fact| fact == name));
            // Of a group of facts, only the unknown ones count.
            if names.iter().any(is_unknown) {
                names.retain(is_unknown);
            }
            names.iter().for_each(|name| self.own(place, node, &rules.ruleset, name));
        } else {
            self.root(Missing::plain(fact));
        }
    }

    /// Follows a fact of a skipped node: a condition on the way to it is false, or needs what has no value.
    fn skipped(&mut self, place: usize, node: &Node, fact: &FactRef) {
        let mut because = Vec::new();
        let mut lacked: Vec<FactRef> = Vec::new();
        for guard in &node.guards {
            match guard.rule.why_not(self.known, self.clock) {
                Some(reason @ Reason::False(_)) => {
                    because.push(format!("node `{}` was skipped: {}", node.id, sentence(&reason)));
                }
                Some(_) => lacked.extend(guard.rule.lacks(self.known, self.clock).into_iter().cloned()),
                None => {}
            }
        }
        if let Work::Query(query) = &node.work {
            let has_none = |fact: &&FactRef| matches!(self.known.read(fact), Lookup::Unset | Lookup::Unknown { .. });
            lacked.extend(query.params.iter().filter(has_none).cloned());
        }
        if because.is_empty() && !lacked.is_empty() {
            if !self.is_seen(place, "") {
                lacked.iter().for_each(|fact| self.outside(fact));
            }
        } else {
            self.root(Missing { fact: fact.written.to_string(), set_by: Vec::new(), because });
        }
    }

    /// Follows what the edges and parameters of a node that did not run lack.
    fn behind(&mut self, place: usize, node: &Node) {
        if self.is_seen(place, "") {
            return;
        }
        let mut lacked: Vec<FactRef> = Vec::new();
        for guard in &node.guards {
            if matches!(guard.rule.evaluate(self.known, self.clock), Ok(None)) {
                lacked.extend(guard.rule.lacks(self.known, self.clock).into_iter().cloned());
            }
        }
        if let Work::Query(query) = &node.work {
            let unknown = |fact: &&FactRef| matches!(self.known.read(fact), Lookup::Unknown { .. });
            lacked.extend(query.params.iter().filter(unknown).cloned());
        }
        lacked.iter().for_each(|fact| self.outside(fact));
    }

    /// Follows a fact of a rule node without a certain value.
    fn own(&mut self, place: usize, node: &Node, ruleset: &Ruleset, name: &FieldName) {
        if self.is_seen(place, name) {
            return;
        }
        let doubts = self.known.unknowns(place).map(|unknown| unknown.doubts()).unwrap_or_default();
        let mut is_root = true;
        for doubt in doubts {
            let sets: Vec<FieldName> =
                ruleset.assignments(doubt.rule).into_iter().map(|each| each.fact.clone()).collect();
            if !sets.contains(name) {
                continue;
            }
            is_root = false;
            if let Some(rule) = ruleset.rule_name(doubt.rule).filter(|_| doubt.waits) {
                let waiting = Waiting { node: node.id.clone(), rule: rule.to_owned(), sets };
                if !self.waiting.contains(&waiting) {
                    self.waiting.push(waiting);
                }
            }
            for origin in &doubt.because {
                match origin {
                    Origin::Outside(fact) => self.outside(fact),
                    Origin::Own(name) => self.own(place, node, ruleset, name),
                }
            }
        }
        let beginning = ruleset.own_facts().find(|(known, _)| *known == name).map(|(_, beginning)| beginning);
        match beginning {
            Some(Beginning::Mapped(source)) if is_root => self.outside(&source),
            Some(Beginning::Unset) if is_root => {
                let sets = |rule: &usize| ruleset.assignments(*rule).iter().any(|each| each.fact == name);
                let writers: Vec<usize> = (0..ruleset.rules().len()).filter(sets).take(MOST_WRITERS).collect();
                let names = writers.iter().filter_map(|rule| ruleset.rule_name(*rule));
                let set_by: Vec<String> = names.map(str::to_owned).collect();
                let own = |name: &FieldName| self.known.own(place, name);
                let why = |rule| ruleset.why_idle(rule, self.known, &own, self.clock);
                // A fact that a run supposes may let a rule fire that has not been tried again.
                let explains = |reason: &Reason| !matches!(reason, Reason::Lacks(facts) if facts.is_empty());
                let because = writers.iter().zip(&set_by).take(MOST_REASONS).filter_map(|(writer, name)| {
                    let reason = why(*writer).filter(explains)?;
                    Some(format!("rule `{name}` did not fire: {}", sentence(&reason)))
                });
                let because = because.collect();
                self.root(Missing { fact: format!("{}.{name}", node.id), set_by, because });
            }
            _ => {}
        }
    }

    fn root(&mut self, missing: Missing) {
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }

    fn is_seen(&mut self, place: usize, name: &str) -> bool {
        let known = self.seen.iter().any(|(node, fact)| *node == place && **fact == *name);
        if !known {
            self.seen.push((place, FieldName::from(name)));
        }
        known
    }
}
