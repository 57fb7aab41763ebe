//! The names that an expression may use, and the owners of their facts.

use std::collections::HashMap;
use std::sync::Arc;

use super::definitions::Definitions;
use super::facts::{FactRef, Owner};
use crate::diagnostics::{Diagnostic, Place, nearest};
use crate::types::{FieldName, Type, continues_name};

/// The names an expression may use: node ids, their aliases, and `input`.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    visible: Vec<Visible>,
    /// The first owner of each name.
    by_name: HashMap<FieldName, usize>,
    /// Those whose fields may be named bare, by field.
    by_field: HashMap<FieldName, Vec<usize>>,
    definitions: Arc<Definitions>,
    /// Names that are known elsewhere only, each with where.
    elsewhere: Vec<(FieldName, String)>,
    /// Names of facts whose definition has an error that is reported.
    failed: Vec<FieldName>,
}

/// What has the facts of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerKind {
    /// Rows, or inputs.
    Rows,
    /// The rules of a node.
    Rules,
    /// A node with an error that is reported: its fields are not known, and any may be one of them.
    Failed,
}

#[derive(Debug, Clone)]
struct Visible {
    name: FieldName,
    owner: Owner,
    ty: Type,
    /// Whether its fields may be named without it.
    bare: bool,
    kind: OwnerKind,
}

impl Visible {
    /// What a field of it is, for messages.
    fn part(&self) -> String {
        match self.kind {
            OwnerKind::Rules => format!("a fact of the rule node `{}`", self.name),
            OwnerKind::Rows | OwnerKind::Failed => format!("a field of `{}`", self.name),
        }
    }
}

/// Why a name does not resolve to a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeError {
    /// No owner has such a fact.
    Unknown {
        /// A known name that is similar.
        nearest: Option<String>,
    },
    /// Several owners have a field of this name.
    Ambiguous {
        /// Their names.
        owners: Vec<String>,
    },
    /// No owner is known to have it, but the columns of this owner are not known.
    UnknownColumns {
        /// The owner.
        owner: String,
    },
    /// It can be read elsewhere only.
    Elsewhere {
        /// Where.
        place: String,
    },
    /// The owner exists and has no such field.
    NoField {
        /// The owner.
        owner: String,
        /// The field it does not have.
        field: String,
        /// The fields it has.
        known: Vec<String>,
    },
}

/// The remedy where an expression stands in place of a name.
const EXPRESSION: &str =
    "only the name of a fact may stand here: compute it in the query, or in a rule node before this one";

impl ScopeError {
    /// The error of a name that is `written` at this place.
    pub fn diagnostic(&self, written: &str, place: impl Into<Place>) -> Diagnostic {
        let (code, message, help) = match self {
            Self::Unknown { nearest } => {
                let is_name = written.chars().all(|letter| continues_name(letter) || ". ".contains(letter));
                let help = match nearest {
                    _ if !is_name => Some(EXPRESSION.to_owned()),
                    name => name.as_ref().map(|name| format!("did you mean `{name}`?")),
                };
                ("unknown-fact", format!("there is no fact `{written}`"), help)
            }
            Self::Ambiguous { owners } => {
                let quoted: Vec<String> = owners.iter().map(|owner| format!("`{owner}`")).collect();
                let help = owners.first().map(|owner| format!("say whose it is, such as `{owner}.{written}`"));
                ("ambiguous-name", format!("`{written}` is a field of {}", quoted.join(" and of ")), help)
            }
            Self::UnknownColumns { owner } => (
                "unknown-fact",
                format!(
                    "there is no fact `{written}`, unless it is a column of `{owner}`, whose columns are not known"
                ),
                Some(format!("write `{owner}.{written}`, or name the columns in its query")),
            ),
            Self::Elsewhere { place } => {
                ("unknown-fact", format!("there is no fact `{written}` here"), Some(place.clone()))
            }
            Self::NoField { owner, field, known } => {
                let help = match nearest(field, known.iter().map(String::as_str)) {
                    Some(name) => format!("did you mean `{owner}.{name}`?"),
                    None if known.is_empty() => format!("`{owner}` is a single value"),
                    None => format!("it has: {}", known.join(", ")),
                };
                ("unknown-fact", format!("`{owner}` has no field `{field}`"), Some(help))
            }
        };
        Diagnostic::error(code, place, message).maybe_help(help)
    }
}

impl Scope {
    /// No names.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `name` stand for the value of `owner`, of type `ty`. Its fields may be named bare.
    pub fn add(&mut self, name: &str, owner: Owner, ty: Type) {
        self.add_of(OwnerKind::Rows, name, owner, ty);
    }

    /// As [`Self::add`], with what has the facts.
    pub fn add_of(&mut self, kind: OwnerKind, name: &str, owner: Owner, ty: Type) {
        if let Type::Map(shape) = &ty {
            for field in &shape.fields {
                self.by_field.entry(field.name.clone()).or_default().push(self.visible.len());
            }
        }
        self.push(Visible { name: FieldName::from(name), owner, ty, bare: true, kind });
    }

    /// As [`Self::add`], but its fields must be named with it.
    pub fn add_qualified(&mut self, name: &str, owner: Owner, ty: Type) {
        self.add_qualified_of(OwnerKind::Rows, name, owner, ty);
    }

    /// As [`Self::add_qualified`], with what has the facts.
    pub fn add_qualified_of(&mut self, kind: OwnerKind, name: &str, owner: Owner, ty: Type) {
        self.push(Visible { name: FieldName::from(name), owner, ty, bare: false, kind });
    }

    /// Makes `name` a fact of any type: its definition has an error, which is reported, and what reads it has none of its own.
    pub fn add_failed(&mut self, name: &str) {
        self.failed.push(FieldName::from(name));
    }

    /// What the owner `name` is: "the inputs", "a rule node", "a node".
    pub fn described(&self, name: &str) -> Option<&'static str> {
        let visible = self.owner(name)?;
        Some(match (visible.owner, visible.kind) {
            (Owner::Input, _) => "the inputs",
            (_, OwnerKind::Rules) => "a rule node",
            _ => "a node",
        })
    }

    /// The first owner of a field of this name, and what the field is: "a fact of the rule node `r`".
    pub(super) fn part(&self, field: &str) -> Option<(&str, String)> {
        let owner = self.owners_of(field).first().copied()?;
        Some((owner, self.owner(owner)?.part()))
    }

    /// Has the error about `name`, which is not known here, say where it is.
    pub fn add_elsewhere(&mut self, name: &str, place: String) {
        self.elsewhere.push((FieldName::from(name), place));
    }

    /// Makes the constants and functions of a flow known.
    pub fn define(&mut self, definitions: Arc<Definitions>) {
        self.definitions = definitions;
    }

    pub(super) fn definitions(&self) -> &Arc<Definitions> {
        &self.definitions
    }

    fn push(&mut self, visible: Visible) {
        self.by_name.entry(visible.name.clone()).or_insert(self.visible.len());
        self.visible.push(visible);
    }

    fn owner(&self, name: &str) -> Option<&Visible> {
        self.by_name.get(name).and_then(|place| self.visible.get(*place))
    }

    /// Whether `name` stands for an owner.
    pub fn has_owner(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// The names that own a field of this name, each owner once.
    pub fn owners_of(&self, field: &str) -> Vec<&str> {
        let mut owners: Vec<&Visible> = Vec::new();
        let places = self.by_field.get(field).map(Vec::as_slice).unwrap_or_default();
        for visible in places.iter().filter_map(|place| self.visible.get(*place)) {
            if !owners.iter().any(|known| known.owner == visible.owner) {
                owners.push(visible);
            }
        }
        owners.into_iter().map(|visible| &*visible.name).collect()
    }

    /// The fact at `path` and its type: `node.field`, or a bare `field` that exactly one owner has.
    ///
    /// # Errors
    /// [`ScopeError`].
    pub fn resolve(&self, path: &[&str]) -> Result<(FactRef, Type), ScopeError> {
        let [first, rest @ ..] = path else { return Err(ScopeError::Unknown { nearest: None }) };
        if let Some(visible) = self.owner(first) {
            return reference(visible, rest, path);
        }
        match self.owners_of(first).as_slice() {
            [owner] => match self.owner(owner) {
                Some(visible) => reference(visible, path, path),
                None => Err(ScopeError::Unknown { nearest: None }),
            },
            [] => match self.failed(first) {
                Some(owner) => {
                    let path: Vec<FieldName> = path.iter().map(|name| FieldName::from(*name)).collect();
                    let written = FieldName::from(path.join("."));
                    Ok((FactRef { owner, path: path.into(), written }, Type::Any))
                }
                None => Err(self.unknown(first)),
            },
            several => Err(ScopeError::Ambiguous { owners: several.iter().map(|owner| (*owner).to_owned()).collect() }),
        }
    }

    /// The owner of a name that may be one of those whose definition has an error.
    fn failed(&self, name: &str) -> Option<Owner> {
        let node = self.visible.iter().find(|visible| visible.bare && visible.kind == OwnerKind::Failed);
        let is_failed = self.failed.iter().any(|failed| **failed == *name);
        node.map(|node| node.owner).or(is_failed.then_some(Owner::Input))
    }

    fn unknown(&self, name: &str) -> ScopeError {
        if let Some((_, place)) = self.elsewhere.iter().find(|(known, _)| **known == *name) {
            return ScopeError::Elsewhere { place: place.clone() };
        }
        if let Some(open) = self.visible.iter().find(|visible| visible.bare && is_open(&visible.ty)) {
            return ScopeError::UnknownColumns { owner: open.name.to_string() };
        }
        let nearest = nearest(name, self.names()).map(str::to_owned);
        ScopeError::Unknown { nearest }
    }

    /// All names that can be written without a dot, for proposals.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let owners = self.visible.iter().map(|visible| &*visible.name);
        let owners = owners.chain(self.definitions.constants().iter().map(|constant| &*constant.name));
        owners.chain(self.visible.iter().filter(|visible| visible.bare).flat_map(|visible| fields(&visible.ty)))
    }
}

fn reference(visible: &Visible, fields: &[&str], written: &[&str]) -> Result<(FactRef, Type), ScopeError> {
    let mut ty = visible.ty.clone();
    for (index, field) in fields.iter().enumerate() {
        let owner = || {
            let before = fields.get(..index).unwrap_or_default().iter().copied();
            std::iter::once(&*visible.name).chain(before).collect::<Vec<_>>().join(".")
        };
        ty = field_of(&ty, field).ok_or_else(|| ScopeError::NoField {
            owner: owner(),
            field: (*field).to_owned(),
            known: self::fields(&ty).map(str::to_owned).collect(),
        })?;
    }
    let path = fields.iter().map(|field| FieldName::from(*field)).collect();
    let written = match written.first() {
        Some(first) if **first == *visible.name => written.join("."),
        _ => format!("{}.{}", visible.name, written.join(".")),
    };
    Ok((FactRef { owner: visible.owner, path, written: FieldName::from(written) }, ty))
}

/// The type of the field `name` of a value of type `ty`; a field of a list is the list of its elements' fields.
pub(super) fn field_of(ty: &Type, name: &str) -> Option<Type> {
    match ty {
        Type::Any => Some(Type::Any),
        Type::Map(shape) => shape.field(name).cloned(),
        Type::List(element) => field_of(element, name).map(|ty| Type::List(ty.into())),
        _ => None,
    }
}

fn is_open(ty: &Type) -> bool {
    matches!(ty, Type::Any) || matches!(ty, Type::Map(shape) if shape.open)
}

pub(super) fn fields(ty: &Type) -> impl Iterator<Item = &str> {
    let shape = match ty {
        Type::Map(shape) => Some(shape),
        Type::List(element) => match element.as_ref() {
            Type::Map(shape) => Some(shape),
            _ => None,
        },
        _ => None,
    };
    shape.into_iter().flat_map(|shape| shape.fields.iter().map(|field| &*field.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Shape;

    fn row(fields: &[&str]) -> Type {
        Type::Map(Shape::closed(fields.iter().map(|field| (FieldName::from(*field), Type::Text))).into())
    }

    fn scope() -> Scope {
        let mut scope = Scope::new();
        scope.add("input", Owner::Input, row(&["product_id"]));
        scope.add("oms", Owner::Node(0), row(&["product_id", "demand"]));
        scope.add("history", Owner::Node(0), row(&["product_id", "demand"]));
        scope
    }

    #[test]
    fn names_are_found_with_their_owner_and_bare_where_only_one_has_them() {
        let scope = scope();
        assert_eq!(scope.resolve(&["oms", "demand"]).unwrap().0.owner, Owner::Node(0));
        let (bare, _) = scope.resolve(&["demand"]).unwrap();
        assert_eq!((bare.owner, &*bare.written), (Owner::Node(0), "oms.demand"));
        let owners = vec!["input".to_owned(), "oms".to_owned()];
        assert_eq!(scope.resolve(&["product_id"]).unwrap_err(), ScopeError::Ambiguous { owners });
        assert_eq!(scope.resolve(&["demnd"]).unwrap_err(), ScopeError::Unknown { nearest: Some("demand".into()) });
        assert!(matches!(scope.resolve(&["oms", "dmand"]).unwrap_err(), ScopeError::NoField { .. }));
    }
}
