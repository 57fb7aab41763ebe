//! Checks the parts that bind names or choose: `if`, `for`, maps, and calls of functions that the graph defines.

use std::sync::Arc;

use super::ast::{At, Expr, For};
use super::check::{Bound, Checker};
use super::definitions::OwnFunction;
use super::program::Node;
use super::scope::{field_of, fields};
use crate::diagnostics::nearest;
use crate::types::{FieldName, Shape, Type};

impl Checker<'_> {
    /// `if condition then value else value`: values of one type.
    pub(super) fn conditional(&mut self, arms: &[(Expr, Expr)], otherwise: &Expr) -> (Node, Type) {
        let mut nodes = Vec::with_capacity(arms.len());
        let mut ty: Option<Type> = None;
        for (condition, value) in arms {
            let at = condition.at();
            let condition = self.condition(condition);
            let (value, other) = self.branch(value, &mut ty);
            nodes.push((condition, at, value));
            ty = Some(other);
        }
        let (otherwise, ty) = self.branch(otherwise, &mut ty);
        (Node::If { arms: nodes.into(), otherwise: Box::new(otherwise) }, ty)
    }

    /// A value, and the type of it and those before it.
    fn branch(&mut self, value: &Expr, before: &mut Option<Type>) -> (Node, Type) {
        let (node, ty) = self.check(value, false);
        match before.take() {
            None => (node, ty),
            Some(before) if !before.comparable_with(&ty) => {
                let message =
                    format!("the values of an `if` are of one type: this is {ty}, the one before is {before}");
                self.report("type-mismatch", &value.at(), message, Some("write values of one type".to_owned()))
            }
            // Null belongs to every type.
            Some(before) if node.is_null() => (node, before),
            Some(before) => {
                let joined = before.join(&ty);
                (node, joined)
            }
        }
    }

    /// The values that `for` makes of the elements of a list.
    pub(super) fn elements(&mut self, each: &For) -> (Node, Type) {
        let Some(value) = &each.value else {
            let name = &each.name;
            let help = format!("write `value for {name} in ...`, such as `{name}.amount for {name} in ...`");
            return self.report(
                "missing-value",
                &each.at,
                format!("it does not say which value of `{name}`"),
                Some(help),
            );
        };
        self.over(each, Some(value), each.condition.as_ref())
    }

    /// As [`Self::elements`], for functions of `name in list where condition`. `None` for other functions.
    pub(super) fn selection(&mut self, function: &str, each: &For) -> Option<(Node, Type)> {
        let For { value, name, condition, at, .. } = each;
        let form = match (function, value, condition) {
            // The condition of each element is its value.
            ("any" | "all", None, Some(condition)) => return Some(self.over(each, Some(condition), None)),
            ("count" | "filter", None, condition) => return Some(self.over(each, None, condition.as_ref())),
            ("any" | "all" | "count" | "filter", ..) => format!("`{function}({name} in list where condition)`"),
            _ => return None,
        };
        let message = format!("`{function}` asks which elements meet a condition, and takes no value of them");
        Some(self.report("wrong-argument", at, message, Some(format!("write {form}"))))
    }

    fn over(&mut self, each: &For, value: Option<&Expr>, condition: Option<&Expr>) -> (Node, Type) {
        let (list, list_ty) = self.check(&each.list, false);
        let element = match &list_ty {
            Type::Any => Type::Any,
            Type::List(element) => element.as_ref().clone(),
            other => {
                let help = "name a node with `rows: many`, or another list".to_owned();
                return self.report(
                    "not-a-list",
                    &each.list.at(),
                    format!("`in` takes a list; this is {other}"),
                    Some(help),
                );
            }
        };
        if let Some(message) = self.refused_binding(&each.name) {
            return self.report(
                "ambiguous-name",
                &each.name_at,
                message,
                Some("give the elements another name".to_owned()),
            );
        }
        self.bound.push(Bound { name: FieldName::from(each.name.as_str()), ty: element.clone() });
        let condition = condition.map(|condition| (Box::new(self.condition(condition)), condition.at()));
        let (value, ty) = match value {
            Some(value) => self.check(value, false),
            None => {
                let (number, name, path) = (0, FieldName::from(each.name.as_str()), Box::default());
                (Node::Bound { number, name, path, at: each.name_at.clone() }, element)
            }
        };
        self.bound.pop();
        if matches!(ty, Type::List(_)) {
            return self.report(
                "mixed-list",
                &each.at,
                format!("a list holds single values; each of these is {ty}"),
                None,
            );
        }
        let node = Node::For { value: Box::new(value), list: Box::new(list), condition, at: each.at.clone() };
        (node, Type::List(ty.into()))
    }

    /// Why the elements of a list cannot have this name, if they cannot.
    fn refused_binding(&self, name: &str) -> Option<String> {
        if super::check::is_reserved(name) {
            return Some(format!("`{name}` is a word of the language"));
        }
        let definitions = self.scope.definitions();
        let is_taken = self.bound.iter().any(|bound| &*bound.name == name)
            || self.scope.has_owner(name)
            || self.locals.find(name).is_some()
            || self.locals.is_group(name)
            || definitions.constant(name).is_some()
            || !self.scope.owners_of(name).is_empty();
        is_taken.then(|| format!("`{name}` is the name of something else here"))
    }

    /// The element of a list that `names` begins with, or what is below it.
    pub(super) fn bound(&mut self, names: &[String], at: &At) -> Option<(Node, Type)> {
        let (first, below) = names.split_first()?;
        let place = self.bound.iter().rposition(|bound| *bound.name == **first)?;
        let bound = self.bound.get(place)?;
        let (name, mut ty) = (bound.name.clone(), bound.ty.clone());
        for field in below {
            let Some(next) = field_of(&ty, field) else {
                let known: Vec<&str> = fields(&ty).collect();
                let help = match nearest(field, known.iter().copied()) {
                    Some(near) => format!("did you mean `{name}.{near}`?"),
                    None if known.is_empty() => format!("`{name}` is a single value"),
                    None => format!("it has: {}", known.join(", ")),
                };
                return Some(self.report("unknown-field", at, format!("`{name}` has no field `{field}`"), Some(help)));
            };
            ty = next;
        }
        let path = below.iter().map(|name| FieldName::from(name.as_str())).collect();
        let number = self.bound.len() - 1 - place;
        Some((Node::Bound { number, name, path, at: at.clone() }, ty))
    }

    /// A map of single values.
    pub(super) fn map(&mut self, parts: &[(String, Expr)], at: &At) -> (Node, Type) {
        let (mut names, mut nodes, mut types) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in parts {
            let (node, ty) = self.check(value, false);
            if matches!(ty, Type::List(_) | Type::Map(_)) {
                let message = format!("a map holds single values; this is {ty}");
                let help = match (&ty, value, fields(&ty).next()) {
                    (Type::List(_), ..) => "assign the list to a fact of its own".to_owned(),
                    (_, Expr::Path(path), Some(field)) => {
                        format!("write each of its fields by itself, such as `{field}: {}.{field}`", path.written())
                    }
                    _ => "write its fields beside the others".to_owned(),
                };
                return self.report("nested-map", &value.at(), message, Some(help));
            }
            names.push(FieldName::from(name.as_str()));
            nodes.push(node);
            types.push(ty);
        }
        let shape = Shape::closed(names.iter().cloned().zip(types));
        (Node::Map { names: names.into(), values: nodes.into(), at: at.clone() }, Type::Map(shape.into()))
    }

    /// A call of a function that the graph defines.
    pub(super) fn apply(&mut self, function: &Arc<OwnFunction>, arguments: &[Expr], at: &At) -> (Node, Type) {
        let signature = function.signature();
        if function.parameters.len() != arguments.len() {
            let message = format!("`{signature}` is given {} arguments", arguments.len());
            return self.report("wrong-arguments", at, message, Some(format!("write {signature}")));
        }
        let (nodes, types): (Vec<Node>, Vec<Type>) = arguments.iter().map(|each| self.check(each, false)).unzip();
        match function.ty(&types, self.scope.definitions()) {
            Ok(ty) => {
                let (name, body) = (Arc::clone(&function.name), Arc::clone(&function.node));
                let (height, arguments) = (function.height, nodes.into());
                (Node::Apply { name, body, height, arguments, at: at.clone() }, ty)
            }
            Err(why) => {
                let message = format!("`{signature}` does not take these arguments: {why}");
                self.report("wrong-argument", at, message, None)
            }
        }
    }
}
