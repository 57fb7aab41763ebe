//! Compiles a table: a rule for each row, and what chooses among them.

use super::axis::Axis;
use super::decision::{Column, Decision, cell};
use super::header::Target;
use super::hit::{Hit, HitPolicy};
use super::index::Index;
use super::place;
use super::read::{Row, Table};
use crate::diagnostics::{Diagnostic, Diagnostics, Place};
use crate::grl::ast::{Assign, At, Expr, Rule, Statement};
use crate::grl::compile::Compiler;
use crate::grl::facts::LOCAL;
use crate::grl::limits::Limits;
use crate::grl::program::Node;
use crate::grl::read::{ParsedRule, refuse_duplicates, refuse_too_many};
use crate::grl::rule::{CompiledRule, Start};
use crate::grl::ruleset::{LocalFact, Ruleset};
use crate::grl::scope::Scope;
use crate::types::Type;

impl Ruleset {
    /// Compiles a decision table for a node that sees `scope` and starts with `locals`.
    ///
    /// # Errors
    /// All errors; a ruleset comes with its warnings.
    pub fn from_table(
        name: &str,
        table: &Table,
        hit: &Hit,
        scope: &Scope,
        locals: &[LocalFact],
        limits: &Limits,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let compiled = compile(name, table, hit, (scope, locals, limits), &mut found);
        let found = place::named(explained(found, table), &table.grid);
        match compiled {
            Some(ruleset) => found.into_result(ruleset),
            None => Err(found.into_result(()).err().unwrap_or_default()),
        }
    }
}

fn compile(
    name: &str,
    table: &Table,
    hit: &Hit,
    (scope, locals, limits): (&Scope, &[LocalFact], &Limits),
    found: &mut Diagnostics,
) -> Option<Ruleset> {
    let snippet = table.snippet();
    let rules: Vec<ParsedRule<'_>> =
        table.rows.iter().map(|row| ParsedRule { rule: rule(row, &table.targets), snippet }).collect();
    refuse_duplicates(&rules, found);
    refuse_too_many(name, &rules, limits, found);
    let mut compiler = Compiler::new(scope, locals, found).for_table(hit.policy);
    // What is wrong with a column is reported once.
    compiler.targets(rules.get(..1)?);
    let subjects: Vec<(Node, Type)> =
        table.conditions.iter().map(|column| compiler.value(snippet, &column.subject)).collect();
    if compiler.has_errors() {
        return None;
    }
    let mut ruleset = compiler.compile(&rules, std::slice::from_ref(snippet));
    let results = results(&ruleset, &table.targets);
    let mut own: Vec<(usize, At)> = Vec::new();
    for (column, (subject, _)) in table.conditions.iter().zip(&subjects) {
        read_results(subject, &results, &column.at, &mut own);
    }
    for (row, rule) in table.rows.iter().zip(&ruleset.rules) {
        rule_reads_results(rule, row, &results, &mut own);
    }
    refuse_own(&own, &ruleset, table, found);
    refuse_start(&results, &ruleset, hit.policy, table, found);
    let ranks = ranks(&ruleset, &results, hit, table, found);
    let parts: Vec<Box<[usize]>> =
        table.rows.iter().map(|row| row.when.iter().map(|(column, _)| *column).collect()).collect();
    let columns = subjects
        .into_iter()
        .zip(&table.conditions)
        .enumerate()
        .map(|(number, ((subject, ty), condition))| {
            let index = index(number, &condition.at, &ruleset.rules, &parts);
            Column { subject, ty, at: condition.at.clone(), index }
        })
        .collect();
    // The place of a result is that of its column.
    for unread in &mut ruleset.unread {
        if let Some(target) = table.targets.iter().find(|target| target.path.written() == *unread.name) {
            unread.span = snippet.span(target.path.at.clone());
        }
    }
    let prefer = hit.prefer.iter().map(|(name, values, _)| (name.clone(), values.clone())).collect();
    let grid = table.grid.clone();
    let default = grid.default.as_ref().and(table.rows.len().checked_sub(1));
    ruleset.table = Some(Decision { policy: hit.policy, columns, results, parts, ranks, default, grid, prefer });
    Some(ruleset)
}

fn rule(row: &Row, targets: &[Target]) -> Rule {
    let at = row.when.first().map_or_else(|| row.at.clone(), |(_, cell)| cell.at());
    let until = row.when.last().map_or_else(|| row.at.clone(), |(_, cell)| cell.at());
    let when_at = at.start..until.end.max(at.end);
    let then = targets.iter().zip(&row.then).map(|(target, value)| Statement::Assign {
        target: target.path.clone(),
        operator: Assign::Set,
        value: value.clone(),
        at: value.at(),
    });
    Rule {
        name: row.name.clone(),
        name_at: row.at.clone(),
        description: None,
        salience: 0,
        no_loop: true,
        is_let: false,
        effective: None,
        expires: None,
        when: Expr::And { items: row.when.iter().map(|(_, cell)| cell.clone()).collect(), at: when_at },
        then: then.collect(),
    }
}

/// The slots of the result columns.
fn results(ruleset: &Ruleset, targets: &[Target]) -> Vec<usize> {
    let slot = |target: &Target| {
        let written = target.path.written();
        ruleset.local_names.iter().position(|name| **name == *written)
    };
    targets.iter().filter_map(slot).collect()
}

fn read_results(node: &Node, results: &[usize], at: &At, into: &mut Vec<(usize, At)>) {
    let mut slots = Vec::new();
    node.slots(&mut slots);
    let own = slots.into_iter().filter_map(|slot| slot.checked_sub(LOCAL)).find(|local| results.contains(local));
    into.extend(own.map(|local| (local, at.clone())));
}

fn rule_reads_results(rule: &CompiledRule, row: &Row, results: &[usize], into: &mut Vec<(usize, At)>) {
    if let Node::And(items) = &rule.when {
        items.iter().for_each(|(item, at)| read_results(item, results, at, into));
    }
    for (assignment, value) in rule.assignments().zip(&row.then) {
        read_results(&assignment.value, results, &value.at(), into);
    }
}

/// A table is evaluated once, over what is there before it.
fn refuse_own(own: &[(usize, At)], ruleset: &Ruleset, table: &Table, found: &mut Diagnostics) {
    for (local, at) in own {
        let fact = ruleset.local_names.get(*local).map_or("", |name| name);
        let message = format!("`{fact}` is a result of this table, which reads what is there before it");
        let error = Diagnostic::error("own-result", table.snippet().span(at.clone()), message);
        found.push(error.help("compute it in a node that depends on this one"));
    }
}

/// A starting value is the result where no row matches; a result that is made of several rows has a beginning of its own.
fn refuse_start(results: &[usize], ruleset: &Ruleset, policy: HitPolicy, table: &Table, found: &mut Diagnostics) {
    for (local, target) in results.iter().zip(&table.targets) {
        if policy.joins() && !matches!(ruleset.start.get(*local), Some(Start::Unset)) {
            let message = format!(
                "`{}` has a value before the table, whose hit policy is {}",
                target.path.written(),
                policy.name()
            );
            let error = Diagnostic::error("bad-table", table.snippet().span(target.path.at.clone()), message);
            found.push(error.help("delete it under `facts` or `field_mappings` of the node"));
        }
    }
}

/// By row: its place in the order of preference.
fn ranks(ruleset: &Ruleset, results: &[usize], hit: &Hit, table: &Table, found: &mut Diagnostics) -> Vec<usize> {
    if !hit.policy.needs_preference() {
        return Vec::new();
    }
    let mut ranks: Vec<Vec<usize>> = vec![Vec::new(); ruleset.rules.len()];
    for (number, (local, target)) in results.iter().zip(&table.targets).enumerate() {
        let written = target.path.written();
        let Some((_, values, _)) = hit.prefer.iter().find(|(name, ..)| **name == *written) else { continue };
        for ((rule, row), rank) in ruleset.rules.iter().zip(&table.rows).zip(&mut ranks) {
            let given = rule.assignments().find(|assignment| assignment.local == *local);
            let place = given
                .and_then(|given| given.value.constant())
                .and_then(|given| values.iter().position(|value| value == given));
            let Some(place) = place else {
                let at = row.then.get(number).map_or(row.at.clone(), Expr::at);
                let message = format!("the order of preference of `{written}` does not have this result");
                let error = Diagnostic::error("bad-table", table.snippet().span(at), message);
                found.push(error.help("write one of its values here, or add this one to it"));
                continue;
            };
            rank.push(place);
        }
    }
    for (name, _, span) in &hit.prefer {
        if !table.targets.iter().any(|target| target.path.written() == **name) {
            let message = format!("the table has no result `{name}`");
            let known: Vec<String> = table.targets.iter().map(|target| target.path.written()).collect();
            found.push(
                Diagnostic::error("unknown-fact", span, message).help(format!("its results are: {}", known.join(", "))),
            );
        }
    }
    let mut order: Vec<&Vec<usize>> = ranks.iter().collect();
    order.sort();
    order.dedup();
    ranks.iter().map(|rank| order.binary_search(&rank).unwrap_or(0)).collect()
}

/// The index of the rows by the column of this number.
fn index(number: usize, subject: &At, rules: &[CompiledRule], parts: &[Box<[usize]>]) -> Option<Index> {
    let cells: Vec<Option<&Node>> = rules.iter().zip(parts).map(|(rule, parts)| cell(rule, parts, number)).collect();
    let axis = Axis::of(cells.iter().flatten().copied(), subject)?;
    let sets: Vec<_> = cells.iter().map(|cell| cell.and_then(|cell| axis.set(cell, subject))).collect();
    Some(Index::new(axis, &sets))
}

impl Compiler<'_> {
    /// Widens the types of results that are made of several rows, and refuses what cannot be joined.
    pub(in crate::grl) fn join_results(&mut self, policy: HitPolicy, rules: &[ParsedRule<'_>]) {
        let Some(ParsedRule { rule, snippet }) = rules.first() else { return };
        for statement in &rule.then {
            let Statement::Assign { target, .. } = statement else { continue };
            let Some((slot, ty)) = self.local_type(&target.written()) else { continue };
            let fits = match policy {
                HitPolicy::Sum => ty.may_be_number(),
                HitPolicy::Min | HitPolicy::Max => !matches!(ty, Type::Boolean | Type::List(_) | Type::Map(_)),
                policy if policy.is_list() => !matches!(ty, Type::List(_) | Type::Map(_)),
                _ => true,
            };
            if !fits {
                let message = format!("the hit policy {} does not take results of type {ty}", policy.name());
                self.error(Diagnostic::error("type-mismatch", snippet.span(target.at.clone()), message));
            }
            self.set_local_type(slot, policy.ty(&ty));
        }
    }
}

/// Errors of the language with the help that tables need.
fn explained(found: Diagnostics, table: &Table) -> Diagnostics {
    let file = table.snippet().source().name();
    let header = table.grid.header.first().map_or(1, |cell| table.grid.span(cell).line());
    let is_word = |text: &str| text.chars().all(|character| character.is_alphanumeric() || character == '_');
    let explain = |error: Diagnostic| {
        let Place::Span(span) = error.place.clone() else { return error };
        let text = span.text();
        if span.source().name() != file || span.line() == header || !is_word(text) {
            return error;
        }
        let help = match error.code {
            "unknown-fact" if table.hit.is_some() => format!("write \"{text}\" in quotes if the text is meant"),
            "unknown-fact" => {
                format!(
                    "an expression stands here; write '{text}' in quotes; or a text without quotes in a column `then fact (text)`"
                )
            }
            "type-mismatch" if error.help.is_none() && text.starts_with(|first: char| first.is_ascii_digit()) => {
                format!("write '{text}' in quotes")
            }
            "type-mismatch" if error.help.is_none() => {
                format!("a word alone is a text; a fact stands behind an operator: `= {text}`")
            }
            _ => return error,
        };
        error.help(help)
    };
    found.into_iter().map(explain).collect()
}
