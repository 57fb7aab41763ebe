//! What a flow defines for all of its expressions: constants, and functions over expressions.
//!
//! A function reads its parameters, constants and the functions above it, nothing else; so none calls itself. Its body is compiled
//! once. Its types are checked again for the arguments of each call.

use std::sync::{Arc, Mutex};

use super::ast::Expr;
use super::program::Node;
use crate::diagnostics::{Snippet, Span};
use crate::types::{FieldName, Type, Value};

/// The constants and functions of a flow, in the order of the file.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    pub(super) constants: Vec<Constant>,
    pub(super) functions: Vec<Arc<OwnFunction>>,
}

/// A named value.
#[derive(Debug, Clone)]
pub struct Constant {
    /// Its name.
    pub name: FieldName,
    /// Its value.
    pub value: Value,
    /// Its description.
    pub description: Option<String>,
    /// Its place in the graph file.
    pub span: Span,
}

/// A function that a flow defines.
pub struct OwnFunction {
    /// Its name.
    pub name: Arc<str>,
    /// The names of its parameters.
    pub parameters: Vec<String>,
    /// Its description.
    pub description: Option<String>,
    /// The expression that is its value.
    pub body: Snippet,
    pub(super) expr: Expr,
    pub(super) node: Arc<Node>,
    /// How deep its parts are within each other.
    pub(super) height: usize,
    /// The result of checking the body for the types of arguments.
    pub(super) checked: Mutex<Vec<Checked>>,
}

/// The types of arguments, and the type of the value or why the body does not take them.
pub(super) type Checked = (Vec<Type>, Result<Type, String>);

impl std::fmt::Debug for OwnFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {}", self.signature(), self.body.text())
    }
}

impl OwnFunction {
    /// Such as `annuity(principal, rate, months)`.
    pub fn signature(&self) -> String {
        format!("{}({})", self.name, self.parameters.join(", "))
    }
}

impl Definitions {
    /// The constants.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// The functions.
    pub fn functions(&self) -> &[Arc<OwnFunction>] {
        &self.functions
    }

    pub(super) fn constant(&self, name: &str) -> Option<&Constant> {
        self.constants.iter().find(|constant| &*constant.name == name)
    }

    pub(super) fn function(&self, name: &str) -> Option<&Arc<OwnFunction>> {
        self.functions.iter().find(|function| &*function.name == name)
    }
}
