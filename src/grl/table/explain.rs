//! Why the rows of a table did not give their results.

use super::decide::{Match, matches};
use super::decision::{Decision, cell};
use crate::grl::program::Node;
use crate::grl::rule::CompiledRule;
use crate::grl::ruleset::Ruleset;
use crate::grl::trace::{Explainer, Idle, Reason};
use crate::types::Value;

/// The most rows that an explanation says this of.
const MOST_ROWS: usize = 20;

impl Ruleset {
    /// The rows that came nearest to giving their results, those with the fewest false cells first, and how many others there are.
    /// `fired` are the rows that gave theirs.
    pub(in crate::grl) fn nearest(
        &self,
        table: &Decision,
        explainer: &Explainer<'_>,
        fired: &[usize],
    ) -> (Vec<Idle>, usize) {
        let mut has_fired = vec![false; self.rules.len()];
        fired.iter().filter_map(|row| has_fired.get_mut(*row).map(|fired| *fired = true)).for_each(drop);
        let mut idle: Vec<(usize, usize)> = self
            .failing(table, explainer)
            .into_iter()
            .enumerate()
            .filter(|(row, _)| !has_fired.get(*row).is_some_and(|fired| *fired))
            .map(|(row, failing)| (failing, row))
            .collect();
        idle.sort_unstable();
        let further = idle.len().saturating_sub(MOST_ROWS);
        let by = fired.first().and_then(|row| self.rules.get(*row)).map(|rule| rule.name.clone());
        let near = idle.into_iter().take(MOST_ROWS).filter_map(|(_, row)| {
            let because = explainer.why_row_idle(self.rules.get(row)?, by.as_deref());
            Some(Idle { rule: row, because })
        });
        (near.collect(), further)
    }

    /// By row: how many of its cells are false.
    fn failing(&self, table: &Decision, explainer: &Explainer<'_>) -> Vec<usize> {
        let mut failing = vec![0; self.rules.len()];
        for (number, column) in table.columns.iter().enumerate() {
            let value = column.subject.value(&explainer.env).ok().flatten();
            let matching = column.index.as_ref().zip(value.as_ref()).and_then(|(index, value)| index.rows(value));
            for ((row, count), parts) in failing.iter_mut().enumerate().zip(&table.parts) {
                if !parts.contains(&number) {
                    continue;
                }
                let is_false = match (&matching, &column.index) {
                    (Some(matching), Some(index)) if !index.is_open(row) => !matching.has(row),
                    _ => {
                        let cell = self.rules.get(row).and_then(|rule| cell(rule, parts, number));
                        cell.is_some_and(|cell| is_false(cell, explainer))
                    }
                };
                *count += usize::from(is_false);
            }
        }
        failing
    }
}

fn is_false(cell: &Node, explainer: &Explainer<'_>) -> bool {
    matches!(cell.value(&explainer.env), Ok(Some(Value::Boolean(false))))
}

impl Explainer<'_> {
    /// Why a row did not give its results: all of its cells that are false, or the row that was chosen in its place.
    fn why_row_idle(&self, rule: &CompiledRule, by: Option<&str>) -> Reason {
        match matches(rule, &self.env) {
            Match::Yes => match by {
                Some(by) => Reason::Overruled { by: by.to_owned() },
                None => self.why_idle(rule),
            },
            Match::Unknown | Match::Error(_) => self.why_idle(rule),
            Match::No => {
                let mut failed = Vec::new();
                if let Node::And(parts) = &rule.when {
                    for (part, at) in parts.iter().filter(|(part, _)| is_false(part, self)) {
                        self.failures(part, at, &rule.snippet, &mut failed);
                    }
                }
                Reason::False(failed)
            }
        }
    }
}
