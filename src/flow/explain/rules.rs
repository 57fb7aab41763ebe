//! Which rules of a node fired, and why the others did not.

use serde::Serialize;

use super::redact::{REDACTED, Redaction};
use crate::grl::{Firing, Idle, Origin, Reason, RuleInfo, RulesTrace, Ruleset, Write};
use crate::types::{FieldName, Value};

/// A rule that fired.
#[derive(Debug, Clone, Serialize)]
pub struct Fired {
    /// Its name.
    pub rule: String,
    /// Its description in the rule file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file, line and column.
    pub place: String,
    /// What it changed, in order.
    pub facts: Vec<FactChange>,
    /// What it logged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// A fact that a rule changed.
#[derive(Debug, Clone, Serialize)]
pub struct FactChange {
    /// The fact.
    pub fact: FieldName,
    /// Its value before; `None` where it was unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value after.
    pub after: Value,
}

/// A rule that did not fire.
#[derive(Debug, Clone, Serialize)]
pub struct NotFired {
    /// Its name.
    pub rule: String,
    /// Its description in the rule file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its file, line and column.
    pub place: String,
    /// `condition_false`, `waiting` (its condition needs an unset fact), `incomplete` (a value that it would assign needs one),
    /// `not_yet_effective`, `expired`, or `overruled` (a row of a table that matches; another one was chosen).
    pub why: &'static str,
    /// In words: the comparisons that are false with their operands, the facts that are unset.
    pub because: Vec<String>,
    /// The facts that a waiting rule would have set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_set: Vec<FieldName>,
}

pub(super) fn explain(
    node: usize,
    ruleset: &Ruleset,
    trace: &RulesTrace,
    redaction: &Redaction,
) -> (Vec<Fired>, Vec<NotFired>) {
    let explainer = Explainer { node, ruleset, redaction };
    let fired = trace.fired.iter().filter_map(|firing| Some(explainer.fired(&ruleset.rule(firing.rule)?, firing)));
    let not_fired = trace.idle.iter().filter_map(|idle| Some(explainer.not_fired(&ruleset.rule(idle.rule)?, idle)));
    (fired.collect(), not_fired.collect())
}

struct Explainer<'a> {
    node: usize,
    ruleset: &'a Ruleset,
    redaction: &'a Redaction,
}

impl Explainer<'_> {
    fn fired(&self, info: &RuleInfo<'_>, firing: &Firing) -> Fired {
        let hides = |origin: &Origin| self.redaction.hides(Some(self.node), origin);
        let log = if self.ruleset.log_reads(firing.rule).iter().any(hides) {
            firing.log.iter().map(|_| REDACTED.to_owned()).collect()
        } else {
            firing.log.clone()
        };
        Fired {
            rule: info.name.to_owned(),
            description: info.description.map(str::to_owned),
            place: info.place.clone(),
            facts: firing.writes.iter().map(|write| self.change(write)).collect(),
            log,
        }
    }

    fn change(&self, write: &Write) -> FactChange {
        let hidden = self.redaction.hides(Some(self.node), &Origin::Own(write.fact.clone()));
        let shown = |value: &Value| if hidden { Value::text(REDACTED) } else { value.clone() };
        FactChange { fact: write.fact.clone(), before: write.before.as_ref().map(shown), after: shown(&write.after) }
    }

    fn targets(&self, rule: usize) -> Vec<FieldName> {
        let mut targets: Vec<FieldName> = Vec::new();
        for assignment in self.ruleset.assignments(rule) {
            if !targets.contains(assignment.fact) {
                targets.push(assignment.fact.clone());
            }
        }
        targets
    }

    fn not_fired(&self, info: &RuleInfo<'_>, idle: &Idle) -> NotFired {
        NotFired {
            rule: info.name.to_owned(),
            description: info.description.map(str::to_owned),
            place: info.place.clone(),
            why: match idle.because {
                Reason::False(_) => "condition_false",
                Reason::Overruled { .. } => "overruled",
                Reason::Waits(_) => "waiting",
                Reason::Lacks(_) => "incomplete",
                Reason::NotYet => "not_yet_effective",
                Reason::Expired => "expired",
            },
            because: self.redaction.sentences(Some(self.node), &idle.because),
            would_set: match idle.because {
                Reason::Waits(_) | Reason::Lacks(_) => self.targets(idle.rule),
                Reason::False(_) | Reason::Overruled { .. } | Reason::NotYet | Reason::Expired => Vec::new(),
            },
        }
    }
}
