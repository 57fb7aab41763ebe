//! Compiles a flow file to a plan, or to all of its errors.
//!
//! There are four passes: the keys of the file; the nodes and the names in each; the order of the nodes; and, node by node in
//! that order, rules and expressions against what the node can see. A pass continues after an error where it can, so that one
//! check reports as many errors as possible.

mod again;
mod braces;
mod definitions;
mod effect;
mod finite;
mod node;
mod order;
mod outcome;
mod query;
mod request;
mod rules;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::decimals::Decimals;
use super::input::{self, InputSchema};
use super::plan::{CompiledFrom, Effect, Flow};
use super::spec::FlowSpec;
use crate::config::{Env, UrlConnection};
use crate::diagnostics::{Comments, Diagnostic, Diagnostics, Source, Span, nearest};
use crate::graph::Description;
use crate::grl::{self, Definitions, Limits, Owner, OwnerKind, Scope};
use crate::types::{Digest, DomainName, FlowName, NodeId, Type};
use crate::yaml::{self, Marked};

use again::Kept;
use node::Draft;

/// The warnings of flow files and rules, which may be allowed there.
const LINTS: &[&str] = &[
    "always-fires",
    "never-equal",
    "never-fires",
    "never-settles",
    "overlapping-outcomes",
    "password-in-file",
    "table-dead-row",
    "table-gap",
    "table-overlap",
    "unasserted-outcome",
    "unhandled-value",
    "unreachable-outcome",
    "unused-effect",
    "unused-fact",
    "unused-input",
    "unused-node",
    "waiting-allowed",
];

/// What databases said of the queries.
pub trait Catalog {
    /// What PREPARE said of the query of this node, where it was asked.
    fn description(&self, flow: &FlowName, node: &NodeId) -> Option<&Description>;

    /// What PREPARE said of the statement of this effect at this position, where the database was asked.
    fn statement(&self, _flow: &FlowName, _effect: &NodeId, _position: usize) -> Option<&Description> {
        None
    }
}

/// Reads the rule files that a flow names.
pub trait RuleFiles {
    /// The text of the file at `path`, relative to the flow file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>>;

    /// The name in messages and the bytes of the table at `path`, relative to the flow file.
    ///
    /// # Errors
    /// Why it cannot be read.
    fn bytes(&self, path: &str) -> std::io::Result<(String, Arc<[u8]>)> {
        let source = self.read(path)?;
        Ok((source.name().to_owned(), Arc::from(source.text().as_bytes())))
    }
}

/// What flows are compiled with.
pub struct Context<'a> {
    /// The limits of rules.
    pub rule_limits: Limits,
    /// The limits of flow files.
    pub file_limits: yaml::Limits,
    /// Where `${NAME}` in `connection:` is looked up.
    pub env: &'a Env,
    /// What databases said, where they were asked.
    pub catalog: Option<&'a dyn Catalog>,
}

impl<'a> Context<'a> {
    /// The default limits, and no word of a database.
    pub fn new(env: &'a Env) -> Self {
        Self { rule_limits: Limits::default(), file_limits: yaml::Limits::default(), env, catalog: None }
    }
}

/// Compiles the flow that `source` describes.
///
/// # Errors
/// All errors; a flow comes with its warnings.
pub fn compile(
    source: &Arc<Source>,
    files: &dyn RuleFiles,
    context: &Context<'_>,
) -> Result<(Flow, Diagnostics), Diagnostics> {
    let mut found = Diagnostics::new();
    grl::refuse_invisible(&source.snippet(), &mut found);
    if found.has_errors() {
        return Err(found);
    }
    let root = yaml::parse(source, context.file_limits)?;
    let Some(keys) = yaml::deserialize::<FlowSpec>(&root, &mut found) else { return Err(sorted(found)) };
    let Some(head) = Head::read(&keys, &root, &mut found) else { return Err(sorted(found)) };
    let kept = Kept::over(files);
    let mut compiler = Compiler {
        root: &root,
        head,
        files: &kept,
        context,
        found,
        nodes: Vec::new(),
        types: Vec::new(),
        connections: BTreeMap::new(),
        rule_hash: Digest::default(),
        definitions: Arc::default(),
    };
    compiler.read_definitions();
    compiler.read_nodes();
    if compiler.found.has_errors() {
        return Err(sorted(compiler.found));
    }
    let Some(order) = compiler.order() else { return Err(sorted(compiler.found)) };
    let nodes = compiler.compile_nodes(&order);
    let effects = compiler.effects(&order);
    let outcomes = compiler.outcomes(&order, &effects);
    let effects: Vec<Effect> = effects.into_iter().map(|(effect, _)| effect).collect();
    if !compiler.found.has_errors() {
        compiler.warn_of_idle(&nodes, &outcomes, &effects);
        compiler.warn_of_allowed_waiting(&nodes, &outcomes);
        compiler.warn_of_values(&nodes, &outcomes);
    }
    let rule_files = compiler.nodes.iter().flat_map(|node| &node.texts).map(|text| Arc::clone(text.source()));
    let rule_files = rule_files.filter(|file| !Arc::ptr_eq(file, source)).map(|file| (file, Comments::Slashes));
    let files: Vec<_> = std::iter::once((Arc::clone(source), Comments::Hash)).chain(rule_files).collect();
    let Compiler { head, found, connections, rule_hash, definitions, .. } = compiler;
    let flow = Flow {
        name: head.name,
        path: head.path,
        path_span: head.path_span,
        description: keys.description,
        decimals: head.decimals,
        inputs: head.inputs,
        definitions,
        nodes,
        outcomes,
        effects,
        graph_hash: Digest::of(source.text()),
        rules_hash: rule_hash.short(),
        connections: connections.into_iter().map(|(name, (connection, _))| (name, connection)).collect(),
        compiled_from: CompiledFrom::of(source, kept, context),
    };
    let (flow, warnings) = found.into_result(flow).map_err(each_cause_once)?;
    Ok((flow, warnings.without_allowed(&files, LINTS)))
}

fn sorted(mut found: Diagnostics) -> Diagnostics {
    found.sort();
    found
}

/// Of the errors about one unknown fact the first, with the number of the other places: they have one cause.
fn each_cause_once(found: Diagnostics) -> Diagnostics {
    const ONCE: &str = "unknown-fact";
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for error in found.iter().filter(|error| error.code == ONCE) {
        *places.entry(error.message.clone()).or_default() += 1;
    }
    let first = |error: Diagnostic| {
        if error.code != ONCE {
            return Some(error);
        }
        // Once it is reported, its places are gone.
        match places.remove(&error.message)? {
            1 => Some(error),
            2 => Some(error.label("and in one more place")),
            all => Some(error.label(format!("and in {} more places", all - 1))),
        }
    };
    found.into_iter().filter_map(first).collect()
}

/// What a flow file says before its nodes.
struct Head {
    name: FlowName,
    path: String,
    path_span: Span,
    decimals: Decimals,
    inputs: InputSchema,
}

impl Head {
    fn read(keys: &FlowSpec, root: &Marked, found: &mut Diagnostics) -> Option<Self> {
        let place = |key| root.get(key).map_or_else(|| root.head(), Marked::head);
        let decimals = keys.decimals.unwrap_or_default();
        let section = root.get("input");
        let inputs = section.map_or_else(InputSchema::default, |section| input::read(section, decimals, found));
        let name = match FlowName::parse(&keys.flow) {
            Ok(name) => name,
            Err(error) => {
                found.push(Diagnostic::error("bad-name", place("flow"), error.to_string()));
                return None;
            }
        };
        let path_span = if root.get("path").is_some() { place("path") } else { place("flow") };
        let path = keys.path.clone().unwrap_or_else(|| format!("/flows/{name}"));
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
        if !path.starts_with('/')
            || path.len() < 2
            || path.ends_with('/')
            || path.contains("//")
            || !path.chars().all(is_allowed)
        {
            let message = format!("`{path}` is not a path");
            let help = "write a path such as /purchasing/flow: a slash, then letters, digits, `-`, `_`, `.` and `/`";
            found.push(Diagnostic::error("bad-path", &path_span, message).help(help));
        }
        Some(Self { name, path, path_span, decimals, inputs })
    }
}

struct Compiler<'a> {
    root: &'a Marked,
    head: Head,
    files: &'a dyn RuleFiles,
    context: &'a Context<'a>,
    found: Diagnostics,
    /// The nodes in the order of the file.
    nodes: Vec<Draft<'a>>,
    /// By node in the order of the file: the type of its value, once it is known.
    types: Vec<Option<Type>>,
    /// The connections written inline, each once, with its text.
    connections: BTreeMap<DomainName, (UrlConnection, String)>,
    rule_hash: Digest,
    /// The constants and functions of the flow.
    definitions: Arc<Definitions>,
}

impl Compiler<'_> {
    /// The position of a node. An unknown node is reported.
    fn find(&mut self, name: &str, place: Span) -> Option<usize> {
        let position = self.nodes.iter().position(|node| node.id.as_str() == name);
        if position.is_none() {
            let known: Vec<&str> = self.nodes.iter().map(|node| node.id.as_str()).collect();
            let help = nearest(name, known.iter().copied()).map_or_else(
                || format!("the nodes are: {}", known.join(", ")),
                |meant| format!("did you mean `{meant}`?"),
            );
            self.found.push(Diagnostic::error("unknown-node", place, format!("there is no node `{name}`")).help(help));
        }
        position
    }

    /// The names that an expression can use which sees the nodes `visible` (positions in the file, and whether their fields can be
    /// named without the node). `places` gives the positions in the plan.
    fn scope(&self, visible: &[(usize, bool)], places: &[usize]) -> Scope {
        let mut scope = Scope::new();
        scope.define(Arc::clone(&self.definitions));
        scope.add("input", Owner::Input, Type::Map(Arc::new(self.head.inputs.shape())));
        for (node, bare) in visible {
            let (Some(draft), Some(place)) = (self.nodes.get(*node), places.get(*node)) else { continue };
            let (kind, ty) = self.value_of(*node);
            let owner = Owner::Node(*place);
            if *bare {
                scope.add_of(kind, draft.id.as_str(), owner, ty);
            } else {
                scope.add_qualified_of(kind, draft.id.as_str(), owner, ty);
            }
        }
        scope
    }

    /// Who makes the value of a node, and its type. A node with an error has any value, so that what reads it has no error because
    /// of that.
    fn value_of(&self, node: usize) -> (OwnerKind, Type) {
        match (self.nodes.get(node), self.types.get(node).cloned().flatten()) {
            (Some(draft), Some(ty)) if !draft.is_query() => (OwnerKind::Rules, ty),
            (_, Some(ty)) => (OwnerKind::Rows, ty),
            (_, None) => (OwnerKind::Failed, Type::Any),
        }
    }

    /// Collects the warnings or errors of a value.
    fn keep<T>(&mut self, result: Result<(T, Diagnostics), Diagnostics>) -> Option<T> {
        match result {
            Ok((value, warnings)) => {
                self.found.extend(warnings);
                Some(value)
            }
            Err(errors) => {
                self.found.extend(errors);
                None
            }
        }
    }
}

/// Reads rule files from the flow file's directory.
pub(super) struct Beside<'a>(pub(super) &'a Path);

impl RuleFiles for Beside<'_> {
    fn read(&self, path: &str) -> std::io::Result<Arc<Source>> {
        let full = self.0.join(path);
        let text = std::fs::read_to_string(&full)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(Source::new(full.display().to_string(), text))
    }

    fn bytes(&self, path: &str) -> std::io::Result<(String, Arc<[u8]>)> {
        let full = self.0.join(path);
        Ok((full.display().to_string(), std::fs::read(&full)?.into()))
    }
}
