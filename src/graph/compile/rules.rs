//! Compiles the nodes in their order, each against what it can see, and warns of unused ones.

use std::collections::{HashMap, HashSet};

use super::Compiler;
use super::node::{Draft, places};
use super::query::owner_place;
use crate::diagnostics::{Diagnostic, Diagnostics, Span};
use crate::graph::plan::{Effect, Guard, Node, Outcome, RuleNode, Work};
use crate::graph::spec::WaitingSpec;
use crate::graph::values;
use crate::grl::{Expression, ExpressionKind, FactRef, Hit, LocalFact, Owner, Ruleset, Scope, Table};
use crate::types::{FieldName, NodeId, Type, check_name};
use crate::yaml::Marked;

impl Compiler<'_> {
    /// The plan's nodes, in `order`.
    pub(super) fn compile_nodes(&mut self, order: &[usize]) -> Vec<Node> {
        let places = places(order, self.nodes.len());
        let mut nodes = Vec::with_capacity(order.len());
        for (place, index) in order.iter().enumerate() {
            let done = order.get(..place).unwrap_or_default();
            if let Some(node) = self.compile_node(*index, &places, done) {
                nodes.push(node);
            }
        }
        for place in 0..nodes.len() {
            let dependents: Vec<usize> = nodes
                .iter()
                .enumerate()
                .filter(|(_, node): &(usize, &Node)| node.depends_on.contains(&place))
                .map(|(dependent, _)| dependent)
                .collect();
            if let Some(node) = nodes.get_mut(place) {
                node.dependents = dependents;
            }
        }
        nodes
    }

    fn compile_node(&mut self, index: usize, places: &[usize], done: &[usize]) -> Option<Node> {
        let scope = self.param_scope(index, places, done);
        let is_query = self.nodes.get(index)?.is_query();
        let work = if is_query {
            // A bare parameter may be a column of any node before this one.
            let all: Vec<(usize, bool)> = done.iter().map(|node| (*node, true)).collect();
            let (query, ty) = self.query(index, &self.scope(&all, places))?;
            self.set_type(index, ty);
            Work::Query(Box::new(query))
        } else {
            let ruleset = self.ruleset(index, scope.clone(), places)?;
            self.set_type(index, Type::Map(ruleset.shape().into()));
            let allows = self.nodes.get(index).filter(|draft| draft.spec.waiting == Some(WaitingSpec::Allow));
            Work::Rules(RuleNode {
                ruleset: ruleset.into(),
                allows_waiting: allows.map(|draft| draft.place("waiting")),
            })
        };
        let guards = self.guards(index, &scope, places);
        let draft = self.nodes.get(index)?;
        let mut depends_on: Vec<usize> =
            draft.needs.iter().filter_map(|(needed, _)| places.get(*needed).copied()).collect();
        match &work {
            Work::Query(query) => depends_on.extend(query.params.iter().filter_map(owner_place)),
            Work::Rules(rules) => depends_on.extend(rules.ruleset.reads().iter().filter_map(owner_place)),
        }
        depends_on.extend(guards.iter().flat_map(|guard| guard.rule.reads().iter().filter_map(owner_place)));
        depends_on.sort_unstable();
        depends_on.dedup();
        Some(Node {
            id: draft.id.clone(),
            description: draft.spec.description.clone(),
            span: draft.key_span.clone(),
            depends_on,
            dependents: Vec::new(),
            guards,
            work,
        })
    }

    fn set_type(&mut self, index: usize, ty: Type) {
        if let Some(slot) = self.types.get_mut(index) {
            *slot = Some(ty);
        }
    }

    fn guards(&mut self, index: usize, scope: &Scope, places: &[usize]) -> Vec<Guard> {
        let drafts = self.nodes.get(index).map(|draft| draft.guards.clone()).unwrap_or_default();
        let mut guards = Vec::with_capacity(drafts.len());
        for (from, text) in drafts {
            let compiled = Expression::compile(&text, scope, ExpressionKind::Condition, &self.context.rule_limits);
            if let (Some(rule), Some(from)) = (self.keep(compiled), places.get(from)) {
                guards.push(Guard { from: *from, rule });
            }
        }
        guards
    }

    fn ruleset(&mut self, index: usize, mut scope: Scope, places: &[usize]) -> Option<Ruleset> {
        self.aliases(index, &mut scope, places);
        let locals = self.locals(index, &mut scope);
        let draft = self.nodes.get(index)?;
        let (id, texts): (NodeId, _) = (draft.id.clone(), draft.texts.clone());
        let is_condition = draft.yaml.get("condition").is_some();
        for text in &texts {
            self.rule_hash.add(text.text());
        }
        let limits = &self.context.rule_limits;
        if let Some(table) = &draft.table {
            self.rule_hash.add(table.snippet().text());
            let hit = hit(draft, table, &mut self.found);
            let compiled = Ruleset::from_table(id.as_str(), table, &hit, &scope, &locals, limits);
            let about = draft.key_span.clone();
            return self.keep(compiled.map(|(ruleset, warnings)| (ruleset, all_about(warnings, &about))));
        }
        let compiled = match (is_condition, texts.as_slice()) {
            (true, [condition]) => Ruleset::from_condition(id.as_str(), condition, &scope, &locals, limits),
            _ => Ruleset::compile(id.as_str(), &texts, &scope, &locals, limits),
        };
        if is_condition {
            // The author wrote a node, not a rule.
            let about = draft.key_span.clone();
            return self.keep(compiled.map(|(ruleset, warnings)| (ruleset, all_about(warnings, &about))));
        }
        self.keep(compiled)
    }

    /// `inputs:`, other names for nodes.
    fn aliases(&mut self, index: usize, scope: &mut Scope, places: &[usize]) {
        let Some(draft) = self.nodes.get(index) else { return };
        for entry in draft.yaml.get("inputs").map(Marked::entries).unwrap_or_default() {
            if let Err(error) = check_name("alias", entry.key()) {
                self.found.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string()));
                continue;
            }
            if scope.has_owner(entry.key()) && entry.value().as_text() != Some(entry.key()) {
                let message = format!("`{}` is another node's name already", entry.key());
                self.found.push(Diagnostic::error("bad-name", entry.key_span(), message).help("choose another alias"));
                continue;
            }
            let position = self.nodes.iter().position(|node| Some(node.id.as_str()) == entry.value().as_text());
            let Some((position, place)) = position.and_then(|position| Some((position, *places.get(position)?))) else {
                continue;
            };
            let (kind, ty) = self.value_of(position);
            scope.add_of(kind, entry.key(), Owner::Node(place), ty);
        }
    }

    /// `facts:` and `field_mappings:`; a mapped fact replaces a starting fact of the same name.
    /// What has an error is a fact of any type, unless another owner has the name.
    fn locals(&mut self, index: usize, scope: &mut Scope) -> Vec<LocalFact> {
        let mut locals = Vec::new();
        let Some(draft) = self.nodes.get(index) else { return locals };
        let yaml = draft.yaml;
        for entry in yaml.get("facts").map(Marked::entries).unwrap_or_default() {
            if !self.check_local_name(entry.key(), entry.key_span(), scope) {
                continue;
            }
            let Some(value) = values::literal(entry.value(), &mut self.found) else {
                scope.add_failed(entry.key());
                continue;
            };
            let span = entry.key_span().clone();
            locals.push(LocalFact::Starting { name: FieldName::from(entry.key()), value, span });
        }
        for entry in yaml.get("field_mappings").map(Marked::entries).unwrap_or_default() {
            let is_fit = self.check_local_name(entry.key(), entry.key_span(), scope);
            let Some(text) = entry.value().as_text().filter(|_| is_fit) else { continue };
            let names: Vec<&str> = text.split('.').map(str::trim).collect();
            match scope.resolve(&names) {
                Ok((source, ty)) => {
                    let (name, span) = (FieldName::from(entry.key()), entry.key_span().clone());
                    locals.push(LocalFact::Mapped { name, source, ty, span });
                }
                Err(error) => {
                    self.found.push(error.diagnostic(text, entry.value().head()));
                    scope.add_failed(entry.key());
                }
            }
        }
        locals
    }

    /// Whether a fact may have this name. An error is reported.
    fn check_local_name(&mut self, name: &str, place: &Span, scope: &Scope) -> bool {
        let head = name.split('.').next().unwrap_or("");
        let message = if let Some(error) = name.split('.').find_map(|part| check_name("fact", part).err()) {
            error.to_string()
        } else if let Some(what) = scope.described(head) {
            format!("`{head}` is the name of {what}")
        } else {
            return true;
        };
        self.found.push(Diagnostic::error("bad-name", place, message).help("give the fact another name"));
        false
    }

    /// Warns of outcomes that depend on a node with `waiting: allow`.
    pub(super) fn warn_of_allowed_waiting(&mut self, nodes: &[Node], outcomes: &[Outcome]) {
        let mut behind: Vec<Vec<usize>> = Vec::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let mut all: Vec<usize> =
                node.depends_on.iter().filter_map(|needed| behind.get(*needed)).flatten().copied().collect();
            all.push(place);
            all.sort_unstable();
            all.dedup();
            behind.push(all);
        }
        for outcome in outcomes {
            let mut needed: Vec<usize> = outcome.reads().iter().filter_map(owner_place).collect();
            needed = needed.iter().filter_map(|place| behind.get(*place)).flatten().copied().collect();
            needed.sort_unstable();
            needed.dedup();
            let allowing = needed.iter().filter_map(|place| match nodes.get(*place) {
                Some(node @ Node { work: Work::Rules(RuleNode { allows_waiting: Some(span), .. }), .. }) => {
                    Some((node, span))
                }
                _ => None,
            });
            if let Some((node, span)) = allowing.into_iter().next() {
                let place = outcome.when.as_ref().map_or_else(|| outcome.span.clone(), Expression::span);
                let message = format!(
                    "the outcome `{}` depends on node `{}`, where a rule that waits for a missing fact counts as not fired",
                    outcome.status, node.id
                );
                let help = "delete `waiting: allow`, and say by `is_set(fact)` or `default(fact, value)` what a missing fact means";
                let warning = Diagnostic::warning("waiting-allowed", place, message);
                self.found.push(warning.related(span.clone(), "rules may wait here").help(help));
            }
        }
    }

    /// Warns of nodes that nothing reads and of inputs that nothing reads.
    pub(super) fn warn_of_idle(&mut self, nodes: &[Node], outcomes: &[Outcome], effects: &[Effect]) {
        let mut read: Vec<FactRef> = Vec::new();
        for node in nodes {
            match &node.work {
                Work::Query(query) => read.extend(query.params.iter().cloned()),
                Work::Rules(rules) => read.extend(rules.ruleset.reads().iter().cloned()),
            }
            read.extend(node.guards.iter().flat_map(|guard| guard.rule.reads().iter().cloned()));
        }
        read.extend(outcomes.iter().flat_map(Outcome::reads));
        let written = effects.iter().flat_map(Effect::expressions);
        read.extend(written.flat_map(|expression| expression.reads().iter().cloned()));
        let mut parts: HashMap<Owner, Parts> = HashMap::new();
        read.iter().for_each(|fact| parts.entry(fact.owner).or_default().add(&fact.path.join(".")));
        for (place, node) in nodes.iter().enumerate() {
            let own = parts.get(&Owner::Node(place));
            if own.is_none() && node.dependents.is_empty() {
                let message = format!("nothing reads node `{}`", node.id);
                let help = "read it in a rule or an outcome; or delete it, unless the flow shall fail where it does";
                self.found.push(Diagnostic::warning("unused-node", &node.span, message).help(help));
            } else if let Work::Rules(rules) = &node.work {
                let unused = rules.ruleset.unused(|name| own.is_some_and(|own| own.overlap(name)));
                // A file of a table has no comments: they stand in the graph.
                let unused = if rules.ruleset.is_table() { all_about(unused, &node.span) } else { unused };
                self.found.extend(unused);
            }
        }
        for field in self.head.inputs.fields() {
            let used = parts.get(&Owner::Input).is_some_and(|inputs| inputs.overlap(&field.name));
            let entry = self.root.get("input").and_then(|section| section.entry(&field.name));
            if let (false, Some(entry)) = (used, entry) {
                let message = format!("nothing reads the input `{}`", field.name);
                self.found.push(Diagnostic::warning("unused-input", entry.key_span(), message));
            }
        }
    }
}

/// The hit policy of a table: that of the file, or that of the node.
fn hit(draft: &Draft<'_>, table: &Table, found: &mut Diagnostics) -> Hit {
    let policy = draft.spec.hit;
    if let Some(own) = table.hit() {
        if policy.is_some() || draft.spec.prefer.is_some() {
            let key = if policy.is_some() { "hit" } else { "prefer" };
            let message = "the file of the table has the hit policy";
            found.push(Diagnostic::error("wrong-key", draft.place(key), message).help("delete `hit` and `prefer`"));
        }
        return own.clone();
    }
    let policy = policy.unwrap_or_default();
    let mut prefer = Vec::new();
    for entry in draft.yaml.get("prefer").map(Marked::entries).unwrap_or_default() {
        let values = entry.value().items().iter().filter_map(|item| values::literal(item, found)).collect();
        prefer.push((FieldName::from(entry.key()), values, entry.key_span().clone()));
    }
    if policy.needs_preference() == prefer.is_empty() {
        let (place, message, help) = if prefer.is_empty() {
            let message = format!("the hit policy {} needs an order of preference", policy.name());
            (draft.place("hit"), message, "write `prefer: { result: [best, ..., worst] }`")
        } else {
            let message = format!("the hit policy {} has no order of preference", policy.name());
            (draft.place("prefer"), message, "delete `prefer`, or write `hit: priority` or `hit: output_order`")
        };
        found.push(Diagnostic::error("wrong-key", place, message).help(help));
    }
    Hit { policy, prefer }
}

fn all_about(warnings: Diagnostics, about: &Span) -> Diagnostics {
    warnings.into_iter().map(|warning| warning.about(about.clone())).collect()
}

/// The parts of one owner that are read: dotted paths; the empty path is its whole value.
#[derive(Default)]
struct Parts {
    read: HashSet<String>,
    /// The parts that contain them.
    above: HashSet<String>,
}

impl Parts {
    fn add(&mut self, path: &str) {
        self.read.insert(path.to_owned());
        self.above.extend(above(path).map(str::to_owned));
    }

    /// Whether what is at `path` is read, or the whole that it is part of, or a part of it.
    fn overlap(&self, path: &str) -> bool {
        self.read.contains("")
            || self.read.contains(path)
            || self.above.contains(path)
            || above(path).any(|whole| self.read.contains(whole))
    }
}

/// `a` and `a.b` of `a.b.c`.
fn above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').filter_map(|(at, _)| path.get(..at))
}
