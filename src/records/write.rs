//! What became of the key of a request, in a record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::compare::{Change, changes};
use super::typed::{hints, restore};
use crate::flow::explain::Redaction;
use crate::flow::{EffectTrace, Report, StatementTrace, Trace};
use crate::graph::Flow;
use crate::types::Value;

/// What became of the key of a request, and of the effect of its decision.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordedWrite {
    /// The key.
    pub key: String,
    /// `placed`, `pending`, `stored` (the decision has no effect), `conflicted`, `unknown`, `failed`; of an approval `approved` or
    /// `dropped`.
    pub result: String,
    /// The effect of the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Its statements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<RecordedStatement>,
    /// Whether it needs an approval.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_approval: bool,
    /// The id of its event in the outbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// A statement of an effect.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordedStatement {
    /// Its parameters; null where they need the row of a statement that did not run.
    #[serde(default)]
    pub params: Option<Vec<Value>>,
    /// The first row that it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Value>,
    /// By column of that row: the type that its JSON loses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, String>,
}

impl RecordedWrite {
    /// What a run noted of the key of its request; `None` where there was no key.
    pub(super) fn of(flow: &Flow, trace: &Trace, redaction: Option<&Redaction>) -> Option<Self> {
        let key = trace.key.as_ref()?;
        let mut write =
            Self { key: key.key.clone(), result: key.result.to_owned(), event: key.event.clone(), ..Self::default() };
        if let Some(notes) = trace.effect.as_deref()
            && let Some(effect) = flow.effects.get(notes.effect)
        {
            write.effect = Some(effect.name.to_string());
            write.needs_approval = notes.needs_approval;
            let kept = redaction.map(|redaction| redaction.effect(effect, notes));
            let statements = &kept.as_ref().unwrap_or(notes).statements;
            write.statements = statements.iter().map(RecordedStatement::of).collect();
        }
        Some(write)
    }

    /// Gives `report`, the decision made again, the rows that the same effect returned, so that its answer has them.
    pub(super) fn repeat(&self, flow: &Flow, report: &mut Report) -> Result<(), String> {
        let Some(mut conclusion) = report.conclusion.take() else { return Ok(()) };
        let effect = conclusion.effect(flow);
        let is_same = effect.is_some_and(|effect| {
            self.effect.as_deref() == Some(effect.name.as_str()) && self.statements.len() == effect.statements.len()
        });
        if is_same && matches!(self.result.as_str(), "placed" | "approved") {
            for (position, statement) in self.statements.iter().enumerate() {
                let row = statement.returned.as_ref().map(|row| restore(row, &statement.types)).transpose()?;
                conclusion.returned(flow, position, row.as_slice());
            }
            report.result = conclusion.decision(flow);
            report.note(|trace| trace.effect = conclusion.notes(flow));
        }
        Ok(())
    }

    /// The differences between the effect and that of the decision made again.
    pub(super) fn changes(&self, flow: &Flow, now: Option<&EffectTrace>) -> Vec<Change> {
        let effect = now.and_then(|now| flow.effects.get(now.effect));
        let before = self.statements.iter().map(|statement| statement.params.as_ref());
        let after = now.map(|now| now.statements.as_slice()).unwrap_or_default();
        let after = after.iter().map(|statement: &StatementTrace| statement.params.as_ref());
        let before = compared(self.effect.as_deref(), before, self.needs_approval);
        let after =
            compared(effect.map(|effect| effect.name.as_str()), after, now.is_some_and(|now| now.needs_approval));
        changes(&before, &after)
    }
}

fn compared<'a>(
    name: Option<&str>,
    params: impl Iterator<Item = Option<&'a Vec<Value>>>,
    needs_approval: bool,
) -> Value {
    let Some(name) = name else { return Value::map([]) };
    let params = params.map(|params| params.map_or(Value::Null, |params| Value::list(params.iter().cloned())));
    let fields = [
        ("name".into(), Value::text(name)),
        ("params".into(), Value::list(params)),
        ("needs_approval".into(), Value::Boolean(needs_approval)),
    ];
    Value::map([("effect".into(), Value::map(fields))])
}

impl RecordedStatement {
    fn of(statement: &StatementTrace) -> Self {
        let types = hints(statement.returned.as_slice());
        Self { params: statement.params.clone(), returned: statement.returned.clone(), types }
    }
}
