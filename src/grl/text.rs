//! Rules as they are written.

use super::facts::Origin;
use super::rule::CompiledRule;
use super::ruleset::Ruleset;
use super::table::{Decision, TableText};

/// A rule as it is written, with what it reads and writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Its condition; a `let` has none.
    pub when: Option<String>,
    /// Its statements, without `;`.
    pub then: Vec<String>,
    /// From when it counts.
    pub effective: Option<String>,
    /// Until when it counts.
    pub expires: Option<String>,
    /// The lines of the comment directly above it, those for `check` left out.
    pub comment: Vec<String>,
    /// The facts that it reads, each once.
    pub reads: Vec<String>,
    /// The facts that it writes, each once.
    pub writes: Vec<String>,
}

impl Ruleset {
    /// The rule at a position of [`Self::rules`], as it is written.
    pub fn text(&self, position: usize) -> Option<RuleText> {
        let rule = self.rules.get(position)?;
        let assignments = self.assignments(position);
        let in_values = assignments.iter().flat_map(|assignment| assignment.reads.clone());
        let reads = self.condition_reads(position).into_iter().chain(in_values).chain(self.log_reads(position));
        Some(RuleText {
            when: (!rule.is_let).then(|| rule.written(rule.when_at.clone())),
            then: rule.statements.iter().map(|at| rule.written(at.clone()).trim_end_matches(';').to_owned()).collect(),
            effective: rule.effective.as_ref().map(ToString::to_string),
            expires: rule.expires.as_ref().map(ToString::to_string),
            comment: rule.comment(),
            reads: unique(reads.map(|origin: Origin| origin.written().to_owned())),
            writes: unique(assignments.iter().map(|assignment| assignment.fact.to_string())),
        })
    }

    /// The table, where the rules are its rows.
    pub fn table_text(&self) -> Option<TableText> {
        self.table.as_ref().map(Decision::text)
    }

    /// The expression, where it is the condition of a node and no rule was written.
    pub fn condition(&self) -> Option<String> {
        match self.rules.as_slice() {
            [rule] if rule.at == rule.when_at && self.table.is_none() => Some(rule.written(rule.at.clone())),
            _ => None,
        }
    }
}

impl CompiledRule {
    /// The text at `at`. The lines after the first have no indentation.
    fn written(&self, at: super::ast::At) -> String {
        let text = self.snippet.text().get(at).unwrap_or("");
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    }

    fn comment(&self) -> Vec<String> {
        let before = self.snippet.text().get(..self.at.start).unwrap_or("");
        let above = before.rfind('\n').and_then(|end| before.get(..end)).unwrap_or("");
        let comments = above.split('\n').rev().map_while(|line| line.trim().strip_prefix("//"));
        let mut lines: Vec<String> = comments
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty() && !line.starts_with("allow:"))
            .collect();
        lines.reverse();
        lines
    }
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}
