//! Checks names and types: makes nodes of a syntax tree, or errors.

use std::fmt::Display;
use std::sync::Arc;

use super::ast::{Arithmetic, At, Expr, Path};
use super::error::EvalErrorKind;
use super::facts::LOCAL;
use super::functions::{Function, functions};
use super::names::{Locals, Reads};
use super::program::{BROKEN, Node};
use super::scope::{Scope, ScopeError, field_of};
use crate::diagnostics::{Diagnostic, Diagnostics, Snippet, nearest};
use crate::types::{FieldName, Type};

/// The function whose argument names the elements of a list; it has no entry in the list of functions.
pub(super) const FILTER: &str = "filter";

/// Turns expressions into nodes. Facts from outside have the slots below [`LOCAL`], own facts those from there on.
pub(super) struct Checker<'a> {
    pub(super) snippet: &'a Snippet,
    pub(super) scope: &'a Scope,
    pub(super) locals: &'a Locals,
    pub(super) reads: &'a mut Reads,
    pub(super) found: &'a mut Diagnostics,
    /// The names that the enclosing parts bind, the innermost last.
    pub(super) bound: Vec<Bound>,
}

/// A name for the elements of a list, or a parameter of a function.
pub(super) struct Bound {
    pub(super) name: FieldName,
    pub(super) ty: Type,
}

const A_FACT_IS: &str =
    "a fact is a field of a node this one depends on, an input, a starting fact, or written by a rule";

impl<'a> Checker<'a> {
    pub(super) fn new(
        snippet: &'a Snippet,
        scope: &'a Scope,
        locals: &'a Locals,
        reads: &'a mut Reads,
        found: &'a mut Diagnostics,
    ) -> Self {
        Self { snippet, scope, locals, reads, found, bound: Vec::new() }
    }

    pub(super) fn report(
        &mut self,
        code: &'static str,
        at: &At,
        message: String,
        help: Option<String>,
    ) -> (Node, Type) {
        let diagnostic = Diagnostic::error(code, self.snippet.span(at.clone()), message);
        self.found.push(diagnostic.maybe_help(help));
        broken(at)
    }

    /// Reports a part that is an error whatever the facts are.
    pub(super) fn certain_error(&mut self, at: &At, why: &dyn Display) -> (Node, Type) {
        self.report("certain-error", at, format!("this is an error whatever the facts are: {why}"), None)
    }

    /// The node of an expression that must be true or false.
    pub(super) fn condition(&mut self, expr: &Expr) -> Node {
        let (node, ty) = self.check(expr, false);
        if matches!(ty, Type::Any | Type::Boolean) && !node.is_null() {
            return node;
        }
        let message = format!("a condition is true or false; this is {}", found(&ty, &node));
        let help = "compare it, such as `x > 0`".to_owned();
        self.report("not-a-condition", &expr.at(), message, Some(help)).0
    }

    /// The node and type of `expr`, with constant parts computed. With `each`, a comparison compares each element of a list.
    pub(super) fn check(&mut self, expr: &Expr, each: bool) -> (Node, Type) {
        let before = self.found.len();
        let (node, ty) = self.plain(expr, each);
        // A part with an error gets no further errors.
        if self.found.len() > before {
            return (node, ty);
        }
        match node.folded() {
            Ok(node) => (node, ty),
            Err(fault) => self.certain_error(&fault.at, &fault.kind),
        }
    }

    fn plain(&mut self, expr: &Expr, each: bool) -> (Node, Type) {
        match expr {
            Expr::Literal { value, .. } => (Node::Constant(value.clone()), value.ty()),
            Expr::Path(path) => self.path(path),
            Expr::List { items, at } => self.list(items, at),
            Expr::Arithmetic { first, rest, at } => self.arithmetic(first, rest, at),
            Expr::And { items, .. } => (Node::And(self.conditions("&&", items)), Type::Boolean),
            Expr::Or { items, .. } => (Node::Or(self.conditions("||", items)), Type::Boolean),
            Expr::Not { of, at } => {
                let (node, ty) = self.check(of, false);
                self.want_boolean("`!`", (&node, &ty), of);
                (Node::Not(Box::new(node), at.clone()), Type::Boolean)
            }
            Expr::Negate { of, at } => self.negate(of, at),
            Expr::Compare { operator, left, right, at } => self.compare(*operator, left, right, each, at),
            Expr::Call { name, name_at, arguments, at } => self.call(name, name_at, arguments, at),
            Expr::If { arms, otherwise, .. } => self.conditional(arms, otherwise),
            Expr::For(each) => self.elements(each),
            Expr::Map { fields, at } => self.map(fields, at),
        }
    }

    fn path(&mut self, path: &Path) -> (Node, Type) {
        let written = path.written();
        if let Some(bound) = self.bound(&path.names, &path.at) {
            return bound;
        }
        if is_reserved(&written) {
            let help = "a field of this name is written with its owner, such as `node.field`".to_owned();
            let message = format!("`{written}` is a word of the language, not a fact");
            return self.report("reserved-word", &path.at, message, Some(help));
        }
        if let Some(constant) = self.scope.definitions().constant(&written) {
            let value = constant.value.clone();
            let taken = self.scope.part(&written).map(|(_, part)| part);
            let taken = self.locals.find(&written).map(|_| "a fact of these rules".to_owned()).or(taken);
            if let Some(taken) = taken {
                let message = format!("`{written}` is a constant of the flow and {taken}");
                let help = "give one of them another name, or write the owner of the field".to_owned();
                return self.report("ambiguous-name", &path.at, message, Some(help));
            }
            let ty = value.ty();
            return (Node::Constant(value), ty);
        }
        if let Some(resolved) = self.local(path) {
            if let [name] = path.names.as_slice() {
                self.refuse_shadowing(name, path, &resolved.0);
            }
            return resolved;
        }
        if self.locals.is_group(&written) && !self.scope.has_owner(&written) {
            let help = "name one of its facts".to_owned();
            return self.report(
                "group-of-facts",
                &path.at,
                format!("`{written}` is a group of facts, not a value"),
                Some(help),
            );
        }
        let names: Vec<&str> = path.names.iter().map(String::as_str).collect();
        match self.scope.resolve(&names) {
            Ok((fact, ty)) => (Node::Slot { slot: self.reads.slot(fact), at: path.at.clone() }, ty),
            Err(error) => self.unknown(path, &error),
        }
    }

    /// An own fact, or a field below one whose value is a map.
    fn local(&mut self, path: &Path) -> Option<(Node, Type)> {
        for length in (1..=path.names.len()).rev() {
            let (head, below) = path.names.split_at_checked(length)?;
            let Some(local) = self.locals.find(&head.join(".")) else { continue };
            let slot = LOCAL + local;
            let mut ty = self.locals.ty(local).clone();
            if below.is_empty() {
                return Some((Node::Slot { slot, at: path.at.clone() }, ty));
            }
            for name in below {
                let Some(field) = field_of(&ty, name) else {
                    let message = format!("`{}` has no field `{name}`: it is of type {ty}", head.join("."));
                    return Some(self.report("unknown-field", &path.at, message, None));
                };
                ty = field;
            }
            let path_below = below.iter().map(|name| FieldName::from(name.as_str())).collect();
            return Some((Node::Below { slot, path: path_below, at: path.at.clone() }, ty));
        }
        None
    }

    /// Refuses a bare name that is an own fact and a field of another owner.
    fn refuse_shadowing(&mut self, name: &str, path: &Path, node: &Node) {
        let Node::Slot { slot, .. } = node else { return };
        let owners = self.scope.owners_of(name);
        let Some(owner) = owners.first() else { return };
        if self.locals.find(name).map(|local| LOCAL + local) != Some(*slot) || self.mapped_from(name, &owners) {
            return;
        }
        let part = self.scope.part(name).map_or_else(String::new, |(_, part)| part);
        let message = format!("`{name}` is a fact of these rules and {part}");
        let help = format!("write `{owner}.{name}` for that one, and give the fact of these rules another name");
        self.report("ambiguous-name", &path.at, message, Some(help));
    }

    fn mapped_from(&self, name: &str, owners: &[&str]) -> bool {
        self.locals.is_mapped(name) && owners.len() == 1
    }

    fn unknown(&mut self, path: &Path, error: &ScopeError) -> (Node, Type) {
        let written = path.written();
        let mut diagnostic = error.diagnostic(&written, self.snippet.span(path.at.clone()));
        if matches!(error, ScopeError::Unknown { .. }) {
            let own = nearest(&written, self.locals.names().chain(["true", "false", "null"]));
            let own = own.map(|name| format!("did you mean `{name}`?"));
            let help = own.or(diagnostic.help.take()).unwrap_or_else(|| A_FACT_IS.to_owned());
            diagnostic = diagnostic.help(help);
        }
        self.found.push(diagnostic);
        broken(&path.at)
    }

    fn list(&mut self, items: &[Expr], at: &At) -> (Node, Type) {
        if let [Expr::For(each)] = items {
            return self.elements(each);
        }
        let mut nodes = Vec::with_capacity(items.len());
        let mut joined: Option<Type> = None;
        for item in items {
            let (node, ty) = self.check(item, false);
            nodes.push(node);
            if matches!(ty, Type::List(_)) {
                let message = format!("a list holds single values; this is {ty}");
                return self.report("mixed-list", &item.at(), message, None);
            }
            if let Some(known) = joined.as_ref().filter(|known| !known.comparable_with(&ty)) {
                let message = format!("the list holds values of type {known}; this one is {ty}");
                self.report("mixed-list", &item.at(), message, None);
            }
            joined = Some(joined.map_or_else(|| ty.clone(), |known| known.join(&ty)));
        }
        (Node::List(nodes.into(), at.clone()), Type::List(joined.unwrap_or(Type::Any).into()))
    }

    fn arithmetic(&mut self, first: &Expr, rest: &[(Arithmetic, Expr)], at: &At) -> (Node, Type) {
        let operands: Vec<&Expr> = std::iter::once(first).chain(rest.iter().map(|(_, operand)| operand)).collect();
        let checked: Vec<(Node, Type)> = operands.iter().map(|operand| self.check(operand, false)).collect();
        let adds = rest.iter().all(|(operator, _)| *operator == Arithmetic::Add);
        let ty = if adds && checked.iter().any(|(_, ty)| *ty == Type::Text) {
            self.joined(&operands, &checked)
        } else {
            let operators: Vec<Arithmetic> =
                rest.first().into_iter().chain(rest).map(|(operator, _)| *operator).collect();
            self.computed(&operators, &operands, &checked)
        };
        let mut nodes = checked.into_iter().map(|(node, _)| node);
        let Some(first) = nodes.next() else { return broken(at) };
        let operators = rest.iter().map(|(operator, _)| *operator);
        (Node::Arithmetic { first: Box::new(first), rest: operators.zip(nodes).collect(), at: at.clone() }, ty)
    }

    /// `+` of texts.
    fn joined(&mut self, operands: &[&Expr], checked: &[(Node, Type)]) -> Type {
        for (operand, (node, ty)) in operands.iter().zip(checked) {
            if !matches!(ty, Type::Any | Type::Text) || node.is_null() {
                let message = format!("`+` joins texts here; this is {}", found(ty, node));
                let help = "join texts with other values by `concat(a, b)`".to_owned();
                self.report("not-a-text", &operand.at(), message, Some(help));
                // A part with an error gets no further errors.
                return Type::Any;
            }
        }
        Type::Text
    }

    /// Operators of numbers, one for each operand. `+` of values whose types are not known may also join texts.
    fn computed(&mut self, operators: &[Arithmetic], operands: &[&Expr], checked: &[(Node, Type)]) -> Type {
        let mut fits = true;
        let mut result: Option<Type> = None;
        for (number, ((operator, operand), (node, ty))) in operators.iter().zip(operands).zip(checked).enumerate() {
            fits &= self.want_number(operator.text(), (node, ty), operand);
            if number > 0 && matches!(operator, Arithmetic::Divide | Arithmetic::Remainder) && node.is_zero() {
                self.certain_error(&operand.at(), &EvalErrorKind::DivisionByZero);
            }
            result = Some(match (operator, result) {
                (_, None) => ty.clone(),
                (Arithmetic::Add, Some(Type::Any)) if *ty == Type::Any => Type::Any,
                (Arithmetic::Divide | Arithmetic::Power, Some(_)) => Type::Decimal,
                (_, Some(before)) if before.join(ty) == Type::Integer => Type::Integer,
                // Arithmetic gives a number whatever its operands are.
                _ => Type::Decimal,
            });
        }
        // A part with an error gets no further errors.
        result.filter(|_| fits).unwrap_or(Type::Any)
    }

    /// Whether the operand may be a number; reports an error if not.
    fn want_number(&mut self, operator: &str, (node, ty): (&Node, &Type), operand: &Expr) -> bool {
        if ty.may_be_number() && !node.is_null() {
            return true;
        }
        let found = found(ty, node);
        let help = match ty {
            Type::Date => Some("compute with dates by `add_days(date, days)` and `days_between(from, to)`".to_owned()),
            Type::List(_) => Some("reduce a list to a number with `sum(list)`, `count(list)`, `min(list)`".to_owned()),
            _ => None,
        };
        self.report("not-a-number", &operand.at(), format!("`{operator}` takes numbers; this is {found}"), help);
        false
    }

    fn want_boolean(&mut self, operator: &str, (node, ty): (&Node, &Type), operand: &Expr) {
        if matches!(ty, Type::Any | Type::Boolean) && !node.is_null() {
            return;
        }
        let found = found(ty, node);
        let help = "compare it, such as `x > 0`".to_owned();
        self.report(
            "not-a-condition",
            &operand.at(),
            format!("{operator} takes conditions; this is {found}"),
            Some(help),
        );
    }

    fn conditions(&mut self, operator: &str, items: &[Expr]) -> Box<[(Node, At)]> {
        let mut nodes = Vec::with_capacity(items.len());
        for item in items {
            let (node, ty) = self.check(item, false);
            self.want_boolean(&format!("`{operator}`"), (&node, &ty), item);
            nodes.push((node, item.at()));
        }
        nodes.into()
    }

    fn negate(&mut self, of: &Expr, at: &At) -> (Node, Type) {
        let (node, ty) = self.check(of, false);
        let ty = if self.want_number("-", (&node, &ty), of) { ty } else { Type::Any };
        (Node::Negate(Box::new(node), at.clone()), ty)
    }

    fn call(&mut self, name: &str, name_at: &At, arguments: &[Expr], at: &At) -> (Node, Type) {
        if let Some(own) = self.scope.definitions().function(name) {
            let own = Arc::clone(own);
            return self.apply(&own, arguments, at);
        }
        if name == FILTER {
            return match arguments {
                [Expr::For(each)] => self.selection(name, each).unwrap_or_else(|| broken(at)),
                _ => {
                    let message = "`filter` names the elements of a list and their condition".to_owned();
                    self.report(
                        "wrong-arguments",
                        at,
                        message,
                        Some("write filter(x in list where condition)".to_owned()),
                    )
                }
            };
        }
        let named: Vec<&'static Function> = functions().filter(|function| function.name == name).collect();
        let signatures = named.iter().map(|function| function.signature).collect::<Vec<_>>().join(" or ");
        if named.is_empty() {
            let own = self.scope.definitions().functions().iter().map(|function| &*function.name);
            let mut known: Vec<&str> = functions().map(|function| function.name).chain([FILTER]).chain(own).collect();
            known.dedup();
            let help = nearest(name, known.iter().copied()).map_or_else(
                || format!("the functions are: {}", known.join(", ")),
                |name| format!("did you mean `{name}`?"),
            );
            return self.report("unknown-function", name_at, format!("there is no function `{name}`"), Some(help));
        }
        let Some(function) = named.into_iter().find(|function| function.arity.contains(&arguments.len())) else {
            let message = format!("`{signatures}` is given {} arguments", arguments.len());
            return self.report("wrong-arguments", at, message, Some(format!("write {signatures}")));
        };
        let mut nodes = Vec::with_capacity(arguments.len());
        let mut types = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let selected = match argument {
                Expr::For(each) => self.selection(name, each),
                _ => None,
            };
            let (node, ty) = selected.unwrap_or_else(|| self.check(argument, function.each));
            let takes = function.argument(index);
            let holds_null = matches!(&node, Node::List(items, _) if items.iter().any(Node::is_null));
            if !function.takes_null && (node.is_null() || (holds_null && takes.refuses_null_elements())) {
                let null = EvalErrorKind::Null { operator: function.name, operand: "this argument".to_owned() };
                return self.certain_error(&argument.at(), &null);
            }
            if let Some(refused) = takes.refuses(&ty, node.constant(), &types) {
                let help = Some(format!("write {signatures}"));
                return self.report("wrong-argument", &argument.at(), format!("`{name}` {refused}"), help);
            }
            nodes.push(node);
            types.push(ty);
        }
        if function.asks()
            && let Some(refused) = self.refuse_question(function, arguments, &types)
        {
            return refused;
        }
        (Node::Call { function, arguments: nodes.into(), at: at.clone() }, function.gives.of(&types))
    }

    /// `is_set` and `default` ask about a fact, and what stands in for it is of its type.
    fn refuse_question(&mut self, function: &Function, arguments: &[Expr], types: &[Type]) -> Option<(Node, Type)> {
        let (fact, name) = (arguments.first()?, function.name);
        if !matches!(fact, Expr::Path(_)) {
            let message = format!("`{name}` asks about a fact; this is an expression");
            return Some(self.report(
                "wrong-argument",
                &fact.at(),
                message,
                Some(format!("write {}", function.signature)),
            ));
        }
        let ([ty, other], Some(argument)) = (types, arguments.get(1)) else { return None };
        if ty.comparable_with(other) {
            return None;
        }
        let message = format!("the fact is of type {ty}, and the value that stands in for it is {other}");
        Some(self.report("type-mismatch", &argument.at(), message, Some("write a value of its type".to_owned())))
    }
}

/// What stands for an expression that was refused.
fn broken(at: &At) -> (Node, Type) {
    (Node::Slot { slot: BROKEN, at: at.clone() }, Type::Any)
}

/// The type of an operand, for messages.
pub(super) fn found(ty: &Type, node: &Node) -> String {
    if node.is_null() { "null".to_owned() } else { ty.to_string() }
}

/// Whether `name` is a word of the language.
pub(super) fn is_reserved(name: &str) -> bool {
    const WORDS: [&str; 17] = [
        "rule",
        "when",
        "then",
        "if",
        "else",
        "true",
        "false",
        "null",
        "nil",
        "in",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "and",
        "or",
        "not",
    ];
    WORDS.contains(&name)
}
