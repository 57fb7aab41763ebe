//! A rule node's rules, compiled: every name a slot, every type checked, in the order they are tried.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;

use super::ast::{Assign, At, Expr, Path, Rule, Statement};
use super::compile::Compiler;
use super::expression;
use super::facts::{FactRef, Lookup};
use super::limits::Limits;
use super::links::Links;
use super::lint::Unread;
use super::program::Node;
use super::read::{Read, read, refuse_duplicates};
use super::scope::Scope;
use super::trace::Beginning;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};
use crate::types::{Clock, FieldName, Shape, Type, Value};

/// A fact a rule node has before its first rule runs.
#[derive(Debug, Clone)]
pub enum LocalFact {
    /// One with a value of its own.
    Starting {
        /// Its name; its fields, where the value is a map, are facts of their own.
        name: FieldName,
        /// Its value.
        value: Value,
        /// Where the graph names it.
        span: Span,
    },
    /// One that is taken from elsewhere.
    Mapped {
        /// Its name.
        name: FieldName,
        /// Whose value it has.
        source: FactRef,
        /// Of which type.
        ty: Type,
        /// Where the graph names it.
        span: Span,
    },
}

/// What is known of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its author says of it.
    pub description: Option<&'a str>,
    /// Rules of higher salience are tried first.
    pub salience: i32,
    /// Whether it fires at most once an evaluation.
    pub no_loop: bool,
    /// Its file and line.
    pub place: String,
}

/// Compiled rules. Shared by all threads that evaluate them.
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
}

/// What a fact is before the first rule runs.
pub(super) enum Start {
    Unset,
    Value(Value),
    /// What was read into this slot from outside.
    Read(usize),
}

impl Start {
    pub(super) fn beginning(&self, reads: &[FactRef]) -> Beginning {
        match self {
            Self::Unset => Beginning::Unset,
            Self::Value(_) => Beginning::Starting,
            Self::Read(slot) => reads.get(*slot).cloned().map_or(Beginning::Unset, Beginning::Mapped),
        }
    }
}

/// One compiled rule.
pub(super) struct CompiledRule {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) salience: i32,
    pub(super) no_loop: bool,
    pub(super) effective: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) snippet: Snippet,
    pub(super) at: At,
    pub(super) when: Node,
    pub(super) when_at: At,
    pub(super) then: Vec<Action>,
}

impl CompiledRule {
    /// Whether it counts at this time.
    pub(super) fn is_in_force(&self, clock: &Clock) -> bool {
        self.effective.as_ref().is_none_or(|from| from.has_come(clock))
            && !self.expires.as_ref().is_some_and(|until| until.has_come(clock))
    }
}

/// When a rule begins or ends to count.
pub(super) enum Moment {
    /// At the start of this day, wherever the clock is.
    Day(Date),
    At(Timestamp),
}

impl Moment {
    pub(super) fn has_come(&self, clock: &Clock) -> bool {
        match self {
            Self::Day(day) => clock.today() >= *day,
            Self::At(moment) => clock.now() >= *moment,
        }
    }
}

/// One compiled statement.
pub(super) enum Action {
    Assign { local: usize, operator: Assign, value: Node, at: At },
    Log { values: Vec<Node> },
}

impl Ruleset {
    /// Compiles the rules of `files` for a node that sees `scope` and starts with `locals`.
    ///
    /// # Errors
    /// Everything that is wrong with them; beside a ruleset, its warnings.
    pub fn compile(
        name: &str,
        files: &[Snippet],
        scope: &Scope,
        locals: &[LocalFact],
        limits: &Limits,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let mut rules: Vec<Read<'_>> = Vec::new();
        for snippet in files {
            rules.extend(read(snippet, limits, &mut found).into_iter().map(|rule| Read { rule, snippet }));
        }
        refuse_duplicates(&rules, &mut found);
        if rules.len() > limits.max_rules {
            let message = format!("node `{name}` has {} rules; the limit is {}", rules.len(), limits.max_rules);
            if let Some(read) = rules.get(limits.max_rules) {
                let span = read.snippet.span(read.rule.name_at.clone());
                found.push(Diagnostic::error("too-many-rules", span, message).help("raise `rules.limits.rules`"));
            }
        }
        let broken = found.has_errors();
        let mut known = Diagnostics::new();
        let compiled = Compiler::new(scope, locals, &mut known).compile(&rules, files);
        // What could not be read may have made the facts that seem unknown now.
        found.extend(known.into_iter().filter(|diagnostic| !broken || diagnostic.code != "unknown-fact"));
        found.into_result(compiled)
    }

    /// Compiles a node of one expression (`condition`): its one fact `result` has the value, unset while that is unknown.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn from_condition(
        name: &str,
        condition: &Snippet,
        scope: &Scope,
        locals: &[LocalFact],
        limits: &Limits,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let Some(value) = expression::parse(condition, limits, &mut found) else { return Err(found) };
        let at = value.at();
        let target = Path { names: vec!["result".to_owned()], at: at.clone() };
        let then = vec![Statement::Assign { target, operator: Assign::Set, value, at: at.clone() }];
        let rule = Rule {
            name: name.to_owned(),
            name_at: at.clone(),
            description: None,
            salience: 0,
            no_loop: true,
            effective: None,
            expires: None,
            // It waits for the value that it assigns.
            when: Expr::Literal { value: Value::Boolean(true), at: at.clone() },
            then,
        };
        let rules = [Read { rule, snippet: condition }];
        let compiler = Compiler::new(scope, locals, &mut found).for_condition();
        let mut compiled = compiler.compile(&rules, std::slice::from_ref(condition));
        compiled.unread.retain(|unread| &*unread.name != "result");
        // The rule was made so; its author wrote no more than the condition.
        found = found.into_iter().filter(|warning| warning.code != "always-fires").collect();
        found.into_result(compiled)
    }

    /// What [`super::Engine::evaluate`] must be given, in this order.
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
        self.rules.iter().map(|rule| RuleInfo {
            name: &rule.name,
            description: rule.description.as_deref(),
            salience: rule.salience,
            no_loop: rule.no_loop,
            place: rule.snippet.span(rule.at.clone()).to_string(),
        })
    }

    /// The texts its rules stand in, each once, in the order of the files.
    pub fn texts(&self) -> Vec<&Snippet> {
        let mut texts: Vec<&Snippet> = Vec::new();
        for rule in &self.rules {
            if !texts.iter().any(|known| known.source().name() == rule.snippet.source().name()) {
                texts.push(&rule.snippet);
            }
        }
        texts
    }

    /// The facts that the graph gives a value before the first rule runs.
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

    /// Warns of the facts that nobody reads: none of these rules, and nobody else as far as `is_read` knows.
    pub fn unused(&self, is_read: impl Fn(&str) -> bool) -> Diagnostics {
        let unused = self.unread.iter().filter(|unread| !is_read(&unread.name));
        unused
            .map(|Unread { name, span, rule }| {
                let message = format!("nothing reads the fact `{name}`");
                let warning = Diagnostic::warning("unused-fact", span, message);
                let warning = warning.help("delete it, or mend the name where it is read");
                warning.about(rule.clone().unwrap_or_else(|| span.clone()))
            })
            .collect()
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
