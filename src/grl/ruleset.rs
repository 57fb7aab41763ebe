//! The compiled rules of a node, in the order in which they are tried.

use std::fmt;

use super::facts::{FactRef, Lookup, Names};
use super::links::Links;
use super::rule::{CompiledRule, Start};
use super::table::Decision;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};
use crate::types::{FieldName, Shape, Type, Value};

/// A fact that a rule node has before its first rule runs.
#[derive(Debug, Clone)]
pub enum LocalFact {
    /// A fact with a starting value.
    Starting {
        /// Its name. If the value is a map, its fields are facts of their own.
        name: FieldName,
        /// Its value.
        value: Value,
        /// Its place in the graph.
        span: Span,
    },
    /// A fact that is taken from another owner.
    Mapped {
        /// Its name.
        name: FieldName,
        /// The fact whose value it has.
        source: FactRef,
        /// Its type.
        ty: Type,
        /// Its place in the graph.
        span: Span,
    },
}

/// A rule, as explanations describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its description.
    pub description: Option<&'a str>,
    /// Rules of higher salience are tried first.
    pub salience: i32,
    /// Whether it fires at most once in an evaluation.
    pub no_loop: bool,
    /// Its file and line.
    pub place: String,
}

impl<'a> RuleInfo<'a> {
    fn of(rule: &'a CompiledRule) -> Self {
        Self {
            name: &rule.name,
            description: rule.description.as_deref(),
            salience: rule.salience,
            no_loop: rule.no_loop,
            place: rule.span().to_string(),
        }
    }
}

/// A fact that no rule of the node reads.
pub(super) struct Unread {
    pub(super) name: FieldName,
    /// The place that makes it.
    pub(super) span: Span,
    /// The rule that makes it.
    pub(super) rule: Option<Span>,
}

/// Compiled rules, shared by all threads that evaluate them.
pub struct Ruleset {
    pub(super) rules: Vec<CompiledRule>,
    pub(super) links: Links,
    pub(super) reads: Vec<FactRef>,
    pub(super) read_names: Vec<FieldName>,
    pub(super) local_names: Vec<FieldName>,
    pub(super) start: Vec<Start>,
    /// Facts that none of these rules reads.
    pub(super) unread: Vec<Unread>,
    pub(super) shape: Shape,
    pub(super) hash: String,
    /// What chooses among the rules, if they are the rows of a table.
    pub(super) table: Option<Decision>,
}

impl Ruleset {
    /// The facts that [`super::Engine::evaluate`] needs, in this order.
    pub fn reads(&self) -> &[FactRef] {
        &self.reads
    }

    /// The node's own facts and their types, for the nodes and outcomes that read them.
    pub fn shape(&self) -> Shape {
        self.shape.clone()
    }

    /// Whether the fields `path` lead to one of the node's own facts, or into its value.
    pub fn is_value(&self, path: &[FieldName]) -> bool {
        let mut written = String::new();
        path.iter().any(|name| {
            written.push_str(if written.is_empty() { "" } else { "." });
            written.push_str(name);
            self.local_names.iter().any(|local| **local == *written)
        })
    }

    /// The rules in the order they are tried.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = RuleInfo<'_>> {
        self.rules.iter().map(RuleInfo::of)
    }

    /// The rule at this position.
    pub fn rule(&self, position: usize) -> Option<RuleInfo<'_>> {
        self.rules.get(position).map(RuleInfo::of)
    }

    /// The name of the rule at this position.
    pub fn rule_name(&self, position: usize) -> Option<&str> {
        self.rules.get(position).map(|rule| rule.name.as_str())
    }

    /// The texts of its rules, each once, in the order of the files.
    pub fn texts(&self) -> Vec<&Snippet> {
        let mut texts: Vec<&Snippet> = Vec::new();
        for rule in &self.rules {
            if !texts.iter().any(|known| known.source().name() == rule.snippet.source().name()) {
                texts.push(&rule.snippet);
            }
        }
        texts
    }

    /// The facts that have a starting value in the graph.
    pub fn starting_facts(&self) -> impl Iterator<Item = (&FieldName, &Value)> {
        self.local_names.iter().zip(&self.start).filter_map(|(name, start)| match start {
            Start::Value(value) => Some((name, value)),
            Start::Unset | Start::Read(_) => None,
        })
    }

    /// The first 16 hexadecimal digits of the SHA-256 of its files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Warns of facts that these rules do not read, and for which `is_read` is false.
    pub fn unused(&self, is_read: impl Fn(&str) -> bool) -> Diagnostics {
        let unused = self.unread.iter().filter(|unread| !is_read(&unread.name));
        unused
            .map(|Unread { name, span, rule }| {
                let message = format!("nothing reads the fact `{name}`");
                let warning = Diagnostic::warning("unused-fact", span, message);
                let warning = warning.help("delete it, or correct the name where it is read");
                warning.about(rule.clone().unwrap_or_else(|| span.clone()))
            })
            .collect()
    }

    /// Whether it is a decision table.
    pub fn is_table(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn names(&self) -> Names<'_> {
        Names { reads: &self.reads, locals: &self.local_names }
    }

    /// The facts before the first rule runs.
    pub(super) fn start(&self, reads: &[Lookup]) -> Vec<Lookup> {
        let start = |start: &Start| match start {
            Start::Unset => Lookup::Unset,
            Start::Value(value) => Lookup::Value(value.clone()),
            Start::Read(slot) => reads.get(*slot).cloned().unwrap_or(Lookup::Unset),
        };
        self.start.iter().map(start).collect()
    }
}

impl fmt::Debug for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ruleset({} rules, {})", self.rules.len(), self.hash)
    }
}
