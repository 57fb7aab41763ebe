//! Defines constants and functions, and checks the calls of functions.

use std::sync::{Arc, Mutex, PoisonError};

use super::ast::Expr;
use super::check::{Bound, Checker, FILTER, is_reserved};
use super::definitions::{Checked, Constant, Definitions, OwnFunction};
use super::functions::functions;
use super::limits::Limits;
use super::names::{Locals, Reads};
use super::program::Node;
use super::read;
use super::scope::Scope;
use crate::diagnostics::{Diagnostic, Diagnostics, Severity, Snippet, Span};
use crate::types::{FieldName, Type, check_name};

/// How deep the parts of a function may be within each other, with those of the functions that it calls. They add to the depth of
/// the expressions that call it.
const HIGHEST: usize = 100;

impl OwnFunction {
    /// The type of its value for arguments of these types.
    ///
    /// # Errors
    /// Why the body does not take them.
    pub(super) fn ty(&self, arguments: &[Type], definitions: &Arc<Definitions>) -> Result<Type, String> {
        let known = |checked: &[Checked]| {
            checked.iter().find(|(types, _)| types == arguments).map(|(_, result)| result.clone())
        };
        if let Some(result) = known(&self.checked.lock().unwrap_or_else(PoisonError::into_inner)) {
            return result;
        }
        let mut found = Diagnostics::new();
        let (_, ty) = check(&self.expr, &self.body, (&self.parameters, arguments), definitions, &mut found);
        let first = found.into_iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        let result = first.map_or(Ok(ty), |error| Err(error.message));
        self.checked.lock().unwrap_or_else(PoisonError::into_inner).push((arguments.to_vec(), result.clone()));
        result
    }
}

fn check(
    expr: &Expr,
    body: &Snippet,
    (parameters, types): (&[String], &[Type]),
    definitions: &Arc<Definitions>,
    found: &mut Diagnostics,
) -> (Node, Type) {
    let mut scope = Scope::new();
    scope.define(Arc::clone(definitions));
    let (locals, mut reads) = (Locals::default(), Reads::default());
    let mut checker = Checker::new(body, &scope, &locals, &mut reads, found);
    checker.bound = parameters
        .iter()
        .zip(types)
        .map(|(name, ty)| Bound { name: FieldName::from(&**name), ty: ty.clone() })
        .collect();
    checker.check(expr, false)
}

impl Definitions {
    /// Adds a constant.
    pub fn add_constant(&mut self, constant: Constant, found: &mut Diagnostics) {
        if let Some(error) = self.refused_name("constant", &constant.name, &constant.span) {
            found.push(error);
        } else {
            self.constants.push(constant);
        }
    }

    /// Adds a function: `signature` is such as `annuity(principal, rate, months)`, `body` an expression.
    pub fn add_function(
        &mut self,
        signature: &Snippet,
        body: &Snippet,
        description: Option<String>,
        limits: &Limits,
        found: &mut Diagnostics,
    ) {
        let mut here = Diagnostics::new();
        let read = read::signature(signature, limits, &mut here).zip(read::expression(body, limits, &mut here));
        let before = found.len();
        found.extend(here);
        let Some(((name, parameters), expr)) = read else { return };
        let span = signature.span(0..signature.text().len());
        found.extend(self.refused_name("function", &name, &span));
        for (number, parameter) in parameters.iter().enumerate() {
            found.extend(self.refused_name("parameter", parameter, &span));
            if parameters.iter().take(number).any(|known| known == parameter) {
                let message = format!("`{name}` has two parameters `{parameter}`");
                found.push(Diagnostic::error("bad-name", &span, message).help("give each a name of its own"));
            }
        }
        let definitions = Arc::new(self.clone());
        let any = vec![Type::Any; parameters.len()];
        let (node, _) = check(&expr, body, (&parameters, &any), &definitions, found);
        let height = node.height();
        if height > HIGHEST {
            let message = format!("the function, with those that it calls, is nested more than {HIGHEST} deep");
            found.push(Diagnostic::error("nested-too-deep", &span, message).help("make it simpler"));
        }
        if found.len() == before {
            let (name, node, body) = (Arc::from(name), Arc::new(node), body.clone());
            let checked = Mutex::default();
            self.functions.push(Arc::new(OwnFunction {
                name,
                parameters,
                description,
                body,
                expr,
                node,
                height,
                checked,
            }));
        }
    }

    fn refused_name(&self, kind: &'static str, name: &str, span: &Span) -> Option<Diagnostic> {
        let message = if let Err(error) = check_name(kind, name) {
            error.to_string()
        } else if is_reserved(name) {
            format!("`{name}` is a word of the language")
        } else if kind == "function"
            && functions().map(|function| function.name).chain([FILTER]).any(|known| known == name)
        {
            format!("`{name}` is a function of the language")
        } else if kind != "function" && self.constant(name).is_some() {
            format!("`{name}` is a constant already")
        } else if kind == "function" && self.function(name).is_some() {
            format!("there are two functions `{name}`")
        } else {
            return None;
        };
        Some(Diagnostic::error("bad-name", span, message).help("choose another name"))
    }
}
