//! A rule node's rules, compiled: every name a slot, every type checked, in the order they are tried.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use super::ast::{Assign, At, Expr, Path, Rule, Statement};
use super::check::{Checker, is_reserved};
use super::cursor::Cursor;
use super::expression;
use super::facts::{FactRef, Lookup};
use super::functions::is_day;
use super::lexer::tokens;
use super::limits::Limits;
use super::lint::Linted;
use super::names::{Locals, Reads};
use super::parse_rule;
use super::program::Node;
use super::scope::Scope;
use crate::diagnostics::{Diagnostic, Diagnostics, Place, Snippet, Span};
use crate::types::{Clock, Digest, Field, FieldName, Shape, Type, Value};

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
    pub(super) reads: Vec<FactRef>,
    pub(super) read_names: Vec<FieldName>,
    pub(super) local_names: Vec<FieldName>,
    pub(super) start: Vec<Start>,
    /// Facts that none of these rules reads, each with the place that makes it.
    unread: Vec<(FieldName, Span)>,
    shape: Shape,
    hash: String,
}

/// What a fact is before the first rule runs.
pub(super) enum Start {
    Unset,
    Value(Value),
    /// What was read into this slot from outside.
    Read(usize),
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

/// A rule as it was read, with the file it stands in.
pub(super) struct Read<'a> {
    pub(super) rule: Rule,
    pub(super) snippet: &'a Snippet,
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
                found.push(Diagnostic::error("too-many-rules", span, message).help("raise the limit `max_rules`"));
            }
        }
        let broken = found.has_errors();
        let mut known = Diagnostics::new();
        let compiled = Compiler::new(scope, locals, &mut known).compile(&rules, files);
        // What could not be read may have made the facts that seem unknown now.
        found.extend(known.into_iter().filter(|diagnostic| !broken || diagnostic.code != "unknown-fact"));
        found.into_result(compiled)
    }

    /// Compiles a node of one condition: its one fact `result` is the condition's value, unset while that is unknown.
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
        // `c || !c` is true once c is known, whatever it is: until then the rule waits.
        let not = Expr::Not { of: Box::new(value.clone()), at: at.clone() };
        let known = Expr::Or { items: vec![value.clone(), not], at: at.clone() };
        let target = Path { names: vec!["result".to_owned()], at: at.clone() };
        let then = vec![Statement::Assign { target, operator: Assign::Set, value, at: at.clone() }];
        let rule = Rule {
            name: name.to_owned(),
            name_at: at,
            description: None,
            salience: 0,
            no_loop: true,
            effective: None,
            expires: None,
            when: known,
            then,
        };
        let rules = [Read { rule, snippet: condition }];
        let mut compiled = Compiler::new(scope, locals, &mut found).compile(&rules, std::slice::from_ref(condition));
        compiled.unread.retain(|(name, _)| &**name != "result");
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

    /// The first 16 hexadecimal digits of the SHA-256 of its files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Warns of the facts that nobody reads: none of these rules, and nobody else as far as `is_read` knows.
    pub fn unused(&self, is_read: impl Fn(&str) -> bool) -> Diagnostics {
        let unused = self.unread.iter().filter(|(name, _)| !is_read(name));
        unused
            .map(|(name, span)| {
                let message = format!("nothing reads the fact `{name}`");
                Diagnostic::warning("unused-fact", span, message).help("delete it, or mend the name where it is read")
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

/// The rules of a file.
pub(super) fn read(snippet: &Snippet, limits: &Limits, found: &mut Diagnostics) -> Vec<Rule> {
    if snippet.text().len() > limits.max_file_bytes {
        found.push(super::too_long(snippet, limits));
        return Vec::new();
    }
    let mut here = Diagnostics::new();
    let tokens = tokens(snippet, &mut here);
    let mut stray: Vec<usize> = here.iter().filter_map(offset).collect();
    let mut unexpected = Diagnostics::new();
    let rules = parse_rule::rules(&mut Cursor::new(snippet, &tokens, limits, &mut unexpected));
    // What comes unexpectedly next behind a character that does not belong is its consequence.
    here.extend(unexpected.into_iter().filter(|error| {
        let at = offset(error);
        let consequence = at.and_then(|at| stray.iter().position(|stray| *stray < at));
        if let Some(consequence) = consequence {
            stray.remove(consequence);
        }
        consequence.is_none()
    }));
    if rules.is_empty() && !here.has_errors() {
        let help = "a rule is `rule \"Name\" { when ... then ...; }`";
        here.push(Diagnostic::error("no-rules", snippet.span(0..0), "the file holds no rules").help(help));
    }
    found.extend(here);
    rules
}

fn offset(diagnostic: &Diagnostic) -> Option<usize> {
    match &diagnostic.place {
        Place::Span(span) => Some(span.range().start),
        _ => None,
    }
}

fn refuse_duplicates(rules: &[Read<'_>], found: &mut Diagnostics) {
    let mut first: HashMap<&str, Span> = HashMap::new();
    for Read { rule, snippet } in rules {
        let span = snippet.span(rule.name_at.clone());
        match first.get(rule.name.as_str()) {
            Some(before) => found.push(
                Diagnostic::error("duplicate-rule", span, format!("there are two rules named `{}`", rule.name))
                    .related(before.clone(), "the first")
                    .help("give each rule a name of its own"),
            ),
            None => {
                first.insert(&rule.name, span);
            }
        }
    }
}

struct Compiler<'a> {
    scope: &'a Scope,
    facts: Vec<LocalFact>,
    locals: Locals,
    start: Vec<Start>,
    reads: Reads,
    found: &'a mut Diagnostics,
}

impl<'a> Compiler<'a> {
    fn new(scope: &'a Scope, locals: &[LocalFact], found: &'a mut Diagnostics) -> Self {
        let facts = locals.to_vec();
        let mut compiler =
            Self { scope, facts, locals: Locals::default(), start: Vec::new(), reads: Reads::default(), found };
        for local in locals {
            match local {
                LocalFact::Starting { name, value, .. } => compiler.starting(name, value),
                LocalFact::Mapped { name, source, ty, .. } => {
                    let read = compiler.reads.slot(source.clone());
                    compiler.local(name, ty.clone(), Start::Read(read));
                    let bare = source.path.last().is_some_and(|field| field == name);
                    if bare {
                        compiler.locals.set_mapped(name);
                    }
                }
            }
        }
        compiler
    }

    /// A starting fact; the fields of a map are facts of their own.
    fn starting(&mut self, name: &str, value: &Value) {
        match value {
            Value::Map(record) if !record.is_empty() => {
                for (field, value) in record.iter() {
                    self.starting(&format!("{name}.{field}"), value);
                }
            }
            value => self.local(name, value.ty(), Start::Value(value.clone())),
        }
    }

    fn local(&mut self, name: &str, ty: Type, start: Start) {
        let (slot, fresh) = self.locals.slot(name);
        self.locals.set_ty(slot, ty);
        if fresh {
            self.start.push(start);
        } else if let Some(known) = self.start.get_mut(slot) {
            *known = start;
        }
    }

    fn compile(mut self, rules: &[Read<'_>], files: &[Snippet]) -> Ruleset {
        self.targets(rules);
        self.infer(rules);
        let mut compiled: Vec<CompiledRule> = rules.iter().map(|read| self.rule(read)).collect();
        // As rust-rule-engine does: by salience, those of equal salience in the order they are written.
        compiled.sort_by_key(|rule| std::cmp::Reverse(rule.salience));
        let linted = Linted { rules, locals: &self.locals, scope: self.scope, starting: self.starting_names() };
        linted.warn(self.found);
        let unread = linted.unread(&self.facts);
        let local_names = self.local_names();
        let shape = self.shape(&local_names);
        let reads = self.reads.into_facts();
        let read_names = reads.iter().map(|fact| fact.written.clone()).collect();
        Ruleset { rules: compiled, reads, read_names, local_names, start: self.start, unread, shape, hash: hash(files) }
    }

    /// Makes a fact of every target, and refuses those that are somebody else's.
    fn targets(&mut self, rules: &[Read<'_>]) {
        for Read { rule, snippet } in rules {
            for statement in &rule.then {
                let Statement::Assign { target, .. } = statement else { continue };
                let written = target.written();
                if let Some(error) = self.refused_target(target, &written, snippet.span(target.at.clone())) {
                    self.found.push(error);
                } else if self.locals.find(&written).is_none() {
                    self.local(&written, Type::Any, Start::Unset);
                }
            }
        }
        self.refuse_values_with_fields(rules);
    }

    fn refused_target(&self, target: &Path, written: &str, span: Span) -> Option<Diagnostic> {
        if is_reserved(target) {
            let message = format!("`{written}` is a word of the language, not a fact");
            return Some(Diagnostic::error("reserved-word", span, message).help("give the fact another name"));
        }
        let read_only = |message: String| {
            Some(Diagnostic::error("read-only", span, message).help("assign to a fact of another name"))
        };
        let head = target.names.first().map_or("", String::as_str);
        if self.scope.has_owner(head) {
            return read_only(format!("`{written}` cannot be assigned: rows and inputs are read only"));
        }
        let own = self.locals.find(written).is_some() && !self.locals.is_mapped(written);
        if own || target.names.len() > 1 {
            return None;
        }
        let owner = *self.scope.owners_of(written).first()?;
        read_only(format!("`{written}` cannot be assigned: it is a field of `{owner}`, and rows are read only"))
    }

    /// `order` cannot hold a value while `order.total` is a fact of its own.
    fn refuse_values_with_fields(&mut self, rules: &[Read<'_>]) {
        for Read { rule, snippet } in rules {
            for statement in &rule.then {
                let Statement::Assign { target, .. } = statement else { continue };
                let written = target.written();
                let value = written.match_indices('.').filter_map(|(at, _)| written.get(..at));
                let value = value.filter(|head| self.locals.find(head).is_some()).next_back();
                let message = match value {
                    Some(head) => Some(format!("`{written}` is a field, and `{head}` is a value of its own")),
                    None if self.locals.is_group(&written) => {
                        Some(format!("`{written}` is assigned here and has fields that are assigned elsewhere"))
                    }
                    None => None,
                };
                if let Some(message) = message {
                    let error = Diagnostic::error("group-of-facts", snippet.span(target.at.clone()), message);
                    self.found.push(error.help("use one or the other"));
                }
            }
        }
    }

    /// Finds the types of assigned facts: what is assigned may itself depend on assigned facts, in any order, so it is
    /// asked until nothing new is learnt. What is still unknown then is checked at run time.
    fn infer(&mut self, rules: &[Read<'_>]) {
        const ROUNDS: usize = 8;
        let mut known: HashMap<usize, Type> = HashMap::new();
        for _ in 0..ROUNDS {
            let mut learnt = false;
            for Read { rule, snippet } in rules {
                for statement in &rule.then {
                    let Statement::Assign { target, value, .. } = statement else { continue };
                    let Some(slot) = self.locals.find(&target.written()) else { continue };
                    let ty = self.silent_type(snippet, value);
                    if ty == Type::Any {
                        continue;
                    }
                    let before = known
                        .get(&slot)
                        .cloned()
                        .or_else(|| Some(self.locals.ty(slot).clone()).filter(|ty| *ty != Type::Any));
                    let joined = before.as_ref().map_or_else(|| ty.clone(), |before| before.join(&ty));
                    if before.as_ref() != Some(&joined) && joined != Type::Any {
                        self.locals.set_ty(slot, joined.clone());
                        learnt = true;
                    }
                    known.insert(slot, joined);
                }
            }
            if !learnt {
                return;
            }
        }
    }

    fn silent_type(&mut self, snippet: &Snippet, value: &Expr) -> Type {
        let (mut reads, mut found) = (Reads::default(), Diagnostics::new());
        let mut checker =
            Checker { snippet, scope: self.scope, locals: &self.locals, reads: &mut reads, found: &mut found };
        let (_, ty) = checker.check(value, false);
        if found.is_empty() { ty } else { Type::Any }
    }

    fn rule(&mut self, read: &Read<'_>) -> CompiledRule {
        let Read { rule, snippet } = read;
        let effective = self.moment(snippet, rule.effective.as_ref());
        let expires = self.moment(snippet, rule.expires.as_ref());
        let mut checker = self.checker(snippet);
        let (when, ty) = checker.check(&rule.when, false);
        if !matches!(ty, Type::Any | Type::Boolean) {
            let message = format!("a condition is true or false; this is {ty}");
            let error = Diagnostic::error("not-a-condition", snippet.span(rule.when.at()), message);
            self.found.push(error.help("compare it, such as `x > 0`"));
        }
        let then = rule.then.iter().filter_map(|statement| self.statement(snippet, statement)).collect();
        CompiledRule {
            name: rule.name.clone(),
            description: rule.description.clone(),
            salience: rule.salience,
            no_loop: rule.no_loop,
            effective,
            expires,
            snippet: (*snippet).clone(),
            at: rule.name_at.clone(),
            when,
            when_at: rule.when.at(),
            then,
        }
    }

    fn checker<'b>(&'b mut self, snippet: &'b Snippet) -> Checker<'b> {
        Checker { snippet, scope: self.scope, locals: &self.locals, reads: &mut self.reads, found: self.found }
    }

    fn statement(&mut self, snippet: &Snippet, statement: &Statement) -> Option<Action> {
        match statement {
            Statement::Log { values, .. } => {
                let mut checker = self.checker(snippet);
                Some(Action::Log { values: values.iter().map(|value| checker.check(value, false).0).collect() })
            }
            Statement::Assign { target, operator, value, at } => {
                let local = self.locals.find(&target.written())?;
                let known = self.locals.ty(local).clone();
                let (node, ty) = self.checker(snippet).check(value, false);
                let number = *operator != Assign::Set;
                if !known.comparable_with(&ty) || (number && !(known.may_be_number() && ty.may_be_number())) {
                    let message = format!("`{}` is of type {known}; this is {ty}", target.written());
                    let error = Diagnostic::error("type-mismatch", snippet.span(value.at()), message);
                    self.found.push(error.help("a fact has one type: use another fact for the other"));
                }
                Some(Action::Assign { local, operator: *operator, value: node, at: at.clone() })
            }
        }
    }

    /// A day or a moment.
    fn moment(&mut self, snippet: &Snippet, written: Option<&(String, At)>) -> Option<Moment> {
        let (text, at) = written?;
        let moment = if is_day(text) { text.parse().map(Moment::Day).ok() } else { text.parse().map(Moment::At).ok() };
        if moment.is_none() {
            let message = format!("`{text}` is neither a date nor a timestamp");
            let error = Diagnostic::error("bad-date", snippet.span(at.clone()), message);
            let help = "write a day, \"2026-01-31\", or a moment, \"2026-01-31T08:00:00Z\"";
            self.found.push(error.help(help));
        }
        moment
    }

    fn starting_names(&self) -> HashSet<String> {
        let starts = |name: &&str| {
            let start = self.locals.find(name).and_then(|slot| self.start.get(slot));
            !matches!(start, Some(Start::Unset) | None)
        };
        self.locals.names().filter(starts).map(str::to_owned).collect()
    }

    fn local_names(&self) -> Vec<FieldName> {
        let mut names = vec![FieldName::from(""); self.locals.len()];
        for name in self.locals.names() {
            if let Some(slot) = self.locals.find(name).and_then(|slot| names.get_mut(slot)) {
                *slot = FieldName::from(name);
            }
        }
        names
    }

    /// The node's facts as fields, those with dots nested.
    fn shape(&self, names: &[FieldName]) -> Shape {
        let mut shape = Shape::default();
        for (slot, name) in names.iter().enumerate() {
            insert(&mut shape, name, self.locals.ty(slot).clone());
        }
        shape
    }
}

fn insert(shape: &mut Shape, name: &str, ty: Type) {
    let Some((head, rest)) = name.split_once('.') else {
        shape.fields.push(Field { name: FieldName::from(name), ty });
        return;
    };
    if !shape.has(head) {
        shape.fields.push(Field { name: FieldName::from(head), ty: Type::Map(Arc::new(Shape::default())) });
    }
    if let Some(Field { ty: Type::Map(inner), .. }) = shape.fields.iter_mut().find(|field| &*field.name == head) {
        insert(Arc::make_mut(inner), rest, ty);
    }
}

fn hash(files: &[Snippet]) -> String {
    let mut digest = Digest::default();
    files.iter().for_each(|file| digest.add(file.text()));
    digest.short()
}
