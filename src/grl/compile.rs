//! Compiles parsed rules: facts get slots and types, statements get targets.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{Assign, At, Expr, Path, Rule, Statement};
use super::check::{Checker, is_reserved};
use super::error::EvalErrorKind;
use super::facts::{LOCAL, Names, nest};
use super::functions::is_day;
use super::limits::Limits;
use super::links::Links;
use super::lint::Linted;
use super::names::{Locals, Reads};
use super::program::Node;
use super::read::{self, ParsedRule};
use super::rule::{Action, CompiledAssignment, CompiledRule, Moment, Start};
use super::ruleset::{LocalFact, Ruleset};
use super::scope::Scope;
use super::table::HitPolicy;
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};
use crate::types::{Digest, FieldName, Shape, Type, Value, parse_moment};

impl Ruleset {
    /// Compiles the rules of `files` for a node that sees `scope` and starts with `locals`.
    ///
    /// # Errors
    /// All errors; a ruleset comes with its warnings.
    pub fn compile(
        name: &str,
        files: &[Snippet],
        scope: &Scope,
        locals: &[LocalFact],
        limits: &Limits,
    ) -> Result<(Self, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::new();
        let mut rules: Vec<ParsedRule<'_>> = Vec::new();
        for snippet in files {
            rules.extend(read::rules(snippet, limits, &mut found).into_iter().map(|rule| ParsedRule { rule, snippet }));
        }
        read::refuse_duplicates(&rules, &mut found);
        read::refuse_too_many(name, &rules, limits, &mut found);
        let broken = found.has_errors();
        let mut known = Diagnostics::new();
        let compiled = Compiler::new(scope, locals, &mut known).compile(&rules, files);
        // A rule that could not be parsed may set the facts that seem unknown.
        found.extend(known.into_iter().filter(|diagnostic| !broken || diagnostic.code != "unknown-fact"));
        found.into_result(compiled)
    }

    /// Compiles a node of one expression (`condition`): its only fact, `result`, has the value, and is unset while that is unknown.
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
        let Some(value) = read::expression(condition, limits, &mut found) else { return Err(found) };
        let at = value.at();
        let target = Path { names: vec!["result".to_owned()], at: at.clone() };
        let then = vec![Statement::Assign { target, operator: Assign::Set, value, at: at.clone() }];
        let rule = Rule {
            name: name.to_owned(),
            name_at: at.clone(),
            description: None,
            salience: 0,
            no_loop: true,
            is_let: false,
            effective: None,
            expires: None,
            // The rule waits for the value that it assigns.
            when: Expr::Literal { value: Value::Boolean(true), at: at.clone() },
            then,
        };
        let rules = [ParsedRule { rule, snippet: condition }];
        let compiler = Compiler::new(scope, locals, &mut found).for_condition();
        let mut compiled = compiler.compile(&rules, std::slice::from_ref(condition));
        compiled.unread.retain(|unread| &*unread.name != "result");
        // The author wrote the condition only, not this rule.
        found = found.into_iter().filter(|warning| warning.code != "always-fires").collect();
        found.into_result(compiled)
    }
}

/// Compiles the rules of one node.
pub(super) struct Compiler<'a> {
    scope: &'a Scope,
    facts: Vec<LocalFact>,
    locals: Locals,
    start: Vec<Start>,
    reads: Reads,
    found: &'a mut Diagnostics,
    /// Whether the rule was made for a condition. Its target is the node's own, even if another node has a `result`.
    is_condition: bool,
    /// The hit policy of a table, whose rows the rules are.
    table: Option<HitPolicy>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(scope: &'a Scope, locals: &[LocalFact], found: &'a mut Diagnostics) -> Self {
        let facts = locals.to_vec();
        let mut compiler = Self {
            scope,
            facts,
            locals: Locals::default(),
            start: Vec::new(),
            reads: Reads::default(),
            found,
            is_condition: false,
            table: None,
        };
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

    /// Compiles the rule that stands for a condition.
    fn for_condition(self) -> Self {
        Self { is_condition: true, ..self }
    }

    /// Compiles the rows of a table.
    pub(super) fn for_table(self, policy: HitPolicy) -> Self {
        Self { table: Some(policy), ..self }
    }

    /// The node and the type of an expression, whose errors are reported.
    pub(super) fn value(&mut self, snippet: &Snippet, expr: &Expr) -> (Node, Type) {
        self.checker(snippet).check(expr, false)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.found.has_errors()
    }

    pub(super) fn error(&mut self, error: Diagnostic) {
        self.found.push(error);
    }

    /// The slot and the type of an own fact.
    pub(super) fn local_type(&self, name: &str) -> Option<(usize, Type)> {
        let slot = self.locals.find(name)?;
        Some((slot, self.locals.ty(slot).clone()))
    }

    pub(super) fn set_local_type(&mut self, slot: usize, ty: Type) {
        self.locals.set_ty(slot, ty);
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

    pub(super) fn compile(mut self, rules: &[ParsedRule<'_>], files: &[Snippet]) -> Ruleset {
        self.targets(rules);
        self.infer(rules);
        let mut compiled: Vec<CompiledRule> = rules.iter().map(|read| self.rule(read)).collect();
        self.refuse_early_questions(&compiled);
        let (local_names, reads) = (self.local_names(), std::mem::take(&mut self.reads).into_facts());
        let names = Names { reads: &reads, locals: &local_names };
        let linted = Linted { rules: &compiled, names, start: &self.start };
        // Rules with errors get no warnings.
        if !self.found.has_errors() && self.table.is_none() {
            linted.warn(self.found);
        }
        let unread = linted.unread(&self.facts);
        place_lets(&mut compiled);
        // The order of rust-rule-engine: by salience, then as written. What `let` computes comes after the rules that it reads.
        compiled.sort_by_key(|rule| (std::cmp::Reverse(rule.salience), rule.is_let));
        if let Some(policy) = self.table {
            self.join_results(policy, rules);
        }
        let shape = self.shape(&local_names);
        let read_names = reads.iter().map(|fact| fact.written.clone()).collect();
        let links = Links::of(&compiled, local_names.len());
        if !self.found.has_errors() {
            self.refuse_questions_before_late_writers(&compiled, &links);
        }
        Ruleset {
            rules: compiled,
            links,
            reads,
            read_names,
            local_names,
            start: self.start,
            unread,
            shape,
            hash: hash(files),
            table: None,
        }
    }

    /// Makes a fact of every target, and refuses the facts of other nodes.
    pub(super) fn targets(&mut self, rules: &[ParsedRule<'_>]) {
        let mut lets: HashMap<String, Span> = HashMap::new();
        for ParsedRule { rule, snippet } in rules.iter().filter(|read| read.rule.is_let) {
            let targets = rule.then.iter().filter_map(|statement| match statement {
                Statement::Assign { target, .. } => Some((target.written(), snippet.span(target.at.clone()))),
                Statement::Log { .. } => None,
            });
            lets.extend(targets);
        }
        for ParsedRule { rule, snippet } in rules {
            for statement in &rule.then {
                let Statement::Assign { target, .. } = statement else { continue };
                let written = target.written();
                if let Some(computed) = lets.get(&written).filter(|_| !rule.is_let) {
                    let message = format!("`{written}` is computed by `let`, and no rule changes it");
                    let error = Diagnostic::error("read-only", snippet.span(target.at.clone()), message);
                    self.found.push(error.related(computed.clone(), "here").help("assign to a fact of another name"));
                } else if let Some(error) = self.refused_target(target, &written, snippet.span(target.at.clone())) {
                    self.found.push(error);
                } else if self.locals.find(&written).is_none() {
                    self.local(&written, Type::Any, Start::Unset);
                }
            }
        }
        self.refuse_values_with_fields(rules);
    }

    fn refused_target(&self, target: &Path, written: &str, span: Span) -> Option<Diagnostic> {
        if is_reserved(written) {
            let message = format!("`{written}` is a word of the language, not a fact");
            return Some(Diagnostic::error("reserved-word", span, message).help("give the fact another name"));
        }
        let help = "assign to a fact of another name";
        let read_only = |message: String| Some(Diagnostic::error("read-only", span.clone(), message).help(help));
        if self.scope.definitions().constant(written).is_some() {
            return read_only(format!("`{written}` cannot be assigned: it is a constant of the flow"));
        }
        let head = target.names.first().map_or("", String::as_str);
        if let Some(what) = self.scope.described(head) {
            return read_only(format!("`{written}` cannot be assigned: it belongs to {what}, and is read only here"));
        }
        let own = self.locals.find(written).is_some() && !self.locals.is_mapped(written);
        if own || target.names.len() > 1 || self.is_condition {
            return None;
        }
        let (owner, part) = self.scope.part(written)?;
        let error = read_only(format!("`{written}` cannot be assigned: it is {part}, and read only here"))?;
        Some(error.help(format!("{help}; `{owner}.{written}` reads that one")))
    }

    /// `order` cannot hold a value while `order.total` is a fact of its own.
    fn refuse_values_with_fields(&mut self, rules: &[ParsedRule<'_>]) {
        for ParsedRule { rule, snippet } in rules {
            for statement in &rule.then {
                let Statement::Assign { target, .. } = statement else { continue };
                let written = target.written();
                let mut value = written.match_indices('.').filter_map(|(at, _)| written.get(..at));
                let value = value.rfind(|head| self.locals.find(head).is_some());
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

    /// Infers the types of assigned facts. Values may depend on other assigned facts in any order, so this repeats until no type
    /// changes. Types that are unknown then are checked at run time.
    fn infer(&mut self, rules: &[ParsedRule<'_>]) {
        const ROUNDS: usize = 8;
        let mut known: HashMap<usize, Type> = HashMap::new();
        for _ in 0..ROUNDS {
            let mut learnt = false;
            for ParsedRule { rule, snippet } in rules {
                for statement in &rule.then {
                    let Statement::Assign { target, value, operator, .. } = statement else { continue };
                    let Some(slot) = self.locals.find(&target.written()) else { continue };
                    let now = self.locals.ty(slot).clone();
                    let ty = match (operator, self.silent_type(snippet, value)) {
                        // What is appended is an element, or a list of them.
                        (Assign::Add, ty) if matches!(now, Type::List(_)) && !matches!(ty, Type::List(_)) => {
                            Type::List(ty.into())
                        }
                        (Assign::Add, ty) if now == Type::Any && !ty.may_be_number() => Type::Any,
                        (_, ty) => ty,
                    };
                    let is_empty = matches!(value, Expr::List { items, .. } if items.is_empty());
                    if is_empty && now == Type::Any {
                        self.locals.set_ty(slot, ty);
                        learnt = true;
                        continue;
                    }
                    if ty == Type::Any || is_empty {
                        continue;
                    }
                    // An empty list says nothing about its elements.
                    let says_nothing = |ty: &Type| *ty == Type::Any || *ty == Type::List(Type::Any.into());
                    let before = known.get(&slot).cloned().or_else(|| Some(now).filter(|ty| !says_nothing(ty)));
                    let joined = before.as_ref().map_or_else(|| ty.clone(), |before| before.join(&ty));
                    if before.as_ref() != Some(&joined) && !says_nothing(&joined) {
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
        let mut checker = Checker::new(snippet, self.scope, &self.locals, &mut reads, &mut found);
        let (_, ty) = checker.check(value, false);
        if found.is_empty() { ty } else { Type::Any }
    }

    fn rule(&mut self, read: &ParsedRule<'_>) -> CompiledRule {
        let ParsedRule { rule, snippet } = read;
        let effective = self.moment(snippet, rule.effective.as_ref());
        let expires = self.moment(snippet, rule.expires.as_ref());
        let mut checker = self.checker(snippet);
        let when = checker.condition(&rule.when);
        let then = rule.then.iter().filter_map(|statement| self.statement(snippet, statement)).collect();
        CompiledRule {
            name: rule.name.clone(),
            description: rule.description.clone(),
            salience: rule.salience,
            no_loop: rule.no_loop,
            is_let: rule.is_let,
            effective,
            expires,
            snippet: (*snippet).clone(),
            at: rule.name_at.clone(),
            when,
            when_at: rule.when.at(),
            then,
            statements: rule.then.iter().map(Statement::at).collect(),
        }
    }

    /// `is_set` and `default` may ask about an own fact only after every rule that writes it was tried.
    fn refuse_early_questions(&mut self, rules: &[CompiledRule]) {
        let mut last: HashMap<usize, &CompiledRule> = HashMap::new();
        for rule in rules {
            for CompiledAssignment { local, .. } in rule.assignments() {
                let known = last.entry(LOCAL + local).or_insert(rule);
                if rule.salience < known.salience {
                    *known = rule;
                }
            }
        }
        for (rule, slot, at) in questions(rules) {
            let Some(writer) = last.get(&slot).filter(|writer| writer.salience <= rule.salience) else { continue };
            let why = format!("the rule `{}` may still set it", writer.name);
            let help = format!("give every rule that sets it a salience above {}", rule.salience);
            self.refuse_early_question((rule, at), (writer, why), &help);
        }
    }

    /// Nothing that such a rule reads may change after it was tried. The rules are in the order in which they are tried.
    fn refuse_questions_before_late_writers(&mut self, rules: &[CompiledRule], links: &Links) {
        let questions = questions(rules);
        if questions.is_empty() {
            return;
        }
        let writers = links.writers();
        let late = links.late_writers(rules, &writers);
        for (rule, slot, at) in questions {
            let late = |writer: &usize| Some((rules.get(*writer)?, rules.get((*late.get(*writer)?)?)?));
            let Some((writer, late)) = writers.get(&slot).into_iter().flatten().find_map(late) else { continue };
            let why = format!("the rule `{}` may still change what the rule `{}` reads", late.name, writer.name);
            let help = "give it a salience above those of the rules that read what it sets, and `no-loop`";
            self.refuse_early_question((rule, at), (late, why), help);
        }
    }

    fn refuse_early_question(
        &mut self,
        (rule, at): (&CompiledRule, At),
        (other, why): (&CompiledRule, String),
        help: &str,
    ) {
        let fact = rule.snippet.text().get(at.clone()).unwrap_or("");
        let message = format!("whether `{fact}` is set is not known yet: {why}");
        let error = Diagnostic::error("early-question", rule.snippet.span(at), message);
        self.found.push(error.related(other.span(), "this rule").help(format!("{help}, or ask in a later node")));
    }

    fn checker<'b>(&'b mut self, snippet: &'b Snippet) -> Checker<'b> {
        Checker::new(snippet, self.scope, &self.locals, &mut self.reads, self.found)
    }

    fn statement(&mut self, snippet: &Snippet, statement: &Statement) -> Option<Action> {
        match statement {
            Statement::Log { values, .. } => {
                let mut checker = self.checker(snippet);
                Some(Action::Log(values.iter().map(|value| checker.check(value, false).0).collect()))
            }
            Statement::Assign { target, operator, value, at } => {
                let local = self.locals.find(&target.written())?;
                let known = self.locals.ty(local).clone();
                let (node, ty) = self.checker(snippet).check(value, false);
                if *operator != Assign::Set && node.is_null() {
                    let null = EvalErrorKind::Null { operator: operator.text(), operand: "the value".to_owned() };
                    self.checker(snippet).certain_error(&value.at(), &null);
                }
                let operator = match (operator, &known) {
                    (Assign::Add, Type::List(_)) => Assign::Append,
                    (Assign::Add, Type::Any) if !matches!(ty, Type::Integer | Type::Decimal) => Assign::Append,
                    (operator, _) => *operator,
                };
                let misfit = [&known, &ty].into_iter().find(|ty| !ty.may_be_number());
                if let (Some(misfit), Some(verb)) = (misfit, operator.verb()) {
                    let message = format!("`{}` {verb} numbers; this is {misfit}", operator.text());
                    let help = if known == Type::Text && operator == Assign::Add {
                        let target = target.written();
                        format!("join texts with `+` or `concat`: `{target} = concat({target}, ...);`")
                    } else {
                        "assign with `=`".to_owned()
                    };
                    self.found.push(Diagnostic::error("type-mismatch", snippet.span(value.at()), message).help(help));
                } else if let (Assign::Append, Type::List(element)) = (operator, &known) {
                    if !element.comparable_with(&ty) && !known.comparable_with(&ty) {
                        let message = format!("`{}` holds values of type {element}; this is {ty}", target.written());
                        let error = Diagnostic::error("type-mismatch", snippet.span(value.at()), message);
                        self.found
                            .push(error.help("write a value of that type; `concat` makes a text of other values"));
                    }
                } else if operator != Assign::Append && !known.comparable_with(&ty) {
                    let message = format!("`{}` is of type {known}; this is {ty}", target.written());
                    let error = Diagnostic::error("type-mismatch", snippet.span(value.at()), message);
                    self.found.push(error.help("a fact has one type: use another fact for the other"));
                }
                Some(Action::Assign(CompiledAssignment { local, operator, value: node, at: at.clone() }))
            }
        }
    }

    /// A day or a timestamp.
    fn moment(&mut self, snippet: &Snippet, written: Option<&(String, At)>) -> Option<Moment> {
        let (text, at) = written?;
        let moment =
            if is_day(text) { text.parse().map(Moment::Day).ok() } else { parse_moment(text).map(Moment::At).ok() };
        if moment.is_none() {
            let message = format!("`{text}` is neither a date nor a timestamp");
            let error = Diagnostic::error("bad-date", snippet.span(at.clone()), message);
            let help = "write a day, \"2026-01-31\", or a moment, \"2026-01-31T08:00:00Z\"";
            self.found.push(error.help(help));
        }
        moment
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
        let facts = names.iter().enumerate().map(|(slot, name)| (&**name, self.locals.ty(slot).clone()));
        Shape::closed(nest(facts.collect(), &|fields| Type::Map(Arc::new(Shape::closed(fields)))))
    }
}

/// What the rules ask about: the rule, the slot, and the place.
fn questions(rules: &[CompiledRule]) -> Vec<(&CompiledRule, usize, At)> {
    let mut questions = Vec::new();
    for rule in rules {
        let mut asked = Vec::new();
        rule.when.asks(&mut asked);
        let values = rule.assignments().map(|assignment| &assignment.value);
        values.chain(rule.logged()).for_each(|value| value.asks(&mut asked));
        questions.extend(asked.into_iter().map(|(slot, at)| (rule, slot, at)));
    }
    questions
}

/// Gives each `let` the salience of the last rule that writes what it reads, so that it is computed right after that. What no rule
/// writes is known from the start.
fn place_lets(rules: &mut [CompiledRule]) {
    let reads = |rule: &CompiledRule| {
        let (mut slots, mut asked) = (Vec::new(), Vec::new());
        for CompiledAssignment { value, .. } in rule.assignments() {
            value.needs(&mut slots);
            value.asks(&mut asked);
        }
        slots.extend(asked.into_iter().map(|(slot, _)| slot));
        slots
    };
    let lets = rules.iter().filter(|rule| rule.is_let).count();
    rules.iter_mut().filter(|rule| rule.is_let).for_each(|rule| rule.salience = i32::MAX);
    // Each round settles at least the next of a chain.
    for _ in 0..lets {
        let mut last: HashMap<usize, i32> = HashMap::new();
        for rule in rules.iter() {
            for assignment in rule.assignments() {
                let known = last.entry(LOCAL + assignment.local).or_insert(rule.salience);
                *known = rule.salience.min(*known);
            }
        }
        let mut settled = true;
        for rule in rules.iter_mut().filter(|rule| rule.is_let) {
            let salience = reads(rule).iter().filter_map(|slot| last.get(slot)).min().copied().unwrap_or(i32::MAX);
            settled &= rule.salience == salience;
            rule.salience = salience;
        }
        if settled {
            return;
        }
    }
}

fn hash(files: &[Snippet]) -> String {
    let mut digest = Digest::default();
    files.iter().for_each(|file| digest.add(file.text()));
    digest.short()
}
