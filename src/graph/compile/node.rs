//! Reads the nodes of the file: their keys, and the nodes that each names.

use super::{Compiler, request};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, Span};
use crate::graph::spec::{NodeKind, NodeSpec, QUERY_KEYS, REQUEST_KEYS, RULE_KEYS, SQL_KEYS};
use crate::grl::{self, Table};
use crate::types::NodeId;
use crate::yaml::{self, Entry, Marked};

/// A node as in the file.
pub(super) struct Draft<'a> {
    pub(super) id: NodeId,
    pub(super) key_span: Span,
    pub(super) spec: NodeSpec,
    pub(super) yaml: &'a Marked,
    /// Its rule files, or its condition.
    pub(super) texts: Vec<Snippet>,
    /// Its table, if it is one without errors.
    pub(super) table: Option<Table>,
    /// The nodes it names, by position in the file, each with the place that names it first.
    pub(super) needs: Vec<(usize, Span)>,
    /// The conditions of edges that lead to it: the node they come from, and the text.
    pub(super) guards: Vec<(usize, Snippet)>,
}

impl Draft<'_> {
    pub(super) fn is_query(&self) -> bool {
        self.spec.r#type == NodeKind::DBNode
    }

    /// The place of one of its keys' values.
    pub(super) fn place(&self, key: &str) -> Span {
        self.yaml.get(key).map_or_else(|| self.key_span.clone(), Marked::head)
    }

    fn need(&mut self, node: usize, place: Span) {
        if !self.needs.iter().any(|(known, _)| *known == node) {
            self.needs.push((node, place));
        }
    }
}

impl Compiler<'_> {
    /// Reads all nodes, then the names in them.
    pub(super) fn read_nodes(&mut self) {
        let entries = self.root.get("nodes").map(Marked::entries).unwrap_or_default();
        if entries.is_empty() {
            let place = self.root.get("nodes").map_or_else(|| self.root.head(), Marked::head);
            self.found.push(Diagnostic::error("no-nodes", place, "the flow has no nodes"));
        }
        for entry in entries {
            if let Some(draft) = read(entry, &mut self.found) {
                self.nodes.push(draft);
            }
        }
        // Names are resolved only if all nodes could be read; otherwise one error would cause many.
        if self.nodes.len() == entries.len() {
            self.types = vec![None; self.nodes.len()];
            self.read_texts();
            self.name_needs();
            self.read_edges();
        }
    }

    fn read_texts(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(draft) = self.nodes.get(index) else { continue };
            let mut texts = Vec::new();
            let mut errors = Diagnostics::new();
            if let Some(condition) = draft.yaml.get("condition") {
                texts.extend(expression_text(condition, &mut self.found));
            }
            if let Some(rules) = draft.yaml.get("rules") {
                let single = std::slice::from_ref(rules);
                let files = if rules.scalar().is_some() { single } else { rules.items() };
                for file in files {
                    if let Some(path) = file.as_text().filter(|path| Table::is_named_by(path)) {
                        let error = format!("`{path}` is a decision table, not a rule file");
                        let help = format!("write `table: {path}` in place of `rules`");
                        errors.push(Diagnostic::error("bad-table", file.head(), error).help(help));
                        continue;
                    }
                    match file.as_text().map(|path| (path, self.files.read(path))) {
                        Some((_, Ok(source))) => texts.push(source.snippet()),
                        Some((path, Err(error))) => {
                            let message = format!("the rule file `{path}` cannot be read: {error}");
                            let help = "paths are relative to the file that names them";
                            errors.push(Diagnostic::error("unreadable-file", file.head(), message).help(help));
                        }
                        None => {
                            let message = format!("a rule file is named by its path, not by {}", file.describe());
                            errors.push(Diagnostic::error("wrong-type", file.head(), message));
                        }
                    }
                }
            }
            let table = draft.yaml.get("table").and_then(|table| self.read_table(table, &mut errors));
            self.found.extend(errors);
            if let Some(draft) = self.nodes.get_mut(index) {
                (draft.texts, draft.table) = (texts, table);
            }
        }
    }

    fn read_table(&self, table: &Marked, errors: &mut Diagnostics) -> Option<Table> {
        let text = table.as_text()?;
        let (path, part) = text.split_once('#').map_or((text, None), |(path, part)| (path, Some(part)));
        match self.files.bytes(path) {
            Ok((name, bytes)) => match Table::read(&name, part, &bytes, &self.context.rule_limits) {
                Ok(table) => Some(table),
                Err(found) => {
                    errors.extend(found);
                    None
                }
            },
            Err(error) => {
                let message = format!("the table `{path}` cannot be read: {error}");
                let help = "paths are relative to the file that names them";
                errors.push(Diagnostic::error("unreadable-file", table.head(), message).help(help));
                None
            }
        }
    }

    /// Finds the nodes named in `dependencies`, `inputs`, `field_mappings`, `params`, requests, rules and conditions.
    fn name_needs(&mut self) {
        for index in 0..self.nodes.len() {
            let Some(draft) = self.nodes.get(index) else { continue };
            let mut named: Vec<(String, Span)> = Vec::new();
            let must_exist = draft.yaml.get("dependencies").map(Marked::items).unwrap_or_default();
            let aliases = draft.yaml.get("inputs").map(Marked::entries).unwrap_or_default();
            named.extend(must_exist.iter().filter_map(|item| Some((item.as_text()?.to_owned(), item.head()))));
            named.extend(
                aliases.iter().filter_map(|entry| Some((entry.value().as_text()?.to_owned(), entry.value().head()))),
            );
            let mut heads: Vec<(String, Span)> = Vec::new();
            for entry in draft.yaml.get("field_mappings").map(Marked::entries).unwrap_or_default() {
                heads.extend(entry.value().as_text().and_then(|text| head(text, entry.value())));
            }
            for item in draft.yaml.get("params").map(Marked::items).unwrap_or_default() {
                heads.extend(item.as_text().and_then(|text| head(text, item)));
            }
            for text in draft.texts.iter().chain(&request::facts(draft.yaml)) {
                heads.extend(grl::heads(text));
            }
            heads.extend(draft.table.iter().flat_map(Table::heads));
            for (name, place) in named {
                if let Some(needed) = self.find(&name, place.clone()) {
                    self.add_need(index, needed, place);
                }
            }
            // The head of a path may also be an input, an alias or an own fact; an unknown name is reported where it is used.
            for (name, place) in heads {
                if let Some(needed) = self.nodes.iter().position(|node| node.id.as_str() == name) {
                    self.add_need(index, needed, place);
                }
            }
        }
    }

    pub(super) fn add_need(&mut self, node: usize, needed: usize, place: Span) {
        if let Some(draft) = self.nodes.get_mut(node) {
            draft.need(needed, place);
        }
    }

    fn read_edges(&mut self) {
        let edges = self.root.get("edges").map(Marked::items).unwrap_or_default();
        for edge in edges {
            let Some(spec) = yaml::deserialize::<crate::graph::spec::EdgeSpec>(edge, &mut self.found) else { continue };
            let place = |key| edge.get(key).map_or_else(|| edge.head(), Marked::head);
            let (from, to) = (self.find(&spec.from, place("from")), self.find(&spec.to, place("to")));
            let (Some(from), Some(to)) = (from, to) else { continue };
            self.add_need(to, from, edge.head());
            let Some(rule) = edge.get("rule") else { continue };
            let Some(text) = expression_text(rule, &mut self.found) else { continue };
            for (name, place) in grl::heads(&text) {
                if let Some(needed) = self.nodes.iter().position(|node| node.id.as_str() == name) {
                    self.add_need(to, needed, place);
                }
            }
            if let Some(draft) = self.nodes.get_mut(to) {
                draft.guards.push((from, text));
            }
        }
    }
}

/// The head of a dotted path, where it has one.
fn head(text: &str, node: &Marked) -> Option<(String, Span)> {
    text.split_once('.').map(|(head, _)| (head.trim().to_owned(), node.head()))
}

/// The text of an expression: any scalar, so that `when: true` is an expression too.
pub(super) fn expression_text(node: &Marked, found: &mut Diagnostics) -> Option<Snippet> {
    let snippet = node.snippet();
    if snippet.is_none() {
        let message = format!("an expression is written as text, not as {}", node.describe());
        found.push(Diagnostic::error("wrong-type", node.head(), message));
    }
    snippet
}

fn read<'a>(entry: &'a Entry, found: &mut Diagnostics) -> Option<Draft<'a>> {
    let id = match NodeId::parse(entry.key()) {
        Ok(id) if id.as_str() == "input" => {
            let message = "`input` stands for the flow's inputs and cannot name a node";
            found.push(Diagnostic::error("bad-name", entry.key_span(), message));
            None
        }
        Ok(id) => Some(id),
        Err(error) => {
            found.push(Diagnostic::error("bad-name", entry.key_span(), error.to_string()));
            None
        }
    };
    let spec = yaml::deserialize::<NodeSpec>(entry.value(), found)?;
    refuse_foreign_keys(&spec, entry, found);
    let (key_span, yaml) = (entry.key_span().clone(), entry.value());
    Some(Draft { id: id?, key_span, spec, yaml, texts: Vec::new(), table: None, needs: Vec::new(), guards: Vec::new() })
}

/// Keys that belong to the other kind of node, and keys that exclude each other.
fn refuse_foreign_keys(spec: &NodeSpec, entry: &Entry, found: &mut Diagnostics) {
    let (foreign, kind, other) = match spec.r#type {
        NodeKind::DBNode => (RULE_KEYS.as_slice(), "DBNode", "RuleNode"),
        NodeKind::RuleNode => (QUERY_KEYS.as_slice(), "RuleNode", "DBNode"),
    };
    for key in foreign {
        if let Some(stray) = entry.value().entry(key) {
            let message = format!("`{key}` belongs to a {other}; this is a {kind}");
            found.push(Diagnostic::error("wrong-key", stray.key_span(), message));
        }
    }
    if spec.r#type == NodeKind::DBNode {
        refuse_other_asks(entry, found);
    }
    let mut refuse = |code, message: &str, help: &str| {
        found.push(Diagnostic::error(code, entry.key_span(), message.to_owned()).help(help));
    };
    match spec.r#type {
        NodeKind::DBNode => {
            if spec.database.is_some() && spec.connection.is_some() {
                refuse("wrong-key", "a DBNode has a `database` or a `connection`, not both", "delete one of them");
            }
        }
        NodeKind::RuleNode => {
            let asks = [spec.rules.is_some(), spec.condition.is_some(), spec.table.is_some()];
            match asks.iter().filter(|is_there| **is_there).count() {
                1 => {}
                0 => refuse(
                    "missing-key",
                    "a RuleNode needs `rules`, a `condition` or a `table`",
                    "write `rules: rules/some.grl`",
                ),
                _ => refuse(
                    "wrong-key",
                    "a RuleNode has one of `rules`, `condition` and `table`",
                    "delete the others, or make a node of each",
                ),
            }
            if spec.table.is_none() && (spec.hit.is_some() || spec.prefer.is_some()) {
                refuse("wrong-key", "`hit` and `prefer` belong to a `table`", "delete them");
            }
        }
    }
}

/// What a `DBNode` asks: one of `query`, `get` and `post`, with the keys that go with it.
fn refuse_other_asks(entry: &Entry, found: &mut Diagnostics) {
    let node = entry.value();
    let is_there = |key: &&str| node.get(key).is_some_and(|value| !value.is_null());
    let asks: Vec<&str> = ["query", "get", "post"].into_iter().filter(is_there).collect();
    let unfit: &[(&[&str], &str)] = match asks.as_slice() {
        ["query"] => &[(&REQUEST_KEYS, "a request (`get`, `post`)")],
        ["get"] => &[(&SQL_KEYS, "a `query`"), (&["body"], "a `post`")],
        ["post"] => &[(&SQL_KEYS, "a `query`"), (&["not_found"], "a `get`")],
        _ => {
            let (code, message, help) = if asks.is_empty() {
                let help = "write `query: \"SELECT ...\"`, or `get: /path` for a REST interface";
                ("missing-key", "a DBNode needs a `query`, a `get` or a `post`".to_owned(), help)
            } else {
                let message = format!("a DBNode asks for one thing, and this has `{}`", asks.join("` and `"));
                ("wrong-key", message, "delete all but one of them, or make a node of each")
            };
            found.push(Diagnostic::error(code, entry.key_span(), message).help(help));
            return;
        }
    };
    for (keys, of) in unfit {
        for stray in keys.iter().filter_map(|key| node.entry(key)) {
            let message = format!("`{}` belongs to {of}; this node has a `{}`", stray.key(), asks.join(""));
            found.push(Diagnostic::error("wrong-key", stray.key_span(), message).help("delete it"));
        }
    }
}

/// By position in the file: the position in the plan.
pub(super) fn places(order: &[usize], count: usize) -> Vec<usize> {
    let mut places = vec![0; count];
    for (place, node) in order.iter().enumerate() {
        if let Some(slot) = places.get_mut(*node) {
            *slot = place;
        }
    }
    places
}
